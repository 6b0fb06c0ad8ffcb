/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The inside of peers: shared by peer.c (the table, what is held and charged)
 * and credentials.c (what is asked of the bus and of the peer).
 */

#include "daemon/bus/budget.h"
#include "daemon/bus/peer.h"

enum peer_knowledge {
	PEER_ASKED,
	PEER_KNOWN,
};

struct peer {
	struct peers *peers;
	char *name;
	uid_t uid;
	gid_t *groups; /* ascending, each once; NULL: the bus gives none */
	size_t n_groups;
	uint32_t pid; /* when it connected; 0: the bus gives none */
	enum peer_knowledge knowledge;
	bool kept;

	bool may_read_details; /* what polkit said of it, until then */
	uint64_t details_until_us;

	uint64_t unproven;
	uint64_t ping_covers; /* of these, what the ping under way will prove */
	uint64_t used;

	sd_bus_slot *match;
	sd_bus_slot *question;
	sd_bus_slot *ping; /* NULL: none under way */

	struct budget budget;
	struct pump_message *held;
	struct pump_message **held_tail;
	size_t n_held;
};

struct peers {
	struct bus *bus;
	struct peer *items[PEERS_MAX];
	size_t n;
	size_t n_held;
	size_t n_held_bytes;
	uint64_t clock; /* counts calls, for the order of use */
	struct reply_sizes sizes;
};

void peer_remove(struct peer *peer);
struct pump_message *peer_pop_held(struct peers *peers, struct peer *peer);
size_t peers_count_uid(const struct peers *peers, uid_t uid);

/** peers_release() - let go what was held, as far as it may */
void peers_release(struct peers *peers);

/** peer_identify() - ask for its uid and to be told when it leaves */
int peer_identify(struct peer *peer);

/** peer_ping() - unless one is under way */
void peer_ping(struct peer *peer);
