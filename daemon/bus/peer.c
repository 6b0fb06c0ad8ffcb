/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/peer-internal.h"
#include "daemon/bus/polkit.h"

/* About what a signal has besides its body. */
#define SIGNAL_HEADER 200

static struct peer *peers_find(const struct peers *peers, const char *name)
{
	for (size_t i = 0; i < peers->n; i++)
		if (strcmp(peers->items[i]->name, name) == 0)
			return peers->items[i];
	return NULL;
}

bool peers_find_uid(const struct peers *peers, const char *name, uid_t *ret)
{
	const struct peer *peer = peers_find(peers, name);

	if (!peer || peer->knowledge != PEER_KNOWN)
		return false;
	*ret = peer->uid;
	return true;
}

void peers_find_groups(const struct peers *peers, const char *name, const gid_t **ret,
		       size_t *ret_n)
{
	const struct peer *peer = peers_find(peers, name);

	*ret = peer ? peer->groups : NULL;
	*ret_n = peer ? peer->n_groups : 0;
}

uint32_t peers_find_pid(const struct peers *peers, const char *name)
{
	const struct peer *peer = peers_find(peers, name);

	return peer ? peer->pid : 0;
}

static uint64_t peers_now(const struct peers *peers)
{
	uint64_t now;

	(void)sd_event_now(peers->bus->loop, CLOCK_MONOTONIC, &now);
	return now;
}

bool peers_find_details(const struct peers *peers, const char *name, bool *ret)
{
	const struct peer *peer = peers_find(peers, name);

	if (!peer || peers_now(peers) >= peer->details_until_us)
		return false;
	*ret = peer->may_read_details;
	return true;
}

void peers_set_details(struct peers *peers, const char *name, bool may_read)
{
	struct peer *peer = peers_find(peers, name);

	if (!peer)
		return;
	peer->may_read_details = may_read;
	peer->details_until_us = peers_now(peers) + PEER_DETAILS_US;
}

void peers_forget_details(struct peers *peers)
{
	for (size_t i = 0; i < peers->n; i++)
		peers->items[i]->details_until_us = 0;
}

void peers_keep(struct peers *peers, const char *name)
{
	struct peer *peer = peers_find(peers, name);

	if (peer)
		peer->kept = true;
}

const char *peers_next_kept(const struct peers *peers, size_t *at)
{
	while (*at < peers->n) {
		const struct peer *peer = peers->items[(*at)++];

		if (peer->kept)
			return peer->name;
	}
	return NULL;
}

struct pump_message *peer_pop_held(struct peers *peers, struct peer *peer)
{
	struct pump_message *message = peer->held;

	if (!message)
		return NULL;

	peer->held = message->next;
	if (!peer->held)
		peer->held_tail = &peer->held;
	message->next = NULL;
	peer->n_held--;
	peers->n_held--;
	peers->n_held_bytes -= message->n_data;
	return message;
}

void peer_remove(struct peer *peer)
{
	struct peers *peers = peer->peers;
	size_t i = 0;

	while (peers->items[i] != peer)
		i++;
	peers->items[i] = peers->items[--peers->n];

	while (peer->held)
		(void)pump_message_free(peer_pop_held(peers, peer));
	polkit_leave(peers->bus->polkit, peer->name);
	if (peer->kept)
		bus_owner_gone(peers->bus, peer->name);

	budget_deinit(&peer->budget);
	sd_bus_slot_unref(peer->match);
	sd_bus_slot_unref(peer->question);
	sd_bus_slot_unref(peer->ping);
	free(peer->groups);
	free(peer->name);
	free(peer);
}

static bool peer_is_idle(const struct peer *peer)
{
	return peer->knowledge == PEER_KNOWN && !peer->held && !peer->kept &&
	       !polkit_is_asked(peer->peers->bus->polkit, peer->name);
}

/* The one about which least is forgotten, the longest unused among equals. */
static struct peer *peers_least(const struct peers *peers)
{
	struct peer *least = NULL;

	for (size_t i = 0; i < peers->n; i++) {
		struct peer *peer = peers->items[i];

		if (!peer_is_idle(peer))
			continue;
		if (!least || peer->unproven < least->unproven ||
		    (peer->unproven == least->unproven && peer->used < least->used))
			least = peer;
	}
	return least;
}

static struct peer *peers_add(struct peers *peers, const char *name)
{
	struct peer *peer;

	if (peers->n == PEERS_MAX) {
		struct peer *least = peers_least(peers);

		if (!least)
			return NULL;
		peer_remove(least);
	}

	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->peers = peers;
	peer->held_tail = &peer->held;
	peer->name = strdup(name);
	if (!peer->name) {
		free(peer);
		return NULL;
	}
	peers->items[peers->n++] = peer;

	if (peer_identify(peer) < 0) {
		peer_remove(peer);
		return NULL;
	}
	return peer;
}

void peers_restore(struct peers *peers, const char *name)
{
	struct peer *peer = peers_find(peers, name);

	if (!peer)
		peer = peers_add(peers, name);
	if (peer)
		peer->kept = true;
	else
		bus_owner_gone(peers->bus, name);
}

size_t peers_count_uid(const struct peers *peers, uid_t uid)
{
	size_t n = 0;

	for (size_t i = 0; i < peers->n; i++)
		if (peers->items[i]->knowledge == PEER_KNOWN && peers->items[i]->uid == uid)
			n++;
	return n;
}

static uint64_t peers_unproven(const struct peers *peers, uid_t uid)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < peers->n; i++)
		if (peers->items[i]->knowledge == PEER_KNOWN && peers->items[i]->uid == uid)
			sum += peers->items[i]->unproven;
	return sum;
}

static void refuse(struct peers *peers, const struct pump_message *message, const char *text)
{
	peers->bus->statistics.replies_refused++;
	pump_refuse(peers->bus->pump, &message->envelope, SD_BUS_ERROR_LIMITS_EXCEEDED, text);
}

static enum pump_verdict peer_hold(struct peer *peer, struct pump_message *message)
{
	struct peers *peers = peer->peers;

	if (peer->n_held >= PEER_HELD_MAX || peers->n_held >= PEERS_HELD_MAX ||
	    peers->n_held_bytes + message->n_data > PEERS_HELD_BYTES) {
		/* Nobody would hear that it was not done. */
		if (peer->knowledge == PEER_KNOWN && budget_spares(&message->envelope))
			return PUMP_PASS;
		refuse(peers, message, "Too many calls at once; wait for an answer first");
		return PUMP_DROP;
	}

	message->next = NULL;
	*peer->held_tail = message;
	peer->held_tail = &message->next;
	peer->n_held++;
	peers->n_held++;
	peers->n_held_bytes += message->n_data;
	return PUMP_TAKEN;
}

/* Return: true when its replies may still grow; else the call was answered. */
static bool peer_is_trusted(struct peer *peer, const struct pump_message *message)
{
	struct peers *peers = peer->peers;
	bool is_root = peer->uid == 0;
	uint64_t hard = is_root ? PEER_UNPROVEN_ROOT : PEER_UNPROVEN_HARD;
	uint64_t fair = is_root ? PEER_UNPROVEN_MAX : PEER_FAIR;
	uint64_t sum = peers_unproven(peers, peer->uid);

	if (sum <= PEER_UNPROVEN_MAX || (peer->unproven <= fair && sum <= hard))
		return true;

	peer_ping(peer);

	/* Refusals are bytes too: in the end there is no answer at all. */
	if (sum > hard && peer->unproven > fair)
		peers->bus->statistics.replies_refused++;
	else
		refuse(peers, message,
		       "Too many replies that were not read; read them and answer "
		       "org.freedesktop.DBus.Peer.Ping");
	return false;
}

static bool uid_allows(const struct peers *peers, uid_t uid, size_t cost)
{
	size_t reserved = 0;

	for (size_t i = 0; i < peers->n; i++)
		if (peers->items[i]->knowledge == PEER_KNOWN && peers->items[i]->uid == uid)
			reserved += peers->items[i]->budget.reserved;
	return reserved == 0 || reserved + cost <= BUDGET_UID;
}

enum admission {
	ADMIT,
	WAIT, /* for replies to be sent */
	REFUSED, /* and answered */
};

static enum admission peer_admit(struct peer *peer, const struct pump_message *message)
{
	struct peers *peers = peer->peers;
	size_t cost = budget_cost(&peers->sizes, &message->envelope);

	if (message->envelope.no_reply)
		return peer->uid == 0 || budget_spares(&message->envelope) ? ADMIT : REFUSED;

	if (!budget_allows(&peer->budget, cost) || !uid_allows(peers, peer->uid, cost))
		return WAIT;
	if (!peer_is_trusted(peer, message))
		return REFUSED;
	return budget_reserve(&peer->budget, &message->envelope, cost, peers_now(peers)) < 0
		       ? REFUSED
		       : ADMIT;
}

static void peer_release(struct peer *peer)
{
	struct peers *peers = peer->peers;

	while (peer->held) {
		enum admission admission = peer_admit(peer, peer->held);
		struct pump_message *message;

		if (admission == WAIT)
			return;
		message = peer_pop_held(peers, peer);
		if (admission == ADMIT)
			pump_deliver(peers->bus->pump, message);
		else
			(void)pump_message_free(message);
	}
}

void peers_release(struct peers *peers)
{
	/* Each time another one is first. */
	size_t first = peers->clock;

	for (size_t i = 0; i < peers->n && peers->n_held; i++) {
		struct peer *peer = peers->items[(first + i) % peers->n];

		if (peer->knowledge == PEER_KNOWN && peer->held)
			peer_release(peer);
	}
}

static enum pump_verdict peer_incoming(struct peer *peer, struct pump_message *message)
{
	/* In order: none overtakes one that waits. */
	if (peer->knowledge == PEER_ASKED || peer->held) {
		if (budget_expire(&peer->budget, peers_now(peer->peers)))
			peers_release(peer->peers);
		return peer_hold(peer, message);
	}

	switch (peer_admit(peer, message)) {
	case ADMIT:
		return PUMP_PASS;
	case WAIT:
		return peer_hold(peer, message);
	case REFUSED:
		return PUMP_DROP;
	}
	return PUMP_DROP;
}

enum pump_verdict peers_incoming(struct peers *peers, struct pump_message *message)
{
	const char *sender = message->envelope.sender;
	struct peer *peer;

	assert(peers);

	/* The bus itself answers us and tells who leaves. */
	if (sender && strcmp(sender, DRIVER_NAME) == 0)
		return PUMP_PASS;
	if (!sender)
		return message->envelope.type == ENVELOPE_CALL ? PUMP_DROP : PUMP_PASS;
	/* No other peer's signal means anything here, but each could be large. */
	if (message->envelope.type == ENVELOPE_SIGNAL)
		return polkit_speaks(peers->bus->polkit, &message->envelope) ? PUMP_PASS
									     : PUMP_DROP;
	if (message->envelope.type != ENVELOPE_CALL)
		return PUMP_PASS;

	peer = peers_find(peers, sender);
	if (!peer)
		peer = peers_add(peers, sender);
	if (!peer) {
		refuse(peers, message, "Too many callers at once; try again later");
		return PUMP_DROP;
	}
	peer->used = ++peers->clock;

	if (message->cut) {
		refuse(peers, message, "The message is larger than any call needs to be (256 KiB)");
		return PUMP_DROP;
	}
	return peer_incoming(peer, message);
}

/* A ping that the bus answered is made good: nothing else is sent to who has no room. */
static void peers_ping_uid(const struct peers *peers, uid_t uid)
{
	for (size_t i = 0; i < peers->n; i++) {
		struct peer *peer = peers->items[i];

		if (peer->knowledge == PEER_KNOWN && peer->uid == uid && peer->unproven > 0)
			peer_ping(peer);
	}
}

bool peers_may_tell(const struct peers *peers, const char *name)
{
	struct peer *peer = peers_find(peers, name);
	uint64_t sum;

	if (!peer || peer->knowledge != PEER_KNOWN)
		return false;
	if (peer->unproven > PEER_TOLD_MAX) {
		peer_ping(peer);
		return false;
	}
	if (peer->uid == 0)
		return true;
	sum = peers_unproven(peers, peer->uid);
	if (sum <= PEER_UNPROVEN_MAX)
		return true;
	peers_ping_uid(peers, peer->uid);
	/* One that reads is not silenced by those of its user that do not. */
	return peer->unproven <= PEER_TOLD_FAIR && sum <= PEER_UNPROVEN_HARD;
}

static void peer_charge(struct peer *peer, size_t n, size_t ping_at)
{
	peer->unproven += n;
	if (peer->unproven > ping_at)
		peer_ping(peer);
}

void peers_told(struct peers *peers, const char *name, size_t n)
{
	struct peer *peer = peers_find(peers, name);

	/* Well before the bound, so that a peer that reads is never waited for. */
	if (peer)
		peer_charge(peer, SIGNAL_HEADER + n, PEER_TOLD_FAIR);
}

void peers_outgoing(struct peers *peers, const struct envelope *envelope, size_t n)
{
	struct peer *peer;

	assert(peers);

	if (!envelope->destination)
		return;
	/* Answers; what we ask proves itself, signals are charged when they are made. */
	if (envelope->type == ENVELOPE_CALL || envelope->type == ENVELOPE_SIGNAL)
		return;

	peer = peers_find(peers, envelope->destination);
	if (!peer)
		return;

	peer_charge(peer, n, PEER_PING_AT);

	if (budget_settle(&peer->budget, &peers->sizes, envelope->reply_serial, n))
		peers_release(peers);
}

int peers_new(struct peers **ret, struct bus *bus)
{
	struct peers *peers;

	assert(ret);
	assert(bus);

	peers = calloc(1, sizeof(*peers));
	if (!peers)
		return -ENOMEM;
	peers->bus = bus;
	*ret = peers;
	return 0;
}

struct peers *peers_free(struct peers *peers)
{
	if (!peers)
		return NULL;

	while (peers->n) {
		peers->items[peers->n - 1]->kept = false;
		peer_remove(peers->items[peers->n - 1]);
	}
	assert(peers->n_held == 0 && peers->n_held_bytes == 0);
	free(peers);
	return NULL;
}
