/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How many records a second can a watch deliver?
 *
 *	deliver SUBSCRIBERS RECORDS [STALLED]
 *
 * The queue and the stream of the daemon, fed as fast as they take, since no
 * kernel tells of so many changes: each of SUBSCRIBERS watches gets RECORDS
 * changes, all different, each read by a process of its own that checks the
 * numbers. STALLED more watches are fed as well, whose readers never read. Prints
 *
 *	seconds S lost N stalled-bytes B
 *
 * where lost is what the reading subscribers missed, and B what one of the
 * stalled ones holds at the end.
 */

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/watch-queue.h"
#include "daemon/output/packet-stream.h"
#include "include/fsevents_stream.h"

#define SUBSCRIBERS_MAX 64
#define QUEUE_BYTES (4U << 20) /* of each */
#define BATCH 512 /* changes to all, as one reading of the kernel's queue has them */
#define NAMES 4096

struct subscriber {
	struct watch_queue *queue;
	struct packet_stream *stream;
	uid_t uid; /* of its own, for the bound is of each user */
	bool blocked, stalled;
	int fd; /* of a stalled one */
	pid_t reader;
};

static char names[NAMES][32];
static size_t n_names[NAMES];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Until the end; what is missing by the numbers is the exit status's: 0 or 1. */
static _Noreturn void read_all(int fd, uint64_t n_records)
{
	static _Alignas(8) uint8_t packet[FSEVENTS_PACKET_MAX];
	uint64_t n_read = 0;
	ssize_t n;

	while ((n = recv(fd, packet, sizeof(packet), 0)) > 0) {
		for (size_t at = 0; at < (size_t)n;) {
			const struct fsevents_record *record = (const void *)(packet + at);

			if (record->kind == FSEVENTS_KIND_WATCH)
				n_read++;
			at += record->size;
		}
	}
	_exit(n_read == n_records ? 0 : 1);
}

static void flush_one(struct subscriber *subscriber)
{
	const void *packet;
	size_t n;

	while (!subscriber->blocked &&
	       (packet = watch_queue_peek(subscriber->queue, PACKET_STREAM_PACKET, &n))) {
		if (packet_stream_send(subscriber->stream, packet, n) < 0)
			subscriber->blocked = true;
		else
			watch_queue_pop(subscriber->queue);
	}
}

static void on_writable(struct packet_stream *stream, void *userdata)
{
	struct subscriber *subscriber = userdata;

	subscriber->blocked = false;
	flush_one(subscriber);
}

static void on_closed(struct packet_stream *stream, void *userdata)
{
	errx(1, "a reader has gone");
}

static const struct packet_stream_ops stream_ops = {
	.writable = on_writable,
	.closed = on_closed,
};

static void subscribe(struct subscriber *subscriber, sd_event *loop, struct quota *quota,
		      uint64_t n_records)
{
	int fd;

	if (watch_queue_new(&subscriber->queue, quota, subscriber->uid) < 0 ||
	    packet_stream_new(&subscriber->stream, &fd, loop, &stream_ops, subscriber) < 0)
		errx(1, "no memory");
	subscriber->fd = fd;
	if (subscriber->stalled)
		return;

	subscriber->reader = fork();
	if (subscriber->reader < 0)
		err(1, "fork");
	if (subscriber->reader == 0) {
		/* Other ends of streams that were opened before would keep them from ending. */
		for (int other = 3; other < 1024; other++)
			if (other != fd)
				close(other);
		read_all(fd, n_records);
	}
	close(fd);
}

static void push_batch(struct subscriber *subscriber, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++) {
		const struct change change = {
			.mask = FSEVENTS_CREATE,
			.inode = i + 1,
			.realtime_us = i,
			.name = names[i % NAMES],
			.n_name = n_names[i % NAMES],
		};

		watch_queue_push(subscriber->queue, &change);
	}
	flush_one(subscriber);
}

/* A source that is read late gives the readers time; here they are waited for instead. */
static void wait_for_room(struct subscriber *all, size_t n, sd_event *loop)
{
	for (size_t i = 0; i < n; i++) {
		struct watch_queue_statistics statistics;

		if (all[i].stalled)
			continue;
		for (;;) {
			watch_queue_statistics(all[i].queue, &statistics);
			if (statistics.bytes < QUEUE_BYTES / 2)
				break;
			if (sd_event_run(loop, UINT64_MAX) < 0)
				errx(1, "the loop");
		}
	}
}

static void finish(struct subscriber *all, size_t n, sd_event *loop)
{
	for (size_t i = 0; i < n; i++) {
		while (!all[i].stalled && !watch_queue_is_empty(all[i].queue))
			if (sd_event_run(loop, UINT64_MAX) < 0)
				errx(1, "the loop");
		if (!all[i].stalled)
			all[i].stream = packet_stream_free(all[i].stream);
	}
}

static void make_names(void)
{
	for (size_t i = 0; i < NAMES; i++)
		n_names[i] =
			(size_t)snprintf(names[i], sizeof(names[i]), "dir-%zu/file-%zu", i % 64, i);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*end)
		errx(2, "\"%s\" is not a number", text);
	return value;
}

int main(int argc, char **argv)
{
	static struct subscriber all[2 * SUBSCRIBERS_MAX];
	struct quota_limit limits[_QUOTA_KIND_N] = {};
	struct watch_queue_statistics statistics = {};
	uint64_t n_records, lost = 0, stalled_bytes = 0;
	size_t n_subscribers, n_all;
	struct quota *quota;
	sd_event *loop;
	double began;

	if (argc < 3)
		errx(2, "give the number of subscribers and that of records");
	n_subscribers = number(argv[1]);
	n_records = number(argv[2]);
	n_all = n_subscribers + (argc > 3 ? number(argv[3]) : 0);
	if (n_subscribers < 1 || n_all > 2 * (size_t)SUBSCRIBERS_MAX)
		errx(2, "1 to %d subscribers", SUBSCRIBERS_MAX);

	make_names();
	limits[QUOTA_QUEUE_BYTES] =
		(struct quota_limit){ .per_uid = QUEUE_BYTES, .total = UINT64_MAX };
	if (sd_event_default(&loop) < 0 || quota_new(&quota, limits) < 0)
		errx(1, "no memory");
	for (size_t i = 0; i < n_all; i++) {
		all[i].stalled = i >= n_subscribers;
		all[i].uid = 1000 + (uid_t)i;
		subscribe(&all[i], loop, quota, n_records);
	}

	began = now();
	for (uint64_t first = 0; first < n_records; first += BATCH) {
		uint64_t n = n_records - first < BATCH ? n_records - first : BATCH;

		for (size_t i = 0; i < n_all; i++)
			push_batch(&all[i], first, n);
		if (sd_event_run(loop, 0) < 0)
			errx(1, "the loop");
		wait_for_room(all, n_all, loop);
	}
	finish(all, n_all, loop);
	for (size_t i = 0; i < n_subscribers; i++) {
		int status;

		if (waitpid(all[i].reader, &status, 0) < 0)
			err(1, "waitpid");
		watch_queue_statistics(all[i].queue, &statistics);
		lost += statistics.lost + (status != 0);
	}
	printf("seconds %.6f", now() - began);
	if (n_all > n_subscribers) {
		watch_queue_statistics(all[n_subscribers].queue, &statistics);
		stalled_bytes = statistics.bytes;
	}
	printf(" lost %" PRIu64 " stalled-bytes %" PRIu64 "\n", lost, stalled_bytes);
	return 0;
}
