/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/state-file.h"

/* A bad spot of a disk is seldom smaller; all filesystems read in pages. */
#define BAD_SPOT 4096

#define NAME_SIZE 64

static bool is_ours(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) &&
	       (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int state_directory_open(const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	assert(path);

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!is_ours(&st))
		return -EPERM;

	return TAKE_FD(fd);
}

int state_directory_lock(int directory, bool wait)
{
	assert(directory >= 0);

	while (flock(directory, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
		if (errno == EINTR)
			continue;
		/* Some network filesystems have no locks: they cannot be what keeps us from writing. */
		return errno == EWOULDBLOCK ? -EWOULDBLOCK : 0;
	}

	return 0;
}

int state_file_open(int directory, const char *name, int flags)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	assert(directory >= 0);
	assert(name);

	/* O_NONBLOCK: a FIFO in this place would make us wait for its other end. */
	fd = openat(directory, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADF;
	if (!is_ours(&st))
		return -EPERM;

	return TAKE_FD(fd);
}

int state_file_read(int fd, size_t n_max, uint8_t **ret_data, size_t *ret_n)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t size, offset = 0;
	struct stat st;

	assert(fd >= 0);
	assert(ret_data);
	assert(ret_n);

	if (fstat(fd, &st) < 0)
		return -errno;

	size = (uint64_t)st.st_size > n_max ? n_max : (size_t)st.st_size;
	data = calloc(1, size + 1);
	if (!data)
		return -ENOMEM;

	while (offset < size) {
		ssize_t n = pread(fd, data + offset, size - offset, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EIO) {
			offset += BAD_SPOT - offset % BAD_SPOT;
			continue;
		}
		if (n < 0)
			return -errno;
		if (n == 0)
			size = offset;
		offset += (size_t)n;
	}

	*ret_data = TAKE_PTR(data);
	*ret_n = size;
	return 0;
}

static int write_all(int fd, const void *data, size_t n, uint64_t offset)
{
	const uint8_t *bytes = data;

	while (n > 0) {
		ssize_t written = pwrite(fd, bytes, n, (off_t)offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		if (written == 0)
			return -EIO;

		bytes += written;
		n -= (size_t)written;
		offset += (uint64_t)written;
	}

	return 0;
}

int state_file_write_at(int fd, const void *data, size_t n, uint64_t offset)
{
	struct stat st;
	int r;

	assert(fd >= 0);
	assert(data || n == 0);

	if (fstat(fd, &st) < 0)
		return -errno;

	r = write_all(fd, data, n, offset);
	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	/* Half a batch would be read as damage. */
	if (r < 0 && ftruncate(fd, st.st_size) < 0)
		return r;

	return r;
}

static int write_parts(int fd, const struct state_part *parts, size_t n_parts)
{
	uint64_t offset = 0;

	for (size_t i = 0; i < n_parts; i++) {
		int r = write_all(fd, parts[i].data, parts[i].n_data, offset);

		if (r < 0)
			return r;
		offset += parts[i].n_data;
	}

	return fsync(fd) < 0 ? -errno : 0;
}

int state_file_replace(int directory, const char *name, const struct state_part *parts,
		       size_t n_parts)
{
	char temporary[NAME_SIZE];
	_cleanup_close_ int fd = -1;
	int r;

	assert(directory >= 0);
	assert(name);
	assert(parts || n_parts == 0);

	(void)snprintf(temporary, sizeof(temporary), "%s.new", name);

	/* Left behind by one that was killed. */
	if (unlinkat(directory, temporary, 0) < 0 && errno != ENOENT)
		return -errno;

	fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return -errno;

	r = write_parts(fd, parts, n_parts);
	if (r == 0 && renameat(directory, temporary, directory, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(directory, temporary, 0);
		return r;
	}

	return fsync(directory) < 0 ? -errno : 0;
}

int state_file_keep_aside(int directory, const char *name)
{
	assert(directory >= 0);
	assert(name);

	for (unsigned int i = 1; i <= STATE_ASIDE_MAX; i++) {
		char aside[NAME_SIZE];

		(void)snprintf(aside, sizeof(aside), "%s.corrupt-%u", name, i);

		/* A link and not a rename: a kill right here must not lose the original. */
		if (linkat(directory, name, directory, aside, 0) == 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
	}

	return -EEXIST;
}

uint32_t state_file_checksum(const void *data, size_t n)
{
	const uint8_t *bytes = data;
	uint32_t crc = ~0U;

	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (unsigned int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}

	return ~crc;
}
