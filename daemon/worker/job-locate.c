/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/job-locate.h"
#include "daemon/worker/mountpoint.h"

struct wire_locate_request {
	uint64_t mount_id;
	uint32_t mount_id_is_unique;
	int32_t handle_type;
	uint32_t n_handle;
	uint32_t n_where; /* with the NUL */
	uint8_t handle[FANOTIFY_HANDLE_MAX];
};

struct wire_locate_reply {
	int32_t error;
	uint32_t n_path;
};

int locate_request_encode(const struct locate_request *request, void **ret, size_t *ret_n)
{
	struct wire_locate_request wire = {
		.mount_id = request->mount_id,
		.mount_id_is_unique = request->mount_id_is_unique,
		.handle_type = request->handle_type,
		.n_handle = request->n_handle,
	};
	size_t n_where = strlen(request->where) + 1;
	uint8_t *buffer;

	assert(request->n_handle <= sizeof(wire.handle));
	assert(ret);
	assert(ret_n);

	buffer = malloc(sizeof(wire) + n_where);
	if (!buffer)
		return -ENOMEM;

	wire.n_where = (uint32_t)n_where;
	memcpy(wire.handle, request->handle, request->n_handle);
	memcpy(buffer, &wire, sizeof(wire));
	memcpy(buffer + sizeof(wire), request->where, n_where);

	*ret = buffer;
	*ret_n = sizeof(wire) + n_where;
	return 0;
}

int locate_request_decode(const void *payload, size_t n_payload, struct locate_request *ret)
{
	struct wire_locate_request wire;
	const char *where;

	assert(ret);

	if (n_payload < sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, payload, sizeof(wire));

	if (wire.n_where == 0 || wire.n_where > PATH_MAX ||
	    n_payload - sizeof(wire) != wire.n_where || wire.n_handle > sizeof(wire.handle))
		return -EBADMSG;
	where = (const char *)payload + sizeof(wire);
	if (memchr(where, '\0', wire.n_where) != where + wire.n_where - 1)
		return -EBADMSG;

	*ret = (struct locate_request){
		.where = where,
		.mount_id = wire.mount_id,
		.mount_id_is_unique = wire.mount_id_is_unique != 0,
		.handle_type = wire.handle_type,
		.n_handle = wire.n_handle,
	};
	memcpy(ret->handle, wire.handle, wire.n_handle);
	return 0;
}

static int locate_reply_encode(const struct locate_reply *reply, void **ret, size_t *ret_n)
{
	struct wire_locate_reply wire = { .error = reply->error,
					  .n_path = (uint32_t)reply->n_path };
	uint8_t *buffer = malloc(sizeof(wire) + reply->n_path);

	if (!buffer)
		return -ENOMEM;

	memcpy(buffer, &wire, sizeof(wire));
	memcpy(buffer + sizeof(wire), reply->path, reply->n_path);
	*ret = buffer;
	*ret_n = sizeof(wire) + reply->n_path;
	return 0;
}

int locate_reply_decode(const void *reply, size_t n_reply, struct locate_reply *ret)
{
	struct wire_locate_reply wire;
	const char *path;

	assert(ret);

	if (!reply || n_reply < sizeof(wire))
		return -EBADMSG;
	memcpy(&wire, reply, sizeof(wire));
	path = (const char *)reply + sizeof(wire);

	if (wire.error > 0 || wire.n_path >= LOCATE_PATH_MAX ||
	    n_reply - sizeof(wire) != wire.n_path || memchr(path, '\0', wire.n_path))
		return -EBADMSG;

	ret->error = wire.error;
	ret->n_path = wire.n_path;
	memcpy(ret->path, path, wire.n_path);
	ret->path[wire.n_path] = '\0';
	return 0;
}

/* Where a descriptor leads to, as seen from the root directory. */
static int descriptor_path(int fd, char ret[static LOCATE_PATH_MAX], size_t *ret_n)
{
	char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, ret, LOCATE_PATH_MAX - 1);
	if (n < 0)
		return -errno;
	if (n == LOCATE_PATH_MAX - 1)
		return -ENAMETOOLONG;

	ret[n] = '\0';
	*ret_n = (size_t)n;
	return 0;
}

static int handle_open(int root_fd, const struct locate_request *request)
{
	union {
		struct file_handle handle;
		uint8_t bytes[sizeof(struct file_handle) + FANOTIFY_HANDLE_MAX];
	} file = { .handle = { .handle_bytes = request->n_handle,
			       .handle_type = request->handle_type } };
	int fd;

	memcpy(file.handle.f_handle, request->handle, request->n_handle);
	fd = open_by_handle_at(root_fd, &file.handle, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * The kernel gives some text for a file without a name too: one deleted, one
 * whose directory it does not know, one outside of what is mounted here. So a
 * path counts only if it leads back to the inode.
 */
static int path_verify(int root_fd, int fd, const char *path)
{
	struct stat of_path, of_handle;

	if (fstat(fd, &of_handle) < 0)
		return -errno;
	if (of_handle.st_nlink == 0)
		return -ESTALE;
	if (fstatat(root_fd, path, &of_path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;

	return of_path.st_dev == of_handle.st_dev && of_path.st_ino == of_handle.st_ino ? 0
											: -ENOENT;
}

/* Return: 0 with ->path and ->n_path, or a negative errno. */
static int locate(const struct locate_request *request, struct locate_reply *ret)
{
	_cleanup_close_ int mount_fd = -1, root_fd = -1, fd = -1;
	char root[LOCATE_PATH_MAX], path[LOCATE_PATH_MAX];
	size_t n_root, n_path;
	int r;

	mount_fd = mountpoint_open(request->where, request->mount_id, request->mount_id_is_unique);
	if (mount_fd < 0)
		return mount_fd;

	/* A handle cannot be opened by a descriptor that is O_PATH. */
	root_fd = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -errno;

	fd = handle_open(root_fd, request);
	if (fd < 0)
		return fd;

	r = descriptor_path(root_fd, root, &n_root);
	if (r == 0)
		r = descriptor_path(fd, path, &n_path);
	if (r < 0)
		return r;

	/* The root directory ends in the slash that follows any other mount point. */
	if (n_root == 1)
		n_root = 0;
	if (n_path < n_root + 2 || memcmp(path, root, n_root) != 0 || path[n_root] != '/')
		return -ENOENT;

	r = path_verify(root_fd, fd, path + n_root + 1);
	if (r < 0)
		return r;

	ret->n_path = n_path - n_root - 1;
	memcpy(ret->path, path + n_root + 1, ret->n_path);
	return 0;
}

int locate_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	struct locate_request request;
	struct locate_reply reply = {};
	int r;

	assert(ret_reply);
	assert(ret_n);

	r = locate_request_decode(payload, n, &request);
	if (r < 0)
		return r;

	reply.error = locate(&request, &reply);
	return locate_reply_encode(&reply, ret_reply, ret_n);
}
