/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/packet.h"
#include "daemon/ctl/track-signal.h"

/* Then the others have their turn. */
#define PACKETS_MAX 16

int track_stream_open(struct track_feed *feed)
{
	const struct client_method open = { feed->path, BUS_IFACE_GROUP, "OpenStream" };
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = client_call(feed->bus, &open, &error, &reply, "a{sv}", 0);
	return r < 0 ? TRACK_STREAM_E_REFUSED : client_read_fd(reply, &feed->stream);
}

static void take_empty(struct track_feed *feed, const struct fsevents_group_empty *empty)
{
	feed->totals = (struct track_totals){
		.leader = empty->leader,
		.forks = empty->forks,
		.execs = empty->execs,
		.exits = empty->exits,
		.lost = empty->lost,
		.incomplete = empty->flags & FSEVENTS_GROUP_INCOMPLETE,
		.accounting = empty->flags & FSEVENTS_GROUP_ACCOUNTING,
		.user_us = empty->user_usec,
		.system_us = empty->system_usec,
		.read_bytes = empty->read_bytes,
		.write_bytes = empty->write_bytes,
		.peak_rss_kib = empty->peak_rss,
	};
	feed->has_totals = true;
	feed->live = false;
}

static void take_record(struct track_feed *feed, const struct packet_record *record)
{
	const struct fsevents_group_event *told = &record->group_event;
	struct track_event event;

	switch (record->kind) {
	case FSEVENTS_KIND_GROUP:
		event = (struct track_event){
			.seq = told->seq,
			.kind = told->event,
			.pid = told->pid,
			.other = told->other,
			.realtime_us = told->realtime_usec,
			.status = told->status,
			.file = (const char *)record->file,
			.n_file = told->n_file,
		};
		tree_event(feed->tree, &event);
		break;
	case FSEVENTS_KIND_GROUP_LOST:
		tree_lost(feed->tree, record->group_lost.count);
		break;
	case FSEVENTS_KIND_GROUP_EMPTY:
		take_empty(feed, &record->group_empty);
		break;
	}
}

static int take_packet(struct track_feed *feed, const uint8_t *packet, size_t n)
{
	size_t offset = 0;

	for (;;) {
		struct packet_record record;
		int r = packet_next(packet, n, &offset, &record);

		if (r <= 0)
			return r;
		take_record(feed, &record);
		packet_record_deinit(&record);
	}
}

int track_stream_take(struct track_feed *feed)
{
	static uint8_t packet[FSEVENTS_PACKET_MAX];

	for (unsigned int i = 0; i < PACKETS_MAX && feed->live; i++) {
		ssize_t n = recv(feed->stream, packet, sizeof(packet), MSG_DONTWAIT);
		int r;

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0) {
			feed->live = false;
			return 0;
		}
		r = take_packet(feed, packet, (size_t)n);
		if (r < 0)
			return r;
	}
	return feed->live;
}
