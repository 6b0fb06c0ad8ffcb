/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/agent/opener.h"

#define OPENER_PATIENCE_US (10 * 1000 * 1000ULL)

struct opener {
	int fd, pidfd;
	sd_event_source *io, *patience;
	opener_fn done;
	void *userdata;
};

union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* One byte: 0 with the descriptor, or the errno. */
static void child_run(int sock, const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned char error = fd < 0 ? (unsigned char)errno : 0;
	struct iovec part = { &error, 1 };
	union control control = {};
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	_exit(sendmsg(sock, &message, MSG_NOSIGNAL) == 1 ? 0 : 1);
}

/* Return: a descriptor or a negative errno. */
static int receive(int sock)
{
	unsigned char error = 0;
	struct iovec part = { &error, 1 };
	union control control = {};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(sock, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *head;
	int fd;

	if (n < 0)
		return -errno;
	head = CMSG_FIRSTHDR(&message);
	if (n == 0 || error || !head || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len != CMSG_LEN(sizeof(int)))
		return error ? -error : -ECHILD;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct opener *opener = userdata;
	int r = receive(fd);

	if (r == -EAGAIN)
		return 0;
	closep(&opener->pidfd);
	opener->pidfd = -1;
	opener->done(r, opener->userdata);
	return 0;
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct opener *opener = userdata;

	opener->done(-ETIMEDOUT, opener->userdata);
	return 0;
}

/* One that sleeps in the kernel ends when it can, and counts until then. */
static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct opener_pool *pool = userdata;

	pool->n_children--;
	/* Nobody holds it: this lets it go. */
	(void)sd_event_source_set_floating(source, false);
	pool->room(pool->userdata);
	return 0;
}

int opener_start(struct opener **ret, struct opener_pool *pool, const char *path, opener_fn done,
		 void *userdata)
{
	_cleanup_(opener_freep) struct opener *opener = NULL;
	_cleanup_close_ int child_end = -1;
	int pair[2], r;
	pid_t child;

	if (pool->n_children >= OPENER_CHILDREN_MAX)
		return -EAGAIN;
	opener = calloc(1, sizeof(*opener));
	if (!opener)
		return -ENOMEM;
	opener->fd = opener->pidfd = -1;
	opener->done = done;
	opener->userdata = userdata;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	opener->fd = pair[0];
	child_end = pair[1];

	r = sd_event_add_io(pool->loop, &opener->io, opener->fd, EPOLLIN, on_io, opener);
	if (r >= 0)
		r = sd_event_add_time_relative(pool->loop, &opener->patience, CLOCK_MONOTONIC,
					       OPENER_PATIENCE_US, 0, on_patience, opener);
	if (r < 0)
		return r;

	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		/* One that waits for a server for ever must keep no connection alive. */
		if (dup2(child_end, 3) < 0)
			_exit(1);
		(void)close_range(4, ~0U, 0);
		child_run(3, path);
	}
	/* Without it nobody could end a child that hangs; it ends by itself else. */
	opener->pidfd = pidfd_open(child, 0);
	r = sd_event_add_child(pool->loop, NULL, child, WEXITED, on_child, pool);
	if (r < 0)
		return r;
	pool->n_children++;
	*ret = TAKE_PTR(opener);
	return 0;
}

struct opener *opener_free(struct opener *opener)
{
	if (!opener)
		return NULL;
	if (opener->pidfd >= 0)
		(void)pidfd_send_signal(opener->pidfd, SIGKILL, NULL, 0);
	sd_event_source_disable_unref(opener->io);
	sd_event_source_disable_unref(opener->patience);
	closep(&opener->fd);
	closep(&opener->pidfd);
	free(opener);
	return NULL;
}
