/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/caller.h"
#include "daemon/worker/job-watch-wire.h"
#include "daemon/worker/reach.h"

/* Far below the deadline of the job: what is slower is cut, and not taken for a filesystem that hangs. */
#define PATIENCE_US 500000

static uint64_t now_us(void)
{
	struct timespec now = {};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* No further than one mount, and through no symbolic link. */
static int open_below(int dir_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_NOFOLLOW | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dir_fd, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static bool may(int fd, int mode)
{
	return syscall(SYS_faccessat2, fd, "", mode, AT_EMPTY_PATH | AT_EACCESS) == 0;
}

struct list {
	struct watch_list_reply *reply;
	size_t n_size;
};

static void list_deinit(struct list *list)
{
	for (size_t i = 0; i < list->reply->n_entries; i++)
		free((char *)list->reply->entries[i].name);
	watch_list_reply_deinit(list->reply);
}

/* Return: 0 or -ENOMEM. */
static int list_add(struct list *list, const char *name, uint64_t inode)
{
	struct watch_list_reply *reply = list->reply;
	struct watch_list_entry *entries;

	if (reply->n_entries == WATCH_LIST_MAX) {
		reply->n_left++;
		return 0;
	}
	if (reply->n_entries == list->n_size) {
		size_t n_size = list->n_size ? 2 * list->n_size : 16;

		entries = reallocarray(reply->entries, n_size, sizeof(*entries));
		if (!entries)
			return -ENOMEM;
		reply->entries = entries;
		list->n_size = n_size;
	}
	reply->entries[reply->n_entries] =
		(struct watch_list_entry){ .name = strdup(name), .inode = inode };
	if (!reply->entries[reply->n_entries].name)
		return -ENOMEM;
	reply->n_entries++;
	return 0;
}

/* That it is none, or not for the caller, and not that it cannot be said. */
static bool is_none(int error)
{
	return error == ENOENT || error == EACCES || error == EPERM || error == ELOOP ||
	       error == ENOTDIR || error == EXDEV;
}

/* What cannot be reached so, or is none, is left out. Return: 0 or -ENOMEM. */
static int list_look_at(struct list *list, int dir_fd, const char *name, bool is_directory)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	fd = open_below(dir_fd, name, O_PATH);
	errno = fd < 0 ? -fd : 0;
	if (fd < 0 || fstat(fd, &st) < 0) {
		list->reply->n_left += is_directory && !is_none(errno);
		return 0;
	}
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (!may(fd, R_OK | X_OK)) {
		list->reply->n_left += !is_none(errno);
		return 0;
	}
	return list_add(list, name, st.st_ino);
}

/* Takes @dir_fd. Return: 0 or a negative errno. */
static int list_read(struct list *list, int dir_fd)
{
	uint64_t end_us = now_us() + PATIENCE_US;
	const struct dirent *entry;
	size_t n = 0;
	DIR *dir;
	int r = 0;

	dir = fdopendir(dir_fd);
	if (!dir) {
		r = -errno;
		close(dir_fd);
		return r;
	}

	errno = 0;
	while (r == 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (++n > WATCH_LIST_ENTRIES_MAX || (n % 64 == 0 && now_us() > end_us)) {
			list->reply->is_cut = true;
			break;
		}
		if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)
			r = list_look_at(list, dirfd(dir), entry->d_name, entry->d_type == DT_DIR);
		errno = 0;
	}
	if (r == 0 && !entry && errno != 0)
		r = -errno;
	list->reply->is_empty = n == 0;
	(void)closedir(dir);
	return r;
}

/* The mount is elsewhere, or gone: that tells nothing of what is in it. */
static int not_there(int error)
{
	return error == -ENOENT || error == -EACCES ? -ESTALE : error;
}

/* As the caller. Return: 0, -ENOENT: that one may not, or another negative errno. */
static int list_as_caller(struct list *list, const struct watch_list_request *request, int root_fd)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	/* Its owner leaves no trace. */
	fd = open_below(root_fd, request->below, O_RDONLY | O_DIRECTORY | O_NOATIME);
	if (fd == -EPERM)
		fd = open_below(root_fd, request->below, O_RDONLY | O_DIRECTORY);
	if (fd == -EACCES || fd == -ENOTDIR || fd == -ELOOP || fd == -EXDEV)
		return -ENOENT;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != request->inode || !may(fd, X_OK))
		return -ENOENT;
	return request->name ? list_look_at(list, fd, request->name, true)
			     : list_read(list, TAKE_FD(fd));
}

static int watch_list(struct list *list, const struct watch_list_request *request)
{
	const struct caller caller = {
		.uid = request->credential.uid,
		.groups = request->credential.groups,
		.n_groups = request->credential.n_groups,
	};
	_cleanup_(reach_deinit) struct reach reach = REACH_NONE;
	_cleanup_close_ int root_fd = -1;
	struct caller_saved saved;
	int r;

	r = reach_open(&reach, request->where, request->mount_id, request->mount_id_is_unique);
	if (r < 0)
		return not_there(r);
	root_fd = reach_path(&reach, request->root, request->root_inode);
	if (root_fd < 0)
		return not_there(root_fd);

	r = caller_enter(&caller, &saved);
	if (r < 0)
		return r;
	r = list_as_caller(list, request, root_fd);
	caller_leave(&saved);
	return r;
}

int watch_list_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	_cleanup_(watch_list_request_deinit) struct watch_list_request request = {};
	struct watch_list_reply reply = {};
	_cleanup_(list_deinit) struct list list = { .reply = &reply };
	int r;

	assert(ret_reply);
	assert(ret_n);

	r = watch_list_request_decode(payload, n, &request);
	if (r < 0)
		return r;

	r = watch_list(&list, &request);
	/* Nothing is told of what was not found, or may not be known. */
	if (r < 0) {
		list_deinit(&list);
		reply.error = r;
	}
	return watch_list_reply_encode(&reply, ret_reply, ret_n);
}
