/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/protocol.h"
#include "daemon/worker/worker.h"
#include "daemon/worker/zygote.h"

/* The one descriptor besides 0, 1 and 2 that a zygote and a worker begin with. */
#define SOCKET_FD 3

struct zygote {
	pid_t pid;
	int signals;
	pid_t workers[ZYGOTE_WORKERS_MAX];
	size_t n_workers;
};

/*
 * Leaves SOCKET_FD and 0-2 and nothing else. 0-2 stay open, as /dev/null:
 * a diagnostic of a library must not land in a file that got number 2.
 */
static int descriptors_reduce(int fd)
{
	if (fd != SOCKET_FD && dup3(fd, SOCKET_FD, O_CLOEXEC) < 0)
		return -errno;
	if (close_range(SOCKET_FD + 1, ~0U, 0) < 0)
		return -errno;
	return 0;
}

/*
 * What a terminal or a service manager sends to the whole group is for the
 * daemon, which then ends us by closing the socket: a worker that died first
 * could not store what the daemon still has to say.
 */
static void signals_ignore(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_IGN);
}

/*
 * Text that was used once stays in memory, so that a dying disk cannot take
 * it away. Not what comes later: without CAP_IPC_LOCK that would make
 * malloc() fail at the limit.
 */
static void memory_lock(void)
{
	(void)mlockall(MCL_CURRENT | MCL_ONFAULT);
}

static _Noreturn void worker_begin(const struct zygote *zygote, int fd)
{
	sigset_t none;

	prctl(PR_SET_NAME, "fsevents-worker");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* It may have died before that took effect. */
	if (getppid() != zygote->pid)
		_exit(EXIT_FAILURE);

	if (descriptors_reduce(fd) < 0)
		_exit(EXIT_FAILURE);

	signals_ignore();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	memory_lock();

	worker_run(SOCKET_FD);
}

/* Return: 0 with two descriptors and a pid, or a negative errno. */
static int zygote_fork(struct zygote *zygote, int ret_fds[static 2], pid_t *ret_pid)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	int pair[2], pidfd;
	pid_t pid;

	if (zygote->n_workers == ZYGOTE_WORKERS_MAX)
		return -EAGAIN;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		worker_begin(zygote, theirs);

	zygote->workers[zygote->n_workers++] = pid;

	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		int error = -errno;

		kill(pid, SIGKILL);
		return error;
	}

	ret_fds[0] = TAKE_FD(ours);
	ret_fds[1] = pidfd;
	*ret_pid = pid;
	return 0;
}

static int zygote_send(const struct spawn_reply *reply, const int *fds)
{
	union {
		struct cmsghdr align;
		char buffer[CMSG_SPACE(2 * sizeof(int))];
	} control = {};
	struct iovec iov = { .iov_base = (void *)reply, .iov_len = sizeof(*reply) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fds) {
		struct cmsghdr *cmsg;

		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&message);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(2 * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, 2 * sizeof(int));
	}

	return sendmsg(SOCKET_FD, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int zygote_spawn(struct zygote *zygote, const struct spawn_request *request)
{
	struct spawn_reply reply = { .kind = SPAWN_WORKER, .cookie = request->cookie };
	int fds[2] = { -1, -1 };
	pid_t pid = 0;
	int r;

	reply.error = zygote_fork(zygote, fds, &pid);
	reply.pid = pid;
	r = zygote_send(&reply, reply.error == 0 ? fds : NULL);

	closep(&fds[0]);
	closep(&fds[1]);
	return r;
}

static void zygote_reap(struct zygote *zygote)
{
	struct signalfd_siginfo ignored;
	pid_t pid;

	(void)!read(zygote->signals, &ignored, sizeof(ignored));

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (size_t i = 0; i < zygote->n_workers; i++)
			if (zygote->workers[i] == pid) {
				zygote->workers[i] = zygote->workers[--zygote->n_workers];
				break;
			}
}

/* Return: 1 to go on, 0 when the daemon is gone, or a negative errno. */
static int zygote_serve(struct zygote *zygote)
{
	struct pollfd fds[] = {
		{ .fd = SOCKET_FD, .events = POLLIN },
		{ .fd = zygote->signals, .events = POLLIN },
	};
	struct spawn_request request;
	ssize_t n;
	int r;

	if (poll(fds, 2, -1) < 0)
		return errno == EINTR ? 1 : -errno;

	if (fds[1].revents)
		zygote_reap(zygote);
	if (!fds[0].revents)
		return 1;

	n = recv(SOCKET_FD, &request, sizeof(request), 0);
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	if (n == 0)
		return 0;
	if (n != sizeof(request) || request.kind != SPAWN_WORKER)
		return -EBADMSG;

	r = zygote_spawn(zygote, &request);
	return r < 0 ? r : 1;
}

static int zygote_init(struct zygote *zygote, int fd, int null_fd)
{
	struct spawn_reply hello = { .kind = SPAWN_HELLO };
	sigset_t set;

	zygote->pid = getpid();
	hello.pid = zygote->pid;
	prctl(PR_SET_NAME, "fsevents-zygote");

	for (int i = 0; i < 3; i++)
		if (dup2(null_fd, i) < 0)
			return -errno;
	if (descriptors_reduce(fd) < 0)
		return -errno;
	/* The directory that the daemon was started in could not be unmounted. */
	if (chdir("/") < 0)
		return -errno;

	signals_ignore();
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return -errno;
	zygote->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (zygote->signals < 0)
		return -errno;

	memory_lock();
	return zygote_send(&hello, NULL);
}

static _Noreturn void zygote_run(int fd, int null_fd)
{
	/* Static: no heap in a process whose memory every worker shares. */
	static struct zygote zygote;
	int r;

	zygote = (struct zygote){ .signals = -1 };
	r = zygote_init(&zygote, fd, null_fd);
	if (r >= 0)
		do
			r = zygote_serve(&zygote);
		while (r > 0);

	/* None is reaped before it left the list, so each pid is still ours. */
	for (size_t i = 0; i < zygote.n_workers; i++)
		kill(zygote.workers[i], SIGKILL);

	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Keeps a socket from getting a number that becomes /dev/null. */
static int fd_above_standard(int *fd)
{
	int moved;

	if (*fd > SOCKET_FD)
		return 0;

	moved = fcntl(*fd, F_DUPFD_CLOEXEC, SOCKET_FD + 1);
	if (moved < 0)
		return -errno;

	close(*fd);
	*fd = moved;
	return 0;
}

int zygote_start(int *ret_fd)
{
	_cleanup_close_ int ours = -1, theirs = -1, null_fd = -1;
	int pair[2], r;
	pid_t pid;

	assert(ret_fd);

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];

	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		return -errno;

	r = fd_above_standard(&theirs);
	if (r < 0)
		return r;
	r = fd_above_standard(&null_fd);
	if (r < 0)
		return r;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		zygote_run(theirs, null_fd);

	*ret_fd = TAKE_FD(ours);
	return 0;
}
