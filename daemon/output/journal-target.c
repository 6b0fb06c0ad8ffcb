/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/names.h"
#include "daemon/output/journal-target.h"

static int connect_journald(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = -1;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;

	/* Connected, so that EPOLLOUT is about the reader's queue and not about ours alone. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;

	return TAKE_FD(fd);
}

/* systemd.exec(5): the device and inode of the stream that is the journal's. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uint64_t device, inode;
	struct stat st;
	char end;

	if (!stream || sscanf(stream, "%" SCNu64 ":%" SCNu64 "%c", &device, &inode, &end) != 2)
		return false;
	if (fstat(STDERR_FILENO, &st) < 0)
		return false;

	return st.st_dev == device && st.st_ino == inode;
}

/*
 * O_NONBLOCK belongs to the open file, which the shell or another process
 * shares with us: an own open file is needed. A socket cannot be opened; it
 * has MSG_DONTWAIT.
 */
static int open_stderr(bool *ret_is_socket)
{
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st) < 0)
		return -errno;

	*ret_is_socket = S_ISSOCK(st.st_mode);

	if (*ret_is_socket)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open("/proc/self/fd/2",
			  O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

void journal_target_open(struct journal_target *ret, const char *socket_path)
{
	bool is_native = socket_path || stderr_is_journal();

	assert(ret);

	*ret = (struct journal_target){
		.form = is_native ? JOURNAL_FORM_NATIVE : JOURNAL_FORM_LINE,
		.fd = -1,
		.is_socket = is_native,
		.address.sun_family = AF_UNIX,
	};

	(void)snprintf(ret->address.sun_path, sizeof(ret->address.sun_path), "%s",
		       socket_path ? socket_path : JOURNAL_SOCKET);

	if (is_native)
		ret->fd = connect_journald(&ret->address);
	if (ret->fd >= 0 || socket_path)
		return;

	/* systemd reads the priority of a line from its beginning. */
	if (is_native)
		ret->form = JOURNAL_FORM_PREFIXED;
	ret->fd = open_stderr(&ret->is_socket);
}

void journal_target_close(struct journal_target *target)
{
	assert(target);

	closep(&target->fd);
	target->fd = -1;
}

bool journal_target_reconnect(struct journal_target *target)
{
	assert(target);

	if (target->form != JOURNAL_FORM_NATIVE)
		return false;

	journal_target_close(target);
	target->fd = connect_journald(&target->address);
	return target->fd >= 0;
}

int journal_target_write(struct journal_target *target, const struct journal_entry *entry,
			 size_t *offset)
{
	assert(target);
	assert(entry);
	assert(offset && *offset <= entry->n_data);

	if (target->fd < 0)
		return -EBADF;

	while (*offset < entry->n_data) {
		const char *data = entry->data + *offset;
		size_t left = entry->n_data - *offset;
		ssize_t n;

		if (target->is_socket)
			n = send(target->fd, data, left, MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			n = write(target->fd, data, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
			return JOURNAL_TARGET_E_FULL;
		if (n < 0)
			return -errno;

		*offset += (size_t)n;
	}

	return 0;
}
