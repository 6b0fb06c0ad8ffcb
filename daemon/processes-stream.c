/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "daemon/core/group-record.h"
#include "daemon/names.h"
#include "daemon/processes-internal.h"

static_assert(PACKET_STREAM_PACKET >= GROUP_RECORD_MAX + 2 * 16, "room for any one record");

static void on_writable(struct packet_stream *stream, void *userdata)
{
	struct tracked *tracked = userdata;

	processes_flush(tracked->processes);
}

/* What is not sent waits for another one. */
static void on_closed(struct packet_stream *stream, void *userdata)
{
	struct tracked *tracked = userdata;

	tracked_close_stream(tracked);
}

static const struct packet_stream_ops stream_ops = {
	.writable = on_writable,
	.closed = on_closed,
};

int tracked_open_stream(struct tracked *tracked, int *ret_fd, struct bus_refusal *refusal)
{
	struct processes *processes = tracked->processes;
	int r;

	if (tracked->stream)
		return bus_refusal_set(refusal, BUS_ERROR_STREAM_OPEN,
				       "The group has a stream; close that first");

	r = quota_charge(processes->quota, &tracked->stream_charge, tracked->uid, QUOTA_STREAMS, 1);
	if (r == QUOTA_E_EXCEEDED)
		return bus_refusal_set(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED,
				       "You have too many streams; close one first");
	if (r == 0)
		r = packet_stream_new(&tracked->stream, ret_fd, processes->loop, &stream_ops,
				      tracked);
	if (r < 0) {
		quota_release(&tracked->stream_charge);
		return bus_refusal_set(refusal, SD_BUS_ERROR_FAILED,
				       "The stream cannot be made: %s", strerror(-r));
	}

	tracked->streamed = true;
	tracked->held = false;
	processes_flush_later(processes);
	return 0;
}

void tracked_close_stream(struct tracked *tracked)
{
	if (!tracked->stream)
		return;

	unread_keep(tracked->processes->unread, packet_stream_take_fd(tracked->stream),
		    &tracked->stream_charge);
	tracked->stream = packet_stream_free(tracked->stream);
}

/* Return: false where it has no room. */
static bool put_lost(uint8_t *packet, size_t *n, const struct process_loss *lost)
{
	size_t n_put = *n;

	for (unsigned int i = 0; i < 2; i++) {
		size_t one;

		if (i == 0 ? lost->count == 0 : !lost->unknown)
			continue;
		one = group_record_put_lost(packet + n_put, PACKET_STREAM_PACKET - n_put,
					    i == 0 ? lost->count : 0);
		if (one == 0)
			return false;
		n_put += one;
	}
	*n = n_put;
	return true;
}

static bool put_item(uint8_t *packet, size_t *n, const struct process_item *item)
{
	size_t n_put = *n, one;

	if (!put_lost(packet, &n_put, &item->lost))
		return false;
	one = group_record_put_event(packet + n_put, PACKET_STREAM_PACKET - n_put, &item->event,
				     item->seq, item->realtime_us, item->file);
	if (one == 0)
		return false;
	*n = n_put + one;
	return true;
}

static size_t put_empty(uint8_t *packet, const struct tracked *tracked)
{
	struct group_totals totals;

	group_totals(tracked->group, &totals);
	totals.lost += tracked->dropped;
	return group_record_put_empty(packet, PACKET_STREAM_PACKET, &totals);
}

int tracked_flush_stream(struct tracked *tracked)
{
	_Alignas(8) uint8_t packet[PACKET_STREAM_PACKET];
	const struct process_item *item;
	size_t n = 0, n_items = 0;
	bool rest = false, over = false;
	int r;

	STAILQ_FOREACH(item, &tracked->queue.items, next) {
		if (!put_item(packet, &n, item))
			break;
		n_items++;
	}
	if (!item)
		rest = put_lost(packet, &n, &tracked->queue.lost);
	if (n == 0 && tracked->over && !tracked->over_told) {
		n = put_empty(packet, tracked);
		over = true;
	}
	if (n == 0)
		return 0;

	r = packet_stream_send(tracked->stream, packet, n);
	if (r < 0)
		return r;
	while (n_items-- > 0)
		process_queue_pop(&tracked->queue);
	if (rest)
		tracked->queue.lost = (struct process_loss){};
	tracked->over_told |= over;
	return 0;
}
