/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/peer-internal.h"
#include "daemon/core/credential.h"

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

static int compare_groups(const void *a, const void *b)
{
	const gid_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int read_groups(sd_bus_message *answer, struct peer *peer)
{
	const uint32_t *groups;
	size_t n, n_kept = 0;
	int r;

	r = sd_bus_message_read_array(answer, 'u', (const void **)&groups, &n);
	if (r < 0)
		return r;
	n /= sizeof(*groups);
	if (n == 0 || peer->groups)
		return 0;

	peer->groups = reallocarray(NULL, n, sizeof(*peer->groups));
	if (!peer->groups)
		return -ENOMEM;
	memcpy(peer->groups, groups, n * sizeof(*groups));
	qsort(peer->groups, n, sizeof(*peer->groups), compare_groups);
	/* One more than may be, so that they are seen to be too many. */
	for (size_t i = 0; i < n && n_kept <= CREDENTIAL_GROUPS_MAX; i++)
		if (n_kept == 0 || peer->groups[i] != peer->groups[n_kept - 1])
			peer->groups[n_kept++] = peer->groups[i];
	peer->n_groups = n_kept;
	return 0;
}

/* Return: 1 where it is the uid, 0, or a negative errno. */
static int read_credential(sd_bus_message *answer, struct peer *peer)
{
	const char *key, *type;
	int r;

	r = sd_bus_message_read_basic(answer, 's', &key);
	if (r < 0)
		return r;
	r = sd_bus_message_peek_type(answer, NULL, &type);
	if (r < 0)
		return r;
	if (strcmp(key, "UnixUserID") == 0) {
		r = sd_bus_message_read(answer, "v", "u", &peer->uid);
		return r < 0 ? r : 1;
	}
	if (strcmp(key, "ProcessID") == 0 && strcmp(type, "u") == 0) {
		r = sd_bus_message_read(answer, "v", "u", &peer->pid);
		return r < 0 ? r : 0;
	}
	if (strcmp(key, "UnixGroupIDs") != 0 || strcmp(type, "au") != 0) {
		r = sd_bus_message_skip(answer, "v");
		return r < 0 ? r : 0;
	}

	r = sd_bus_message_enter_container(answer, 'v', "au");
	if (r >= 0)
		r = read_groups(answer, peer);
	return r < 0 ? r : sd_bus_message_exit_container(answer) < 0 ? -EBADMSG : 0;
}

static int read_credentials(sd_bus_message *answer, struct peer *peer)
{
	bool has_uid = false;
	int r;

	r = sd_bus_message_enter_container(answer, 'a', "{sv}");
	if (r < 0)
		return r;

	while ((r = sd_bus_message_enter_container(answer, 'e', "sv")) > 0) {
		r = read_credential(answer, peer);
		if (r < 0)
			return r;
		if (r > 0)
			has_uid = true;
		r = sd_bus_message_exit_container(answer);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	return has_uid ? 0 : -ENODATA;
}

static int on_credentials(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;

	peer->question = sd_bus_slot_unref(peer->question);

	if (sd_bus_message_is_method_error(answer, NULL) || read_credentials(answer, peer) < 0) {
		peer_refuse_held(peer, SD_BUS_ERROR_ACCESS_DENIED,
				 "The bus does not say who you are");
		peer_remove(peer);
		return 0;
	}

	if (peer->uid != 0 && peers_count_uid(peer->peers, peer->uid) >= PEERS_PER_UID) {
		peer->peers->bus->statistics.replies_refused++;
		peer_refuse_held(peer, SD_BUS_ERROR_LIMITS_EXCEEDED,
				 "Too many of your connections call at once; close some");
		peer_remove(peer);
		return 0;
	}

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
	const struct bus_watch_ops *watch = bus->ops->watch;

	if (process && process->room)
		process->room(bus->ops->process_userdata(bus->userdata));
	if (watch && watch->room)
		watch->room(bus->ops->watch_userdata(bus->userdata));
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
