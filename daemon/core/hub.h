/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Watch hub
 *
 * The file events of one superblock in, changes for each watch out: which
 * watches an event matches, under what name, whether its receiver may know.
 * Pure: time, answers of the filesystem and owners of processes come in.
 *
 * Two kinds. A tree hub is fed by a filesystem mark and has recursive watches.
 * It keeps directories as nodes (handle -> parent, name), learns them when an
 * event comes from one that it does not know, and moves them with the events. So
 * what an event is called is where its directory was when it happened, though the
 * question is answered later: a directory whose place is asked for now was, at an
 * event that waits, at the old place of the first rename or removal of it that waits
 * behind that event, and where there is none, at the place that is answered. For
 * this, events wait in a row while an answer is missing, and who brings an answer
 * reads all events that came before it first (hub_answer()). A spot hub is fed by inode
 * marks and knows only the inodes that are watched.
 *
 * Nodes are bounded (HUB_NODES_MAX); those without children and watches are
 * forgotten, the longest unused first, and asked for again. The row is bounded
 * (HUB_PENDING_MAX): past that, and after an overflow of the kernel's queue, all
 * nodes are forgotten and every watch is told a loss of unknown extent.
 *
 * Verdicts. A name is told if the receiver could have found it by listing: it may
 * read its directory, and read and search every directory from the root of
 * the watch down to that. The bits are asked for per directory and
 * credential, kept at the node, and forgotten when attributes of that directory
 * change; renames move nodes and so change nothing. An event is judged by what holds
 * when it is told; a bit that is known when a change of attributes comes holds for the events
 * before. Where the bits of a directory cannot be asked for because it is gone, the last known
 * count, else those of its nearest living ancestor, else the record becomes a loss there. Where
 * the last known are of before a change, nobody knows whether the receiver knew what is below
 * a directory that is moved out of it or into it: that is told as delete and create.
 * A rename between a visible and an invisible directory is told as create or
 * delete. Root is never asked for.
 *
 * What the kernel merges: bits of one name by one process have no order, and stand
 * where the first of them stood. Where CREATE and DELETE are in one record, or
 * an inode may have come back to a name that it left, the hub asks whether the names
 * are there now, and tells that, marked FSEVENTS_MERGED (see hub-window.h). It
 * needs fewer answers if the mark has FAN_DELETE_SELF, which the kernel merges into
 * the ATTRIB of an unlink: what is gone need not be asked for. What is told so may be ahead of
 * records that waited behind it until the answer: of the same names those are told in the
 * same way, as are both renames of an exchange if one of them is in doubt. Renames are told as
 * they are to a watch that wants no FSEVENTS_CREATE or _DELETE.
 *
 * Every name is told below directories that were told, or below a name that was told as merged, or
 * came from there: where it may be of a directory that was there before, or that comes later.
 *
 * Where renames have no target, as by inotify, two names that change places look like one that went and
 * came back: after a rename to the old place of the one before, the hub asks what is there, too.
 *
 * A watch that wants no FSEVENTS_MOVE is told a rename as delete and create.
 *
 * Who works where nobody watches pays for what nobody is told. Of a directory that is outside of
 * every watch and from which much comes the kernel is asked to tell nothing but what happens to
 * directories, and renames (hub_ignorable()). As soon as it may be inside, or a watch is added,
 * that ends (->heed()); where it was brought inside, a loss is told for what happened there until then,
 * to who may list it: the loss waits in the row until that is known.
 *
 * While nobody does anything where somebody watches, and much happens elsewhere, the kernel is asked
 * for less still: of files nothing but their names, and of renames in ignored directories nothing at all,
 * but instead of all renames their halves, MOVED_FROM and MOVED_TO (hub_hushable()). A half whose
 * RENAME was told says nothing new; any other one puts all names of its inode in doubt, as does
 * whatever the links of an inode would have decided. The removal of a directory that a half took up
 * is told as merged: what was done in it before comes behind. So what happens inside is told in
 * either case, of the first moments only more of it FSEVENTS_MERGED; then that ends.
 *
 * Pids are told to root and to the user whose process it was.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/change.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/credential.h"
#include "daemon/core/handle.h"
#include "daemon/core/wire-file.h"

#define HUB_NODES_MAX 100000
#define HUB_PENDING_MAX 65536
#define HUB_PENDING_BYTES_MAX (16U << 20)
#define HUB_QUESTIONS_MAX 256 /* at once */
#define HUB_AHEAD_MAX 16384 /* half as many names told ahead; past that, any name may be */
#define HUB_QUESTION_USERS_MAX 64 /* different ones among them */
#define HUB_IGNORE_HEAT 256 /* records of one directory in a second */
#define HUB_SLICE (1U << 20) /* steps at once: some milliseconds */

struct hub;
struct hub_watch;

struct hub_ops {
	/* @watch's own userdata is in @watch_userdata. The watch may be freed only later. */
	void (*changed)(const struct change *change, void *watch_userdata);
	/* @count 0: not known; @under relative to the watch, n 0: all of it */
	void (*lost)(uint64_t count, const char *under, size_t n_under, void *watch_userdata);
	/* Whose process is that, as far as is known now? Return: false: not known. */
	bool (*owner)(int32_t pid, uid_t *ret, void *userdata);
	/* Nothing is to be ignored any more, from the return on. NULL: nothing can be ignored. */
	void (*heed)(void *userdata);
};

struct hub_options {
	bool tree; /* else spots */
	struct node_budget *budget; /* shared by hubs; borrowed, NULL: none */
	size_t n_nodes_max, n_pending_max, n_slice; /* 0: as above; tests take less */
	size_t n_ahead_max; /* likewise, a power of two from 8 */
	unsigned int n_ignore_heat; /* likewise */
	uint64_t second_us; /* likewise: in which heat is counted, and that is quiet */
};

/** hub_new() - @ops: borrowed */
int hub_new(struct hub **ret, const struct hub_options *options, const struct hub_ops *ops,
	    void *userdata);
struct hub *hub_free(struct hub *hub); /* all watches must be freed before */
DEFINE_FREEP(hub, hub_free)

struct hub_watch_options {
	struct handle_view root; /* a directory; in a spot hub also a file */
	bool is_directory;
	uint32_t mask; /* FSEVENTS_... that it wants; others are never told */
	struct credential *credential; /* a reference of its own is taken */
	/* For a filesystem mounted inside a watched tree: what its names begin with, without '/' at the ends. */
	const char *prefix;
	void *userdata;
};

/**
 * hub_watch_new() - told what happens from now on: events fed before are not for it
 *
 * Read the source to its end before, so that what happened before is fed before.
 */
int hub_watch_new(struct hub_watch **ret, struct hub *hub, const struct hub_watch_options *options);
/** hub_watch_free() - not from within a callback; what waits is not told */
struct hub_watch *hub_watch_free(struct hub_watch *watch);
DEFINE_FREEP(hub_watch, hub_watch_free)
void hub_watch_set_mask(struct hub_watch *watch, uint32_t mask);

/** hub_mask() - all that its watches want together, of FSEVENTS_... */
uint32_t hub_mask(const struct hub *hub);
size_t hub_n_watches(const struct hub *hub);

/**
 * hub_feed() - an event, in the order of the kernel
 * @realtime_us: when it was read
 *
 * It is copied where it has to wait. Without memory it becomes a loss.
 */
void hub_feed(struct hub *hub, const struct file_event *event, uint64_t realtime_us);

/** hub_overflow() - events are missing here */
void hub_overflow(struct hub *hub);

/**
 * hub_emptied() - the kernel's queue was read to its end
 *
 * What comes now is merged into nothing that was fed before. Before the questions of
 * that batch are asked. Optional: without it more is doubted than need be.
 */
void hub_emptied(struct hub *hub);

/* What the hub has to know to go on. Strings and handles are the hub's, until the answers. */
enum hub_question_kind {
	HUB_ASK_CHAIN,
	HUB_ASK_ACCESS,
	HUB_ASK_ENTRY,
};

struct hub_question {
	enum hub_question_kind kind;
	struct handle_view handle;
	struct credential *credential; /* HUB_ASK_ACCESS */
	const char *name; /* HUB_ASK_ENTRY */
	size_t n_name;
};

/**
 * hub_questions() - what to ask now, the most urgent first
 *
 * After each batch, always: the last event may have waited for the next one, and is told
 * here. Nothing while an answer is under way. Those given are under way until hub_answered().
 *
 * Return: how many, at most HUB_QUESTIONS_MAX; 0: nothing.
 */
size_t hub_questions(struct hub *hub, const struct hub_question **ret);

/**
 * hub_is_behind() - it has more to tell than belongs into one turn of the loop
 *
 * Many watches, or deep trees: what one call tells is bounded, and the rest waits in the row. After
 * hub_questions(): where this is true, that is to be called again in the next turn.
 */
bool hub_is_behind(const struct hub *hub);

struct hub_link {
	struct handle_view handle;
	const char *name;
	size_t n_name;
};

struct hub_answer {
	/*
	 * 0 or negative errno: -ESTALE, -ENOENT as in job-lookup.h; -EXDEV: by no mount is it
	 * reached; others: it could not be asked, and that is a loss for all whom it may concern,
	 * as is -ESTALE of a directory that was there when the event came
	 */
	int error;
	bool may_read, may_search; /* HUB_ASK_ACCESS */
	bool is_directory; /* HUB_ASK_ENTRY */
	uint64_t inode; /* HUB_ASK_ENTRY */
	const struct hub_link *links; /* HUB_ASK_CHAIN: itself first, the root last */
	size_t n_links;
};

/**
 * hub_answer() - of question @i of those under way
 *
 * All events that came before the answer must have been fed before.
 */
void hub_answer(struct hub *hub, size_t i, const struct hub_answer *answer);
/** hub_answered() - all under way have their answer (what has none could not be asked); what waits goes on */
void hub_answered(struct hub *hub);

/**
 * hub_ignorable() - a directory in which nothing is to be heard of, but of directories and renames
 *
 * After each batch. One at a time: hub_ignored() says what became of it.
 */
bool hub_ignorable(struct hub *hub, struct handle_view *ret);

enum hub_ignored {
	HUB_IGNORED,
	HUB_IGNORED_NOT, /* certainly */
	HUB_IGNORED_PERHAPS, /* who was to do it did not answer */
	HUB_IGNORED_NEVER, /* not, and no other one can be */
};
void hub_ignored(struct hub *hub, enum hub_ignored outcome);

/**
 * hub_hushable() - whether the kernel is to be silent of files
 * @ret:	true: of files FAN_ATTRIB and FAN_DELETE_SELF are to be told no more, but FAN_MOVED_FROM
 *		and FAN_MOVED_TO; false: as it was before
 *
 * After each batch. One at a time: hub_hushed() says what became of it.
 *
 * Return: false: as it is.
 */
bool hub_hushable(struct hub *hub, bool *ret);
void hub_hushed(struct hub *hub, enum hub_ignored outcome);
/**
 * hub_unhush() - somebody comes who wants FSEVENTS_ATTRIB
 *
 * Return: true: all is told, for a second at least; false: as soon as what hub_hushable() says was done.
 */
bool hub_unhush(struct hub *hub);
/** hub_is_hushed() - in a directory that is ignored, renames and their halves are to be so, too */
bool hub_is_hushed(const struct hub *hub);

struct hub_statistics {
	size_t n_nodes, n_pending;
	size_t n_ignored; /* directories that the kernel is silent of now */
	uint64_t events; /* fed */
	uint64_t questions;
	uint64_t delivered; /* changes told, all watches together */
	uint64_t denied; /* matched, but may not be known */
	uint64_t lost; /* matched or not known whether, and told as a loss */
	uint64_t evicted; /* nodes */
	uint64_t outside; /* dropped at once: nobody watches there */
	uint64_t ignored; /* directories, each time that it was one */
	uint64_t hushed; /* times */
};
void hub_statistics(const struct hub *hub, struct hub_statistics *ret);
