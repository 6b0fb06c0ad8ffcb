/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The inside of "watches"
 *
 * watches.c builds it and follows the mount table; watches-volume.c has what one superblock needs: hubs and
 * the groups of fanotify that feed them, watches-share.c who may have how many of these, and watches-source.c which source that is; watches-mark.c what those are marked
 * with, and watches-ignore.c what of that they need not hear; watches-lookup.c asks workers what hubs have to know; watches-find.c finds what a watch is to be on, and watches-place.c
 * brings it into being, and back after its filesystem was away; watches-watched.c has one watch for each object on
 * the bus; watches-deliver.c tells it; watches-tree.c knows what is mounted inside watched trees, and watches-branch.c the directories
 * of those that are watched one by one;
 * watches-bus.c answers the bus; watches-section.c has the sections [watch PATH],
 * and watches-quiet.c what they leave out.
 *
 * Nothing is freed from within a callback: what is removed waits for the settling.
 */

#include <sys/queue.h>

#include "daemon/bus/bus-watch.h"
#include "daemon/core/credential.h"
#include "daemon/core/hub.h"
#include "daemon/core/node-tree.h"
#include "daemon/core/watch-queue.h"
#include "daemon/output/packet-stream.h"
#include "daemon/output/unread.h"
#include "daemon/source/file-events.h"
#include "daemon/watches-account.h"
#include "daemon/watches-quiet.h"
#include "daemon/watches.h"
#include "daemon/worker/job-watch.h"

/* Of all users together. */
#define WATCHES_TOTAL 65536

/* For what is known of directories, in all filesystems together: some 100,000. */
#define WATCHES_NODE_BYTES (32U << 20)

/* An access in the first moments of a mount can make the umount of who mounted it fail. */
#define WATCHES_BIRTH_US 50000

/* For a job that touches a mount. */
#define WATCHES_DEADLINE_US 2000000

/* Where there was no room, or the mount table has not caught up. */
#define WATCHES_RETRY_US 20000

/* Before the mount table is believed not to have it, and a mount not to let itself be touched. */
#define WATCHES_PATIENCE_US 1000000

/* Likewise, that there will be no room: others of its owner are before it. One that stood may wait longer. */
#define WATCHES_ROOM_US 10000000
#define WATCHES_ROOM_STOOD_US 60000000

/* In one turn of the loop. */
#define WATCHES_STEPS_MAX 1024
#define WATCHES_SETTLE_MAX 256

#define WATCHES_BUCKETS 4096 /* a power of two */

/* What is not there and what its caller may not know of are told in the same words. */
#define WATCHES_NOT_FOUND "There is no such file or directory"

/*
 * Paths lead anywhere, also to a server of the caller's that hangs: each
 * user's are walked by a worker of its own. No superblock has such a key.
 */
#define WATCHES_FIND_LANE (1ULL << 63)

#define SIDE_BUCKETS 256 /* a power of two */

struct watched;
struct volume;
struct share;
struct walk;
struct twig;
struct branch;
struct section;

/*
 * Recursive watches are fed by a mark of the filesystem, others by marks of inodes (fanotify's, or the
 * module's), or where fanotify takes none, by inotify: what is watched is reached by its path then.
 */
enum side_kind {
	SIDE_TREE,
	SIDE_SPOT,
	SIDE_PATH,

	_SIDE_KIND_N,
};

/* One watch in one filesystem; a watch across mounts has several. */
struct anchor {
	struct watched *watched;
	struct side *side;
	struct hub_watch *hub_watch; /* NULL: not yet */
	struct handle root; /* of SIDE_PATH: what its events have; n 0: not marked yet */
	char *path; /* of SIDE_PATH: from the root of its superblock, without '/' at the ends */
	uint64_t inode; /* of SIDE_PATH: which is there */
	struct twig *twig; /* of a tree that is watched directory by directory; NULL: of none */
	char *prefix; /* of what is mounted inside the watched tree, or a twig; NULL: of the watch itself */
	uint64_t mount; /* likewise: which (place_key) */
	struct guard *guards; /* likewise: the directories from the watch or mount above to it */
	size_t n_guards;
	bool doubted; /* likewise: whether they still do is to be found out; nothing is told */
	bool in_doubt; /* in the list of those */
	struct quota_charge charge; /* likewise */
	struct share *share; /* NULL: root's */
	uint64_t walked; /* number of the last walk that came to it, or was begun before it stood */
	uint64_t mask; /* FAN_...: marked for it */
	uint64_t asked; /* FAN_...: and being marked; 0: nothing is under way */
	uint64_t turn; /* likewise: the number of the request */
	LIST_ENTRY(anchor) in_side, in_bucket;
	LIST_ENTRY(anchor) in_watched;
	TAILQ_ENTRY(anchor) marking; /* while ->asked */
	LIST_ENTRY(anchor) in_doubted;
};

/* What could not be taken away, since the worker had no room. */
struct unmark {
	struct handle handle;
	uint64_t mask;
	STAILQ_ENTRY(unmark) next;
};

#define SIDE_UNMARKS_MAX 1024 /* more stay until the group goes */

struct side {
	struct volume *volume;
	enum side_kind kind;
	struct hub *hub; /* NULL: nobody watches */
	struct file_events_member *member;
	const struct file_events_ops *ops; /* of it */
	bool by_module; /* that is what tells */
	bool changed; /* it has another one, which was not heard from the beginning */
	struct handle root; /* of the filesystem, once it is marked */
	uint64_t mask; /* FAN_...: marked, of a tree */
	uint64_t asked; /* likewise, and asked for */
	uint64_t n_asked, n_marked; /* requests for marks, and answers to them */
	uint64_t pause_us; /* the shortest that one of them wants */
	bool left; /* some anchor has: what the others need is to be found at the settling */
	uint64_t late_us; /* from the first sign of the last batch until it was read */
	LIST_HEAD(, share) shares; /* of those who have anchors in it */
	LIST_HEAD(, anchor) anchors;
	LIST_HEAD(, anchor) buckets[SIDE_BUCKETS]; /* by ->root, of spots */
	TAILQ_HEAD(, anchor) marking;
	STAILQ_HEAD(, unmark) unmarks;
	size_t n_unmarks;

	/* The questions under way, in slices. */
	const struct hub_question *questions;
	size_t n_questions, n_answered, n_slice;
	struct pool_ticket *ticket;
	bool put_off; /* there was no room, or no mount: again by the timer */
	bool hushing; /* the kernel is being made silent of files, or the opposite; else of one directory */
};

struct volume {
	struct watches *watches;
	struct superblock *sb;
	bool leaving; /* nothing is asked of it any more */
	struct side sides[_SIDE_KIND_N];
	LIST_ENTRY(volume) all;
};

enum watched_state {
	WATCHED_FINDING, /* what the path or number names */
	WATCHED_PLACING, /* on which superblock, and whether that may be touched yet */
	WATCHED_ASKING, /* whether its owner may */
	WATCHED_MARKING,
	WATCHED_STANDING,
	WATCHED_ABSENT, /* its filesystem is not mounted */
};

struct watched {
	struct watches *watches;
	uint64_t id;
	enum watched_state state;
	uid_t uid; /* of its owner, who is charged */
	struct credential *credential; /* what may be told; by number, root's: all */
	struct quota_charge charge;
	struct bus_reply *reply; /* until it is answered */
	struct section *section; /* whose watch it is; NULL: on the bus */
	bool removed; /* freed at the settling */
	bool stood; /* it did once, whatever it does now */
	bool waits; /* for the next try */
	bool unwalked; /* a walk did not come to it: all that it has no anchor for are made again */

	/* What was asked for. */
	char *path; /* as found; may be empty */
	bool by_inode; /* an administrator's */
	bool recursive, cross_mounts;
	bool is_directory;
	bool by_path; /* it has no handle, or takes no mark: nothing but ->path leads there */
	uint32_t mask; /* FSEVENTS_... */
	uint64_t latency_us;
	uint64_t inode;
	uint64_t subvolume;
	struct handle handle;
	uint32_t major, minor; /* with ->by_inode */

	/* Where it is. */
	uint32_t mnt_id; /* by which it was reached */
	uint64_t mount_unique; /* 0: not known */
	char *type; /* of its filesystem */
	uint64_t identity; /* of its filesystem */
	uint64_t generation; /* of the superblock tried last; none older is tried */
	struct anchor *anchor; /* the main one; NULL: none */
	LIST_HEAD(, anchor) anchors; /* all */
	struct branch *branch; /* of all directories below it; NULL: none */

	/* On the way. */
	struct pool_ticket *ticket;
	uint64_t since_us; /* it tries the same again; 0: it does not */

	/* What is told. */
	struct watch_queue *queue;
	size_t n_pushed; /* since the last flush */
	size_t n_sent; /* bytes of the first packet that went to the bus already */
	sd_event_source *timer; /* when to tell */
	bool due; /* it runs */
	bool blocked; /* nobody has room for it */
	bool held; /* until Start() or OpenStream() */
	bool announced; /* the object is there */
	bool streamed; /* it has or had a stream: nothing goes to the bus any more */
	struct packet_stream *stream; /* NULL: none */
	struct quota_charge stream_charge;

	LIST_ENTRY(watched) all;
	LIST_ENTRY(watched) in_bucket, in_removed, in_blocked;
	TAILQ_ENTRY(watched) in_waiting;
};

#define WATCHES_OWNERS 64

struct watches {
	sd_event *loop;
	struct quota *quota;
	struct pool *pool;
	struct superblock_table *superblocks;
	const char *state_directory; /* NULL: not known */
	struct bus *bus;
	const char *off; /* why nobody is to watch; NULL: all may */
	int error; /* why nobody can, the last time it was tried */
	bool has_module; /* it tells what can be told by it */
	char source_text[96];
	unsigned int limit; /* watches of one user */

	struct credentials *credentials;
	struct file_events *events;
	struct node_budget nodes; /* of all hubs */
	struct unread *unread; /* of streams that were closed */
	LIST_HEAD(, volume) volumes;
	LIST_HEAD(, watched) watched;
	LIST_HEAD(, watched) buckets[WATCHES_BUCKETS]; /* by id */
	LIST_HEAD(watched_list, watched) blocked, removed;
	TAILQ_HEAD(watched_queue, watched) waiting; /* who waits longest is first */
	LIST_HEAD(section_list, section) sections;
	struct quiet quiets[WATCHES_QUIETS];
	size_t n_watched;
	uint64_t last_id;

	sd_event_source *settle; /* something is to be freed */
	sd_event_source *review; /* the mount table changed */
	sd_event_source *more; /* hubs that are behind */
	sd_event_source *retry; /* of who waits, and of sides that were put off */
	sd_event_source *unblock; /* somebody has read */

	struct {
		int32_t pid; /* 0: none */
		uid_t uid;
	} owners[WATCHES_OWNERS]; /* of this batch */

	LIST_HEAD(, branch) branches;
	struct watch_tree *tree; /* watches-tree.c; NULL: no recursive watch so far */
	struct watches_account account;
};

/* watches.c */
void watches_arm(sd_event_source *timer, uint64_t us); /* from now */
void watches_arm_unless(sd_event_source *timer, uint64_t us); /* it is armed */
void watches_disarm(sd_event_source *source);
uint64_t watches_now(void); /* CLOCK_MONOTONIC */
uint64_t watches_realtime(void);
int watches_add_timer(struct watches *watches, sd_event_source **ret, const char *name,
		      sd_event_time_handler_t handler, void *userdata);
void watches_settle_later(struct watches *watches);
void watches_retry_later(struct watches *watches);
void watches_tell_more(struct watches *watches); /* of what hubs could not tell in this turn */
struct watched *watches_find(struct watches *watches, uint64_t id);
/* watches-volume.c */
extern const struct hub_ops watches_hub_ops;
struct volume *volume_find(struct watches *watches, const struct superblock *sb);
int volume_get(struct watches *watches, struct superblock *sb, struct volume **ret);
void volume_free(struct volume *volume); /* without anchors */
void volume_free_unused(struct watches *watches); /* those without anchors */
enum pool_lane volume_lane(const struct superblock *sb);
/** volume_mount() - by which it may be touched now; NULL: by none, @ret_wait_us until one is old enough, 0: never */
const struct mount *volume_mount(const struct superblock *sb, uint64_t *ret_wait_us);
/** volume_mount_to() - one that shows @path, as of an anchor; @ret_below: from the root of the mount */
const struct mount *volume_mount_to(const struct superblock *sb, const char *path,
				    const char **ret_below, uint64_t *ret_wait_us);
/** volume_keeps_files() - and does not show the kernel */
bool volume_keeps_files(const struct superblock *sb);
bool volume_mount_is_idmapped(const struct mount *mount);
/** volume_submission() - a job on it, to be completed */
struct pool_submission volume_submission(const struct superblock *sb, enum job_kind job);
bool volume_is_btrfs(const struct superblock *sb);
/**
 * volume_look_up() - ask questions there
 * @request:	the mount is filled in; where its questions have a path, all have the same, as of an anchor
 *
 * Return: 0, -ENOBUFS: later, -ENOENT: no mount leads there, or another negative errno.
 */
int volume_look_up(struct watches *watches, const struct superblock *sb,
		   struct lookup_request *request, pool_reply_fn reply, void *userdata,
		   struct pool_ticket **ret_ticket);
/** side_open() - with hub and group; Return: 0 or a negative errno */
int side_open(struct side *side);
void side_close(struct side *side);
void side_settle(struct side *side); /* what those need that are left */
/** anchor_new() - not told of anything yet; Return: 0, as share_join(), or another negative errno */
int anchor_new(struct anchor **ret, struct watched *watched, struct side *side,
	       const struct handle *root);
/** anchor_leave() - of a filesystem inside a watched tree; what is known of and was not told yet is lost */
void anchor_leave(struct anchor *anchor);
struct anchor *anchor_free(struct anchor *anchor);
DEFINE_FREEP(anchor, anchor_free)
/** anchor_stand() - from now on it is told; its side was read to the end; Return: 0 or a negative errno */
int anchor_stand(struct anchor *anchor);

/* watches-share.c */
/**
 * share_join() - for one more anchor
 * @ret:	NULL: root's, which needs none
 *
 * Return: 0, -EDQUOT: that user has WATCHES_SHARE already, -EUSERS: all together have too many, or -ENOMEM.
 */
int share_join(struct share **ret, struct side *side, uid_t uid);
struct share *share_leave(struct share *share); /* NULL is fine; gives NULL */
DEFINE_FREEP(share, share_leave)

/* watches-source.c */
/** side_start() - what tells it; Return: 0 or a negative errno */
int side_start(struct side *side, const struct file_events_ops *ops);
/** side_change_source() - by what the kernel has itself, with a loss between */
void side_change_source(struct side *side);
bool side_is_failed(const struct side *side, int error); /* the whole of it, not one mark */
bool anchor_is_bare(const struct anchor *anchor); /* stands, and nothing is marked */

/* watches-ignore.c */
/** side_ignore() - let the kernel be silent of a directory that does not matter, if there is one */
void side_ignore(struct side *side);
void side_on_ignored(int error, void *userdata);

/* watches-mark.c */
/** mark_fill() - how it is reached; Return: 0, -ENOBUFS: it cannot be touched now, -ENOENT: no mount leads there */
int mark_fill(struct file_events_mark *mark, const struct anchor *anchor);
void side_on_marked(int error, const struct handle_view *handle, const struct handle_view *root,
		    void *userdata);
/**
 * anchor_mark() - let its side be marked as it needs it
 *
 * Return: 0: anchor_marked() follows, 1: it is so already, or a negative errno (-ENOBUFS: later, -ENOENT: no mount leads
 * to that directory of a tree).
 */
int anchor_mark(struct anchor *anchor);
void anchor_unmark(struct anchor *anchor); /* what no other one needs; it is in no list any more */
void side_unmark_again(struct side *side); /* what could not be taken away */
void side_forget_unmarks(struct side *side);
/** side_relax() - of a tree: what all pay for and nobody asks for any more; as many steps as it has anchors */
void side_relax(struct side *side);
void anchor_relax(struct anchor *anchor); /* it wants less than before */
void anchor_marked(struct anchor *anchor, int error); /* in watches-place.c */
void anchor_remarked(struct anchor *anchor, int error); /* likewise, of one that stands already */

/* watches-lookup.c */
/** side_find() - who has that root; NULL: nobody */
struct anchor *side_find(const struct side *side, const struct handle_view *root);
void side_ask(struct side *side); /* what its hub has to know, unless that is under way */
void side_ask_again(struct side *side); /* what was put off */
int watches_on_more(sd_event_source *source, void *userdata); /* what was left for this turn */

/* watches-find.c */
void watched_find(struct watched *watched); /* what a path or a number names */
struct lookup_credential watched_lookup_credential(const struct watched *watched);
void watched_go_on(struct watched *watched, enum watched_state state);
/** watched_has_patience() - to try the same again */
bool watched_has_patience(struct watched *watched, uint64_t us);
/* It cannot be watched: refused, or absent on. */
void watched_give_up(struct watched *watched, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void watched_give_up_type(struct watched *watched, const char *type, const char *why);
void watched_give_up_errno(struct watched *watched, int error);
void watched_give_up_result(struct watched *watched, enum pool_result result);
/** watched_try_again() - -ENOBUFS: without room, -ESTALE: nothing leads there now: later, for a while; else give up */
void watched_try_again(struct watched *watched, int error);

/* watches-place.c */
void watched_step(struct watched *watched); /* go on */
void watched_wait(struct watched *watched); /* go on at the next try */
void watched_abandon(struct watched *watched); /* what is under way, and where it was */
void watched_return(struct watched *watched); /* it is absent: some filesystem may be it */
void watched_walked(struct watched *watched); /* all directories of its branch are watched */
/* watches-watched.c */
int watched_new(struct watches *watches, const struct bus_watch_request *request,
		const struct bus_sender *sender, struct bus_reply *reply,
		struct bus_refusal *refusal);
/** watched_new_section() - the same of @section; by watched_step() it begins */
int watched_new_section(struct watched **ret, struct watches *watches,
			const struct bus_watch_request *request, struct section *section,
			struct bus_refusal *refusal);
void watched_free(struct watched *watched);
void watched_remove(struct watched *watched);
void watched_fail(struct watched *watched, const struct bus_refusal *refusal); /* and remove */
void watched_leave(struct watched *watched); /* its filesystem is gone */
int watched_set_mask(struct watched *watched, uint32_t mask, struct bus_refusal *refusal);
/** watched_check_mask() - what its owner may ask for; 0, or -1 with @refusal */
int watched_check_mask(const struct watched *watched, uint32_t mask, struct bus_refusal *refusal);
/** watched_tell_mount() - mount or unmount of @name, if it is asked for */
void watched_tell_mount(struct watched *watched, uint32_t bit, const char *name, uint64_t inode);

/* watches-deliver.c */
/** watched_tell() - @late_us: how long before its time it may have happened */
void watched_tell(struct watched *watched, const struct change *change, uint64_t late_us);
void watched_tell_lost(struct watched *watched, uint64_t count, const char *under, size_t n_under);
void watched_flush(struct watched *watched); /* as much as there is room for */
int watched_open_stream(struct watched *watched, int *ret_fd, struct bus_refusal *refusal);
void watched_close_stream(struct watched *watched);
void watched_announced(
	struct watched *watched); /* its owner knows of it: what it was told before may go */
void watched_release(struct watched *watched); /* it is not held any more */
void watches_unblock(struct watches *watches); /* try again what had no room */
void watches_room(struct watches *watches); /* there may be some: from the loop */

/* watches-tree.c */
int watch_tree_new(struct watch_tree **ret, struct watches *watches);
struct watch_tree *watch_tree_free(struct watch_tree *tree);
void watch_tree_review(struct watch_tree *tree); /* the mount table is another one */
void watch_tree_ask_again(struct watch_tree *tree); /* what was put off */
void watch_tree_joined(struct watched *watched); /* a recursive watch stands */
/** watch_tree_heard() - an event of a tree, before its hub is fed */
void watch_tree_heard(struct watch_tree *tree, const struct side *side,
		      const struct file_event *event);
void watch_tree_settle(struct watch_tree *tree); /* what was doubted */
void watch_tree_tick(struct watch_tree *tree); /* walks that failed are made again */
uint64_t watch_tree_last_walk(const struct watch_tree *tree); /* its number; 0: none so far */
/** watch_tree_forget() - @anchor goes, and is in its lists yet */
void watch_tree_forget(struct watch_tree *tree, const struct anchor *anchor);
/** cross_unguard() - @anchor goes */
void cross_unguard(struct anchor *anchor);
/* A mount inside a tree is marked for a watch across mounts. */
void watch_tree_marked(struct anchor *anchor, int error);

/* watches-section.c */
/** sections_configure() - Return: 0 or -ENOMEM with the old ones in force */
int sections_configure(struct watches *watches, const struct config *config);
void sections_review(struct watches *watches); /* the mount table is another one */
void sections_tick(struct watches *watches);
void sections_free(struct section_list *sections);
void section_stands(struct section *section, struct watched *watched);
/* It is being removed. */
void section_failed(struct section *section, struct watched *watched,
		    const struct bus_refusal *refusal);
void section_left(struct section *section, struct watched *watched); /* its filesystem is gone */
/** section_filter() - what of a change is to be told; Return: false: nothing */
bool section_filter(struct section *section, const struct watched *watched,
		    const struct change *change, struct change *ret);

/* watches-section-tell.c */
void section_take(struct section *section, const void *packet, size_t n_packet);
