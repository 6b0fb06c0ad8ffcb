/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_TELL_H
#define FSEVENTS_TELL_H

/*
 * From what happened to a filesystem to the events that tell it: only what
 * somebody requests, and repetitions counted instead of told
 *
 * The context of all: any but NMI, under rcu_read_lock() or with a reference to
 * the filesystem.
 */

#include <linux/types.h>
#include <linux/workqueue.h>

struct event;
struct filesystem;
struct pending;

/**
 * tell() - something happened: told, merged with the last, or not wanted
 * @id: enum fs_event_id
 * @pid: the culprit's tgid, 0: nobody
 * @error: positive errno, 0: none
 * @inode: its number, 0: none
 */
void tell(struct filesystem *fs, u32 id, u32 pid, u32 error, u64 inode);

/* The same for what is never merged: thresholds, states, tests. */
void tell_event(struct filesystem *fs, struct event *event);

/* A process found no space; the check tells which kind. */
void tell_full(struct filesystem *fs, u32 id, u32 pid);
/* Takes what tell_full() left; at most FILESYSTEM_PENDING_MAX. */
unsigned int tell_take_pending(struct filesystem *fs, struct pending *ret);

/* A state, told when it is another than before. */
void tell_read_only(struct filesystem *fs, bool is_read_only, u32 pid);
/* It gave up writing by itself, and stays read-only until it is unmounted. */
void tell_aborted(struct filesystem *fs, u32 pid);
void tell_frozen(struct filesystem *fs, bool is_frozen, u32 pid);
/* FS_NL_A_HOLDS */
u64 tell_get_holds(struct filesystem *fs);

/* All that is left and, when it is unmounted, that: then nothing any more. */
void tell_end(struct filesystem *fs, bool is_unmounted);

/* struct filesystem.tell */
void tell_merged(struct work_struct *work);

#endif
