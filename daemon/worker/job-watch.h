/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a watch needs of the filesystem
 *
 * JOB_WATCH_FIND: which object a caller means, by path (walked as the caller,
 * from the daemon's own root, symbolic links followed, those of procfs refused), or by
 * inode number (for administrators; where the kernel can tell an inode by its number:
 * ext4, xfs, btrfs and what has handles like ext4, but not tmpfs).
 * JOB_WATCH_MARK: marks of a fanotify group that is passed along, or watches of an
 * inotify instance.
 * JOB_WATCH_LIST: the directories in a directory, as far as a caller may list them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/handle.h"
#include "daemon/worker/job-lookup.h"

#define WATCH_PATH_MAX 4096

struct watch_find_request {
	/* By path, as this user ... */
	const char *path; /* absolute, bytes; NULL: by inode */
	struct lookup_credential credential;
	/* ... or by inode on this mount. */
	const char *where;
	uint64_t mount_id;
	bool mount_id_is_unique;
	bool btrfs;
	uint64_t inode;
	uint64_t subvolume; /* btrfs: its tree; 0: that of the mount */
};

struct watch_find_reply {
	/*
	 * 0; -ENOENT: none, or the caller may not know; -EACCES: it is reached
	 * but may not be read or listed; -EOPNOTSUPP: neither directory nor
	 * regular file, procfs, with neither handle nor path, idmapped mount, inode numbers
	 * that lead nowhere.
	 */
	int error;
	bool is_directory;
	uint32_t mnt_id; /* as in mountinfo */
	uint64_t mount_id_unique; /* 0: the kernel has none */
	uint32_t dev_major, dev_minor; /* st_dev: not the superblock's on btrfs */
	uint64_t inode;
	struct handle handle; /* n 0: its filesystem has none, and it is reached by ->path alone */
	size_t n_path; /* 0: no name is known (by inode, a file that nobody looked up lately) */
	char path[WATCH_PATH_MAX]; /* as /proc/self/fd has it, NUL-terminated */
};

/** watch_find_request_encode() - Return: 0, -E2BIG (path or groups) or -ENOMEM */
int watch_find_request_encode(const struct watch_find_request *request, void **ret, size_t *ret_n);
/** watch_find_reply_decode() - Return: 0 or -EBADMSG */
int watch_find_reply_decode(const void *reply, size_t n_reply, struct watch_find_reply *ret);
int watch_find_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n);

struct watch_mark_request {
	const char *where;
	uint64_t mount_id;
	bool mount_id_is_unique;
	/*
	 * The filesystem as a whole (n 0), or this inode. btrfs refuses the
	 * first below a subvolume (-EXDEV): then the top level is mounted for the
	 * moment, attached nowhere, marked, and dropped.
	 */
	struct handle_view handle;
	/*
	 * Or by inotify: what is to be watched, as reach_path() has it. To be removed is the watch
	 * whose handle (core/wire-inotify.h) is ->handle, without a look at any path.
	 */
	bool inotify;
	const char *path;
	uint64_t inode;
	bool remove; /* take ->mask away; of inotify all of it */
	/*
	 * In this directory ->mask is not to be told of, but of directories. The kernel may forget
	 * it with the inode. Of the filesystem as a whole likewise, until that is removed, but
	 * FAN_MOVED_FROM and _TO, which are told just as long. fanotify alone, Linux 6.0.
	 */
	bool ignore;
	uint64_t
		mask; /* FAN_...; of a file, what only directories can have is left out; 0: only look */
	bool btrfs;
};

struct watch_mark_reply {
	int error; /* as in struct mark_reply */
	/* Of the filesystem as a whole: its root directory; by inotify: what its events have. */
	struct handle root;
};

/** watch_mark_request_encode() - Return: 0, -E2BIG or -ENOMEM */
int watch_mark_request_encode(const struct watch_mark_request *request, void **ret, size_t *ret_n);
/** watch_mark_reply_decode() - Return: 0 or -EBADMSG */
int watch_mark_reply_decode(const void *reply, size_t n_reply, struct watch_mark_reply *ret);
int watch_mark_job(const void *payload, size_t n, int group_fd, void **ret_reply, size_t *ret_n);

#define WATCH_LIST_MAX 1024 /* directories that are told */
#define WATCH_LIST_ENTRIES_MAX 65536 /* that are looked at */

struct watch_list_request {
	const char *where;
	uint64_t mount_id;
	bool mount_id_is_unique;
	/* What is watched, as reach_path() has it: from there on, all is done as this user. */
	const char *root;
	uint64_t root_inode;
	struct lookup_credential credential;
	/* Which directory, from there, without '/' at the ends; "": that itself. */
	const char *below;
	uint64_t inode;
	const char *name; /* of what is in there this one alone; NULL: all */
};

struct watch_list_entry {
	const char *name; /* in the reply's bytes, NUL-terminated */
	uint64_t inode;
};

struct watch_list_reply {
	/*
	 * 0; -ENOENT: the caller may not list it, or it is not that inode any more; -EXDEV: what is
	 * watched is not at its path any more; or another negative errno.
	 */
	int error;
	bool is_empty; /* there is nothing in it, file or directory; not known of one ->name */
	bool is_cut; /* it has more than WATCH_LIST_ENTRIES_MAX, or takes too long */
	uint64_t n_left; /* directories that are not told, being more than WATCH_LIST_MAX */
	/* Into which the caller may go and list them, on the same mount. */
	struct watch_list_entry *entries;
	size_t n_entries;
};

/** watch_list_request_encode() - Return: 0, -E2BIG (a path or groups) or -ENOMEM */
int watch_list_request_encode(const struct watch_list_request *request, void **ret, size_t *ret_n);
/** watch_list_reply_decode() - @ret: owns its list; names lie in @reply; Return: 0, -EBADMSG or -ENOMEM */
int watch_list_reply_decode(const void *reply, size_t n_reply, struct watch_list_reply *ret);
void watch_list_reply_deinit(struct watch_list_reply *reply);
int watch_list_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n);
