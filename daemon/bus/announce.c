/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"

/* How long changes wait where the bus does not take enough. */
#define RETRY_US (1000 * 1000)

struct announcement {
	struct fs_key key;
	unsigned int properties; /* 0: only for the spacing */
	uint64_t next_us;
};

struct announcer {
	struct bus *bus;
	sd_event_source *timer;
	struct announcement *items;
	size_t n;
	size_t n_room;
	int64_t credit; /* bytes */
	uint64_t credited_us;
};

static uint64_t announcer_now(struct announcer *announcer)
{
	uint64_t now;

	(void)sd_event_now(announcer->bus->loop, CLOCK_MONOTONIC, &now);
	return now;
}

static bool bus_is_clogged(const struct bus *bus)
{
	return !bus->pump || pump_queued(bus->pump) > BUS_SIGNALS_MAX;
}

static bool bus_can_tell(const struct bus *bus)
{
	return bus->owned && bus->sd;
}

bool bus_takes_more(const struct bus *bus)
{
	return bus_can_tell(bus) && !bus_is_clogged(bus);
}

static void announcer_refill(struct announcer *announcer, uint64_t now)
{
	uint64_t bytes = (now - announcer->credited_us) * ANNOUNCE_BYTES_PER_SECOND / 1000000;

	if (bytes == 0)
		return;
	announcer->credited_us = now;
	announcer->credit += bytes > ANNOUNCE_BURST ? ANNOUNCE_BURST : (int64_t)bytes;
	if (announcer->credit > ANNOUNCE_BURST)
		announcer->credit = ANNOUNCE_BURST;
}

static void announcer_arm(struct announcer *announcer, uint64_t at)
{
	(void)sd_event_source_set_time(announcer->timer, at);
	(void)sd_event_source_set_enabled(announcer->timer, SD_EVENT_ONESHOT);
}

static void announcer_rearm(struct announcer *announcer)
{
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < announcer->n; i++)
		if (announcer->items[i].next_us < first)
			first = announcer->items[i].next_us;

	if (first == UINT64_MAX)
		(void)sd_event_source_set_enabled(announcer->timer, SD_EVENT_OFF);
	else
		announcer_arm(announcer, first);
}

/* By bit of enum bus_property. */
static const char *const property_names[] = {
	"Source", "Where",	"MountPoints", "ReadOnly", "ReadOnlyReason",
	"State",  "Thresholds", "Crossed",     "Events",   "Capabilities",
};

static void change_emit(struct announcer *announcer, struct announcement *change)
{
	const size_t n_names = sizeof(property_names) / sizeof(property_names[0]);
	char *names[sizeof(property_names) / sizeof(property_names[0]) + 1] = {};
	char path[FS_PATH_MAX];
	size_t n = 0;

	for (size_t i = 0; i < n_names; i++)
		if (change->properties & 1U << i)
			names[n++] = (char *)property_names[i];
	change->properties = 0;

	fs_key_path(&change->key, path);
	(void)sd_bus_emit_properties_changed_strv(announcer->bus->sd, path, BUS_IFACE_FILESYSTEM,
						  names);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct announcer *announcer = userdata;
	uint64_t now = announcer_now(announcer);
	size_t i = 0;

	announcer_refill(announcer, now);
	if (bus_can_tell(announcer->bus) &&
	    (announcer->credit < 0 || bus_is_clogged(announcer->bus))) {
		announcer_arm(announcer, now + RETRY_US);
		return 0;
	}

	while (i < announcer->n) {
		struct announcement *change = &announcer->items[i];

		if (change->next_us > now) {
			i++;
			continue;
		}
		if (!change->properties || !bus_can_tell(announcer->bus)) {
			*change = announcer->items[--announcer->n];
			continue;
		}
		change_emit(announcer, change);
		change->next_us = now + ANNOUNCE_SPACING_US;
		i++;
	}

	announcer_rearm(announcer);
	return 0;
}

int announcer_new(struct announcer **ret, struct bus *bus)
{
	_cleanup_(announcer_freep) struct announcer *announcer = NULL;
	int r;

	assert(ret);
	assert(bus);

	announcer = calloc(1, sizeof(*announcer));
	if (!announcer)
		return -ENOMEM;
	announcer->bus = bus;
	announcer->credit = ANNOUNCE_BURST;

	r = sd_event_add_time(bus->loop, &announcer->timer, CLOCK_MONOTONIC, 0, 1000, on_timer,
			      announcer);
	if (r < 0)
		return r;
	(void)sd_event_source_set_enabled(announcer->timer, SD_EVENT_OFF);
	(void)sd_event_source_set_description(announcer->timer, "bus-changes");
	(void)sd_event_source_set_exit_on_failure(announcer->timer, true);

	announcer->credited_us = announcer_now(announcer);
	*ret = TAKE_PTR(announcer);
	return 0;
}

struct announcer *announcer_free(struct announcer *announcer)
{
	if (!announcer)
		return NULL;

	sd_event_source_disable_unref(announcer->timer);
	free(announcer->items);
	free(announcer);
	return NULL;
}

void announcer_reset(struct announcer *announcer)
{
	announcer->n = 0;
	(void)sd_event_source_set_enabled(announcer->timer, SD_EVENT_OFF);
}

static struct announcement *announcer_get(struct announcer *announcer, const struct fs_key *key)
{
	struct announcement *grown;
	size_t n_room;

	for (size_t i = 0; i < announcer->n; i++)
		if (fs_key_equal(&announcer->items[i].key, key))
			return &announcer->items[i];

	if (announcer->n == announcer->n_room) {
		n_room = announcer->n_room ? 2 * announcer->n_room : 16;
		grown = reallocarray(announcer->items, n_room, sizeof(*grown));
		if (!grown)
			return NULL;
		announcer->items = grown;
		announcer->n_room = n_room;
	}

	announcer->items[announcer->n] = (struct announcement){ .key = *key };
	return &announcer->items[announcer->n++];
}

void announcer_change(struct announcer *announcer, const struct fs_key *key,
		      unsigned int properties)
{
	struct announcement *change;

	assert(announcer);
	assert(key);

	if (!bus_can_tell(announcer->bus) || !properties)
		return;
	/* Without memory nobody is told; the property itself is right. */
	change = announcer_get(announcer, key);
	if (!change)
		return;
	change->properties |= properties;
	announcer_rearm(announcer);
}

void announcer_forget(struct announcer *announcer, const struct fs_key *key)
{
	for (size_t i = 0; i < announcer->n; i++) {
		if (!fs_key_equal(&announcer->items[i].key, key))
			continue;
		announcer->items[i] = announcer->items[--announcer->n];
		return;
	}
}

void announcer_count(struct announcer *announcer, size_t n)
{
	announcer->credit -= (int64_t)n;
	if (announcer->credit < -ANNOUNCE_DEBT)
		announcer->credit = -ANNOUNCE_DEBT;
}

void bus_filesystem_added(struct bus *bus, struct filesystem *fs)
{
	char path[FS_PATH_MAX];

	assert(bus);
	assert(fs);

	if (!bus_can_tell(bus))
		return;
	fs_key_path(&fs->sb->key, path);
	(void)sd_bus_emit_interfaces_added(bus->sd, path, BUS_IFACE_FILESYSTEM, NULL);
}

void bus_filesystem_removed(struct bus *bus, struct filesystem *fs)
{
	char path[FS_PATH_MAX];

	assert(bus);
	assert(fs);

	announcer_forget(bus->announcer, &fs->sb->key);
	if (!bus_can_tell(bus))
		return;
	fs_key_path(&fs->sb->key, path);
	(void)sd_bus_emit_interfaces_removed(bus->sd, path, BUS_IFACE_FILESYSTEM, NULL);
}

void bus_filesystem_changed(struct bus *bus, struct filesystem *fs, unsigned int properties)
{
	assert(bus);
	assert(fs);

	announcer_change(bus->announcer, &fs->sb->key, properties);
}

static int signal_send(struct bus *bus, const struct event *event, uint64_t count)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	char path[FS_PATH_MAX];
	int r;

	fs_key_path(&event->fs, path);
	r = sd_bus_message_new_signal(bus->sd, &signal, path, BUS_IFACE_FILESYSTEM, "Event");
	if (r < 0)
		return r;
	r = sd_bus_message_append(signal, "ttssut", event->id, event->realtime_us,
				  event_code_name(event->code),
				  event_severity_name(event->severity), event->pid, event->data);
	if (r < 0)
		return r;
	r = marshal_details(signal, &event->details, false, count, event->test);
	if (r < 0)
		return r;
	return sd_bus_send(bus->sd, signal, NULL);
}

void bus_signal(struct bus *bus, const struct event *event, uint64_t count)
{
	assert(bus);
	assert(event);

	/* Who is not there yet reads the history. */
	if (!bus_can_tell(bus))
		return;

	if (!bus_is_clogged(bus) && signal_send(bus, event, count) >= 0) {
		bus->statistics.signals++;
		return;
	}

	bus->statistics.signals_skipped++;
	journal_log_limited(LOG_WARNING, CATALOG_SIGNALS_SKIPPED, "",
			    "The bus does not take what is sent: signals are skipped, the history "
			    "and streams are complete");
}
