/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

#include "daemon/worker/protocol.h"
#include "daemon/worker/remote.h"

/* Memory for a reply grows with what came and not with what was announced. */
#define REMOTE_CHUNK (64U << 10)

/* Pieces read per wake-up: a long reply must not hold up the loop. */
#define REMOTE_PIECES 16

struct remote {
	sd_event_source *io; /* owns the socket; NULL once killed or broken */
	sd_event_source *death; /* owns the pidfd */
	const struct remote_ops *ops;
	void *userdata;
	pid_t pid;
	bool busy;

	struct job_header job;
	const uint8_t *payload;
	size_t n_sent; /* of header and payload together */

	struct reply_header header;
	size_t n_header;
	uint8_t *reply;
	size_t n_reply, n_allocated;
};

static void remote_reset(struct remote *remote)
{
	free(remote->reply);
	remote->reply = NULL;
	remote->n_reply = remote->n_allocated = 0;
	remote->n_header = 0;
	remote->payload = NULL;
	remote->n_sent = 0;
	remote->busy = false;
}

static void remote_close(struct remote *remote)
{
	remote->io = sd_event_source_disable_unref(remote->io);
	remote_reset(remote);
}

static void remote_broken(struct remote *remote)
{
	remote_close(remote);
	remote->ops->broken(remote->userdata);
}

/* Return: 0, or a negative errno. */
static int remote_write(struct remote *remote, int pass_fd)
{
	union {
		struct cmsghdr align;
		char buffer[CMSG_SPACE(sizeof(int))];
	} control = {};
	size_t n_total = sizeof(remote->job) + (size_t)remote->job.n_payload;
	size_t n_head = remote->n_sent < sizeof(remote->job) ? remote->n_sent : sizeof(remote->job);
	size_t n_body = remote->n_sent - n_head;
	struct iovec iov[2] = {
		{ (uint8_t *)&remote->job + n_head, sizeof(remote->job) - n_head },
		{ (void *)(remote->payload + n_body), (size_t)remote->job.n_payload - n_body },
	};
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (pass_fd >= 0) {
		struct cmsghdr *cmsg;

		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&message);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &pass_fd, sizeof(int));
	}

	n = sendmsg(sd_event_source_get_io_fd(remote->io), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* The first piece goes into an empty socket: that one cannot be full. */
	if (n < 0 && (remote->n_sent == 0 || (errno != EAGAIN && errno != EINTR)))
		return -errno;
	if (n > 0)
		remote->n_sent += (size_t)n;

	(void)sd_event_source_set_io_events(
		remote->io, remote->n_sent < n_total ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return 0;
}

static int remote_reserve(struct remote *remote)
{
	size_t n = remote->n_allocated ? 2 * remote->n_allocated : REMOTE_CHUNK;
	uint8_t *reply;

	if (n > remote->header.n_reply)
		n = (size_t)remote->header.n_reply;

	reply = realloc(remote->reply, n);
	if (!reply)
		return -ENOMEM;

	remote->reply = reply;
	remote->n_allocated = n;
	return 0;
}

static int remote_check_header(const struct remote *remote)
{
	const struct reply_header *header = &remote->header;

	if (header->magic != JOB_MAGIC || header->error > 0 ||
	    header->n_reply > job_reply_max(remote->job.kind) ||
	    (header->error < 0 && header->n_reply > 0))
		return -EBADMSG;
	return 0;
}

/* Return: 1 when something came, 0 when nothing is there, or a negative errno. */
static int remote_read(struct remote *remote)
{
	int fd = sd_event_source_get_io_fd(remote->io);
	bool in_header = remote->n_header < sizeof(remote->header);
	size_t n_piece;
	ssize_t n;
	int r;

	if (in_header) {
		n = recv(fd, (uint8_t *)&remote->header + remote->n_header,
			 sizeof(remote->header) - remote->n_header, MSG_DONTWAIT);
	} else {
		if (remote->n_reply == remote->n_allocated) {
			r = remote_reserve(remote);
			if (r < 0)
				return r;
		}
		n_piece = remote->n_allocated - remote->n_reply;
		if (n_piece > REMOTE_CHUNK)
			n_piece = REMOTE_CHUNK;
		n = recv(fd, remote->reply + remote->n_reply, n_piece, MSG_DONTWAIT);
	}

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	/* The end, or words where nothing was asked. */
	if (n == 0 || !remote->busy)
		return -ECONNRESET;

	if (!in_header) {
		remote->n_reply += (size_t)n;
		return 1;
	}

	remote->n_header += (size_t)n;
	if (remote->n_header < sizeof(remote->header))
		return 1;
	r = remote_check_header(remote);
	return r < 0 ? r : 1;
}

static bool remote_is_answered(const struct remote *remote)
{
	return remote->busy && remote->n_header == sizeof(remote->header) &&
	       remote->n_reply == remote->header.n_reply;
}

void remote_poll(struct remote *remote)
{
	void *reply;
	size_t n_reply;
	int r = 1;

	assert(remote);

	if (!remote->io)
		return;

	for (unsigned int i = 0; i < REMOTE_PIECES && r > 0 && !remote_is_answered(remote); i++)
		r = remote_read(remote);

	if (r < 0) {
		remote_broken(remote);
		return;
	}
	if (!remote_is_answered(remote))
		return;

	reply = TAKE_PTR(remote->reply);
	n_reply = remote->n_reply;
	remote_reset(remote);
	remote->ops->answered(remote->header.error, reply, n_reply, remote->userdata);
}

static int on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct remote *remote = userdata;

	if (revents & EPOLLOUT && remote->busy && remote_write(remote, -1) < 0) {
		remote_broken(remote);
		return 0;
	}

	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
		remote_poll(remote);
	return 0;
}

static int on_death(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct remote *remote = userdata;

	/* What it still said before it died counts. */
	if (remote->io && remote->busy)
		remote_poll(remote);

	remote_close(remote);
	remote->death = sd_event_source_disable_unref(remote->death);
	remote->ops->died(remote->userdata);
	return 0;
}

static int remote_watch(sd_event_source **ret, sd_event *loop, int fd,
			sd_event_io_handler_t handler, struct remote *remote)
{
	int r;

	r = sd_event_add_io(loop, ret, fd, EPOLLIN, handler, remote);
	if (r < 0)
		return r;
	r = sd_event_source_set_priority(*ret, REMOTE_PRIORITY);
	if (r < 0)
		return r;
	return sd_event_source_set_exit_on_failure(*ret, true);
}

int remote_new(struct remote **ret, sd_event *loop, const struct spawned *spawned,
	       const struct remote_ops *ops, void *userdata)
{
	_cleanup_(remote_freep) struct remote *remote = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(ops && ops->answered && ops->broken && ops->died);

	remote = calloc(1, sizeof(*remote));
	if (!remote)
		return -ENOMEM;

	remote->ops = ops;
	remote->userdata = userdata;
	remote->pid = spawned->pid;

	r = remote_watch(&remote->io, loop, spawned->fd, on_socket, remote);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(remote->io, "worker");

	r = remote_watch(&remote->death, loop, spawned->pidfd, on_death, remote);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(remote->death, "worker-death");

	/* Last, so that a failure above leaves the descriptors with the caller. */
	(void)sd_event_source_set_io_fd_own(remote->io, true);
	(void)sd_event_source_set_io_fd_own(remote->death, true);

	*ret = TAKE_PTR(remote);
	return 0;
}

struct remote *remote_free(struct remote *remote)
{
	if (!remote)
		return NULL;

	remote_close(remote);
	sd_event_source_disable_unref(remote->death);
	free(remote);
	return NULL;
}

int remote_send(struct remote *remote, const struct remote_job *job)
{
	assert(remote);
	assert(!remote->busy);

	if (!remote->io)
		return -EPIPE;

	remote_reset(remote);
	remote->job = (struct job_header){
		.magic = JOB_MAGIC,
		.kind = job->kind,
		.n_payload = job->n_payload,
	};
	remote->payload = job->payload;
	remote->busy = true;
	return remote_write(remote, job->fd);
}

void remote_kill(struct remote *remote)
{
	assert(remote);

	if (remote->death)
		(void)pidfd_send_signal(sd_event_source_get_io_fd(remote->death), SIGKILL, NULL, 0);
	remote_close(remote);
}

pid_t remote_pid(const struct remote *remote)
{
	return remote->pid;
}
