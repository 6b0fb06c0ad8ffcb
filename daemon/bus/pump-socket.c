/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/bus/pump-socket.h"

#define AUTH_CHUNK 512
#define SKIP_CHUNK 4096

/* SCM_MAX_FD of the kernel: no message brings more. */
#define RECEIVE_FDS 253

static void reader_take_fds(struct reader *reader, struct msghdr *mh)
{
	struct cmsghdr *cmsg;

	/* No room in the table, or none wanted. */
	if (mh->msg_flags & MSG_CTRUNC)
		reader->truncated = true;

	for (cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		size_t n;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;

		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
			if (reader->n_fds < PUMP_FDS_MAX)
				reader->fds[reader->n_fds++] = fd;
			else if (reader->n_surplus < SURPLUS_MAX)
				reader->surplus[reader->n_surplus++] = fd;
		}
	}
	if (reader->n_surplus)
		reader->truncated = true;
}

/* Return: bytes read, 0 when there is nothing now, negative errno. */
static ssize_t reader_receive(struct reader *reader, int fd, void *data, size_t n)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(RECEIVE_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = n };
	/* One message with more than all bounds loses the rest. */
	bool blind = reader->blind || reader->n_surplus > 0;
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = blind ? NULL : &control,
		.msg_controllen = blind ? 0 : sizeof(control),
	};
	ssize_t got;

	got = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	reader_take_fds(reader, &mh);
	return got == 0 ? -ECONNRESET : got;
}

static int reader_begin(struct reader *reader)
{
	_cleanup_(pump_message_freep) struct pump_message *message = NULL;
	size_t n_header, n_total;
	int r;

	r = envelope_measure(reader->fixed, &n_header, &n_total);
	if (r < 0)
		return r;

	if (n_header > reader->header_max) {
		reader->skip = n_total - ENVELOPE_FIXED;
		reader->n_fixed = 0;
		return 0;
	}

	message = calloc(1, sizeof(*message));
	if (!message)
		return -ENOMEM;
	message->cut = n_total > reader->message_max;
	message->n_data = message->cut ? n_header : n_total;
	message->data = malloc(message->n_data);
	if (!message->data)
		return -ENOMEM;

	memcpy(message->data, reader->fixed, ENVELOPE_FIXED);
	message->n_done = ENVELOPE_FIXED;
	reader->n_fixed = 0;
	reader->skip = n_total - message->n_data;
	reader->message = TAKE_PTR(message);
	return 0;
}

static struct pump_message *reader_finish(struct reader *reader)
{
	struct pump_message *message = TAKE_PTR(reader->message);

	message->n_done = 0;
	return message;
}

static int reader_skip(struct reader *reader, int fd)
{
	uint8_t scratch[SKIP_CHUNK];
	ssize_t n;

	n = reader_receive(reader, fd, scratch,
			   reader->skip < sizeof(scratch) ? reader->skip : sizeof(scratch));
	if (n <= 0)
		return (int)n;
	reader->skip -= (size_t)n;
	return 1;
}

bool reader_is_skipping(const struct reader *reader)
{
	return reader->skip > 0 && !reader->message;
}

int reader_read(struct reader *reader, int fd, struct pump_message **ret)
{
	struct pump_message *message;
	ssize_t n;

	assert(reader);
	assert(ret);

	*ret = NULL;

	if (!reader->message && reader->skip)
		return reader_skip(reader, fd);

	if (!reader->message) {
		n = reader_receive(reader, fd, reader->fixed + reader->n_fixed,
				   ENVELOPE_FIXED - reader->n_fixed);
		if (n <= 0)
			return (int)n;
		reader->n_fixed += (size_t)n;
		if (reader->n_fixed == ENVELOPE_FIXED) {
			int r = reader_begin(reader);

			if (r < 0)
				return r;
		}
		if (!reader->message)
			return 1;
	} else {
		message = reader->message;
		n = reader_receive(reader, fd, message->data + message->n_done,
				   message->n_data - message->n_done);
		if (n <= 0)
			return (int)n;
		message->n_done += (size_t)n;
	}

	if (reader->message->n_done == reader->message->n_data)
		*ret = reader_finish(reader);
	return 1;
}

void reader_deinit(struct reader *reader)
{
	for (size_t i = 0; i < reader->n_fds; i++)
		close(reader->fds[i]);
	reader->n_fds = 0;
	reader->message = pump_message_free(reader->message);
}

void queue_init(struct queue *queue)
{
	*queue = (struct queue){ .tail = &queue->first };
}

void queue_deinit(struct queue *queue)
{
	while (queue->first)
		(void)pump_message_free(queue_pop(queue));
}

void queue_push(struct queue *queue, struct pump_message *message)
{
	message->next = NULL;
	message->n_done = 0;
	*queue->tail = message;
	queue->tail = &message->next;
	queue->n_bytes += message->n_data;
}

struct pump_message *queue_pop(struct queue *queue)
{
	struct pump_message *message = queue->first;

	queue->first = message->next;
	if (!queue->first)
		queue->tail = &queue->first;
	queue->n_bytes -= message->n_data - message->n_done;
	message->next = NULL;
	return message;
}

ssize_t message_send(struct pump_message *message, int fd, int null_fd)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(PUMP_FDS_MAX * sizeof(int))];
	} control = {};
	struct iovec iov = {
		.iov_base = message->data + message->n_done,
		.iov_len = message->n_data - message->n_done,
	};
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (message->n_fds && message->n_done == 0) {
		struct cmsghdr *cmsg = &control.align;

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(message->n_fds * sizeof(int));
		for (size_t i = 0; i < message->n_fds; i++) {
			int sent = message->fds[i] >= 0 ? message->fds[i] : null_fd;

			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &sent, sizeof(sent));
		}
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(message->n_fds * sizeof(int));
	}

	n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	message->n_done += (size_t)n;

	/* They are on their way; room for the receiver, which may be us. */
	for (size_t i = 0; i < message->n_fds; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->n_fds = 0;
	return n;
}

bool auth_is_done(const struct auth *auth)
{
	return auth->begun && auth->answered >= auth->asked;
}

static int auth_receive(int fd, struct pump_message **ret)
{
	_cleanup_(pump_message_freep) struct pump_message *message = NULL;
	ssize_t n;

	message = calloc(1, sizeof(*message));
	if (!message)
		return -ENOMEM;
	message->data = malloc(AUTH_CHUNK);
	if (!message->data)
		return -ENOMEM;

	n = recv(fd, message->data, AUTH_CHUNK, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;

	message->n_data = (size_t)n;
	*ret = TAKE_PTR(message);
	return 1;
}

int auth_read_us(struct auth *auth, int fd, struct pump_message **ret)
{
	_cleanup_(pump_message_freep) struct pump_message *message = NULL;
	int r;

	r = auth_receive(fd, &message);
	if (r <= 0)
		return r;

	for (size_t i = 0; i < message->n_data; i++) {
		if (auth->begun)
			return -EPROTO;
		if (message->data[i] != '\n') {
			if (auth->n_line < sizeof(auth->line))
				auth->line[auth->n_line++] = (char)message->data[i];
			continue;
		}
		if (auth->n_line == 6 && memcmp(auth->line, "BEGIN\r", 6) == 0)
			auth->begun = true;
		else
			auth->asked++;
		auth->n_line = 0;
	}

	*ret = TAKE_PTR(message);
	return 1;
}

int auth_read_bus(struct auth *auth, int fd, struct pump_message **ret)
{
	_cleanup_(pump_message_freep) struct pump_message *message = NULL;
	int r;

	r = auth_receive(fd, &message);
	if (r <= 0)
		return r;

	for (size_t i = 0; i < message->n_data; i++) {
		if (auth_is_done(auth))
			return -EPROTO;
		if (message->data[i] == '\n')
			auth->answered++;
	}

	*ret = TAKE_PTR(message);
	return 1;
}
