/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/ctl/standard.h"
#include "daemon/ctl/track.h"

#define STATUS_OWN_FAILURE 125
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127
#define STATUS_SIGNAL 128 /* and its number, as shells do */

/* Never returns. Between fork() and here nothing was changed but this. */
static void child_run(int go_fd, int error_fd, char **args, const sigset_t *mask)
{
	char byte;
	int error;

	standard_restore();
	if (read(go_fd, &byte, 1) != 1)
		_exit(STATUS_OWN_FAILURE);
	(void)sigprocmask(SIG_SETMASK, mask, NULL);

	execvp(args[0], args);
	error = errno;
	(void)!write(error_fd, &error, sizeof(error));
	_exit(error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

int track_child_start(struct track_child *child, char **args, const sigset_t *mask)
{
	int go[2], error[2];
	int r;

	*child = (struct track_child){ .pidfd = -1, .go_fd = -1, .error_fd = -1 };
	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	child->go_fd = go[1];
	if (pipe2(error, O_CLOEXEC) < 0) {
		r = -errno;
		close(go[0]);
		return r;
	}
	child->error_fd = error[0];

	child->pid = fork();
	if (child->pid == 0) {
		/* Else it would wait for itself. */
		close(go[1]);
		child_run(go[0], error[1], args, mask);
	}
	r = -errno;
	close(go[0]);
	close(error[1]);
	if (child->pid < 0) {
		child->pid = 0;
		return r;
	}

	child->pidfd = pidfd_open(child->pid, 0);
	return child->pidfd < 0 ? -errno : 0;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int track_child_go(struct track_child *child)
{
	ssize_t n;
	int error;

	if (write(child->go_fd, "", 1) != 1)
		return -errno;
	close_one(&child->go_fd);

	/* Closed by a successful execve(). */
	do
		n = read(child->error_fd, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	close_one(&child->error_fd);
	return n == sizeof(error) ? error : 0;
}

void track_child_reap(struct track_child *child)
{
	siginfo_t info = {};

	while (waitid(P_PID, (id_t)child->pid, &info, WEXITED) < 0)
		if (errno != EINTR)
			break;
	child->status =
		info.si_code == CLD_EXITED ? info.si_status : STATUS_SIGNAL + info.si_status;
	child->pid = 0;
	close_one(&child->pidfd);
}

void track_child_deinit(struct track_child *child)
{
	bool waits = child->go_fd >= 0;

	close_one(&child->go_fd);
	close_one(&child->error_fd);
	if (child->pid > 0 && waits)
		track_child_reap(child);
	close_one(&child->pidfd);
}
