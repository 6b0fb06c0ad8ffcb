/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The listener from within: listener.c calls the daemon, listener-stream.c
 * reads what comes out of the stream.
 */

#include <systemd/sd-bus.h>

#include "daemon/agent/listener.h"

#define LISTENER_RETRY_MIN_US (500 * 1000ULL)

struct listener {
	sd_event *loop;
	const char *address; /* borrowed from the command line */
	const struct listener_ops *ops;
	void *userdata;

	sd_bus *bus;
	sd_bus_slot *open_slot, *refresh_slot;
	int fd;
	sd_event_source *stream, *retry, *patience, *no_list;
	uint64_t retry_us;

	uint64_t since, newest;
	uint64_t refreshed_id; /* the last seen when the list was asked for */
	char epoch[LISTENER_EPOCH_MAX];
	bool greeted; /* the stream has begun */
	bool behind; /* what is past is being told */
	bool only_present; /* of that, nothing of filesystems that are gone */
	bool refreshing, wanted; /* wanted: a list was asked for that nobody gave yet */
	bool told;
	bool cut_off; /* the connection is of no use any more */
};

int listener_arm(struct listener *listener, sd_event_source **source, uint64_t delay_us,
		 sd_event_time_handler_t handler);

/* Open the stream, and the bus where there is none, after a while that grows. */
void listener_retry(struct listener *listener);

/* Read the stream in the answer to OpenEvents. Return: 0 or a negative errno. */
int listener_begin(struct listener *listener, sd_bus_message *m);
void listener_close_stream(struct listener *listener);
