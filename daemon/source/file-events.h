/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * File events by fanotify, by inotify, or by the companion module
 *
 * One group for each member, which is one superblock in one of three ways: all
 * of it (a filesystem mark: names only, for recursive watches), single
 * inodes (inode marks, directories with their children), or, where
 * files have no handles, single inodes by inotify: without pids, and what the daemon's own
 * processes do is told like all. Marks are set by
 * workers and hold no filesystem busy; closing the group takes them away.
 *
 * The module tells of whole superblocks and of inodes, all by one socket, nothing merged and each
 * loss by the numbers of its records, which is everybody's. Of an inode it may tell twice
 * what happens while its mask changes. Where the module goes, what it told
 * ends with it: each member of it hears that and is to be freed.
 *
 * Read late and in batches: who wakes for each event makes the watched process
 * pay. The first sign starts a pause, then all is read. The kernel's queue is
 * never unlimited; an overflow is told in its place. What the daemon's own
 * processes did is dropped here and counted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/superblock.h"
#include "daemon/core/wire-file.h"
#include "daemon/worker/pool.h"

/* With gates and errors together below fs.fanotify.max_user_groups (128). */
#define FILE_EVENTS_GROUPS_MAX 64

#define FILE_EVENTS_PAUSE_MIN_US 1000
#define FILE_EVENTS_PAUSE_MAX_US 20000 /* at 100,000 events a second an eighth of the queue */
#define FILE_EVENTS_BATCH 4096 /* in one turn of the loop */

struct file_events;
struct file_events_member;

enum file_events_kind {
	FILE_EVENTS_FANOTIFY,
	FILE_EVENTS_INOTIFY, /* what core/wire-inotify.h gives in place of handles */
	FILE_EVENTS_MODULE, /* the whole filesystem, of the types that file_events_has_module() says */
	FILE_EVENTS_MODULE_INODES, /* single inodes of the same */

	_FILE_EVENTS_KIND_N,
};

struct file_events_ops {
	/*
	 * A batch begins, then events and overflows in order, then it ends. @since_us:
	 * CLOCK_MONOTONIC, when there was the first sign of it
	 */
	void (*begin)(uint64_t since_us, void *userdata);
	void (*event)(const struct file_event *event, void *userdata);
	/* @empty: the queue was read to its end */
	void (*end)(bool empty, void *userdata);
	/*
	 * The mark of the whole filesystem (then @root is its root directory) or of an inode (by
	 * inotify, @root is what its events have in place of a handle):
	 * 0, or why not, as in gate.h. Once for each that was asked for.
	 */
	void (*marked)(int error, const struct handle_view *handle, const struct handle_view *root,
		       void *userdata);
	/*
	 * Likewise of file_events_member_ignore() and _hush(). -EOPNOTSUPP: this kernel cannot;
	 * -ETIME: it may be ignored or not. NULL: that is never called.
	 */
	void (*ignored)(int error, void *userdata);
	/* The module is gone: nothing comes any more. The member is to be freed. */
	void (*gone)(void *userdata);
};

/** file_events_new() - opens nothing yet; all members must be freed before it */
int file_events_new(struct file_events **ret, sd_event *loop, struct pool *pool);
struct file_events *file_events_free(struct file_events *events);
DEFINE_FREEP(file_events, file_events_free)

/** file_events_set_module() - it is there, or it is gone */
void file_events_set_module(struct file_events *events, bool present);
/** file_events_has_module() - it is there, and tells of such filesystems */
bool file_events_has_module(const struct file_events *events, const char *type);

/**
 * file_events_member_new() - a group
 *
 * Return: 0, -EUSERS (FILE_EVENTS_GROUPS_MAX), -EOPNOTSUPP (not in this kernel, or
 * not allowed), or another negative errno.
 */
int file_events_member_new(struct file_events_member **ret, struct file_events *events,
			   enum file_events_kind kind, const struct file_events_ops *ops,
			   void *userdata);
/** file_events_member_free() - also with marks under way and from within a callback */
struct file_events_member *file_events_member_free(struct file_events_member *member);
DEFINE_FREEP(file_events_member, file_events_member_free)

struct file_events_mark {
	const struct mount *mount; /* to reach it by */
	bool btrfs;
	const char *type; /* of the module's whole filesystem: what it is on; */
	uint32_t major, minor;
	enum pool_lane lane;
	uint64_t lane_key;
	uid_t owner_uid;
	struct handle_view handle; /* n 0: the whole filesystem */
	/* By inotify: what is to be marked, as reach_path() of a worker has it. ->handle is for the unmarking. */
	const char *path;
	uint64_t inode;
	uint64_t mask; /* FAN_...; added to what is marked already */
};

/** file_events_member_mark() - ->marked() follows; Return: 0, -ENOBUFS, -E2BIG (the path) or -ENOMEM */
int file_events_member_mark(struct file_events_member *member, const struct file_events_mark *mark);
/**
 * file_events_member_ignore() - of ->mask, nothing but directories is to be told in this one
 *
 * That of the filesystem being marked. ->ignored() follows.
 *
 * Return: as file_events_member_mark(), or -EOPNOTSUPP: not by this source.
 */
int file_events_member_ignore(struct file_events_member *member,
			      const struct file_events_mark *mark);
/**
 * file_events_member_hush() - likewise in the whole filesystem, or not any more
 *
 * FAN_MOVED_FROM and _TO in ->mask are the other way round: they are told just as long.
 */
int file_events_member_hush(struct file_events_member *member, const struct file_events_mark *mark,
			    bool hush);
/** file_events_member_heed() - nothing is ignored any more, on return; not where inodes are marked, too */
void file_events_member_heed(struct file_events_member *member);
/**
 * file_events_member_unmark() - take the mask away, by inotify all of it
 *
 * Nobody is told. Return: as file_events_member_mark().
 */
int file_events_member_unmark(struct file_events_member *member,
			      const struct file_events_mark *mark);

/** file_events_member_set_pause() - from the first sign to the reading; brought into the bounds above; at first the longest */
void file_events_member_set_pause(struct file_events_member *member, uint64_t pause_us);

/**
 * file_events_member_read() - read what is there now, all of it
 *
 * For who learnt something of the filesystem otherwise and must know all
 * that happened before. A batch like any other; not from within ->begin() and ->event() of any member.
 */
void file_events_member_read(struct file_events_member *member);

struct file_events_statistics {
	unsigned int groups;
	uint64_t batches, events, overflows;
	uint64_t own; /* caused by the daemon's processes */
	uint64_t malformed;
};
void file_events_statistics(const struct file_events *events, struct file_events_statistics *ret);
