/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "daemon/bus/address.h"
#include "daemon/bus/bus-internal.h"
#include "daemon/bus/polkit.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"

#define BACKOFF_MIN_US (100 * 1000)
#define BACKOFF_MAX_US (5 * 1000 * 1000)

/* At the first start: a predecessor that was killed may take that long to die. */
#define NAME_ATTEMPTS 5

/* What a bus that is shutting down may take for the last messages. */
#define FLUSH_US (100 * 1000)

static void bus_connect(struct bus *bus);
static void bus_request_name(struct bus *bus);

void bus_owner_gone(struct bus *bus, const char *name)
{
	owned_leave(&bus->groups, name);
	owned_leave(&bus->watches, name);
	warning_subscribers_leave(bus, name);
	bus->ops->owner_gone(name, bus->userdata);
}

/* Who has a stream, a group or a watch keeps it while there is no connection. */
static void bus_save_kept(struct bus *bus)
{
	const char *name;
	size_t at = 0;

	while (bus->peers && (name = peers_next_kept(bus->peers, &at))) {
		char *copy = strdup(name);
		char **grown;

		grown = copy ? reallocarray(bus->kept, bus->n_kept + 1, sizeof(*grown)) : NULL;
		if (!grown) {
			free(copy);
			bus_owner_gone(bus, name);
			continue;
		}
		bus->kept = grown;
		bus->kept[bus->n_kept++] = copy;
	}
}

/* The same names on another bus are somebody else's. */
static void bus_restore_kept(struct bus *bus)
{
	sd_id128_t id = SD_ID128_NULL;
	bool same;

	(void)sd_bus_get_bus_id(bus->sd, &id);
	same = sd_id128_equal(id, bus->bus_id);
	bus->bus_id = id;

	while (bus->n_kept) {
		_cleanup_free_ char *name = bus->kept[--bus->n_kept];

		if (same)
			peers_restore(bus->peers, name);
		else
			bus_owner_gone(bus, name);
	}
}

/* All that belongs to one connection. */
static void bus_disconnect(struct bus *bus)
{
	struct pump_statistics pumped;
	bool was_owned = bus->owned;

	bus->owned = false;
	bus_replies_forget(bus);
	announcer_reset(bus->announcer);
	bus->name_slot = sd_bus_slot_unref(bus->name_slot);
	bus_save_kept(bus);
	bus->polkit = polkit_free(bus->polkit);
	/* Slots of peers go before the connection they belong to. */
	bus->peers = peers_free(bus->peers);

	if (bus->sd) {
		sd_bus_detach_event(bus->sd);
		sd_bus_close(bus->sd);
		bus->sd = sd_bus_unref(bus->sd);
	}
	if (bus->pump) {
		pump_statistics(bus->pump, &pumped);
		bus->former.descriptors_refused += pumped.descriptors_refused;
		bus->pump = pump_free(bus->pump);
	}

	if (was_owned)
		bus->ops->connected(false, bus->userdata);
}

static void bus_retry(struct bus *bus)
{
	uint64_t now;

	(void)sd_event_now(bus->loop, CLOCK_MONOTONIC, &now);
	(void)sd_event_source_set_time(bus->retry, now + bus->backoff_us);
	(void)sd_event_source_set_enabled(bus->retry, SD_EVENT_ONESHOT);

	bus->backoff_us *= 2;
	if (bus->backoff_us > BACKOFF_MAX_US)
		bus->backoff_us = BACKOFF_MAX_US;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bus *bus = userdata;

	if (bus->sd)
		bus_request_name(bus);
	else
		bus_connect(bus);
	return 0;
}

static enum pump_verdict on_incoming(struct pump_message *message, void *userdata)
{
	struct bus *bus = userdata;

	return peers_incoming(bus->peers, message);
}

static void on_outgoing(const struct envelope *envelope, size_t n, void *userdata)
{
	struct bus *bus = userdata;

	if (envelope->type == ENVELOPE_SIGNAL && !envelope->destination)
		announcer_count(bus->announcer, n);
	else
		peers_outgoing(bus->peers, envelope, n);
}

static void on_closed(int error, void *userdata)
{
	struct bus *bus = userdata;

	bus->statistics.reconnects++;
	journal_log_limited(LOG_WARNING, CATALOG_BUS_LOST, "",
			    "The connection to the bus was lost (%s): connecting anew",
			    error == -ETIMEDOUT ? "it takes nothing any more" : strerror(-error));
	bus_disconnect(bus);
	bus_retry(bus);
}

static const struct pump_ops pump_ops = {
	.incoming = on_incoming,
	.outgoing = on_outgoing,
	.closed = on_closed,
};

static int find_stranger_device(uint32_t mnt_id, uint32_t *ret_major, uint32_t *ret_minor,
				void *userdata)
{
	struct bus *bus = userdata;
	struct filesystem *fs;

	fs = bus->ops->find_mount(mnt_id, bus->userdata);
	if (!fs)
		return -ENOENT;
	*ret_major = fs->sb->key.major;
	*ret_minor = fs->sb->key.minor;
	return 0;
}

static void on_stranger_stuck(const struct stranger_report *report, void *userdata)
{
	struct bus *bus = userdata;
	char who[96] = "somebody";
	uid_t uid;

	if (report->sender)
		snprintf(who, sizeof(who), "%.64s", report->sender);
	if (report->sender && bus->peers && peers_find_uid(bus->peers, report->sender, &uid))
		snprintf(who, sizeof(who), "%.64s (uid %u)", report->sender, uid);

	journal_log_limited(LOG_WARNING, CATALOG_DESCRIPTOR_STUCK, who,
			    "%s sent a descriptor that cannot be closed (device %u:%u): %s", who,
			    report->major, report->minor,
			    report->aborted ? "its FUSE connection was aborted"
					    : "a thread waits for it");
}

static void on_strangers_changed(void *userdata)
{
	struct bus *bus = userdata;

	if (bus->pump)
		pump_resume(bus->pump);
}

static const struct strangers_ops strangers_ops = {
	.find_device = find_stranger_device,
	.stuck = on_stranger_stuck,
	.changed = on_strangers_changed,
};

static void name_acquired(struct bus *bus)
{
	journal_log(bus->was_owned ? LOG_NOTICE : LOG_INFO, CATALOG_BUS_CONNECTED,
		    "Connected to the bus as " BUS_NAME);
	bus->owned = true;
	bus->was_owned = true;
	bus->backoff_us = BACKOFF_MIN_US;
	bus_restore_kept(bus);
	bus->ops->connected(true, bus->userdata);
}

/*
 * The owner may be the connection that was lost: a dbus-daemon that had stopped to read
 * it does not see its end. It does when it has something to write to it.
 */
static void name_poke(struct bus *bus)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;

	if (sd_bus_message_new_method_call(bus->sd, &call, BUS_NAME, BUS_PATH_ROOT,
					   "org.freedesktop.DBus.Peer", "Ping") < 0 ||
	    sd_bus_message_set_expect_reply(call, false) < 0)
		return;
	(void)sd_bus_send(bus->sd, call, NULL);
}

static void name_refused(struct bus *bus, const char *why)
{
	if (bus->was_owned)
		name_poke(bus);
	if (bus->was_owned || ++bus->name_attempts < NAME_ATTEMPTS) {
		if (!bus->was_owned)
			bus->backoff_us = BACKOFF_MIN_US;
		bus_retry(bus);
		return;
	}

	journal_log(LOG_ERR, CATALOG_NAME_TAKEN, "The name " BUS_NAME " cannot be had: %s", why);
	(void)sd_event_exit(bus->loop, BUS_EXIT_NAME_TAKEN);
}

static int on_name(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	enum { PRIMARY_OWNER = 1, ALREADY_OWNER = 4 };
	struct bus *bus = userdata;
	const sd_bus_error *failure = sd_bus_message_get_error(answer);
	uint32_t code = 0;

	bus->name_slot = sd_bus_slot_unref(bus->name_slot);

	if (failure)
		name_refused(bus, failure->message ? failure->message : failure->name);
	else if (sd_bus_message_read(answer, "u", &code) < 0 ||
		 (code != PRIMARY_OWNER && code != ALREADY_OWNER))
		name_refused(bus, "another process owns it");
	else
		name_acquired(bus);
	return 0;
}

static void bus_request_name(struct bus *bus)
{
	/* sd-bus adds DO_NOT_QUEUE by itself. */
	if (sd_bus_request_name_async(bus->sd, &bus->name_slot, BUS_NAME, 0, on_name, bus) < 0) {
		bus_disconnect(bus);
		bus_retry(bus);
	}
}

static int bus_open(struct bus *bus, int fd)
{
	int r;

	r = sd_bus_new(&bus->sd);
	if (r < 0)
		return r;

	/* From here on the descriptor is its. */
	r = sd_bus_set_fd(bus->sd, fd, fd);
	if (r < 0)
		return r;
	(void)sd_bus_set_description(bus->sd, "fseventsd");
	r = sd_bus_set_bus_client(bus->sd, true);
	if (r < 0)
		return r;
	r = sd_bus_negotiate_fds(bus->sd, true);
	if (r < 0)
		return r;
	/* Who calls is asked of the bus, never of /proc. */
	r = sd_bus_negotiate_creds(bus->sd, false, _SD_BUS_CREDS_ALL);
	if (r < 0)
		return r;

	r = manager_object_add(bus, bus->sd);
	if (r < 0)
		return r;
	r = filesystem_object_add(bus, bus->sd);
	if (r < 0)
		return r;
	r = owned_register(&bus->groups, bus->sd);
	if (r < 0)
		return r;
	r = owned_register(&bus->watches, bus->sd);
	if (r < 0)
		return r;

	r = sd_bus_start(bus->sd);
	if (r < 0)
		return r;
	r = polkit_new(&bus->polkit, bus);
	if (r < 0)
		return r;
	pump_bound_inner(bus->pump, fd);
	return sd_bus_attach_event(bus->sd, bus->loop, SD_EVENT_PRIORITY_NORMAL);
}

static int bus_try(struct bus *bus)
{
	struct pump_ends ends = { .strangers = bus->strangers };
	_cleanup_close_ int real = -1;
	const char *address;
	int inner, r;

	address = address_resolve(bus->address);
	if (!address)
		return -ENOENT;
	real = address_connect(address);
	if (real < 0)
		return real;

	r = peers_new(&bus->peers, bus);
	if (r < 0)
		return r;
	ends.bus_fd = real;
	r = pump_new(&bus->pump, &inner, bus->loop, &ends, &pump_ops, bus);
	if (r < 0)
		return r;
	TAKE_FD(real);
	return bus_open(bus, inner);
}

static void bus_connect(struct bus *bus)
{
	int r;

	r = bus_try(bus);
	if (r >= 0) {
		bus_request_name(bus);
		return;
	}

	journal_log_limited(LOG_WARNING, CATALOG_BUS_LOST, "",
			    "The bus cannot be reached (%s): trying again", strerror(-r));
	bus_disconnect(bus);
	bus_retry(bus);
}

int bus_new(struct bus **ret, sd_event *loop, const char *address, struct quota *quota,
	    const struct bus_ops *ops, void *userdata)
{
	_cleanup_(bus_freep) struct bus *bus = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(address);
	assert(ops);

	bus = calloc(1, sizeof(*bus));
	if (!bus)
		return -ENOMEM;
	bus->loop = sd_event_ref(loop);
	bus->quota = quota;
	bus->ops = ops;
	bus->userdata = userdata;
	bus->backoff_us = BACKOFF_MIN_US;
	owned_init(&bus->groups, bus, &group_class);
	owned_init(&bus->watches, bus, &watch_class);
	bus->address = strdup(address);
	if (!bus->address)
		return -ENOMEM;

	r = strangers_new(&bus->strangers, loop, &strangers_ops, bus);
	if (r < 0)
		return r;
	r = announcer_new(&bus->announcer, bus);
	if (r < 0)
		return r;
	r = sd_event_add_time(loop, &bus->retry, CLOCK_MONOTONIC, 0, 10 * 1000, on_retry, bus);
	if (r < 0)
		return r;
	(void)sd_event_source_set_enabled(bus->retry, SD_EVENT_OFF);
	(void)sd_event_source_set_description(bus->retry, "bus-retry");
	(void)sd_event_source_set_exit_on_failure(bus->retry, true);

	*ret = TAKE_PTR(bus);
	return 0;
}

int bus_start(struct bus *bus)
{
	const char *address, *at;
	struct sockaddr_un where;
	socklen_t length;

	assert(bus);
	assert(!bus->started);

	address = address_resolve(bus->address);
	at = address;
	if (!address || !address_next(&at, &where, &length)) {
		journal_log(LOG_ERR, NULL,
			    "The bus address \"%s\" cannot be used: only unix:path= and "
			    "unix:abstract= are",
			    address ? address : bus->address);
		return -EINVAL;
	}

	bus->started = true;
	bus_connect(bus);
	return 0;
}

static void bus_flush(struct bus *bus)
{
	struct timespec now;
	uint64_t deadline, queued;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	deadline = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 + FLUSH_US;
	if (bus->owned)
		(void)sd_bus_release_name_async(bus->sd, NULL, BUS_NAME, NULL, NULL);

	/* Never sd_bus_flush(): nobody would empty the other end. */
	for (unsigned int i = 0; i < 1000; i++) {
		pump_drain(bus->pump, deadline);
		if (sd_bus_get_n_queued_write(bus->sd, &queued) < 0 || !queued)
			break;
		/* What waits is written before anything is read. */
		if (sd_bus_process(bus->sd, NULL) < 0)
			break;
	}
}

struct bus *bus_free(struct bus *bus)
{
	if (!bus)
		return NULL;

	if (bus->sd && bus->pump)
		bus_flush(bus);
	if (bus->announcer)
		bus_disconnect(bus);
	assert(!bus->replies && !bus->peers);

	while (bus->n_kept)
		free(bus->kept[--bus->n_kept]);
	free(bus->kept);
	owned_forget(&bus->groups);
	owned_forget(&bus->watches);
	warning_subscribers_forget(bus);
	sd_event_source_disable_unref(bus->retry);
	announcer_free(bus->announcer);
	strangers_free(bus->strangers);
	sd_event_unref(bus->loop);
	free(bus->address);
	free(bus);
	return NULL;
}

void bus_statistics(const struct bus *bus, struct bus_statistics *ret)
{
	struct pump_statistics pumped = {};

	assert(bus);
	assert(ret);

	if (bus->pump)
		pump_statistics(bus->pump, &pumped);
	*ret = bus->statistics;
	ret->descriptors_refused = bus->former.descriptors_refused + pumped.descriptors_refused;
}
