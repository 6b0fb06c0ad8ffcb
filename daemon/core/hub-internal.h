/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a hub is made of. For the files hub*.c alone. */

#include <sys/queue.h>

#include "daemon/core/hub-window.h"
#include "daemon/core/hub.h"
#include "daemon/core/node-tree.h"

#define HUB_DEPTH_MAX 4096 /* a path cannot be told at half of it */
#define HUB_LOOKS_MAX 512 /* from one waiting event to another, to find a place */
#define HUB_ROUNDS_MAX 64 /* of questions for one event */
/* What things cost, in steps from a node to its parent. */
#define HUB_STEPS_LOOK 16
#define HUB_STEPS_VISIT 4
#define HUB_STEPS_TELL 64
#define HUB_NODES_MIN 64
#define HUB_NAMES 0x00010300U /* FSEVENTS_CREATE, _DELETE, _MOVE */
#define HUB_HALVES 0x000000C0U /* FAN_MOVED_FROM, _TO */
#define HUB_IGNORED_MAX 512
#define HUB_ASKED_SLOTS 1024 /* four times HUB_QUESTIONS_MAX: a table of those asked */

/* A user, as the verdicts at the nodes know it. */
struct hub_user {
	struct credential *credential;
	uint32_t serial; /* never used again */
	size_t n_watches;
	LIST_ENTRY(hub_user) all;
};

struct hub_watch {
	struct hub *hub;
	struct node *node; /* its root, held */
	struct hub_user *user; /* NULL: root, who may know everything */
	char *prefix; /* NULL: none */
	size_t n_prefix;
	uint32_t mask;
	uint64_t since; /* events up to that one are not for it */
	void *userdata;
	LIST_ENTRY(hub_watch) same; /* of the node */
	LIST_ENTRY(hub_watch) all;
};

#define HUB_NOT_ASKED 1

/* A name whose last state is asked for instead of being taken from the bits. */
struct hub_doubt_name {
	struct handle_view dir;
	const char *name;
	size_t n_name;
	int error; /* HUB_NOT_ASKED; 0: it is there; -ENOENT; else it could not be asked */
	bool is_directory;
	uint64_t inode;
	uint64_t until; /* the answer is behind no event after that one */
};

struct hub_doubt {
	size_t n;
	size_t n_own; /* the first of them are those of the event itself */
	bool by_death; /* the names are gone if the target is */
	bool by_exchange; /* none, if the rename before was not told yet */
	bool by_answer; /* where its directory went is certain, but its names are told as they are */
	struct hub_doubt_name names[]; /* their bytes behind them */
};

/* An event. Those that wait own what they point to; see hub-pending.c. */
struct hub_pending {
	struct file_event event;
	uint64_t seq; /* counted from 1 */
	uint64_t realtime_us;
	uint64_t cookie;
	struct hub_doubt *doubt; /* NULL: what it says is what happened */
	bool dead; /* its target is no more, nor any name of it */
	bool early; /* a directory's removal, in half of a rename: what was before it may come later */
	bool indexed;
	bool is_exchange; /* with the one beside it: nothing was replaced */
	bool is_second; /* of an exchange that is told as two renames */
	bool back; /* it, or what came after it, goes back, or it is an exchange: its target is not told */
	bool loses; /* it was told; a loss below its target waits, see hub-ignore.c */
	unsigned int n_rounds;
	uint64_t hash; /* of the target */
	STAILQ_ENTRY(hub_pending) link;
	STAILQ_ENTRY(hub_pending) same;
};
STAILQ_HEAD(hub_pendings, hub_pending);

struct hub_chunk;

struct hub_row {
	struct hub_pendings events;
	struct hub_pending *last;
	size_t n, n_bytes;
	size_t n_moves; /* of directories */
	uint64_t
		last_back; /* hash of the rename that takes the last one back; 0: that had a target */
	struct hub_pendings *buckets; /* by target, in order */
	TAILQ_HEAD(hub_chunks, hub_chunk) chunks; /* the memory of them */
};

/* A name that was told as it was when somebody looked, which may be behind events that wait. */
struct hub_ahead_name {
	uint64_t hash; /* 0: none */
	uint64_t until; /* events up to that one may be in what was told */
};

struct hub_ahead {
	struct hub_ahead_name *slots;
	size_t n, n_slots;
	uint64_t all; /* up to that event any name may have been told so */
	uint64_t last; /* the last one that matters */
};

struct hub_asked {
	struct hub_question question; /* strings behind it */
	struct hub_doubt_name *doubt;
	uint32_t serial; /* of the user */
	bool answered;
};

struct hub_round { /* of questions */
	struct hub_question questions[HUB_QUESTIONS_MAX]; /* as given */
	struct hub_asked *asked[HUB_QUESTIONS_MAX];
	uint16_t slots[HUB_ASKED_SLOTS];
	size_t n, n_max;
	uint32_t users[HUB_QUESTION_USERS_MAX]; /* by their serials */
	size_t n_users;
	uint64_t seq; /* of the last event that is certainly before the answers */
	bool under_way;
	bool is_void; /* what comes is of before a loss of everything */
};

/*
 * Directories outside of every watch, from which much comes. Each is held, has its place,
 * and is outside: as soon as one is not, all are past.
 */
struct hub_ignore {
	/* First those that are ignored, then one that is about to be, then those that are worth it. */
	struct node *nodes[HUB_IGNORED_MAX];
	size_t n, n_done, n_max;
	unsigned int heat; /* so many in a second make one */
	bool any; /* some may be ignored */
	bool past; /* none are any more, but what they were brought to may not have been read yet */
	bool read; /* likewise: it was, up to the event ->until */
	uint64_t until;
	bool under_way;
	bool is_void; /* what is under way is not among them any more */
	bool refused; /* the kernel cannot do it */
};

/* Of files nothing but names is told, and of renames nothing but the halves where they are not ignored. */
struct hub_hush {
	enum hub_hush_state {
		HUB_LOUD,
		HUB_HUSHING, /* from here on something may be missing */
		HUB_HUSHED,
		HUB_UNHUSHING,
		HUB_UNHUSHED, /* what waits in the kernel may still be of before */
	} state;
	unsigned int heat, heat_min; /* files whose links changed, in ->second */
	uint64_t second;
	uint64_t now_us, inside_us; /* of the last event of a file, and of the last one inside */
	uint64_t since_us;
	uint64_t until; /* HUB_UNHUSHED: behind that event nothing is of before in any case */
	bool refused; /* the kernel cannot do it */
	bool doubtful; /* HUB_HUSHED: perhaps not */
};

struct hub {
	struct hub_options options;
	const struct hub_ops *ops;
	void *userdata;
	struct node_tree tree;
	struct hub_row row;
	bool blocked; /* the first of the row waits for an answer */
	bool behind; /* it waits for another turn */
	bool roots_unknown; /* of some watch it is not known where it is, nor is that asked */
	uint64_t n_steps; /* since the questions were asked for */
	uint64_t search; /* the last one that left its number at nodes */
	struct hub_window window;
	struct hub_ahead ahead;
	uint32_t
		strayed; /* low bits of the last event that moved a directory from where is not known */
	uint64_t blind; /* up to that event, of what is gone it is not known when it went */
	struct hub_round *round;
	struct hub_ignore ignore;
	struct hub_hush hush;
	LIST_HEAD(, hub_watch) watches;
	LIST_HEAD(, hub_user) users;
	size_t n_watches;
	uint32_t last_serial;
	uint32_t mask; /* of all watches */
	uint32_t n_wanting[32]; /* of them, each of its bits */
	uint64_t last_cookie;
	struct hub_statistics statistics;
};

/* hub.c */
/** hub_is_spent() - what belongs into this turn was done */
bool hub_is_spent(const struct hub *hub);
/** hub_lose() - all nodes and all that waits are forgotten, and every watch is told so */
void hub_lose(struct hub *hub);
void hub_tell_lost(struct hub *hub, struct hub_watch *watch, const char *under, size_t n_under);

/* hub-pending.c */
void hub_row_init(struct hub_row *row);
void hub_row_clear(struct hub_row *row);
/** hub_row_push() - a copy; takes ->doubt over on success; Return: 0, -ENOBUFS or -ENOMEM */
int hub_row_push(struct hub *hub, struct hub_pending *pending);
void hub_row_pop(struct hub_row *row);
/** hub_row_first() - the first directory event of @target that tells a place of it, or NULL */
struct hub_pending *hub_row_first(const struct hub_row *row, const struct handle_view *target);
/** hub_row_died() - @target is no more: what waits and doubts it need not ask */
void hub_row_died(struct hub_row *row, const struct handle_view *target);
/** hub_row_drain() - tell what need not wait; @all: also the last one, though what follows may belong to it */
void hub_row_drain(struct hub *hub, bool all);

/* hub-place.c: where directories are, at the first event of the row */
enum hub_place {
	HUB_PLACE_FOUND,
	HUB_PLACE_MISSING, /* has to be asked for */
	HUB_PLACE_GONE, /* nowhere any more, as what came before says */
	HUB_PLACE_OUTSIDE, /* nowhere that can be reached */
	HUB_PLACE_FAILED, /* it could not be asked for, or that it is gone came before what happened in it */
};
/**
 * hub_place() - the node of a directory, with all above it up to the root
 * @ret_missing: with HUB_PLACE_MISSING: which one to ask for
 */
enum hub_place hub_place(struct hub *hub, const struct handle_view *handle, uint64_t seq,
			 struct node **ret, struct handle_view *ret_missing);
/** hub_place_parent() - of a directory to which something happened itself: of spots, which of them it is in */
enum hub_place hub_place_parent(struct hub *hub, const struct handle_view *handle, uint64_t seq,
				struct node **ret, struct handle_view *ret_missing);
/** hub_place_chain() - an answer */
void hub_place_chain(struct hub *hub, const struct handle_view *handle,
		     const struct hub_answer *answer);
/** hub_place_apply() - what an event of a directory does to the tree; it ->loses: it is not over yet */
void hub_place_apply(struct hub *hub, struct hub_pending *pending);

/* hub-lose.c: which watches something that is not known may concern */
/** hub_step_up() - to its parent, or where its place is not known, to what it was somewhere below; NULL: there is none */
struct node *hub_step_up(const struct node *node);
/** hub_lose_in() - something of event @seq that happened in these; of unknown ones all are told */
void hub_lose_in(struct hub *hub, uint64_t seq, const struct handle_view *dirs, size_t n);
/** hub_concerns_nobody() - wherever @dir is, no watch is there */
bool hub_concerns_nobody(struct hub *hub, const struct handle_view *dir);
/**
 * hub_left() - a directory is being moved
 * @doubted:	perhaps; where it is afterwards is not known
 *
 * Return: below what it is in either case; NULL: not known.
 */
struct node *hub_left(struct hub *hub, const struct file_event *event, bool doubted);

/* hub-ignore.c */
void hub_ignore_init(struct hub_ignore *ignore, const struct hub_options *options);
/** hub_is_outside() - its place is known, and no watch is at it or above */
bool hub_is_outside(struct hub *hub, const struct node *node);
/** hub_ignore_drop() - an event that nobody is to be told, now or later; counted for its directory */
bool hub_ignore_drop(struct hub *hub, const struct file_event *event, uint64_t realtime_us);
/** hub_ignore_is_left() - something is renamed out of one that is, or may be, ignored */
bool hub_ignore_is_left(struct hub *hub, const struct file_event *event);
/** hub_heed() - nothing is ignored any more */
void hub_heed(struct hub *hub);
/** hub_heed_lost() - likewise, and all are about to be told a loss of everything */
void hub_heed_lost(struct hub *hub);
/** hub_ignore_emptied() - the kernel's queue was read to its end */
void hub_ignore_emptied(struct hub *hub);
/** hub_ignore_settle() - some of the row was told */
void hub_ignore_settle(struct hub *hub);
/** hub_ignore_removed() - @node is no more */
void hub_ignore_removed(struct hub *hub, struct node *node);
/** hub_ignore_may_move() - if @node (or NULL) is moved, hub_ignore_moved() is to know it */
bool hub_ignore_may_move(struct hub *hub, const struct node *node);
/** hub_ignore_moved() - @node was moved; Return: a loss is to be told below it */
bool hub_ignore_moved(struct hub *hub, struct node *node);
/** hub_ignore_lose() - of one that ->loses; Return: false: who may know it is not known, nothing was told */
bool hub_ignore_lose(struct hub *hub, const struct hub_pending *pending);
/** hub_ignore_lose_ask() - put what is missing for that among the questions */
void hub_ignore_lose_ask(struct hub *hub, const struct hub_pending *pending);
/** hub_ignore_lose_now() - though something is missing */
void hub_ignore_lose_now(struct hub *hub, const struct hub_pending *pending);

/* hub-hush.c */
void hub_hush_init(struct hub_hush *hush, const struct hub_options *options);
/** hub_hush_hear() - each event of a file, before it is dropped */
void hub_hush_hear(struct hub *hub, const struct file_event *event, uint64_t realtime_us);
/** hub_hush_settle() - what waited in the kernel was read; @empty: all of it */
void hub_hush_settle(struct hub *hub, bool empty);

/* hub-verdict.c */
enum hub_verdict {
	HUB_VERDICT_ALLOWED,
	HUB_VERDICT_DENIED,
	HUB_VERDICT_MISSING, /* has to be asked for */
	HUB_VERDICT_LOST, /* nothing is known of them, or they could not be asked */
};
/**
 * hub_verdict() - may the receiver of @watch know a name in @dir, which is its root or below
 * @ask:	to put what is missing among the questions
 */
enum hub_verdict hub_verdict(struct hub *hub, const struct hub_watch *watch, struct node *dir,
			     uint64_t seq, bool ask);
/**
 * hub_verdict_is_split() - who may know the names in @at and @to: may it go into the directories of
 * one of them alone, or is that not known
 */
bool hub_verdict_is_split(const struct hub_watch *watch, struct node *at, struct node *to,
			  uint64_t seq);
/** hub_verdict_self() - may it know something of its root itself */
enum hub_verdict hub_verdict_self(struct hub *hub, const struct hub_watch *watch, uint64_t seq,
				  bool ask);
void hub_verdict_answer(struct hub *hub, struct node *node, uint32_t serial,
			const struct hub_answer *answer);
/** hub_verdict_forget() - the attributes of @node changed, at event @seq */
void hub_verdict_forget(struct node *node, uint64_t seq);

/* hub-match.c */
struct hub_side {
	struct node *dir; /* NULL: none */
	const char *name;
	size_t n_name;
};

struct hub_sighting { /* an event whose directories are known */
	uint32_t mask; /* FSEVENTS_... */
	int32_t pid;
	uint64_t seq, realtime_us, inode, cookie;
	bool is_second; /* of an exchange: its old name is there, that was told with the first */
	bool is_old; /* of a rename: who is told what is there was told what comes of it */
	struct hub_side at; /* of a rename: where it was */
	struct hub_side to; /* of a rename: where it is */
	struct node *subject; /* of a directory with watches of its own, else NULL */
	uint32_t self; /* FSEVENTS_... for those */
};

struct hub_match { /* what walks up from an event to the watches that it matches */
	struct hub *hub;
	const struct hub_sighting *sighting;
	/* @at, @to: which of the sides are below the watch. Return: false: enough */
	bool (*visit)(struct hub_match *match, struct hub_watch *watch, bool at, bool to);
	/* NULL: nothing; after all watches of a directory, before its parent */
	void (*leave)(struct hub_match *match, const struct node *node, bool at, bool to);
	bool ask; /* for what is missing */
	bool found;
};

/** hub_match_walk() - all watches on the way up from both sides, each once */
void hub_match_walk(struct hub_match *match);
/** hub_match_mask() - what of it @watch is told; of a rename: in which of three ways it may be told */
uint32_t hub_match_mask(const struct hub_watch *watch, const struct hub_sighting *sighting);
/** hub_match_is_ready() - all verdicts that it needs are known; @ask: ask for the missing ones */
bool hub_match_is_ready(struct hub *hub, const struct hub_sighting *sighting, bool ask);
/** hub_match_is_wanted() - by some watch, whether it may know it or not */
bool hub_match_is_wanted(struct hub *hub, const struct hub_sighting *sighting);

/* hub-tell.c */
/** hub_tell() - to all watches that it matches and that may know it */
void hub_tell(struct hub *hub, const struct hub_sighting *sighting);
/** hub_tell_lost_near() - something in @dir or below, or in the nearest one above that its receiver may list */
void hub_tell_lost_near(struct hub_watch *watch, struct node *dir, uint64_t seq);

/* hub-event.c: one event, from its record to what is told */
/** hub_event_run() - Return: false: something is missing, nothing was told */
bool hub_event_run(struct hub *hub, struct hub_pending *pending);
/** hub_event_ask() - put what is missing for it among the questions */
void hub_event_ask(struct hub *hub, struct hub_pending *pending);
/** hub_event_give_up() - tell it as a loss; Return: false: it is to be run once more */
bool hub_event_give_up(struct hub *hub, struct hub_pending *pending);

/* hub-ahead.c: names that were told as they are, before the events by which they became so */
void hub_ahead_deinit(struct hub_ahead *ahead);
/** hub_ahead_clear() - nothing waits any more */
void hub_ahead_clear(struct hub_ahead *ahead);
/** hub_ahead_add() - @name, of the first event of the row, is told as it was answered */
void hub_ahead_add(struct hub *hub, const struct hub_doubt_name *name);
/** hub_ahead_doubt() - of the names of @event, whose bytes it borrows; NULL: no memory */
struct hub_doubt *hub_ahead_doubt(const struct file_event *event);
/**
 * hub_ahead_check() - an event of the row that may be in what was told before is in doubt
 *
 * Return: 0 or -ENOMEM.
 */
int hub_ahead_check(struct hub *hub, struct hub_pending *pending);

/* hub-question.c */
void hub_ask_chain(struct hub *hub, const struct handle_view *handle);
void hub_ask_access(struct hub *hub, const struct node *node, const struct hub_user *user);
void hub_ask_entry(struct hub *hub, struct hub_doubt_name *name);
void hub_round_clear(struct hub_round *round);
