/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "daemon/names.h"
#include "daemon/watches-internal.h"

/* One signal; of the bytes of a packet its body has a little more. */
#define SIGNAL_CHANGES 256

/* Packets for one watch in one turn of the loop. */
#define SIGNAL_BATCH 4
#define STREAM_BATCH 16

/* About a packet full: a stream takes so many at once, whatever the latency. */
#define STREAM_CHANGES 512

/* Room is told of, but a bus may be clogged by others. */
#define BLOCKED_US 1000000
#define UNBLOCK_US 5000

static bool has_way(const struct watched *watched)
{
	if (watched->removed || watched->held || !watched->announced)
		return false;
	if (watched->streamed)
		return watched->stream;
	return watched->section || watched->watches->bus;
}

static void set_due(struct watched *watched, uint64_t us)
{
	if (watched->due || watched->blocked || !has_way(watched) ||
	    watch_queue_is_empty(watched->queue))
		return;

	watched->due = true;
	watches_arm(watched->timer, us);
}

/* A latency is that from the change on, not from the moment at which it is known here. */
static uint64_t rest_of(const struct watched *watched, const struct change *change,
			uint64_t late_us)
{
	uint64_t now = watches_realtime(), waited = late_us;

	/* Clocks jump. */
	if (now > change->realtime_us && now - change->realtime_us < watched->latency_us)
		waited += now - change->realtime_us;
	return watched->latency_us > waited ? watched->latency_us - waited : 0;
}

void watched_tell(struct watched *watched, const struct change *change, uint64_t late_us)
{
	struct change wanted;

	if (watched->removed)
		return;
	if (watched->section) {
		if (!section_filter(watched->section, watched, change, &wanted))
			return;
		change = &wanted;
	}

	watched->watches->account.told++;
	watch_queue_push(watched->queue, change);
	if (!watched->due)
		set_due(watched, rest_of(watched, change, late_us));

	/* In a storm it would be full before its time. A full socket is not asked each time. */
	if (watched->stream && ++watched->n_pushed >= STREAM_CHANGES && !watched->blocked)
		watched_flush(watched);
}

void watched_tell_lost(struct watched *watched, uint64_t count, const char *under, size_t n_under)
{
	struct watches_account *account = &watched->watches->account;

	if (watched->removed)
		return;

	if (count > 0)
		account->lost_before += count;
	else
		account->gaps++;
	watch_queue_push_lost(watched->queue, count, under, n_under);
	set_due(watched, watched->latency_us);
}

/*
 * To the bus
 */

/* As many as follow each other without a gap. Return: how many were taken, or -EAGAIN. */
static int send_changes(struct watched *watched, const void *packet, size_t n_packet,
			size_t *offset)
{
	struct change changes[SIGNAL_CHANGES];
	struct watch_record record;
	size_t n = 0, at = *offset, next = at;
	uint64_t first_seq = 0;

	while (n < SIGNAL_CHANGES && watch_record_next(packet, n_packet, &next, &record)) {
		if (record.is_lost || (n > 0 && record.seq != first_seq + n))
			break;
		if (n == 0)
			first_seq = record.seq;
		changes[n++] = record.change;
		at = next;
	}

	if (bus_watch_changed(watched->watches->bus, watched->id, first_seq, changes, n) < 0)
		return -EAGAIN;
	*offset = at;
	return 0;
}

/* Return: 0 or -EAGAIN: the rest later. */
static int send_packet(struct watched *watched, const void *packet, size_t n_packet)
{
	struct watch_record record;

	while (watched->n_sent < n_packet) {
		size_t next = watched->n_sent;
		int r;

		if (!watch_record_next(packet, n_packet, &next, &record))
			break;
		if (!record.is_lost) {
			r = send_changes(watched, packet, n_packet, &watched->n_sent);
		} else {
			r = bus_watch_lost(watched->watches->bus, watched->id, record.count,
					   record.under, record.n_under);
			if (r >= 0)
				watched->n_sent = next;
		}
		if (r < 0)
			return -EAGAIN;
	}
	return 0;
}

/* One packet. Return: 0 or -EAGAIN. */
static int flush_one(struct watched *watched)
{
	const uint8_t *packet;
	size_t n;
	int r;

	packet = watch_queue_peek(watched->queue, PACKET_STREAM_PACKET, &n);
	if (!packet)
		return 0;
	/* The bus may have had the beginning of the first one. */
	if (watched->section)
		r = (section_take(watched->section, packet, n), 0);
	else if (watched->stream)
		r = packet_stream_send(watched->stream, packet + watched->n_sent,
				       n - watched->n_sent);
	else
		r = send_packet(watched, packet, n);
	if (r < 0)
		return -EAGAIN;

	watched->n_sent = 0;
	watch_queue_pop(watched->queue);
	return 0;
}

static void block(struct watched *watched)
{
	struct watches *watches = watched->watches;

	if (watched->blocked)
		return;
	watched->blocked = true;
	LIST_INSERT_HEAD(&watches->blocked, watched, in_blocked);
	if (!watched->stream)
		watches_arm_unless(watches->unblock, BLOCKED_US);
}

static void unblock(struct watched *watched)
{
	if (!watched->blocked)
		return;
	watched->blocked = false;
	LIST_REMOVE(watched, in_blocked);
}

void watched_flush(struct watched *watched)
{
	unsigned int batch = watched->stream ? STREAM_BATCH : SIGNAL_BATCH;

	watches_disarm(watched->timer);
	watched->due = false;
	watched->n_pushed = 0;

	for (unsigned int i = 0; i < batch; i++) {
		if (!has_way(watched) || watch_queue_is_empty(watched->queue))
			return;
		if (flush_one(watched) < 0) {
			block(watched);
			return;
		}
	}
	/* The others first. */
	set_due(watched, 0);
}

/* Those of streams are told by their sockets. */
static void flush_blocked(struct watches *watches)
{
	struct watched_list again = LIST_HEAD_INITIALIZER(again);
	struct watched *watched, *next;

	for (watched = LIST_FIRST(&watches->blocked); watched; watched = next) {
		next = LIST_NEXT(watched, in_blocked);
		if (watched->stream)
			continue;
		LIST_REMOVE(watched, in_blocked);
		LIST_INSERT_HEAD(&again, watched, in_blocked);
	}
	while ((watched = LIST_FIRST(&again))) {
		unblock(watched);
		watched_flush(watched);
	}
}

void watches_unblock(struct watches *watches)
{
	watches_disarm(watches->unblock);
	flush_blocked(watches);
}

void watches_room(struct watches *watches)
{
	if (!LIST_EMPTY(&watches->blocked))
		watches_arm(watches->unblock, UNBLOCK_US);
}

void watched_announced(struct watched *watched)
{
	watched->announced = true;
	set_due(watched, watched->latency_us);
}

void watched_release(struct watched *watched)
{
	watched->held = false;
	set_due(watched, 0);
}

/*
 * Streams
 */

static void on_writable(struct packet_stream *stream, void *userdata)
{
	struct watched *watched = userdata;

	unblock(watched);
	watched_flush(watched);
}

/* What is not sent waits for another one. */
static void on_closed(struct packet_stream *stream, void *userdata)
{
	watched_close_stream(userdata);
}

static const struct packet_stream_ops stream_ops = {
	.writable = on_writable,
	.closed = on_closed,
};

int watched_open_stream(struct watched *watched, int *ret_fd, struct bus_refusal *refusal)
{
	struct watches *watches = watched->watches;
	int r;

	if (watched->stream)
		return bus_refusal_set(refusal, BUS_ERROR_STREAM_OPEN,
				       "The watch has a stream; close that first");

	r = quota_charge(watches->quota, &watched->stream_charge, watched->uid, QUOTA_STREAMS, 1);
	if (r == QUOTA_E_EXCEEDED)
		return bus_refusal_set(
			refusal, SD_BUS_ERROR_LIMITS_EXCEEDED,
			"You have too many streams: 'streams' in section [limits] of "
			"the configuration says how many are allowed");
	if (r == 0)
		r = packet_stream_new(&watched->stream, ret_fd, watches->loop, &stream_ops,
				      watched);
	if (r < 0) {
		quota_release(&watched->stream_charge);
		return bus_refusal_set(refusal, SD_BUS_ERROR_FAILED,
				       "The stream cannot be made: %s", strerror(-r));
	}

	watched->streamed = true;
	unblock(watched);
	watched_release(watched);
	return 0;
}

void watched_close_stream(struct watched *watched)
{
	if (!watched->stream)
		return;

	unblock(watched);
	unread_keep(watched->watches->unread, packet_stream_take_fd(watched->stream),
		    &watched->stream_charge);
	watched->stream = packet_stream_free(watched->stream);
}
