/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/worker/protocol.h"
#include "daemon/worker/remote.h"
#include "daemon/worker/spawner.h"

#define SPAWNER_RESTART_US 1000000ULL

struct spawn {
	TAILQ_ENTRY(spawn) link;
	uint32_t cookie;
	spawned_fn fn; /* NULL: cancelled */
	void *userdata;
};

TAILQ_HEAD(spawns, spawn);

struct spawner {
	sd_event *loop;
	sd_event_source *io; /* owns the socket */
	sd_event_source *death; /* owns the pidfd of the last zygote */
	sd_event_source *restart; /* enabled while there is no zygote */
	struct spawns waiting; /* not sent yet */
	struct spawns sent; /* answered in this order */
	pid_t zygote;
	uint32_t cookie;
};

static int spawner_attach(struct spawner *spawner, int fd);

static void spawner_drop_zygote(struct spawner *spawner)
{
	spawner->io = sd_event_source_disable_unref(spawner->io);
	spawner->zygote = 0;
}

static void spawner_finish(struct spawn *spawn, int error, const struct spawned *spawned)
{
	if (spawn->fn)
		spawn->fn(error, spawned, spawn->userdata);
	else if (spawned) {
		/* The end of its socket would do too, but later. */
		(void)pidfd_send_signal(spawned->pidfd, SIGKILL, NULL, 0);
		close(spawned->fd);
		close(spawned->pidfd);
	}
	free(spawn);
}

/* What was sent is lost with the zygote; what was not waits for the next one. */
static void spawner_lost(struct spawner *spawner)
{
	struct spawns lost = TAILQ_HEAD_INITIALIZER(lost);
	struct spawn *spawn;

	spawner_drop_zygote(spawner);
	(void)sd_event_source_set_time_relative(spawner->restart, SPAWNER_RESTART_US);
	(void)sd_event_source_set_enabled(spawner->restart, SD_EVENT_ONESHOT);

	TAILQ_CONCAT(&lost, &spawner->sent, link);
	while ((spawn = TAILQ_FIRST(&lost))) {
		TAILQ_REMOVE(&lost, spawn, link);
		spawner_finish(spawn, -ECHILD, NULL);
	}
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct spawner *spawner = userdata;
	int fd, r;

	r = zygote_start(&fd);
	if (r >= 0) {
		r = spawner_attach(spawner, fd);
		if (r < 0)
			close(fd);
	}
	if (r < 0) {
		(void)sd_event_source_set_time_relative(source, SPAWNER_RESTART_US);
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	return 0;
}

/* Return: 0, or a negative errno when the zygote cannot be reached any more. */
static int spawner_send(struct spawner *spawner)
{
	int fd = sd_event_source_get_io_fd(spawner->io);
	struct spawn *spawn;

	while ((spawn = TAILQ_FIRST(&spawner->waiting))) {
		struct spawn_request request = { .kind = SPAWN_WORKER, .cookie = spawn->cookie };

		if (send(fd, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN || errno == ENOBUFS)
				break;
			return -errno;
		}
		TAILQ_REMOVE(&spawner->waiting, spawn, link);
		TAILQ_INSERT_TAIL(&spawner->sent, spawn, link);
	}

	(void)sd_event_source_set_io_events(
		spawner->io, TAILQ_EMPTY(&spawner->waiting) ? EPOLLIN : EPOLLIN | EPOLLOUT);
	return 0;
}

static int on_zygote_death(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct spawner *spawner = userdata;
	siginfo_t info;

	(void)waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG);
	spawner->death = sd_event_source_disable_unref(spawner->death);
	return 0;
}

static void spawner_hello(struct spawner *spawner, const struct spawn_reply *reply)
{
	int pidfd = pidfd_open(reply->pid, 0);

	spawner->zygote = reply->pid;
	if (pidfd < 0)
		return;

	/* Only so that it does not stay a zombie; without, it does. */
	spawner->death = sd_event_source_disable_unref(spawner->death);
	if (sd_event_add_io(spawner->loop, &spawner->death, pidfd, EPOLLIN, on_zygote_death,
			    spawner) < 0) {
		close(pidfd);
		return;
	}
	(void)sd_event_source_set_io_fd_own(spawner->death, true);
	(void)sd_event_source_set_priority(spawner->death, REMOTE_PRIORITY);
	(void)sd_event_source_set_description(spawner->death, "zygote-death");
}

/* Takes the descriptors; -1 where there are none. */
static int spawner_take(struct spawner *spawner, const struct spawn_reply *reply, int fds[static 2])
{
	struct spawned spawned = { .pid = reply->pid, .fd = fds[0], .pidfd = fds[1] };
	struct spawn *spawn = TAILQ_FIRST(&spawner->sent);
	bool complete = fds[0] >= 0 && fds[1] >= 0;

	if (reply->kind == SPAWN_HELLO) {
		spawner_hello(spawner, reply);
		return 0;
	}
	if (reply->kind != SPAWN_WORKER || !spawn || spawn->cookie != reply->cookie)
		return -EBADMSG;

	TAILQ_REMOVE(&spawner->sent, spawn, link);
	if (complete) {
		fds[0] = fds[1] = -1;
		spawner_finish(spawn, 0, &spawned);
	} else {
		/* At the descriptor limit they were dropped on the way. */
		spawner_finish(spawn, reply->error < 0 ? reply->error : -EMFILE, NULL);
	}
	return 0;
}

static void fds_of_message(struct msghdr *message, int ret[static 2])
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(message);
	size_t n;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return;

	n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(ret, CMSG_DATA(cmsg), (n < 2 ? n : 2) * sizeof(int));
}

/* Return: 1 when one was taken, 0 for nothing there, or a negative errno. */
static int spawner_receive(struct spawner *spawner, int fd)
{
	union {
		struct cmsghdr align;
		char buffer[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct spawn_reply reply;
	struct iovec iov = { .iov_base = &reply, .iov_len = sizeof(reply) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fds[2] = { -1, -1 };
	ssize_t n;
	int r;

	n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;

	fds_of_message(&message, fds);
	r = n == sizeof(reply) ? spawner_take(spawner, &reply, fds) : -ECONNRESET;
	closep(&fds[0]);
	closep(&fds[1]);
	return r < 0 ? r : 1;
}

static int on_zygote(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct spawner *spawner = userdata;
	int r = 0;

	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
		r = spawner_receive(spawner, fd);
	if (r >= 0)
		r = spawner_send(spawner);
	if (r < 0)
		spawner_lost(spawner);
	return 0;
}

static int spawner_attach(struct spawner *spawner, int fd)
{
	sd_event_source *io = NULL;
	int r;

	r = sd_event_add_io(spawner->loop, &io, fd,
			    TAILQ_EMPTY(&spawner->waiting) ? EPOLLIN : EPOLLIN | EPOLLOUT,
			    on_zygote, spawner);
	if (r < 0)
		return r;

	(void)sd_event_source_set_description(io, "zygote");
	r = sd_event_source_set_priority(io, REMOTE_PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(io, true);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(io, true);
	if (r < 0) {
		sd_event_source_disable_unref(io);
		return r;
	}

	spawner->io = io;
	return 0;
}

int spawner_new(struct spawner **ret, sd_event *loop, int zygote_fd)
{
	_cleanup_(spawner_freep) struct spawner *spawner = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(zygote_fd >= 0);

	spawner = calloc(1, sizeof(*spawner));
	if (!spawner)
		return -ENOMEM;

	TAILQ_INIT(&spawner->waiting);
	TAILQ_INIT(&spawner->sent);
	spawner->loop = sd_event_ref(loop);

	r = sd_event_add_time(loop, &spawner->restart, CLOCK_MONOTONIC, 0, 0, on_restart, spawner);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(spawner->restart, "zygote-restart");
	r = sd_event_source_set_exit_on_failure(spawner->restart, true);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(spawner->restart, SD_EVENT_OFF);
	if (r < 0)
		return r;

	/* Last, so that a failure above leaves the socket with the caller. */
	r = spawner_attach(spawner, zygote_fd);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(spawner);
	return 0;
}

struct spawner *spawner_free(struct spawner *spawner)
{
	struct spawn *spawn;

	if (!spawner)
		return NULL;

	TAILQ_CONCAT(&spawner->waiting, &spawner->sent, link);
	while ((spawn = TAILQ_FIRST(&spawner->waiting))) {
		TAILQ_REMOVE(&spawner->waiting, spawn, link);
		free(spawn);
	}

	spawner_drop_zygote(spawner);
	sd_event_source_disable_unref(spawner->death);
	sd_event_source_disable_unref(spawner->restart);
	sd_event_unref(spawner->loop);
	free(spawner);
	return NULL;
}

int spawner_request(struct spawner *spawner, spawned_fn fn, void *userdata, struct spawn **ret)
{
	struct spawn *spawn;

	assert(spawner);
	assert(fn);
	assert(ret);

	spawn = calloc(1, sizeof(*spawn));
	if (!spawn)
		return -ENOMEM;

	spawn->cookie = ++spawner->cookie;
	spawn->fn = fn;
	spawn->userdata = userdata;
	TAILQ_INSERT_TAIL(&spawner->waiting, spawn, link);

	/* A failure is found once more, and handled, when the loop looks at the socket. */
	if (spawner->io && spawner_send(spawner) < 0)
		(void)sd_event_source_set_io_events(spawner->io, EPOLLIN | EPOLLOUT);

	*ret = spawn;
	return 0;
}

void spawn_cancel(struct spawn *spawn)
{
	if (spawn)
		spawn->fn = NULL;
}

pid_t spawner_zygote(const struct spawner *spawner)
{
	return spawner->zygote;
}
