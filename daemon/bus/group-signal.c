/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"

static int append_event(sd_bus_message *signal, const struct bus_group_event *event)
{
	int r;

	r = sd_bus_message_open_container(signal, 'r', "uuutiay");
	if (r < 0)
		return r;
	r = sd_bus_message_append(signal, "uuuti", event->kind, event->pid, event->other,
				  event->realtime_usec, event->status);
	if (r < 0)
		return r;
	r = sd_bus_message_append_array(signal, 'y', event->file, strlen(event->file) + 1);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(signal);
}

static int send_changed(struct bus *bus, sd_bus_message *signal, uint64_t first_seq,
			const struct bus_group_event *events, size_t n_events)
{
	size_t n = 16;
	int r;

	r = sd_bus_message_append(signal, "t", first_seq);
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(signal, 'a', "(uuutiay)");
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_events; i++) {
		r = append_event(signal, &events[i]);
		if (r < 0)
			return r;
		n += 40 + strlen(events[i].file);
	}
	r = sd_bus_message_close_container(signal);
	return r < 0 ? r : owned_signal_send(bus, signal, n);
}

int bus_group_changed(struct bus *bus, uint64_t id, uint64_t first_seq,
		      const struct bus_group_event *events, size_t n_events)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	assert(bus);
	assert(events || n_events == 0);

	r = owned_signal_new(&signal, &bus->groups, id, "Changed");
	if (r >= 0)
		r = send_changed(bus, signal, first_seq, events, n_events);
	return r < 0 ? -EAGAIN : 0;
}

int bus_group_lost(struct bus *bus, uint64_t id, uint64_t count)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	assert(bus);

	r = owned_signal_new(&signal, &bus->groups, id, "Lost");
	if (r >= 0)
		r = sd_bus_message_append(signal, "t", count);
	if (r >= 0)
		r = owned_signal_send(bus, signal, 16);
	return r < 0 ? -EAGAIN : 0;
}

static int send_empty(struct bus *bus, sd_bus_message *signal,
		      const struct bus_group_totals *totals)
{
	int r;

	r = sd_bus_message_open_container(signal, 'a', "{sv}");
	if (r < 0)
		return r;
	r = sd_bus_message_append(signal, "{sv}{sv}{sv}{sv}{sv}{sv}", "leader", "u", totals->leader,
				  "forks", "t", totals->forks, "execs", "t", totals->execs, "exits",
				  "t", totals->exits, "lost", "t", totals->lost, "incomplete", "b",
				  totals->incomplete);
	if (r < 0)
		return r;
	if (totals->accounting) {
		r = sd_bus_message_append(signal, "{sv}{sv}{sv}{sv}{sv}", "user-usec", "t",
					  totals->user_usec, "system-usec", "t",
					  totals->system_usec, "read-bytes", "t",
					  totals->read_bytes, "write-bytes", "t",
					  totals->write_bytes, "peak-rss", "t", totals->peak_rss);
		if (r < 0)
			return r;
	}
	r = sd_bus_message_close_container(signal);
	return r < 0 ? r : owned_signal_send(bus, signal, 400);
}

int bus_group_empty(struct bus *bus, uint64_t id, const struct bus_group_totals *totals)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	assert(bus);
	assert(totals);

	r = owned_signal_new(&signal, &bus->groups, id, "Empty");
	if (r >= 0)
		r = send_empty(bus, signal, totals);
	return r < 0 ? -EAGAIN : 0;
}
