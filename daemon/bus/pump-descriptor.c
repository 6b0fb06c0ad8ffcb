/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/bus/fdinfo.h"
#include "daemon/bus/pump-socket.h"

/* Free places that are left besides those needed. */
#define SPARE 4

static void message_close_fds(struct pump_message *message)
{
	/* Only O_PATH descriptors, pidfds and our own are ever stored. */
	for (size_t i = 0; i < message->n_fds; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->n_fds = 0;
}

struct pump_message *pump_message_free(struct pump_message *message)
{
	if (!message)
		return NULL;

	message_close_fds(message);
	free(message->data);
	free(message);
	return NULL;
}

void message_drop_fds(struct pump_message *message)
{
	message_close_fds(message);
	envelope_drop_fds(&message->envelope, message->data);
}

static bool descriptors_are_left(int null_fd, size_t n)
{
	int probes[PUMP_FDS_PASS + SPARE];
	size_t got = 0;

	while (got < n + SPARE) {
		probes[got] = fcntl(null_fd, F_DUPFD_CLOEXEC, 3);
		if (probes[got] < 0)
			break;
		got++;
	}
	for (size_t i = 0; i < got; i++)
		close(probes[i]);
	return got == n + SPARE;
}

void message_admit_fds(struct pump_message *message, int null_fd, bool truncated)
{
	assert(message);

	if (!message->n_fds && !message->envelope.n_fds)
		return;

	if (truncated || message->n_fds != message->envelope.n_fds ||
	    message->n_fds > PUMP_FDS_PASS || !descriptors_are_left(null_fd, message->n_fds))
		message_drop_fds(message);
}

static size_t give_fd(int fd, struct pump_message *message, struct strangers *strangers)
{
	if (!fdinfo_is_path(fd) && !fdinfo_is_pidfd(fd)) {
		strangers_close(strangers, fd, message ? message->envelope.sender : NULL);
		if (message)
			message->fds[message->n_fds++] = -1;
		return 1;
	}

	if (message)
		message->fds[message->n_fds++] = fd;
	else
		close(fd);
	return 0;
}

size_t reader_give_fds(struct reader *reader, struct pump_message *message,
		       struct strangers *strangers)
{
	size_t n_refused = 0;

	assert(reader);
	assert(strangers);

	for (size_t i = 0; i < reader->n_fds; i++)
		n_refused += give_fd(reader->fds[i], message, strangers);
	reader->n_fds = 0;

	/* More than there is a place for: the message loses all. */
	for (size_t i = 0; i < reader->n_surplus; i++)
		n_refused += give_fd(reader->surplus[i], NULL, strangers);
	reader->n_surplus = 0;
	return n_refused;
}
