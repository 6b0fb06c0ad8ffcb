/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/source/process-scanner.h"
#include "daemon/source/procfs.h"

/* The line of a control group of one hierarchy; several where version 1 is in use. */
#define CGROUP_MAX 8192

/* Threads of one process that are read at once. */
#define THREADS_STEP 256

/* What a file of a process that is going says. */
static int gone(int error)
{
	return error == ENOENT || error == ESRCH ? -ESRCH : -error;
}

static int open_process(uint32_t pid)
{
	char path[sizeof("/proc/4294967295")];
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRIu32, pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? gone(errno) : fd;
}

/* Return: length, NUL-terminated, or a negative errno. */
static ssize_t read_at(int directory, const char *name, char *ret, size_t n_ret)
{
	_cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t n = 0;

	if (fd < 0)
		return gone(errno);

	while (n < n_ret - 1) {
		ssize_t k = read(fd, ret + n, n_ret - 1 - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return gone(errno);
		if (k == 0)
			break;
		n += (size_t)k;
	}

	ret[n] = '\0';
	return (ssize_t)n;
}

static int read_stat_at(int directory, struct procfile_stat *ret)
{
	char text[PROCFILE_MAX];
	ssize_t n;

	n = read_at(directory, "stat", text, sizeof(text));
	return n < 0 ? (int)n : procfile_decode_stat(text, (size_t)n, ret);
}

static int read_status_at(int directory, struct procfile_status *ret)
{
	_cleanup_free_ char *large = NULL;
	char text[PROCFILE_MAX];
	ssize_t n;

	n = read_at(directory, "status", text, sizeof(text));
	if (n < (ssize_t)sizeof(text) - 1)
		return n < 0 ? (int)n : procfile_decode_status(text, (size_t)n, ret);

	/* The signals stand behind the groups. */
	large = malloc(PROCFILE_STATUS_MAX);
	if (!large)
		return -ENOMEM;
	n = read_at(directory, "status", large, PROCFILE_STATUS_MAX);
	return n < 0 ? (int)n : procfile_decode_status(large, (size_t)n, ret);
}

/* They stand before the groups, of which there may be many. */
static int read_uids_at(int directory, uint32_t ret[static 4])
{
	char text[PROCFILE_MAX];
	ssize_t n;

	n = read_at(directory, "status", text, sizeof(text));
	return n < 0 ? (int)n : procfile_decode_uids(text, (size_t)n, ret);
}

bool procfs_parse_pid(const char *name, uint32_t *ret)
{
	uint64_t value = 0;

	for (const char *p = name; *p; p++) {
		if (*p < '0' || *p > '9')
			return false;
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > INT32_MAX)
			return false;
	}
	if (value == 0)
		return false;

	*ret = (uint32_t)value;
	return true;
}

static int threads_push(struct procfs_threads *threads, uint32_t tid)
{
	if (threads->n >= PROCFS_THREADS_MAX)
		return -ENOSPC;
	if (threads->n == threads->n_allocated) {
		size_t n_allocated = threads->n ? 2 * threads->n : 64;
		uint32_t *tids = reallocarray(threads->tids, n_allocated, sizeof(*tids));

		if (!tids)
			return -ENOMEM;
		threads->tids = tids;
		threads->n_allocated = n_allocated;
	}

	threads->tids[threads->n++] = tid;
	return 0;
}

static void threads_close(struct procfs_threads *threads)
{
	if (threads->task)
		closedir(threads->task);
	threads->task = NULL;
}

void procfs_threads_deinit(struct procfs_threads *threads)
{
	threads_close(threads);
	free(threads->tids);
	*threads = (struct procfs_threads){};
}

static int threads_open(struct procfs_threads *threads, int directory)
{
	_cleanup_close_ int fd = openat(directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return gone(errno);
	threads->task = fdopendir(fd);
	if (!threads->task)
		return -ENOMEM;
	(void)TAKE_FD(fd);
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int procfs_begin_entry(uint32_t pid, struct procfs_threads *threads, struct process_scan_entry *ret)
{
	_cleanup_close_ int directory = open_process(pid);
	struct procfile_stat stat;
	uint32_t uids[4];
	uint64_t read_ns = now_ns();
	int r;

	assert(threads);
	assert(ret);

	threads_close(threads);
	threads->n = 0;
	if (directory < 0)
		return directory;
	r = read_stat_at(directory, &stat);
	if (r < 0)
		return r;
	r = read_uids_at(directory, uids);
	if (r < 0)
		return r;
	*ret = (struct process_scan_entry){
		.pid = pid,
		.parent = stat.parent,
		.start_ticks = stat.start_ticks,
		.read_ns = read_ns,
		.uid = uids[0],
		.uid_mixed = uids[1] != uids[0] || uids[2] != uids[0] || uids[3] != uids[0],
		.zombie = stat.state == 'Z' || stat.state == 'X',
		.n_threads = stat.n_threads,
	};
	/* That they cannot be read is no reason to fail: they are counted, if not named. */
	if (stat.n_threads > 1 && threads_open(threads, directory) == 0)
		return PROCFS_E_MORE;
	return 0;
}

int procfs_continue_entry(struct procfs_threads *threads, struct process_scan_entry *ret)
{
	assert(threads && threads->task);
	assert(ret);

	for (unsigned int i = 0; i < THREADS_STEP; i++) {
		const struct dirent *dirent = readdir(threads->task);
		uint32_t tid;

		if (!dirent) {
			threads_close(threads);
			ret->n_tids = threads->n;
			ret->tids = threads->n > 0 ? threads->tids : NULL;
			return 0;
		}
		if (procfs_parse_pid(dirent->d_name, &tid) && threads_push(threads, tid) < 0) {
			threads_close(threads);
			return 0;
		}
	}
	return PROCFS_E_MORE;
}

int process_read_stat(uint32_t pid, struct procfile_stat *ret)
{
	_cleanup_close_ int directory = open_process(pid);

	assert(ret);

	return directory < 0 ? directory : read_stat_at(directory, ret);
}

int process_read_status(uint32_t pid, struct procfile_status *ret)
{
	_cleanup_close_ int directory = open_process(pid);

	assert(ret);

	return directory < 0 ? directory : read_status_at(directory, ret);
}

int process_read_uids(uint32_t pid, uint32_t ret[static 4])
{
	_cleanup_close_ int directory = open_process(pid);

	assert(ret);

	return directory < 0 ? directory : read_uids_at(directory, ret);
}

bool process_read_waits(uint32_t pid)
{
	_cleanup_close_ int directory = open_process(pid);
	static const char name[] = "do_sigtimedwait"; /* and a suffix of the compiler's */
	char text[64];

	return directory >= 0 && read_at(directory, "wchan", text, sizeof(text)) > 0 &&
	       strncmp(text, name, strlen(name)) == 0;
}

static ssize_t read_file_at(int directory, char *ret, size_t n_ret)
{
	/* The text alone: what the link leads to is not touched. */
	ssize_t n = readlinkat(directory, "exe", ret, n_ret);

	return n < 0 ? gone(errno) : n;
}

int process_read_program(uint32_t pid, struct process_program *ret)
{
	_cleanup_close_ int directory = open_process(pid);
	struct procfile_stat stat;
	ssize_t n;
	int r;

	assert(ret);

	if (directory < 0)
		return directory;
	n = read_file_at(directory, ret->file, sizeof(ret->file));
	if (n < 0)
		return (int)n;

	/* Behind the name: who was the user's while it was read may be nobody's any more. */
	r = read_uids_at(directory, ret->uids);
	if (r >= 0)
		r = read_stat_at(directory, &stat);
	if (r < 0)
		return r;

	ret->start_ticks = stat.start_ticks;
	ret->n_file = (size_t)n;
	return 0;
}

int process_read_identity(uint32_t pid, struct process_identity_buffer *buffer,
			  struct process_identity *ret)
{
	_cleanup_close_ int directory = open_process(pid);
	struct process_identity identity = {};
	uint32_t uids[4];
	char cgroup[CGROUP_MAX];
	ssize_t n;

	assert(buffer);
	assert(ret);

	if (directory < 0)
		return directory;

	n = read_at(directory, "comm", buffer->comm, sizeof(buffer->comm));
	if (n == -ESRCH)
		return -ESRCH;
	if (n > 0) {
		/* Only the last one is not the name's own. */
		if (buffer->comm[n - 1] == '\n')
			buffer->comm[n - 1] = '\0';
		identity.comm = buffer->comm;
	}

	n = read_file_at(directory, buffer->file, sizeof(buffer->file) - 1);
	if (n > 0) {
		buffer->file[n] = '\0';
		identity.file = buffer->file;
	}

	n = read_at(directory, "cgroup", cgroup, sizeof(cgroup));
	if (n > 0 && process_unit_of(cgroup, (size_t)n, buffer->unit, sizeof(buffer->unit)) == 0)
		identity.unit = buffer->unit;

	if (read_uids_at(directory, uids) == 0) {
		identity.uid_known = true;
		identity.uid = uids[0];
	}

	*ret = identity;
	return 0;
}
