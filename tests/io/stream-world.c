/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/io/stream-world.h"

static const struct history *get_history(void *userdata)
{
	struct world *world = userdata;

	return world->history;
}

static void on_closed(struct stream *stream, void *userdata)
{
	struct world *world = userdata;

	assert_ptr_equal(stream, world->stream);
	world->closed++;
	if (world->free_when_closed)
		world->stream = stream_free(stream);
}

static const struct stream_ops ops = { get_history, on_closed };

void world_init(struct world *world, size_t size, uint64_t first_id)
{
	*world = (struct world){ .fd = -1, .first_id = first_id };
	assert_true(sd_event_new(&world->loop) >= 0);
	assert_int_equal(history_new(&world->history, size, first_id), 0);
	assert_int_equal(details_add_string(&world->where, "where", "/mnt", 0), 0);
	assert_int_equal(details_add_bytes(&world->where, "path", "/secret", 7, DETAIL_PRIVATE), 0);
}

void world_open(struct world *world, uint64_t since_id, bool private)
{
	const struct stream_options options = {
		.since_id = since_id,
		.first_id = world->first_id,
		.private = private,
		.epoch = WORLD_EPOCH,
	};

	assert_int_equal(stream_new(&world->stream, &world->fd, world->loop, &options, &ops, world),
			 0);
}

void world_deinit(struct world *world)
{
	stream_free(world->stream);
	if (world->fd >= 0)
		close(world->fd);
	details_deinit(&world->where);
	history_free(world->history);
	sd_event_unref(world->loop);
}

unsigned int world_spin(struct world *world)
{
	unsigned int n = 0;

	while (sd_event_run(world->loop, 0) > 0)
		assert_true(++n < 10000);

	return n;
}

uint64_t world_push_quietly(struct world *world)
{
	struct event event = {
		.code = EVENT_IO_ERROR,
		.severity = SEVERITY_CRITICAL,
		.fs = { 8, 1, 1 },
		.details = world->where,
	};

	assert_non_null(history_push(world->history, &event));
	return event.id;
}

uint64_t world_push(struct world *world)
{
	uint64_t id = world_push_quietly(world);

	stream_kick(world->stream);
	return id;
}

static void take_record(struct world *world, const struct fsevents_record *record)
{
	const struct fsevents_event *event = (const void *)record;
	const struct fsevents_lost *lost = (const void *)record;
	const struct fsevents_amend *amend = (const void *)record;

	switch (record->kind) {
	case FSEVENTS_KIND_HELLO:
		assert_int_equal(world->hellos++, 0);
		memcpy(&world->hello, record, sizeof(world->hello));
		world->last_id = world->hello.since_id;
		break;
	case FSEVENTS_KIND_EVENT:
		assert_int_equal(event->id, world->last_id + 1);
		world->last_id = event->id;
		world->events++;
		break;
	case FSEVENTS_KIND_LOST:
		if (lost->flags & FSEVENTS_LOST_AMENDS) {
			assert_true(lost->last_id <= world->last_id);
			world->lost_amends++;
			break;
		}
		assert_int_equal(lost->first_id, world->last_id + 1);
		assert_true(lost->last_id >= lost->first_id);
		if (lost->flags & FSEVENTS_LOST_UNKNOWN) {
			world->gaps++;
			world->gap_ids += lost->last_id - world->last_id;
		} else {
			world->lost += lost->last_id - world->last_id;
		}
		world->last_id = lost->last_id;
		break;
	case FSEVENTS_KIND_AMEND:
		assert_true(amend->id <= world->last_id);
		world->amends++;
		break;
	default:
		fail();
	}
}

bool world_take_packet(struct world *world)
{
	static _Alignas(8) uint8_t buffer[FSEVENTS_PACKET_MAX];
	ssize_t n;

	n = recv(world->fd, buffer, sizeof(buffer), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return false;
	}
	if (n == 0) {
		world->ended = true;
		return false;
	}

	assert_in_range(n, 8, sizeof(buffer));
	world->packets++;
	world->bytes += (size_t)n;
	world->saw_private |= memmem(buffer, (size_t)n, "secret", 6) != NULL;
	for (ssize_t i = 0; i < n;) {
		struct fsevents_record *record = (void *)(buffer + i);

		assert_true(record->size >= sizeof(*record) && record->size % 8 == 0);
		assert_true(record->size <= (size_t)(n - i));
		take_record(world, record);
		i += record->size;
	}

	return true;
}

void world_drain(struct world *world)
{
	unsigned int n;

	do {
		n = world_spin(world);
		while (world_take_packet(world))
			n++;
	} while (n > 0);
}

void world_amend(struct world *world, uint64_t id)
{
	struct details more = {};

	assert_int_equal(details_add_u64(&more, "inode", 1, DETAIL_PRIVATE), 0);
	assert_int_equal(history_amend(world->history, id, &more), 0);
	details_deinit(&more);
	stream_kick(world->stream);
}
