/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/standard.h"
#include "daemon/ctl/track-signal.h"
#include "daemon/ctl/track.h"

#define EXIT_OWN_FAILURE 125
#define BUFSIZ_STDERR 65536

struct tracker {
	struct ctl *ctl;
	struct track_child child;
	bool has_command;
	bool interrupted; /* the user wants no more */
	bool deaf; /* nobody reads our output any more */
	int signal_fd;
	sigset_t mask; /* of signals, as we were started with */
	struct tree *tree; /* owned */
	FILE *file;
	uint64_t start_us; /* monotonic */
	struct track_feed feed;
};

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Those that a user or a service manager sends; the child gets them, or we stop to follow. */
static int open_signals(int *ret, sigset_t *ret_mask)
{
	static const int numbers[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&set, numbers[i]);
	if (sigprocmask(SIG_BLOCK, &set, ret_mask) < 0)
		return -errno;
	*ret = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret < 0 ? -errno : 0;
}

static void on_signal(struct tracker *tracker)
{
	struct signalfd_siginfo info;

	if (read(tracker->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (tracker->child.pid == 0)
		tracker->interrupted = true;
	/* What the terminal sends, it sends to the command as well. */
	else if (info.ssi_code != SI_KERNEL)
		(void)pidfd_send_signal(tracker->child.pidfd, (int)info.ssi_signo, NULL, 0);
}

static int parse_pid(const char *text, uint32_t *ret)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || value == 0 || value > INT32_MAX) {
		standard_error("\"%s\" is not a process id", text);
		return CTL_USAGE;
	}
	*ret = (uint32_t)value;
	return CTL_DONE;
}

/* Return: enum ctl_exit. */
static int tracker_follow(struct tracker *tracker, const char *pid_text)
{
	struct ctl *ctl = tracker->ctl;
	uint32_t pid = (uint32_t)tracker->child.pid;
	int r;

	r = pid_text ? parse_pid(pid_text, &pid) : CTL_DONE;
	if (r == CTL_DONE)
		r = client_open(&ctl->bus, ctl->address);
	if (r != CTL_DONE)
		return r;

	tracker->start_us = clock_us(CLOCK_MONOTONIC);
	if (tree_new(&tracker->tree, tracker->file, &ctl->style, clock_us(CLOCK_REALTIME)) < 0)
		return client_failed(NULL, -ENOMEM, "track");
	return track_feed_open(&tracker->feed, ctl->bus, pid, tracker->child.pidfd, tracker->tree);
}

static int tracker_flush(struct tracker *tracker)
{
	if (tracker->file != stdout)
		(void)fflush(tracker->file);
	else if (standard_flush() != 0)
		tracker->deaf = true;
	return tracker->deaf && !tracker->has_command ? 1 : 0;
}

/* Until there is nothing to wait for. */
static void tracker_run(struct tracker *tracker)
{
	sd_bus *bus = tracker->ctl->bus;

	while (!tracker->interrupted && (tracker->feed.live || tracker->child.pid > 0)) {
		struct pollfd items[] = {
			{ .fd = tracker->feed.live ? sd_bus_get_fd(bus) : -1, .events = POLLIN },
			{ .fd = tracker->signal_fd, .events = POLLIN },
			{ .fd = tracker->child.pidfd, .events = POLLIN },
			{ .fd = tracker->file == stdout ? STDOUT_FILENO : -1 },
			{ .fd = tracker->feed.live ? tracker->feed.stream : -1, .events = POLLIN },
		};

		track_feed_process(&tracker->feed);
		if (tracker_flush(tracker) != 0)
			return;
		if (!tracker->feed.live)
			items[0].fd = items[4].fd = -1;
		if (!tracker->feed.live && tracker->child.pid == 0)
			return;
		if (poll(items, 5, -1) < 0)
			continue;
		if (items[1].revents)
			on_signal(tracker);
		if (items[2].revents)
			track_child_reap(&tracker->child);
		if (items[3].revents && !tracker->has_command)
			return;
	}
}

static int tracker_begin_command(struct tracker *tracker)
{
	int r = track_child_go(&tracker->child);

	if (r > 0)
		standard_error("cannot execute %s: %s", tracker->ctl->args[0], strerror(r));
	return r < 0 ? client_failed(NULL, r, "track") : CTL_DONE;
}

static int tracker_finish(struct tracker *tracker)
{
	struct track_feed *feed = &tracker->feed;
	uint64_t real_us = clock_us(CLOCK_MONOTONIC) - tracker->start_us;

	if (feed->has_totals || (feed->live && track_feed_ask(feed)))
		tree_summary(tracker->tree, &feed->totals, real_us, feed->has_totals);
	(void)tracker_flush(tracker);
	fflush(tracker->file);

	if (tracker->has_command)
		return tracker->child.status;
	return feed->left ? CTL_NOT_RUNNING : CTL_DONE;
}

static int tracker_main(struct tracker *tracker)
{
	struct ctl *ctl = tracker->ctl;
	int r;

	r = open_signals(&tracker->signal_fd, &tracker->mask);
	if (r >= 0 && tracker->has_command)
		r = track_child_start(&tracker->child, ctl->args, &tracker->mask);
	if (r < 0)
		return client_failed(NULL, r, "track");

	r = tracker_follow(tracker, tracker->has_command ? NULL : ctl->args[0]);
	if (r == CTL_DONE && tracker->has_command)
		r = tracker_begin_command(tracker);
	if (r != CTL_DONE)
		return tracker->has_command ? EXIT_OWN_FAILURE : r;

	tracker_run(tracker);
	return tracker_finish(tracker);
}

int ctl_track(struct ctl *ctl)
{
	bool has_command = ctl->n_after_dashes > 0 && ctl->n_after_dashes == ctl->n_args;
	struct tracker tracker = {
		.ctl = ctl,
		.has_command = has_command,
		.signal_fd = -1,
		.child = { .pidfd = -1, .go_fd = -1, .error_fd = -1 },
		.feed = { .stream = -1 },
		/* The standard output of a command is its own. */
		.file = has_command ? stderr : stdout,
	};
	int r;

	if (!has_command && ctl->n_args != 1) {
		standard_error("track: give one process id, or \"--\" and a command");
		return CTL_USAGE;
	}
	if (has_command)
		ctl->style.colour = ctl->style.colour && isatty(STDERR_FILENO);
	/* Else each word of a line is written for itself, or what the command writes gets into one. */
	if (has_command)
		(void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ_STDERR);

	r = tracker_main(&tracker);
	track_feed_deinit(&tracker.feed);
	track_child_deinit(&tracker.child);
	tree_free(tracker.tree);
	if (tracker.signal_fd >= 0)
		close(tracker.signal_fd);
	return r;
}
