/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/wire-inotify.h"
#include "daemon/worker/job-watch-wire.h"
#include "daemon/worker/reach.h"

/* The kernel refuses the whole mask where something else is in it. */
#define FILE_MASK                                                                                  \
	((uint64_t)(FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE |   \
		    FAN_OPEN | FAN_OPEN_EXEC | FAN_DELETE_SELF | FAN_MOVE_SELF))

struct descriptor_path {
	char text[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
};

/* By the descriptor itself: neither call takes one that is O_PATH. */
static struct descriptor_path path_of(int fd)
{
	struct descriptor_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
}

static int mark(int fanotify_fd, unsigned int flags, uint64_t mask, int fd)
{
	struct descriptor_path path = path_of(fd);

	return fanotify_mark(fanotify_fd, flags, mask, AT_FDCWD, path.text) < 0 ? -errno : 0;
}

/* The number of the tree stands behind that of the inode (BTRFS_FS_TREE_OBJECTID). */
static bool is_top_level(const struct handle *root)
{
	uint64_t tree = 0;

	if (root->n >= 16)
		memcpy(&tree, root->bytes + 8, sizeof(tree));
	return tree == 5;
}

/* Its root, as a mark of it gives it, without one. */
static int look_at_root(const struct watch_mark_request *request, const struct reach *visible,
			struct handle *ret_root)
{
	_cleanup_(reach_deinit) struct reach alone = REACH_NONE;
	int r;

	*ret_root = visible->root;
	if (!request->btrfs || is_top_level(&visible->root))
		return 0;
	r = reach_open_private(&alone, visible, true);
	if (r == 0)
		*ret_root = alone.root;
	return r;
}

/* Halves of renames are told as long as the others are not. */
static int mark_silence(int fanotify_fd, bool remove, uint64_t mask, int fd)
{
	const uint64_t halves = mask & (FAN_MOVED_FROM | FAN_MOVED_TO), files = mask & ~halves;
	int r;

	if (!remove) {
		r = mark(fanotify_fd, FAN_MARK_FILESYSTEM | FAN_MARK_ADD, halves, fd);
		if (r == 0)
			r = mark(fanotify_fd,
				 FAN_MARK_FILESYSTEM | FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, files,
				 fd);
		if (r == 0)
			return 0;
		(void)mark(fanotify_fd, FAN_MARK_FILESYSTEM | FAN_MARK_REMOVE, halves, fd);
		return r;
	}

	r = mark(fanotify_fd, FAN_MARK_FILESYSTEM | FAN_MARK_REMOVE | FAN_MARK_IGNORE, files, fd);
	if (r < 0)
		return r;
	return mark(fanotify_fd, FAN_MARK_FILESYSTEM | FAN_MARK_REMOVE, halves, fd);
}

static int mark_whole(const struct watch_mark_request *request, int fanotify_fd, int fd)
{
	if (request->ignore)
		return mark_silence(fanotify_fd, request->remove, request->mask, fd);
	return mark(fanotify_fd,
		    FAN_MARK_FILESYSTEM | (request->remove ? FAN_MARK_REMOVE : FAN_MARK_ADD),
		    request->mask, fd);
}

static int mark_filesystem(const struct watch_mark_request *request, int fanotify_fd,
			   const struct reach *visible, struct handle *ret_root)
{
	_cleanup_(reach_deinit) struct reach alone = REACH_NONE;
	const struct reach *reach = visible;
	int r;

	r = mark_whole(request, fanotify_fd, reach->mount_fd);
	if (r == -EXDEV && request->btrfs) {
		r = reach_open_private(&alone, visible, true);
		if (r < 0)
			return r;
		reach = &alone;
		r = mark_whole(request, fanotify_fd, reach->mount_fd);
	}
	if (r == 0)
		*ret_root = reach->root;
	return r;
}

/* Pins no inode; without FAN_ONDIR, so that directories in it are told of. */
static int ignore_inode(const struct watch_mark_request *request, int fanotify_fd,
			const struct reach *reach)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	fd = reach_handle(reach, &request->handle);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return mark(fanotify_fd, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE,
		    request->mask | FAN_EVENT_ON_CHILD, fd);
}

static int mark_inode(const struct watch_mark_request *request, int fanotify_fd,
		      const struct reach *reach)
{
	_cleanup_close_ int fd = -1;
	uint64_t mask = request->mask;
	struct stat st;
	int r;

	fd = reach_handle(reach, &request->handle);
	/* Its marks went with it. */
	if (fd == -ESTALE && request->remove)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		mask &= FILE_MASK;
	if (mask == 0)
		return 0;

	r = mark(fanotify_fd, request->remove ? FAN_MARK_REMOVE : FAN_MARK_ADD, mask, fd);
	return r == -ENOENT && request->remove ? 0 : r;
}

static int inotify_mark(const struct watch_mark_request *request, int inotify_fd,
			const struct reach *reach, struct handle *ret_root)
{
	_cleanup_close_ int fd = -1;
	struct descriptor_path path;
	int watch;

	fd = reach_path(reach, request->path, request->inode);
	if (fd < 0)
		return fd;
	path = path_of(fd);
	/* One inode has one watch: what is asked for already stays. */
	watch = inotify_add_watch(inotify_fd, path.text, inotify_mask(request->mask) | IN_MASK_ADD);
	if (watch < 0)
		return -errno;
	*ret_root = inotify_handle(watch);
	return 0;
}

/* One that is gone took its watch with it. */
static int inotify_unmark(const struct watch_mark_request *request, int inotify_fd)
{
	if (inotify_rm_watch(inotify_fd, inotify_watch(&request->handle)) < 0 && errno != EINVAL)
		return -errno;
	return 0;
}

static int watch_mark(const struct watch_mark_request *request, int group_fd,
		      struct handle *ret_root)
{
	_cleanup_(reach_deinit) struct reach visible = REACH_NONE;
	int r;

	if (request->inotify && request->remove)
		return inotify_unmark(request, group_fd);

	r = reach_open(&visible, request->where, request->mount_id, request->mount_id_is_unique);
	if (r < 0)
		return r;

	if (request->inotify)
		return inotify_mark(request, group_fd, &visible, ret_root);
	if (request->ignore && request->handle.n > 0)
		return ignore_inode(request, group_fd, &visible);
	if (request->handle.n == 0 && request->mask == 0)
		return look_at_root(request, &visible, ret_root);
	return request->handle.n == 0 ? mark_filesystem(request, group_fd, &visible, ret_root)
				      : mark_inode(request, group_fd, &visible);
}

int watch_mark_job(const void *payload, size_t n, int group_fd, void **ret_reply, size_t *ret_n)
{
	_cleanup_(watch_mark_request_deinit) struct watch_mark_request request = {};
	struct watch_mark_reply reply = {};
	int r;

	assert(ret_reply);
	assert(ret_n);

	if (group_fd < 0)
		return -EBADF;

	r = watch_mark_request_decode(payload, n, &request);
	if (r < 0)
		return r;

	reply.error = watch_mark(&request, group_fd, &reply.root);
	return watch_mark_reply_encode(&reply, ret_reply, ret_n);
}
