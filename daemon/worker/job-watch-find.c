/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/caller.h"
#include "daemon/worker/job-watch-wire.h"
#include "daemon/worker/mount-table.h"
#include "daemon/worker/mountpoint.h"
#include "daemon/worker/reach.h"

#define MAGIC_BTRFS 0x9123683eL
#define MAGIC_PROC 0x9fa0L
#define MAGIC_TMPFS 0x01021994L
#define MAGIC_XFS 0x58465342L

/* As in exportfs.h and the headers of xfs, which stand in no header for programs. */
#define HANDLE_INO32 0x01
#define HANDLE_BTRFS 0x4d
#define HANDLE_INO64 0x81

struct xfs_bulkstat_one {
	/* struct xfs_bulkstat_req */
	uint64_t inode;
	uint32_t flags;
	uint32_t icount;
	uint32_t ocount;
	uint32_t agno;
	uint64_t reserved[5];
	/* struct xfs_bulkstat */
	uint64_t bs_inode;
	uint64_t bs_other[7];
	uint32_t bs_generation;
	uint32_t bs_rest[31];
};

static_assert(sizeof(struct xfs_bulkstat_one) == 256, "the kernel writes 64 and 192 bytes");

#define XFS_BULKSTAT _IOC(_IOC_READ, 'X', 127, 64)

static int may(int fd, int mode)
{
	return (int)syscall(SYS_faccessat2, fd, "", mode, AT_EMPTY_PATH | AT_EACCESS) < 0 ? -errno
											  : 0;
}

/*
 * As the caller. All that stops it on the way is told as if there were
 * nothing, since the difference tells names.
 *
 * Return: an O_PATH descriptor or a negative errno.
 */
static int path_walk(const char *path, bool *ret_read, bool *ret_search)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	if (fd < 0)
		return errno == EACCES || errno == ELOOP || errno == ENOTDIR ||
				       errno == ENAMETOOLONG
			       ? -ENOENT
			       : -errno;

	*ret_read = may(fd, R_OK) == 0;
	*ret_search = may(fd, X_OK) == 0;
	return fd;
}

/* Return: 0, -EOPNOTSUPP for an idmapped mount, -ENOENT for none of this namespace. */
static int mount_check(uint32_t id)
{
	struct mount_facts facts;
	int r;

	r = mount_table_find(id, &facts);
	if (r < 0)
		return r;
	free(facts.where);
	return facts.idmapped ? -EOPNOTSUPP : 0;
}

/* A name counts only if it leads back: the kernel gives some text for what has none. */
static void path_read(int fd, const struct statx *stx, struct watch_find_reply *reply)
{
	char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	struct statx by_path;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, reply->path, sizeof(reply->path) - 1);
	if (n < 0 || n == sizeof(reply->path) - 1)
		n = 0;
	reply->path[n] = '\0';
	if (n > 0 &&
	    (statx(AT_FDCWD, reply->path,
		   AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_INO,
		   &by_path) < 0 ||
	     by_path.stx_ino != stx->stx_ino || by_path.stx_dev_major != stx->stx_dev_major ||
	     by_path.stx_dev_minor != stx->stx_dev_minor))
		n = 0;
	reply->path[n] = '\0';
	reply->n_path = (size_t)n;
}

/* Without a handle it is found again by its path, which in procfs is another one for each process. */
static bool has_path(int fd, const struct watch_find_reply *reply)
{
	struct statfs sfs;

	return reply->n_path > 0 && fstatfs(fd, &sfs) == 0 && (long)sfs.f_type != MAGIC_PROC;
}

/* Return: 0 with all of @reply but ->error, or a negative errno. */
static int object_describe(int fd, struct watch_find_reply *reply)
{
	struct statx stx;
	int r;

	r = mountpoint_ids(fd, &reply->mnt_id, &reply->mount_id_unique);
	if (r == 0)
		r = mount_check(reply->mnt_id);
	if (r < 0)
		return r;

	r = handle_of(fd, &reply->handle);
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO | STATX_NLINK,
		  &stx) < 0)
		return errno == EACCES ? -EOPNOTSUPP : -errno;
	if (!S_ISDIR(stx.stx_mode) && !S_ISREG(stx.stx_mode))
		return -EOPNOTSUPP;
	if (stx.stx_nlink == 0)
		return -ENOENT;

	reply->is_directory = S_ISDIR(stx.stx_mode);
	reply->dev_major = stx.stx_dev_major;
	reply->dev_minor = stx.stx_dev_minor;
	reply->inode = stx.stx_ino;
	path_read(fd, &stx, reply);
	return reply->handle.n > 0 || has_path(fd, reply) ? 0 : -EOPNOTSUPP;
}

static int find_by_path(const struct watch_find_request *request, struct watch_find_reply *reply)
{
	const struct caller caller = {
		.uid = request->credential.uid,
		.groups = request->credential.groups,
		.n_groups = request->credential.n_groups,
	};
	_cleanup_close_ int fd = -1;
	struct caller_saved saved;
	bool may_read = false, may_search = false;
	int r;

	r = caller_enter(&caller, &saved);
	if (r < 0)
		return r;
	fd = path_walk(request->path, &may_read, &may_search);
	caller_leave(&saved);
	if (fd < 0)
		return fd;

	r = object_describe(fd, reply);
	if (r < 0)
		return r;
	return may_read && (may_search || !reply->is_directory) ? 0 : -EACCES;
}

/* Of an inode that is there: xfs takes no handle without its generation. */
static int xfs_generation(int fd, uint64_t inode, uint32_t *ret)
{
	struct xfs_bulkstat_one one = { .inode = inode, .icount = 1 };

	if (ioctl(fd, XFS_BULKSTAT, &one) < 0)
		return errno == EINVAL ? -ENOENT : -errno;
	/* It gives the next one where this is not in use. */
	if (one.ocount != 1 || one.bs_inode != inode)
		return -ENOENT;
	*ret = one.bs_generation;
	return 0;
}

static void handle_fill(struct handle *ret, int32_t type, const void *bytes, uint32_t n)
{
	ret->type = type;
	ret->n = n;
	memcpy(ret->bytes, bytes, n);
}

/* What leads to the inode whatever its generation, or with it. */
static int handle_make(const struct watch_find_request *request, const struct reach *reach,
		       struct handle *ret)
{
	uint32_t words[5] = { (uint32_t)request->inode, (uint32_t)(request->inode >> 32) };
	struct statfs sfs;
	int r;

	if (fstatfs(reach->root_fd, &sfs) < 0)
		return -errno;

	switch ((long)sfs.f_type) {
	case MAGIC_TMPFS:
		return -EOPNOTSUPP;
	case MAGIC_XFS:
		r = xfs_generation(reach->root_fd, request->inode, &words[2]);
		if (r < 0)
			return r;
		handle_fill(ret, HANDLE_INO64, words, 12);
		return 0;
	case MAGIC_BTRFS:
		if (reach->root.n < 20)
			return -EOPNOTSUPP;
		memcpy(&words[2], reach->root.bytes + 8, 8);
		if (request->subvolume != 0)
			memcpy(&words[2], &request->subvolume, 8);
		handle_fill(ret, HANDLE_BTRFS, words, 20);
		return 0;
	default:
		if (request->inode > UINT32_MAX)
			return -ENOENT;
		words[1] = 0;
		handle_fill(ret, HANDLE_INO32, words, 8);
		return 0;
	}
}

static int find_by_inode(const struct watch_find_request *request, struct watch_find_reply *reply)
{
	_cleanup_(reach_deinit) struct reach reach = REACH_NONE;
	_cleanup_close_ int fd = -1;
	struct handle_view view;
	struct handle handle;
	int r;

	r = reach_open(&reach, request->where, request->mount_id, request->mount_id_is_unique);
	if (r < 0)
		return r;
	r = handle_make(request, &reach, &handle);
	if (r < 0)
		return r;

	view = handle_view(&handle);
	fd = reach_handle(&reach, &view);
	if (fd < 0)
		return fd == -ESTALE || fd == -EINVAL ? -ENOENT : fd;
	r = object_describe(fd, reply);
	if (r < 0)
		return r;
	return reply->inode == request->inode ? 0 : -ENOENT;
}

int watch_find_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	_cleanup_(watch_find_request_deinit) struct watch_find_request request = {};
	struct watch_find_reply reply = {};
	int r;

	assert(ret_reply);
	assert(ret_n);

	r = watch_find_request_decode(payload, n, &request);
	if (r < 0)
		return r;

	r = request.path ? find_by_path(&request, &reply) : find_by_inode(&request, &reply);
	/* Nothing is told of what was not found, or may not be known. */
	if (r < 0)
		reply = (struct watch_find_reply){ .error = r };
	return watch_find_reply_encode(&reply, ret_reply, ret_n);
}
