/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A tree that is watched directory by directory
 *
 * Where the kernel marks no filesystem as a whole, a recursive watch is one watch of inotify for each
 * directory: an anchor of SIDE_PATH with a prefix, and a twig that knows its parent and what is
 * below. It is walked from the top by jobs of a worker, one directory each, as its owner: what that one
 * may not list is not entered, nor what is mounted inside. A directory is marked first and listed then, so
 * that what comes into it is either told or found.
 *
 * What happens to directories (branch_heard()) changes the twigs at once, in the order of the kernel:
 * one that is removed or goes elsewhere goes with all below it, one that comes is looked
 * for. What was in it before it was marked is told as a loss there. While it is being found out
 * whether a directory may still be listed, after its attributes changed, nothing of what is below it is
 * told: if something happened there until then, that is a loss, too.
 *
 * At most BRANCH_DIRECTORIES_MAX, charged to the owner: where there are more, that is told as a loss once
 * in each directory that has one left out, and counted.
 *
 * watches-twig.c knows the directories, watches-branch.c what happens to them, watches-branch-walk.c walks.
 */

#include <sys/queue.h>

#include "daemon/watches-internal.h"

/* Where a tree is watched directory by directory: of one watch, and of all. */
#define BRANCH_DIRECTORIES_MAX 1024
#define BRANCH_TOTAL 65536

/* Watches that begin are answered when all is watched, or after that: what is left is told as lost. */
#define BRANCH_PATIENCE_US 5000000

/* Directories that were not there any more when they were to be marked, one after the other in one directory. */
#define BRANCH_MISSES_MAX 16

enum twig_look {
	TWIG_KNOWN, /* nothing is to be looked for in there */
	TWIG_LOOK_NAME, /* one name */
	TWIG_LOOK_ALL,
};

struct twig {
	struct branch *branch;
	struct anchor *anchor;
	const char *own; /* the last part of its prefix: its name; "" of the top */
	uint64_t hash; /* of that */
	struct twig *parent; /* NULL: the top, or it was dropped */
	LIST_HEAD(twigs, twig) twigs;
	LIST_ENTRY(twig) next; /* of the same parent, or dropped */
	TAILQ_ENTRY(twig) in_queue;
	bool queued;
	bool dropped;
	bool is_new; /* what is in there is not known to the owner */
	bool is_moved; /* likewise, and there may have been another one: nothing in there is to be known, too */
	bool look_moved; /* of what is to be looked for, some was moved here */
	enum twig_look look;
	char *name; /* of TWIG_LOOK_NAME */
	bool asked; /* whether it may be listed is to be found out */
	bool asking; /* likewise, and is being */
	bool missed; /* something was not told meanwhile */
	bool owes; /* a loss in there is to be told, behind what its hub has not told yet */
	uint64_t owed_since; /* event of that */
	bool is_short; /* not all in there are watched, which was told */
	uint64_t n_left; /* so many are not */
	unsigned int n_misses;
};

struct branch {
	struct watched *watched;
	struct twig *top;
	size_t n_twigs; /* also of those that were dropped and are not freed yet */
	uint64_t n_left;
	TAILQ_HEAD(, twig) queue; /* to be marked or looked into */
	struct twigs dropped;
	struct twig *current; /* being marked or looked into */
	struct pool_ticket *ticket;
	enum twig_look looking; /* what for */
	bool looking_moved;
	bool put_off; /* there was no room: again by the timer */
	size_t n_freed; /* of those that were marked, since those that were left out were looked for */
	bool owes; /* some twig does */
	bool walking; /* all that is found is to be told at the end, at once */
	bool told; /* that was, once */
	uint64_t since_us;
	LIST_ENTRY(branch) all;
};

/* watches-twig.c */
/** twig_find() - in @parent; NULL: none */
struct twig *twig_find(const struct twig *parent, const char *name, size_t n_name);
/** twig_attach() - to @anchor, with @n_name bytes of a name of its own; Return: 0 or -ENOMEM */
int twig_attach(struct branch *branch, struct twig **ret, struct anchor *anchor, size_t n_name);
/** twig_new() - Return: 0, -ENOSPC: no more, -ENAMETOOLONG, or another negative errno */
int twig_new(struct twig **ret, struct twig *parent, const char *name, uint64_t inode);
/** twig_drop() - with all below it; @moved: it is elsewhere, else it was removed; freed at the settling */
void twig_drop(struct twig *twig, bool moved);
void twig_free(struct twig *twig); /* one that was dropped */
/** twig_nearest() - to where one that was dropped was, of those that are still there */
struct twig *twig_nearest(struct branch *branch, const char *prefix);
void twig_look_all(struct twig *twig);
/** twig_look() - there may be another directory of that name; @is_made: it is new */
void twig_look(struct twig *twig, const char *name, size_t n_name, bool is_made);
/** twig_ask() - its attributes changed: who could list it may not be allowed to any more */
void twig_ask(struct twig *twig);
void twig_dequeue(struct twig *twig);
void twig_set_left(struct twig *twig, uint64_t n_left);
/** twig_cut() - in there some directory is not watched, whatever the reason: told once */
void twig_cut(struct twig *twig);
/** twig_uncut() - unless some is not, or may turn out not to be */
void twig_uncut(struct twig *twig);
/**
 * twig_tell_lost() - in there, or in the nearest one above that may be told of
 *
 * Whoever looks there sees what is there now: what happened before is told before, so that
 * nobody takes it for what came after.
 */
void twig_tell_lost(struct twig *twig);
void branch_pay(struct branch *branch); /* those that may be told by now */
/**
 * twig_next() - all below @top, each after its parent; the first is after @top itself
 * @into:	also those below @twig
 *
 * Return: NULL: that was the last.
 */
struct twig *twig_next(const struct twig *twig, const struct twig *top, bool into);

/* watches-branch.c */
/** branch_new() - for the anchor of @watched, before it is marked; Return: 0 or -ENOMEM */
int branch_new(struct watched *watched);
/** branch_begin() - its anchor stands: walk; watched_walked() follows, perhaps at once */
void branch_begin(struct branch *branch);
struct branch *branch_free(struct branch *branch); /* with all anchors but the first */
/** branch_heard() - an event, before its hub is fed */
void branch_heard(struct side *side, const struct file_event *event);
/** branch_tells() - whether what the hub tells for @anchor of what has that name is to be told */
bool branch_tells(struct anchor *anchor, size_t n_name);
/** branch_left() - @anchor is of a directory that is not below any more: it is marked no more */
bool branch_left(const struct anchor *anchor);
/** branch_count() - directories that are watched, and those known that are not */
void branch_count(const struct branch *branch, uint64_t *ret_watched, uint64_t *ret_left);
/** branches_count() - likewise, of all */
void branches_count(const struct watches *watches, uint64_t *ret_watched, uint64_t *ret_left);
/** branches_settle() - what was dropped is freed, and what is new is looked for */
void branches_settle(struct watches *watches);
void branches_again(struct watches *watches); /* what was put off */
void branches_tick(struct watches *watches); /* look again for what was left out */

/* watches-branch-walk.c */
void branch_marked(struct anchor *anchor, int error);
void branch_go_on(struct branch *branch);
