/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * hung-fuse MOUNTPOINT live|stopped|unanswered [UID] - a filesystem that hangs
 *
 * Speaks to /dev/fuse itself, so that it can misbehave exactly as wanted:
 * "stopped" reads no request after it was set up, "unanswered" reads those for
 * STATFS and never answers them, "live" answers. SIGUSR1 makes it live and answers what is
 * outstanding; it unmounts nothing. Prints "ready" once it is mounted. UID is
 * who mounted it, as in the mount option user_id. It ends with its parent.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define OUTSTANDING_MAX 1024

static volatile sig_atomic_t live;
static uint64_t outstanding[OUTSTANDING_MAX];
static size_t n_outstanding;

static void on_live(int signal)
{
	live = 1;
}

static void answer(int fd, uint64_t unique, int error, const void *body, size_t n)
{
	struct fuse_out_header out = {
		.len = (uint32_t)(sizeof(out) + n),
		.error = error,
		.unique = unique,
	};
	struct iovec iov[] = { { &out, sizeof(out) }, { (void *)body, n } };

	/* One that was killed meanwhile is not waited for any more. */
	(void)!writev(fd, iov, n > 0 ? 2 : 1);
}

static void answer_statfs(int fd, uint64_t unique)
{
	struct fuse_statfs_out out = {
		.st = {
			.blocks = 1000, .bfree = 500, .bavail = 400, .files = 100,
			.ffree = 50, .bsize = 4096, .frsize = 4096, .namelen = 255,
		},
	};

	answer(fd, unique, 0, &out, sizeof(out));
}

static void answer_init(int fd, const struct fuse_in_header *in, const void *body)
{
	const struct fuse_init_in *init = body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION < init->minor ? FUSE_KERNEL_MINOR_VERSION
								 : init->minor,
		.max_readahead = init->max_readahead,
		.max_write = 4096,
	};

	answer(fd, in->unique, 0, &out, sizeof(out));
	puts("ready");
	fflush(stdout);
}

static void serve(int fd, const struct fuse_in_header *in, const void *body)
{
	struct fuse_attr_out attr = { .attr = { .ino = 1, .mode = S_IFDIR | 0755, .nlink = 2 } };

	switch (in->opcode) {
	case FUSE_INIT:
		answer_init(fd, in, body);
		break;
	case FUSE_STATFS:
		if (live)
			answer_statfs(fd, in->unique);
		else if (n_outstanding < OUTSTANDING_MAX)
			outstanding[n_outstanding++] = in->unique;
		break;
	case FUSE_GETATTR:
		answer(fd, in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_LOOKUP:
		answer(fd, in->unique, -ENOENT, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(fd, in->unique, -ENOSYS, NULL, 0);
	}
}

/* Return: false when the filesystem is gone. */
static bool step(int fd)
{
	static _Alignas(struct fuse_in_header) char buffer[FUSE_MIN_READ_BUFFER + 8192];
	ssize_t n;

	while (live && n_outstanding > 0)
		answer_statfs(fd, outstanding[--n_outstanding]);

	n = read(fd, buffer, sizeof(buffer));
	if (n < 0)
		return errno == EINTR || errno == ENOENT || errno == EAGAIN;
	if ((size_t)n < sizeof(struct fuse_in_header))
		return false;

	serve(fd, (struct fuse_in_header *)buffer, buffer + sizeof(struct fuse_in_header));
	return true;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_live };
	char options[128];
	sigset_t none, waited;
	bool stopped;
	int fd;

	if (argc < 3) {
		fputs("Usage: hung-fuse MOUNTPOINT live|stopped|unanswered [UID]\n", stderr);
		return 2;
	}

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	live = strcmp(argv[2], "live") == 0;
	stopped = strcmp(argv[2], "stopped") == 0;

	/* Blocked while it reads nothing, so that none is lost before sigsuspend(). */
	sigemptyset(&waited);
	sigaddset(&waited, SIGUSR1);
	sigprocmask(stopped ? SIG_BLOCK : SIG_UNBLOCK, &waited, NULL);
	sigaction(SIGUSR1, &action, NULL);

	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror("/dev/fuse");
		return 1;
	}

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%s,group_id=0,allow_other",
		 fd, argc > 3 ? argv[3] : "0");
	if (mount("hung-fuse", argv[1], "fuse.hung", MS_NOSUID | MS_NODEV, options) < 0) {
		perror(argv[1]);
		return 1;
	}

	if (stopped) {
		if (!step(fd)) /* FUSE_INIT */
			return 1;
		sigemptyset(&none);
		while (!live)
			sigsuspend(&none);
		sigprocmask(SIG_UNBLOCK, &waited, NULL);
	}

	while (step(fd))
		;
	return 0;
}
