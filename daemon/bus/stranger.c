/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/bus/fdinfo.h"
#include "daemon/bus/stranger.h"

/* Interrupts a thread in close(); its handler does nothing. */
#define WAKE_SIGNAL SIGRTMIN

#define SENDER_MAX 64

/*
 * Shared with a thread, by count: a hanging one outlives everything else.
 * The thread writes only the atomics.
 */
struct closing {
	struct closing *next; /* of the loop */
	atomic_uint refs;
	int fd; /* to be closed */
	int done_fd; /* eventfd, own copy */
	atomic_bool done;
	atomic_int thread; /* its thread id, 0 until it runs */
	atomic_ullong device; /* major << 32 | minor, 0: not known */
	atomic_uint mnt_id; /* where the device is not told, 0: not known */
	uint64_t deadline_us; /* 0: told already */
	char sender[SENDER_MAX];
};

struct strangers {
	sd_event *loop;
	sd_event_source *done;
	sd_event_source *timer;
	const struct strangers_ops *ops;
	void *userdata;
	int done_fd;
	struct closing *running;
	struct closing *waiting;
	struct closing **waiting_tail;
	size_t n_running;
	size_t n_waiting;
	uint64_t progress_us; /* when one was closed, or there was room */
};

static void closing_unref(struct closing *closing)
{
	if (atomic_fetch_sub(&closing->refs, 1) != 1)
		return;
	if (closing->done_fd >= 0)
		close(closing->done_fd);
	free(closing);
}

static void on_wake(int number)
{
}

static void *closing_main(void *argument)
{
	struct closing *closing = argument;
	const uint64_t one = 1;
	uint32_t mnt_id;
	struct statx sx;

	atomic_store(&closing->thread, (int)syscall(SYS_gettid));

	/*
	 * DONT_SYNC makes FUSE and network filesystems answer from memory, and
	 * who asks for nothing is told the device also of a FUSE filesystem
	 * that is another user's alone. Both are asked here and not on the
	 * loop: not all filesystems have to answer from memory, and fdinfo
	 * waits for locks of the file (of an epoll descriptor, for one)
	 * that its owner can hold as long as it likes.
	 */
	if (statx(closing->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &sx) == 0)
		atomic_store(&closing->device, (uint64_t)sx.stx_dev_major << 32 | sx.stx_dev_minor);
	else if (fdinfo_mount_id(&mnt_id, closing->fd) == 0)
		atomic_store(&closing->mnt_id, mnt_id);

	close(closing->fd);
	atomic_store(&closing->done, true);
	(void)!write(closing->done_fd, &one, sizeof(one));
	closing_unref(closing);
	return NULL;
}

static int closing_start(struct closing *closing)
{
	pthread_attr_t attributes;
	sigset_t blocked, before;
	pthread_t thread;
	int r;

	/* The loop's signals must go on reaching the loop. */
	sigfillset(&blocked);
	sigdelset(&blocked, WAKE_SIGNAL);

	r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, 4 * (size_t)PTHREAD_STACK_MIN);

	atomic_fetch_add(&closing->refs, 1);
	(void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
	r = pthread_create(&thread, &attributes, closing_main, closing);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	if (r != 0) {
		atomic_fetch_sub(&closing->refs, 1);
		return -r;
	}
	return 0;
}

/* A mount of fusectl that nobody else sees: where it is usually mounted it need not be. */
static int fuse_control(void)
{
	_cleanup_close_ int context = -1;

	context = fsopen("fusectl", FSOPEN_CLOEXEC);
	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	return fsmount(context, FSMOUNT_CLOEXEC, 0);
}

/*
 * Its owner alone may write to it. Root could override that, with a capability that lets
 * it write to all files of everybody: it takes the owner's place for a moment instead.
 */
static int open_as_owner(int control, const char *path)
{
	struct stat st;
	int fd;

	if (fstatat(control, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	(void)setfsuid(st.st_uid);
	fd = openat(control, path, O_WRONLY | O_CLOEXEC);
	(void)setfsuid(geteuid());
	/* Whoever changed an id leaves no core any more. */
	(void)prctl(PR_SET_DUMPABLE, 1);
	return fd;
}

/* The name of a FUSE connection is its whole device number in the kernel's own form. */
static bool fuse_abort(uint32_t major, uint32_t minor)
{
	_cleanup_close_ int control = -1;
	_cleanup_close_ int fd = -1;
	char path[32];

	control = fuse_control();
	if (control < 0)
		return false;
	snprintf(path, sizeof(path), "%u/abort", major << 20 | minor);
	fd = open_as_owner(control, path);
	return fd >= 0 && write(fd, "1", 1) == 1;
}

static void closing_free_from_wait(struct strangers *strangers, struct closing *closing)
{
	uint64_t device = atomic_load(&closing->device);
	struct stranger_report report = {
		.sender = closing->sender[0] ? closing->sender : NULL,
		.major = (uint32_t)(device >> 32),
		.minor = (uint32_t)device,
	};
	uint32_t mnt_id = atomic_load(&closing->mnt_id);
	int thread = atomic_load(&closing->thread);

	if (!device && mnt_id)
		(void)strangers->ops->find_device(mnt_id, &report.major, &report.minor,
						  strangers->userdata);

	if (report.major || report.minor)
		report.aborted = fuse_abort(report.major, report.minor);
	if (thread)
		(void)syscall(SYS_tgkill, getpid(), thread, WAKE_SIGNAL);

	strangers->ops->stuck(&report, strangers->userdata);
}

static uint64_t strangers_now(const struct strangers *strangers)
{
	uint64_t now;

	(void)sd_event_now(strangers->loop, CLOCK_MONOTONIC, &now);
	return now;
}

static int strangers_arm(struct strangers *strangers)
{
	uint64_t first = UINT64_MAX;

	for (struct closing *c = strangers->running; c; c = c->next)
		if (c->deadline_us && c->deadline_us < first)
			first = c->deadline_us;

	/* None could be started: try again after a while. */
	if (strangers->waiting && strangers->n_running == 0) {
		(void)sd_event_now(strangers->loop, CLOCK_MONOTONIC, &first);
		first += STRANGER_DEADLINE_US;
	}

	if (strangers_full(strangers) && !strangers_lost(strangers) &&
	    strangers->progress_us + STRANGER_LOST_US < first)
		first = strangers->progress_us + STRANGER_LOST_US;

	if (first == UINT64_MAX)
		return sd_event_source_set_enabled(strangers->timer, SD_EVENT_OFF);
	(void)sd_event_source_set_time(strangers->timer, first);
	return sd_event_source_set_enabled(strangers->timer, SD_EVENT_ONESHOT);
}

static void strangers_start_waiting(struct strangers *strangers)
{
	while (strangers->waiting && strangers->n_running < STRANGER_THREADS) {
		struct closing *closing = strangers->waiting;
		uint64_t now;

		/* Without a thread it waits for the next occasion. */
		if (closing_start(closing) < 0)
			break;

		strangers->waiting = closing->next;
		if (!strangers->waiting)
			strangers->waiting_tail = &strangers->waiting;
		strangers->n_waiting--;

		(void)sd_event_now(strangers->loop, CLOCK_MONOTONIC, &now);
		closing->deadline_us = now + STRANGER_DEADLINE_US;
		closing->next = strangers->running;
		strangers->running = closing;
		strangers->n_running++;
	}
	(void)strangers_arm(strangers);
}

static void strangers_reap(struct strangers *strangers)
{
	struct closing **at = &strangers->running;

	while (*at) {
		struct closing *closing = *at;

		if (!atomic_load(&closing->done)) {
			at = &closing->next;
			continue;
		}
		*at = closing->next;
		strangers->n_running--;
		strangers->progress_us = strangers_now(strangers);
		closing_unref(closing);
	}
}

static int on_done(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct strangers *strangers = userdata;
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
	strangers_reap(strangers);
	strangers_start_waiting(strangers);
	strangers->ops->changed(strangers->userdata);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct strangers *strangers = userdata;
	uint64_t now;

	/* Also those that could not say that they are done. */
	strangers_reap(strangers);

	(void)sd_event_now(strangers->loop, CLOCK_MONOTONIC, &now);
	for (struct closing *c = strangers->running; c; c = c->next) {
		if (!c->deadline_us || c->deadline_us > now)
			continue;
		c->deadline_us = 0;
		closing_free_from_wait(strangers, c);
	}

	strangers_start_waiting(strangers);
	strangers->ops->changed(strangers->userdata);
	return 0;
}

static int strangers_add_sources(struct strangers *strangers)
{
	int r;

	strangers->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (strangers->done_fd < 0)
		return -errno;

	r = sd_event_add_io(strangers->loop, &strangers->done, strangers->done_fd, EPOLLIN, on_done,
			    strangers);
	if (r < 0)
		return r;
	r = sd_event_add_time(strangers->loop, &strangers->timer, CLOCK_MONOTONIC, 0, 50 * 1000,
			      on_deadline, strangers);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(strangers->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;

	(void)sd_event_source_set_description(strangers->done, "bus-descriptors");
	(void)sd_event_source_set_description(strangers->timer, "bus-descriptors-deadline");
	(void)sd_event_source_set_exit_on_failure(strangers->done, true);
	(void)sd_event_source_set_exit_on_failure(strangers->timer, true);
	return 0;
}

int strangers_new(struct strangers **ret, sd_event *loop, const struct strangers_ops *ops,
		  void *userdata)
{
	_cleanup_(strangers_freep) struct strangers *strangers = NULL;
	const struct sigaction action = { .sa_handler = on_wake };
	int r;

	assert(ret);
	assert(loop);
	assert(ops && ops->find_device && ops->stuck && ops->changed);

	strangers = calloc(1, sizeof(*strangers));
	if (!strangers)
		return -ENOMEM;

	strangers->done_fd = -1;
	strangers->loop = sd_event_ref(loop);
	strangers->ops = ops;
	strangers->userdata = userdata;
	strangers->waiting_tail = &strangers->waiting;

	/* No SA_RESTART: the wait shall end. */
	if (sigaction(WAKE_SIGNAL, &action, NULL) < 0)
		return -errno;

	r = strangers_add_sources(strangers);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(strangers);
	return 0;
}

struct strangers *strangers_free(struct strangers *strangers)
{
	if (!strangers)
		return NULL;

	while (strangers->running) {
		struct closing *closing = strangers->running;

		strangers->running = closing->next;
		closing_unref(closing);
	}
	/* What nobody began to close is left to the end of the process. */
	while (strangers->waiting) {
		struct closing *closing = strangers->waiting;

		strangers->waiting = closing->next;
		closing_unref(closing);
	}

	sd_event_source_disable_unref(strangers->done);
	sd_event_source_disable_unref(strangers->timer);
	sd_event_unref(strangers->loop);
	if (strangers->done_fd >= 0)
		close(strangers->done_fd);
	free(strangers);
	return NULL;
}

void strangers_close(struct strangers *strangers, int fd, const char *sender)
{
	struct closing *closing;

	assert(strangers);
	assert(fd >= 0);

	/* Out of memory, the descriptor stays open: waiting here would be worse. */
	closing = calloc(1, sizeof(*closing));
	if (!closing)
		return;

	atomic_init(&closing->refs, 1);
	closing->fd = fd;
	/* A copy: the thread may outlive the loop's descriptor. */
	closing->done_fd = fcntl(strangers->done_fd, F_DUPFD_CLOEXEC, 3);
	if (sender)
		snprintf(closing->sender, sizeof(closing->sender), "%s", sender);

	if (!strangers_full(strangers))
		strangers->progress_us = strangers_now(strangers);
	*strangers->waiting_tail = closing;
	strangers->waiting_tail = &closing->next;
	strangers->n_waiting++;
	strangers_start_waiting(strangers);
}

bool strangers_full(const struct strangers *strangers)
{
	return strangers->n_waiting >= STRANGER_WAITING;
}

bool strangers_lost(const struct strangers *strangers)
{
	return strangers_full(strangers) &&
	       strangers_now(strangers) >= strangers->progress_us + STRANGER_LOST_US;
}
