/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/feed.h"
#include "daemon/ctl/packet.h"
#include "daemon/ctl/selection.h"
#include "daemon/ctl/standard.h"
#include "daemon/names.h"

/*
 * The live feed: the stream of OpenEvents, of which nothing is lost without a
 * word. When the daemon goes, it is waited for, and reading goes on behind the
 * last event seen.
 */

#define FOLLOWER_RETRY_MS 500

/* Amendments come within seconds of their event; they do not say of which filesystem. */
#define FOLLOWER_RECENT 64

struct follower {
	struct ctl *ctl;
	uint64_t since;
	struct selection selection;
	uint64_t recent[FOLLOWER_RECENT]; /* ids told, with a selection */
	size_t n_recent;
};

enum follower_outcome {
	FOLLOWER_END = 1, /* the stream ended */
	FOLLOWER_READY, /* there is something to read */
	FOLLOWER_DONE, /* nobody listens to us any more */
};

static void follower_take_event(struct follower *follower, struct packet_record *record)
{
	const struct fsevents_event *event = &record->event;
	struct feed_event told = {
		.event = {
			.id = event->id,
			.realtime_us = event->realtime_usec,
			.fs = { event->dev_major, event->dev_minor, event->dev_n },
			.pid = event->pid,
			.data = event->data,
			.test = event->flags & FSEVENTS_EVENT_TEST,
			.details = record->details,	/* borrowed */
		},
	};

	fs_key_path(&told.event.fs, told.path);
	feed_event_set_numbers(&told, event->code, event->severity);

	follower->since = event->id;
	if (!selection_takes(&follower->selection, &told))
		return;
	follower->recent[follower->n_recent++ % FOLLOWER_RECENT] = event->id;
	feed_print(&told, &follower->ctl->style);
}

static void follower_take_amend(struct follower *follower, const struct packet_record *record)
{
	bool told = follower->selection.n_items == 0;

	for (size_t i = 0; i < FOLLOWER_RECENT && !told; i++)
		told = follower->recent[i] == record->amend.id;
	if (told)
		feed_print_amend(record->amend.id, &record->details, &follower->ctl->style);
}

static void follower_take(struct follower *follower, struct packet_record *record)
{
	switch (record->kind) {
	case FSEVENTS_KIND_HELLO:
		follower->since = record->hello.since_id;
		if (record->hello.flags & FSEVENTS_HELLO_RESET)
			feed_print_reset(record->hello.epoch, &follower->ctl->style);
		break;
	case FSEVENTS_KIND_EVENT:
		follower_take_event(follower, record);
		break;
	case FSEVENTS_KIND_AMEND:
		follower_take_amend(follower, record);
		break;
	case FSEVENTS_KIND_LOST:
		feed_print_lost(record->lost.first_id, record->lost.last_id, record->lost.flags,
				&follower->ctl->style);
		/* Else the same would be told again when the stream is opened again. */
		if (!(record->lost.flags & FSEVENTS_LOST_AMENDS))
			follower->since = record->lost.last_id;
		break;
	}
}

/* One packet. Return: 0, FOLLOWER_END, or a negative errno. */
static int follower_read(struct follower *follower, int fd)
{
	static uint8_t packet[FSEVENTS_PACKET_MAX];
	size_t offset = 0;
	ssize_t n;
	int r;

	n = recv(fd, packet, sizeof(packet), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return FOLLOWER_END;

	for (;;) {
		struct packet_record record;

		r = packet_next(packet, (size_t)n, &offset, &record);
		if (r <= 0)
			return r;
		follower_take(follower, &record);
		packet_record_deinit(&record);
	}
}

/* The connection only has to stay, and pings be answered. */
static void process_bus(sd_bus *bus, struct pollfd *item)
{
	int r;

	do
		r = sd_bus_process(bus, NULL);
	while (r > 0);
	if (r < 0)
		item->fd = -1;
}

/* Return: FOLLOWER_READY, FOLLOWER_DONE, or a negative errno. */
static int follower_wait(const struct follower *follower, struct pollfd items[static 3])
{
	while (poll(items, 3, -1) < 0)
		if (errno != EINTR)
			return -errno;

	if (items[1].revents & (POLLERR | POLLHUP))
		return FOLLOWER_DONE;
	if (items[2].revents)
		process_bus(follower->ctl->bus, &items[2]);
	return FOLLOWER_READY;
}

/* Return: FOLLOWER_END, FOLLOWER_DONE, or a negative errno. */
static int follower_stream(struct follower *follower, int fd)
{
	struct pollfd items[3] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = STDOUT_FILENO },
		{ .fd = sd_bus_get_fd(follower->ctl->bus), .events = POLLIN },
	};

	for (;;) {
		int r = follower_read(follower, fd);

		/* What was read is shown before anything is waited for. */
		switch (standard_flush()) {
		case 0:
			break;
		case STANDARD_GONE:
			return FOLLOWER_DONE;
		default:
			return -EIO;
		}
		if (r != 0)
			return r;

		r = follower_wait(follower, items);
		if (r != FOLLOWER_READY)
			return r;
	}
}

/* From now on: the newest id, so that only what comes is told. */
static int follower_find_newest(struct follower *follower)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	uint64_t oldest;
	int r;

	r = client_call(follower->ctl->bus, CLIENT_MANAGER("GetEvents"), &error, &reply, "ta{sv}",
			UINT64_MAX, 1, "limit", "u", 1);
	if (r >= 0)
		r = sd_bus_message_read(reply, "tt", &oldest, &follower->since);
	return r < 0 ? client_failed(&error, r, "cannot ask for the newest event") : CTL_DONE;
}

/* Return: enum ctl_exit; CTL_NOT_RUNNING without a word. */
static int follower_open(struct follower *follower, int *ret_fd)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = client_call(follower->ctl->bus, CLIENT_MANAGER("OpenEvents"), &error, &reply, "ta{sv}",
			follower->since, 0);
	if (client_is_gone(&error, r))
		return CTL_NOT_RUNNING;
	if (r >= 0)
		r = client_read_fd(reply, ret_fd);
	return r < 0 ? client_failed(&error, r, "cannot follow events") : CTL_DONE;
}

/* Until the daemon is back, on a bus that may have been restarted too. Return: enum ctl_exit. */
static int follower_reopen(struct follower *follower, int *ret_fd)
{
	struct ctl *ctl = follower->ctl;
	int r;

	standard_error("the daemon left; waiting for it");
	for (;;) {
		(void)poll(NULL, 0, FOLLOWER_RETRY_MS);
		if (standard_reader_is_gone())
			return CTL_DONE;

		/* One that lost its bus is of no use any more. */
		if (!ctl->bus || sd_bus_is_ready(ctl->bus) <= 0) {
			ctl->bus = sd_bus_close_unref(ctl->bus);
			if (client_connect(&ctl->bus, ctl->address) < 0)
				continue;
		}

		r = follower_open(follower, ret_fd);
		if (r == CTL_DONE)
			selection_renew(&follower->selection, ctl->bus);
		if (r != CTL_NOT_RUNNING)
			return r;
	}
}

static int follower_run(struct follower *follower)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = follower_open(follower, &fd);
	if (r == CTL_NOT_RUNNING)
		return client_failed(NULL, -ENOTCONN, "monitor");

	while (r == CTL_DONE && fd >= 0) {
		r = follower_stream(follower, fd);
		if (r == FOLLOWER_DONE)
			return CTL_DONE;
		if (r < 0)
			return client_failed(NULL, r, "the stream broke");

		closep(&fd);
		fd = -1;
		r = follower_reopen(follower, &fd);
	}
	return r;
}

/* Nothing has to be undone, and all that was told is out: lines are flushed as they come. */
static void on_end(int number)
{
	_exit(CTL_DONE);
}

int ctl_monitor(struct ctl *ctl)
{
	struct follower follower = { .ctl = ctl };
	int r;

	signal(SIGINT, on_end);
	signal(SIGTERM, on_end);

	r = follower_find_newest(&follower);
	if (r == CTL_DONE)
		r = selection_init(&follower.selection, ctl->bus, ctl->args, ctl->n_args);
	if (r == CTL_DONE)
		r = follower_run(&follower);
	selection_deinit(&follower.selection);
	return r;
}
