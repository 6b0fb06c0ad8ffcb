/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core/change.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/packet.h"
#include "daemon/ctl/standard.h"
#include "daemon/ctl/watch-open.h"
#include "daemon/ctl/watch-print.h"

/*
 * The streams of all places, read as they come. When the daemon goes, it is
 * waited for, and the places are watched anew, each after a loss: nobody knows
 * what changed meanwhile.
 */

/* What people ask of a watch when they say nothing. */
#define WATCH_EVENTS_DEFAULT                                                                       \
	(FSEVENTS_MODIFY | FSEVENTS_ATTRIB | FSEVENTS_CLOSE_WRITE | FSEVENTS_CREATE |              \
	 FSEVENTS_DELETE | FSEVENTS_MOVE | FSEVENTS_DELETE_SELF | FSEVENTS_MOVE_SELF |             \
	 FSEVENTS_MOUNT | FSEVENTS_UNMOUNT)

#define WATCHES_MAX 256 /* more than one user may have streams */
#define LATENCY_MAX_MS 60000

#define WATCHER_RETRY_MS 500

/* Packets of one watch in a row; then the others have their turn. */
#define PACKETS_MAX 16

struct watcher {
	struct ctl *ctl;
	struct watch_options options;
	struct pollfd items[2 + WATCHES_MAX]; /* signals, standard output, then the streams */
	bool given_up[WATCHES_MAX]; /* nothing more of it is told, and that was said */
	size_t n_places, n_left; /* all, and those not given up */
	size_t n_live; /* streams */
};

static void print_events(void)
{
	unsigned int bit = 0;
	const char *name;

	while ((name = watch_mask_next(WATCH_MASK_ALL, &bit)))
		fprintf(stderr, "  %s\n", name);
}

static int parse_events(const char *text, uint32_t *ret)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *name;

	if (!copy)
		return client_failed(NULL, -ENOMEM, "watch");

	*ret = 0;
	while ((name = strsep(&rest, ","))) {
		uint32_t bit =
			strcmp(name, "all") == 0 ? WATCH_MASK_ALL : watch_mask_from_name(name);

		if (bit == 0) {
			standard_error("watch: there is no event \"%s\"; the events are:", name);
			print_events();
			return CTL_USAGE;
		}
		*ret |= bit;
	}
	return CTL_DONE;
}

static int parse_latency(const char *text, uint64_t *ret)
{
	unsigned long ms;
	char *end;

	errno = 0;
	ms = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || ms > LATENCY_MAX_MS) {
		standard_error("watch: --latency: \"%s\" is not a number of milliseconds, 0 to %d",
			       text, LATENCY_MAX_MS);
		return CTL_USAGE;
	}
	*ret = ms * 1000;
	return CTL_DONE;
}

static void take_record(const struct watcher *watcher, const char *root,
			const struct packet_record *record)
{
	const struct feed_style *style = &watcher->ctl->style;
	const struct fsevents_change *told = &record->change;
	struct change change;

	if (record->kind == FSEVENTS_KIND_WATCH_LOST) {
		watch_print_lost(root, record->watch_lost.count, (const char *)record->file,
				 record->watch_lost.n_under, style);
		return;
	}
	if (record->kind != FSEVENTS_KIND_WATCH)
		return;

	change = (struct change){
		.mask = told->mask,
		.pid = told->pid,
		.realtime_us = told->realtime_usec,
		.inode = told->inode,
		.cookie = told->cookie,
		.name = (const char *)record->file,
		.n_name = told->n_name,
		.former = (const char *)record->file + told->n_name,
		.n_former = told->n_former,
	};
	watch_print_change(root, told->seq, &change, style);
}

static int take_packet(const struct watcher *watcher, const char *root, const uint8_t *packet,
		       size_t n)
{
	size_t offset = 0;

	for (;;) {
		struct packet_record record;
		int r = packet_next(packet, n, &offset, &record);

		if (r <= 0)
			return r;
		take_record(watcher, root, &record);
		packet_record_deinit(&record);
	}
}

/* Return: 1, 0 at the end of the stream, or a negative errno. */
static int read_stream(const struct watcher *watcher, size_t number)
{
	static uint8_t packet[FSEVENTS_PACKET_MAX];

	for (unsigned int i = 0; i < PACKETS_MAX; i++) {
		ssize_t n =
			recv(watcher->items[2 + number].fd, packet, sizeof(packet), MSG_DONTWAIT);
		int r;

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 1 : -errno;
		if (n == 0)
			return 0;
		r = take_packet(watcher, watcher->ctl->args[number], packet, (size_t)n);
		if (r < 0)
			return r;
	}
	return 1;
}

static int *stream_of(struct watcher *watcher, size_t number)
{
	return &watcher->items[2 + number].fd;
}

static void close_stream(struct watcher *watcher, size_t number)
{
	int *fd = stream_of(watcher, number);

	if (*fd < 0)
		return;
	close(*fd);
	*fd = -1;
	watcher->n_live--;
}

static int open_place(struct watcher *watcher, size_t number)
{
	struct ctl *ctl = watcher->ctl;
	int fd, r;

	r = watch_open(&fd, ctl, &watcher->options, ctl->args[number]);
	if (r != CTL_DONE)
		return r;

	watcher->items[2 + number] = (struct pollfd){ .fd = fd, .events = POLLIN };
	watcher->n_live++;
	return CTL_DONE;
}

static void give_up(struct watcher *watcher, size_t number)
{
	close_stream(watcher, number);
	watcher->given_up[number] = true;
	watcher->n_left--;
}

static void read_streams(struct watcher *watcher)
{
	for (size_t i = 0; i < watcher->n_places; i++) {
		int r;

		if (*stream_of(watcher, i) < 0 || !watcher->items[2 + i].revents)
			continue;
		r = read_stream(watcher, i);
		if (r == 0 || client_is_gone(NULL, r)) {
			close_stream(watcher, i);
		} else if (r < 0) {
			(void)client_failed(NULL, r, "watch");
			give_up(watcher, i);
		}
	}
}

/* What the daemon may still hold for us ends with the connection. */
static void watcher_leave(struct watcher *watcher)
{
	for (size_t i = 0; i < watcher->n_places; i++)
		close_stream(watcher, i);
	watcher->ctl->bus = sd_bus_close_unref(watcher->ctl->bus);
}

/* What cannot be watched any more is told and given up. Return: CTL_DONE or CTL_NOT_RUNNING. */
static int open_places_left(struct watcher *watcher)
{
	for (size_t i = 0; i < watcher->n_places; i++) {
		int r;

		if (watcher->given_up[i])
			continue;
		r = open_place(watcher, i);
		if (r == CTL_NOT_RUNNING)
			return r;
		if (r != CTL_DONE)
			give_up(watcher, i);
	}
	return CTL_DONE;
}

static void print_losses(const struct watcher *watcher)
{
	for (size_t i = 0; i < watcher->n_places; i++)
		if (!watcher->given_up[i])
			watch_print_lost(watcher->ctl->args[i], 0, "", 0, &watcher->ctl->style);
}

/* Interrupted, or nobody reads; after @ms at most. */
static bool watcher_is_done(struct watcher *watcher, int ms)
{
	return poll(watcher->items, 2, ms) > 0;
}

/* Until the daemon is back, on a bus that may have been restarted too. */
static bool watcher_reopen(struct watcher *watcher)
{
	struct ctl *ctl = watcher->ctl;

	standard_error("the daemon left; waiting for it");
	watcher_leave(watcher);
	for (;;) {
		if (watcher_is_done(watcher, WATCHER_RETRY_MS))
			return false;

		/* One that lost its bus is of no use any more. */
		if (!ctl->bus || sd_bus_is_ready(ctl->bus) <= 0) {
			ctl->bus = sd_bus_close_unref(ctl->bus);
			if (client_connect(&ctl->bus, ctl->address) < 0)
				continue;
		}
		if (open_places_left(watcher) == CTL_DONE)
			break;
		/* It left again. */
		if (watcher->n_live > 0)
			watcher_leave(watcher);
	}

	/* Before anything that they tell. */
	print_losses(watcher);
	return true;
}

/* Until interrupted, or nobody reads, or nothing is left to tell. */
static int watcher_run(struct watcher *watcher)
{
	while (watcher->n_left > 0) {
		bool has_ended = watcher->n_live < watcher->n_left;
		int n;

		if (standard_flush() != 0)
			return CTL_DONE;
		/* What the others had sent is told first. */
		n = poll(watcher->items, 2 + watcher->n_places, has_ended ? 0 : -1);
		if (n < 0)
			continue;
		if (watcher->items[0].revents || watcher->items[1].revents)
			return CTL_DONE;
		if (n > 0)
			read_streams(watcher);
		else if (!watcher_reopen(watcher))
			return CTL_DONE;
	}
	return CTL_FAILED;
}

/* Those that end it; SIGHUP too, for the terminal is gone then. */
static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int watcher_main(struct watcher *watcher)
{
	struct ctl *ctl = watcher->ctl;
	int fd, r;

	r = client_open(&ctl->bus, ctl->address);
	if (r != CTL_DONE)
		return r;

	fd = open_signals();
	if (fd < 0)
		return client_failed(NULL, fd, "watch");
	watcher->items[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
	watcher->items[1] = (struct pollfd){ .fd = STDOUT_FILENO };

	for (size_t i = 0; i < watcher->n_places; i++) {
		r = open_place(watcher, i);
		if (r == CTL_NOT_RUNNING)
			return client_failed(NULL, -ENOTCONN, "watch");
		if (r != CTL_DONE)
			return r;
	}
	/* For who starts it and then makes changes. */
	if (!ctl->style.json)
		fprintf(stderr, "Watching %d %s; interrupt to end.\n", ctl->n_args,
			ctl->n_args == 1 ? "place" : "places");
	return watcher_run(watcher);
}

int ctl_watch(struct ctl *ctl)
{
	struct watcher watcher = {
		.ctl = ctl,
		.options.mask = WATCH_EVENTS_DEFAULT,
	};
	int r = CTL_DONE;

	for (size_t i = 0; i < 2 + WATCHES_MAX; i++)
		watcher.items[i].fd = -1;
	if (ctl->n_args > WATCHES_MAX) {
		standard_error("watch: more than %d places at once", WATCHES_MAX);
		return CTL_USAGE;
	}
	watcher.n_places = watcher.n_left = (size_t)ctl->n_args;
	if (ctl->events)
		r = parse_events(ctl->events, &watcher.options.mask);
	if (r == CTL_DONE && ctl->latency)
		r = parse_latency(ctl->latency, &watcher.options.latency_us);
	if (r == CTL_DONE)
		r = watcher_main(&watcher);

	watcher_leave(&watcher);
	closep(&watcher.items[0].fd);
	return r;
}
