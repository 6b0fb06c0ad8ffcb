/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/source/process-scanner.h"
#include "daemon/source/relay-sender.h"

#define PF_KTHREAD 0x00200000U

#define TAKES_TRIES 3

struct process_target {
	uint32_t pid;
	int pidfd;
	struct procfile_stat stat; /* of process_target_new() */
};

/* Ended: a zombie as well. As long as it is not, its pid is nobody else's. */
static bool has_ended(const struct process_target *target)
{
	struct pollfd pollfd = { .fd = target->pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) != 0;
}

static int target_read(struct process_target *target)
{
	struct procfile_stat stat;
	int r;

	r = process_read_stat(target->pid, &stat);
	if (r < 0)
		return r;
	if (has_ended(target))
		return -ESRCH;

	target->stat = stat;
	return 0;
}

int process_target_new(struct process_target **ret, uint32_t pid)
{
	_cleanup_(process_target_freep) struct process_target *target = NULL;
	int r;

	assert(ret);

	if (pid == 0 || pid > INT32_MAX)
		return -EINVAL;

	target = calloc(1, sizeof(*target));
	if (!target)
		return -ENOMEM;
	target->pid = pid;
	target->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	/* Of a thread; which of the two is a matter of the kernel's version. */
	if (target->pidfd < 0 && errno == ENOENT)
		return -EINVAL;
	if (target->pidfd < 0)
		return -errno;

	r = target_read(target);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(target);
	return 0;
}

struct process_target *process_target_free(struct process_target *target)
{
	if (!target)
		return NULL;

	if (target->pidfd >= 0)
		close(target->pidfd);
	free(target);
	return NULL;
}

uint32_t process_target_pid(const struct process_target *target)
{
	assert(target);

	return target->pid;
}

uint64_t process_target_start_ticks(const struct process_target *target)
{
	assert(target);

	return target->stat.start_ticks;
}

int process_target_uids(const struct process_target *target, struct relay_uids *ret)
{
	uint32_t uids[4];
	int r;

	assert(target);
	assert(ret);

	r = process_read_uids(target->pid, uids);
	if (r < 0 || has_ended(target))
		return -ESRCH;

	*ret = (struct relay_uids){
		.real = uids[0],
		.effective = uids[1],
		.saved = uids[2],
		.filesystem = uids[3],
	};
	return 0;
}

bool process_target_takes(const struct process_target *target, int signal, bool or_waits)
{
	struct procfile_status status;
	struct procfile_stat stat;

	assert(target);
	assert(signal >= 1 && signal <= 64);

	if (process_read_stat(target->pid, &stat) < 0 || (stat.flags & PF_KTHREAD))
		return false;

	/* More than once: between the two it may have begun or ended to wait. */
	for (unsigned int i = 0; i < TAKES_TRIES; i++) {
		if (process_read_status(target->pid, &status) < 0)
			return false;
		if (((status.caught | status.blocked) >> (signal - 1) & 1) ||
		    (or_waits && process_read_waits(target->pid)))
			return !has_ended(target);
	}
	return false;
}

bool process_target_executes_same(const struct process_target *target)
{
	const struct procfile_stat *then = &target->stat;
	struct procfile_stat stat;

	assert(target);

	if (process_read_stat(target->pid, &stat) < 0 || has_ended(target))
		return false;
	if (stat.memory_bytes == 0)
		return true;

	return stat.start_code == then->start_code && stat.end_code == then->end_code &&
	       stat.start_stack == then->start_stack;
}

int process_target_send(const struct process_target *target, int signal, uint32_t parent,
			uint32_t child)
{
	siginfo_t info = {};

	assert(target);

	info.si_signo = signal;
	info.si_code = SI_QUEUE;
	info.si_pid = (pid_t)parent;
	info.si_uid = 0;
	info.si_value.sival_int = (int)child;

	if (syscall(SYS_pidfd_send_signal, target->pidfd, signal, &info, 0) == 0)
		return 0;
	return errno == EAGAIN ? RELAY_E_LOST : RELAY_E_GONE;
}
