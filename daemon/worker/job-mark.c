/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/mountpoint.h"
#include "daemon/worker/protocol.h"
#include "daemon/worker/worker.h"

static int mark_set(const struct mark_request *request, int fanotify_fd, uint64_t *ret_fsid)
{
	_cleanup_close_ int fd = -1;
	struct statfs sfs;
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	uint32_t words[2];

	fd = mountpoint_open(request->where, request->mount_id, request->mount_id_is_unique);
	if (fd < 0)
		return fd;

	/* Of the same descriptor, as fanotify takes it: btrfs has one for each subvolume. */
	if (fstatfs(fd, &sfs) < 0)
		return -errno;

	/*
	 * By the descriptor that was compared and not by the path once more;
	 * fanotify_mark() itself does not take one that is O_PATH.
	 */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fanotify_mark(fanotify_fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, request->mask, AT_FDCWD,
			  path) < 0)
		return -errno;

	memcpy(words, &sfs.f_fsid, sizeof(words));
	*ret_fsid = (uint64_t)words[1] << 32 | words[0];
	return 0;
}

int mark_job(const void *payload, size_t n, int fanotify_fd, void **ret_reply, size_t *ret_n)
{
	struct mark_request request;
	struct mark_reply reply = {};
	int r;

	if (fanotify_fd < 0)
		return -EBADF;

	r = mark_request_decode(payload, n, &request);
	if (r < 0)
		return r;

	reply.error = mark_set(&request, fanotify_fd, &reply.fsid);
	return mark_reply_encode(&reply, ret_reply, ret_n);
}
