/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/listener-internal.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/packet.h"

/* Packets of one wake-up. */
#define PACKETS_MAX 16

/* Ids of which nothing comes any more must not make all that is new wait. */
#define CATCH_UP_US (5 * 1000 * 1000ULL)

void listener_close_stream(struct listener *listener)
{
	listener->stream = sd_event_source_disable_unref(listener->stream);
	closep(&listener->fd);
	listener->fd = -1;
	listener->greeted = false;
}

static void listener_catch_up(struct listener *listener)
{
	if (!listener->behind)
		return;
	listener->behind = false;
	listener->only_present = false;
	listener->ops->caught_up(listener->userdata);
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
	listener_catch_up(userdata);
	return 0;
}

/* Ids of another history mean nothing here. */
static bool listener_is_other_epoch(struct listener *listener, const char *epoch)
{
	bool is_other = listener->epoch[0] && strcmp(listener->epoch, epoch) != 0;

	snprintf(listener->epoch, sizeof(listener->epoch), "%s", epoch);
	return is_other;
}

/* Return: whether the stream is to be opened anew, from the start of the history. */
static bool listener_greet(struct listener *listener, const struct fsevents_hello *hello)
{
	bool is_reset = hello->flags & FSEVENTS_HELLO_RESET;

	if (listener_is_other_epoch(listener, hello->epoch)) {
		listener->ops->other_history(listener->userdata);
		if (!is_reset && listener->since > 0) {
			listener->since = 0;
			return true;
		}
	}
	if (is_reset || listener->since == 0)
		listener->only_present = true;
	listener->since = hello->since_id;
	listener->newest = hello->newest_id;
	listener->behind = true;
	listener->greeted = true;
	listener->retry_us = LISTENER_RETRY_MIN_US;
	listener->told = false;
	return false;
}

static void listener_take_event(struct listener *listener, struct packet_record *record)
{
	const struct fsevents_event *told = &record->event;
	struct event event = {
		.id = told->id,
		.realtime_us = told->realtime_usec,
		.fs = { told->dev_major, told->dev_minor, told->dev_n },
		.pid = told->pid,
		.data = told->data,
		.test = told->flags & FSEVENTS_EVENT_TEST,
		.details = record->details, /* borrowed */
	};
	bool is_past = listener->behind && told->id <= listener->newest;

	listener->since = told->id;
	/* Of a later version: there are no words for it here. */
	if (told->code >= _EVENT_CODE_N || told->severity >= _SEVERITY_N)
		return;
	event.code = told->code;
	event.severity = told->severity;
	if (is_past && listener->only_present && (event.fs.n == 0 || event.test))
		return;
	listener->ops->event(&event, listener->userdata);
}

/* Return: whether the stream is to be opened anew. */
static bool listener_take(struct listener *listener, struct packet_record *record)
{
	switch (record->kind) {
	case FSEVENTS_KIND_HELLO:
		return listener_greet(listener, &record->hello);
	case FSEVENTS_KIND_EVENT:
		listener_take_event(listener, record);
		break;
	case FSEVENTS_KIND_LOST:
		if (record->lost.flags & FSEVENTS_LOST_AMENDS)
			break;
		if (!(record->lost.flags & FSEVENTS_LOST_UNKNOWN))
			agent_log("events %" PRIu64 " to %" PRIu64 " were missed",
				  (uint64_t)record->lost.first_id, (uint64_t)record->lost.last_id);
		listener->since = record->lost.last_id;
		/* What they have changed the list of filesystems shows. */
		listener->ops->changed(listener->userdata);
		break;
	}
	return false;
}

/* One packet. Return: 1, 0 when there is none, -ECONNRESET at the end, or another negative errno. */
static int listener_read(struct listener *listener)
{
	static uint8_t packet[FSEVENTS_PACKET_MAX];
	size_t offset = 0;
	ssize_t n;

	n = recv(listener->fd, packet, sizeof(packet), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;

	for (;;) {
		struct packet_record record;
		bool is_anew;
		int r;

		r = packet_next(packet, (size_t)n, &offset, &record);
		if (r < 0)
			return r;
		if (r == 0)
			return 1;
		is_anew = listener_take(listener, &record);
		packet_record_deinit(&record);
		if (is_anew)
			return -ECONNRESET;
	}
}

static int on_stream(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct listener *listener = userdata;
	int r = 1;

	for (unsigned int i = 0; i < PACKETS_MAX && r > 0; i++)
		r = listener_read(listener);
	if (r < 0) {
		if (r != -ECONNRESET)
			agent_log("the stream of events broke: %s", strerror(-r));
		listener_close_stream(listener);
		listener_retry(listener);
		return 0;
	}

	if (!listener->behind)
		return 0;
	if (listener->since >= listener->newest)
		listener_catch_up(listener);
	else
		(void)listener_arm(listener, &listener->patience, CATCH_UP_US, on_patience);
	return 0;
}

int listener_begin(struct listener *listener, sd_bus_message *m)
{
	int r;

	r = client_read_fd(m, &listener->fd);
	if (r < 0)
		return r;
	r = sd_event_add_io(listener->loop, &listener->stream, listener->fd, EPOLLIN, on_stream,
			    listener);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(listener->stream, true);
	if (r >= 0)
		(void)sd_event_source_set_description(listener->stream, "events");
	return r;
}
