/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core/change.h"
#include "daemon/core/escape.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/packet.h"
#include "daemon/ctl/standard.h"
#include "daemon/ctl/watch-print.h"

/* What people ask of a watch when they say nothing. */
#define WATCH_EVENTS_DEFAULT                                                                       \
	(FSEVENTS_MODIFY | FSEVENTS_ATTRIB | FSEVENTS_CLOSE_WRITE | FSEVENTS_CREATE |              \
	 FSEVENTS_DELETE | FSEVENTS_MOVE | FSEVENTS_DELETE_SELF | FSEVENTS_MOVE_SELF |             \
	 FSEVENTS_MOUNT | FSEVENTS_UNMOUNT)

#define WATCHES_MAX 256 /* more than one user may have streams */
#define LATENCY_MAX_MS 60000

/* Packets of one watch in a row; then the others have their turn. */
#define PACKETS_MAX 16

struct watcher {
	struct ctl *ctl;
	uint32_t mask;
	uint64_t latency_us;
	struct pollfd items[2 + WATCHES_MAX]; /* signals, standard output, then the streams */
	size_t n_streams, n_live;
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

static int append_flag(sd_bus_message *m, const char *name, bool value)
{
	return value ? sd_bus_message_append(m, "{sv}", name, "b", 1) : 0;
}

/* The call of Watch for an object that is held by @fd. */
static int make_call(sd_bus_message **ret, const struct watcher *watcher, int fd)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const struct ctl *ctl = watcher->ctl;
	unsigned int bit = 0;
	const char *name;
	int r;

	r = sd_bus_message_new_method_call(ctl->bus, &m, BUS_NAME, BUS_PATH_ROOT, BUS_IFACE_MANAGER,
					   "Watch");
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0)
		r = sd_bus_message_append(m, "h", fd);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "s");
	while (r >= 0 && (name = watch_mask_next(watcher->mask, &bit)))
		r = sd_bus_message_append(m, "s", name);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "{sv}");
	if (r >= 0)
		r = append_flag(m, "hold", true);
	if (r >= 0)
		r = append_flag(m, "recursive", ctl->recursive);
	if (r >= 0)
		r = append_flag(m, "cross-mounts", ctl->cross_mounts);
	if (r >= 0 && ctl->latency)
		r = sd_bus_message_append(m, "{sv}", "latency-usec", "t", watcher->latency_us);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(m);
	return 0;
}

static int open_stream(sd_bus *bus, const char *path, sd_bus_error *error, int *ret)
{
	const struct client_method open = { path, BUS_IFACE_WATCH, "OpenStream" };
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int fd, r;

	r = client_call(bus, &open, error, &reply, "a{sv}", 0);
	if (r >= 0)
		r = sd_bus_message_read(reply, "h", &fd);
	if (r < 0)
		return r;

	/* The message closes its own. */
	*ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret < 0 ? -errno : 0;
}

/* Return: enum ctl_exit. */
static int watch_path(struct watcher *watcher, const char *where)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	sd_bus *bus = watcher->ctl->bus;
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *shown = escape_new(where, strlen(where), 0);
	const char *path;
	int stream, r;

	/* It names the object without a race, and proves nothing: the daemon asks for itself. */
	fd = open(where, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return client_failed(NULL, -errno, shown ?: "watch");

	r = make_call(&m, watcher, fd);
	if (r >= 0)
		r = sd_bus_call(bus, m, 0, &error, &reply);
	if (r >= 0)
		r = sd_bus_message_read(reply, "o", &path);
	if (r >= 0)
		r = open_stream(bus, path, &error, &stream);
	if (r < 0)
		return client_failed(&error, r, shown ?: "watch");

	watcher->items[2 + watcher->n_streams++] =
		(struct pollfd){ .fd = stream, .events = POLLIN };
	watcher->n_live++;
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

static int end_stream(struct watcher *watcher, size_t number, int error)
{
	struct pollfd *item = &watcher->items[2 + number];

	close(item->fd);
	item->fd = -1;
	watcher->n_live--;
	if (error < 0)
		return client_failed(NULL, error, "watch");
	standard_error("the daemon has ended the watch");
	return CTL_NOT_RUNNING;
}

static int read_streams(struct watcher *watcher)
{
	int result = CTL_DONE;

	for (size_t i = 0; i < watcher->n_streams; i++) {
		int r;

		if (watcher->items[2 + i].fd < 0 || !watcher->items[2 + i].revents)
			continue;
		r = read_stream(watcher, i);
		if (r <= 0)
			result = end_stream(watcher, i, r);
	}
	return result;
}

/* Until interrupted, or nobody reads, or nothing is left to tell. */
static int watcher_run(struct watcher *watcher)
{
	int result = CTL_DONE;

	while (watcher->n_live > 0) {
		int r;

		if (standard_flush() != 0)
			return CTL_DONE;
		if (poll(watcher->items, 2 + watcher->n_streams, -1) < 0)
			continue;
		if (watcher->items[0].revents || watcher->items[1].revents)
			return CTL_DONE;
		r = read_streams(watcher);
		if (r != CTL_DONE)
			result = r;
	}
	return result;
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

	for (int i = 0; i < ctl->n_args; i++) {
		r = watch_path(watcher, ctl->args[i]);
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
		.mask = WATCH_EVENTS_DEFAULT,
	};
	int r = CTL_DONE;

	for (size_t i = 0; i < 2; i++)
		watcher.items[i].fd = -1;
	if (ctl->n_args > WATCHES_MAX) {
		standard_error("watch: more than %d places at once", WATCHES_MAX);
		return CTL_USAGE;
	}
	if (ctl->events)
		r = parse_events(ctl->events, &watcher.mask);
	if (r == CTL_DONE && ctl->latency)
		r = parse_latency(ctl->latency, &watcher.latency_us);
	if (r == CTL_DONE)
		r = watcher_main(&watcher);

	for (size_t i = 0; i < 2 + watcher.n_streams; i++)
		if (watcher.items[i].fd > STDERR_FILENO)
			close(watcher.items[i].fd);
	return r;
}
