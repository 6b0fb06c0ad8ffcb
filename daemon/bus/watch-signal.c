/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"

/* As a bytestring: with a NUL, which @name does not have. */
static int append_name(sd_bus_message *signal, const char *name, size_t n)
{
	void *space;
	int r;

	r = sd_bus_message_append_array_space(signal, 'y', n + 1, &space);
	if (r < 0)
		return r;
	if (n > 0)
		memcpy(space, name, n);
	((char *)space)[n] = '\0';
	return 0;
}

static int append_change(sd_bus_message *signal, const struct change *change)
{
	int r;

	r = sd_bus_message_open_container(signal, 'r', "uayayuttt");
	if (r < 0)
		return r;
	r = sd_bus_message_append_basic(signal, 'u', &change->mask);
	if (r < 0)
		return r;
	r = append_name(signal, change->name, change->n_name);
	if (r < 0)
		return r;
	r = append_name(signal, change->former, change->n_former);
	if (r < 0)
		return r;
	r = sd_bus_message_append(signal, "uttt", change->pid, change->realtime_us, change->inode,
				  change->cookie);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(signal);
}

static int send_changed(struct bus *bus, sd_bus_message *signal, uint64_t first_seq,
			const struct change *changes, size_t n_changes)
{
	size_t n = 16;
	int r;

	r = sd_bus_message_append(signal, "t", first_seq);
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(signal, 'a', "(uayayuttt)");
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_changes; i++) {
		r = append_change(signal, &changes[i]);
		if (r < 0)
			return r;
		n += 64 + changes[i].n_name + changes[i].n_former;
	}
	r = sd_bus_message_close_container(signal);
	return r < 0 ? r : owned_signal_send(bus, signal, n);
}

int bus_watch_changed(struct bus *bus, uint64_t id, uint64_t first_seq,
		      const struct change *changes, size_t n_changes)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	assert(bus);
	assert(changes || n_changes == 0);

	r = owned_signal_new(&signal, &bus->watches, id, "Changed");
	if (r >= 0)
		r = send_changed(bus, signal, first_seq, changes, n_changes);
	return r < 0 ? -EAGAIN : 0;
}

int bus_watch_lost(struct bus *bus, uint64_t id, uint64_t count, const char *under, size_t n_under)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	assert(bus);
	assert(under || n_under == 0);

	r = owned_signal_new(&signal, &bus->watches, id, "Lost");
	if (r >= 0)
		r = sd_bus_message_append(signal, "t", count);
	if (r >= 0)
		r = append_name(signal, under, n_under);
	if (r >= 0)
		r = owned_signal_send(bus, signal, 32 + n_under);
	return r < 0 ? -EAGAIN : 0;
}
