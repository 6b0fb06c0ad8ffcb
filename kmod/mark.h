/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_MARK_H
#define FSEVENTS_MARK_H

/*
 * The module's group of fsnotify: marks on superblocks and inodes
 *
 * Each request has a mark of its own. A mask cannot be changed once it is
 * attached (what computes the sum of an object is not exported), so a changed
 * request is a new mark, attached before the old one is taken away. No mark
 * holds up umount.
 */

#include <linux/fsnotify_backend.h>

#define MARK_FILE_EVENTS                                                                           \
	(FS_FILE_ACCESS | FS_FILE_MODIFY | FS_FILE_ATTRIB | FS_FILE_CLOSE_WRITE | FS_FILE_OPEN |   \
	 FS_FILE_CREATE | FS_FILE_DELETE | FS_FILE_DELETE_SELF | FS_FILE_MOVE_SELF |               \
	 FS_FILE_RENAME)
#define MARK_FILE_FLAGS (FS_FILE_ON_CHILD | FS_FILE_DIRECTORY | FS_FILE_HANDLES)

struct fs_request;
struct pid;
struct watch;

/*
 * Attach the mark of a new request or watch. The object is the caller's until
 * mark_destroy(), whoever takes the mark away before; on failure it is freed
 * here.
 */
int mark_attach_request(struct fs_request *request, struct super_block *sb);
int mark_attach_watch(struct watch *watch, struct inode *inode);

/* Takes it away and gives the object up: it is freed when nobody looks at it any more. */
void mark_destroy(struct fsnotify_mark *mark);
/*
 * The same in two steps. The second may let go of an inode, whose end may wait for a disk or
 * a server: not under a lock.
 */
void mark_detach(struct fsnotify_mark *mark);
void mark_put(struct fsnotify_mark *mark);

/*
 * Processes whose file events are not told; takes a reference, which
 * mark_unignore() gives back. -ENOSPC: too many.
 */
int mark_ignore(struct pid *process);
void mark_unignore(struct pid *process);

int mark_init(void);
/* All marks have been destroyed; waits until they are freed. */
void mark_exit(void);

#endif
