/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/btrfs.h"
#include "daemon/worker/mountpoint.h"
#include "daemon/worker/protocol.h"
#include "daemon/worker/worker.h"

/* include/linux/statfs.h of the kernel; the C library hides it. */
#define STATFS_RDONLY 0x0001

/* A commit between the readings moves bytes from one figure to the other. */
#define BTRFS_TRIES 3

static void usage_fill(struct usage *ret, const struct statfs *sfs)
{
	*ret = (struct usage){
		.block_size = (uint64_t)(sfs->f_frsize > 0 ? sfs->f_frsize : sfs->f_bsize),
		.blocks = sfs->f_blocks,
		.free = sfs->f_bfree,
		.available = sfs->f_bavail,
		.files = sfs->f_files,
		.files_available = sfs->f_ffree,
		.read_only = sfs->f_flags & STATFS_RDONLY,
	};
}

static void usage_take_off(struct usage *usage, uint64_t bytes)
{
	uint64_t blocks;

	if (usage->block_size == 0)
		return;

	/* Rounded up: part of a block is a block less. */
	blocks = bytes / usage->block_size + (bytes % usage->block_size != 0);
	usage->available -= blocks < usage->available ? blocks : usage->available;
}

/*
 * btrfs moves its figures at the commit; what was written before is in
 * its reservations. The later stages are read first: what moves on in between
 * is then seen late rather than twice, and tells no alarm that is not due.
 */
static int statfs_btrfs(int fd, const char *uuid, struct usage *ret)
{
	struct statfs before, after;
	uint64_t unsettled = 0;

	if (fstatfs(fd, &after) < 0)
		return -errno;

	for (unsigned int i = 0; i < BTRFS_TRIES; i++) {
		before = after;
		if (btrfs_unsettled(uuid, &unsettled) < 0)
			unsettled = 0;
		if (fstatfs(fd, &after) < 0)
			return -errno;
		if (after.f_bavail == before.f_bavail)
			break;
	}

	usage_fill(ret, &before);
	usage_take_off(ret, unsettled);
	return 0;
}

/*
 * A filesystem that gave up may still count its blocks: xfs answers statfs()
 * after a shutdown, and refuses to look at any inode. A server is not asked:
 * what it says of its root is not the health of a disk.
 */
static int root_look(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS,
		  &stx) < 0)
		return errno;
	return 0;
}

/* Fills in all but ->error, which is returned. */
static int statfs_ask(const struct statfs_request *request, struct statfs_reply *ret)
{
	_cleanup_close_ int fd = -1;
	struct statfs sfs;

	fd = mountpoint_open(request->where, request->mount_id, request->mount_id_is_unique);
	if (fd < 0)
		return fd;

	ret->root_error = root_look(fd);
	ret->root_known = true;

	if (request->btrfs_uuid)
		return statfs_btrfs(fd, request->btrfs_uuid, &ret->usage);

	if (fstatfs(fd, &sfs) < 0)
		return -errno;
	usage_fill(&ret->usage, &sfs);
	return 0;
}

int statfs_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	struct statfs_request request;
	struct statfs_reply reply = {};
	struct timespec now;
	int r;

	r = statfs_request_decode(payload, n, &request);
	if (r < 0)
		return r;

	/* Before the figures are read: what is written meanwhile must not count as seen. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	reply.error = statfs_ask(&request, &reply);
	reply.taken_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	return statfs_reply_encode(&reply, ret_reply, ret_n);
}
