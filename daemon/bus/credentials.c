/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/peer-internal.h"

/*
 * Credentials come from the bus alone: what /proc says of a pid may be of
 * another process by the time it is read.
 */

#define IDENTIFY_TIMEOUT_US (10 * 1000 * 1000)

/* A ping waits as long as the peer lives: one may be stopped for hours. */
#define PING_TIMEOUT_US UINT64_MAX

static void peer_refuse_held(struct peer *peer, const char *name, const char *text)
{
	struct peers *peers = peer->peers;
	struct pump_message *message;

	while ((message = peer_pop_held(peers, peer))) {
		pump_refuse(peers->bus->pump, &message->envelope, name, text);
		(void)pump_message_free(message);
	}
}

static int read_uid(sd_bus_message *answer, uid_t *ret)
{
	int r;

	r = sd_bus_message_enter_container(answer, 'a', "{sv}");
	if (r < 0)
		return r;

	while ((r = sd_bus_message_enter_container(answer, 'e', "sv")) > 0) {
		const char *key;
		uint32_t uid;

		r = sd_bus_message_read(answer, "s", &key);
		if (r < 0)
			return r;
		if (strcmp(key, "UnixUserID") == 0) {
			r = sd_bus_message_read(answer, "v", "u", &uid);
			if (r < 0)
				return r;
			*ret = uid;
			return 0;
		}
		r = sd_bus_message_skip(answer, "v");
		if (r < 0)
			return r;
		r = sd_bus_message_exit_container(answer);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : -ENODATA;
}

static int on_credentials(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	uid_t uid;

	peer->question = sd_bus_slot_unref(peer->question);

	if (sd_bus_message_is_method_error(answer, NULL) || read_uid(answer, &uid) < 0) {
		peer_refuse_held(peer, SD_BUS_ERROR_ACCESS_DENIED,
				 "The bus does not say who you are");
		peer_remove(peer);
		return 0;
	}

	if (uid != 0 && peers_count_uid(peer->peers, uid) >= PEERS_PER_UID) {
		peer->peers->bus->statistics.replies_refused++;
		peer_refuse_held(peer, SD_BUS_ERROR_LIMITS_EXCEEDED,
				 "Too many of your connections call at once; close some");
		peer_remove(peer);
		return 0;
	}

	peer->uid = uid;
	peer->knowledge = PEER_KNOWN;
	peers_release(peer->peers);
	return 0;
}

static int on_match(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	/*
	 * Refused only where the bus allows fewer rules than our table has
	 * entries: then it is forgotten late, when room is needed. Without this
	 * handler sd-bus would close the connection.
	 */
	return 0;
}

static int on_owner_changed(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	const char *name, *before, *after;

	if (sd_bus_message_read(signal, "sss", &name, &before, &after) < 0)
		return 0;
	if (strcmp(name, peer->name) == 0 && *after == '\0')
		peer_remove(peer);
	return 0;
}

int peer_identify(struct peer *peer)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	sd_bus *sd = peer->peers->bus->sd;
	char rule[512];
	int r;

	assert(peer);

	r = snprintf(rule, sizeof(rule),
		     "type='signal',sender='" DRIVER_NAME "',path='" DRIVER_PATH
		     "',interface='" DRIVER_INTERFACE "',member='NameOwnerChanged',arg0='%s'",
		     peer->name);
	if (r < 0 || (size_t)r >= sizeof(rule))
		return -ENAMETOOLONG;

	/* First the rule: a name that leaves in between makes the question fail. */
	r = sd_bus_add_match_async(sd, &peer->match, rule, on_owner_changed, on_match, peer);
	if (r < 0)
		return r;

	r = sd_bus_message_new_method_call(sd, &call, DRIVER_NAME, DRIVER_PATH, DRIVER_INTERFACE,
					   "GetConnectionCredentials");
	if (r < 0)
		return r;
	r = sd_bus_message_append(call, "s", peer->name);
	if (r < 0)
		return r;
	return sd_bus_call_async(sd, &peer->question, call, on_credentials, peer,
				 IDENTIFY_TIMEOUT_US);
}

static void tell_room(const struct bus *bus)
{
	const struct bus_process_ops *process = bus->ops->process;

	if (process && process->room)
		process->room(bus->ops->process_userdata(bus->userdata));
}

static int on_pong(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	const char *sender = sd_bus_message_get_sender(answer);
	uint64_t covers = peer->ping_covers;

	peer->ping = sd_bus_slot_unref(peer->ping);
	peer->ping_covers = 0;

	/* Whatever it says; but the bus may have spoken in its place: asked again by who has more for it. */
	if (!sender || strcmp(sender, peer->name) != 0)
		return 0;

	peer->unproven -= covers;
	tell_room(peer->peers->bus);
	return 0;
}

void peer_ping(struct peer *peer)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	sd_bus *sd = peer->peers->bus->sd;

	if (peer->ping)
		return;

	/* Without memory it is tried again with the next call. */
	if (sd_bus_message_new_method_call(sd, &call, peer->name, "/", "org.freedesktop.DBus.Peer",
					   "Ping") < 0)
		return;
	if (sd_bus_call_async(sd, &peer->ping, call, on_pong, peer, PING_TIMEOUT_US) >= 0)
		peer->ping_covers = peer->unproven;
}
