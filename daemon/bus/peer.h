/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Those who call
 *
 * Each bus name that called has an entry while it is connected: its uid, as
 * the bus says (GetConnectionCredentials, asked for once and without
 * waiting; calls are held meanwhile), and how many bytes were sent to it that
 * it has not proven to have read.
 *
 * A bus takes what we send and keeps it for a receiver that does not read; a
 * dbus-daemon stops to read the sender once that is too much, and so one
 * user who calls and never reads would silence the daemon for all. Hence each
 * message to a peer is charged to its user. Past PEER_PING_AT bytes the peer is
 * pinged: messages are in order, so an answer proves that all before it
 * was read. Past PEER_UNPROVEN_MAX per user its calls get LimitsExceeded until
 * then. A connection that holds little itself goes on being served for a
 * while, so that one bad program does not lock its user's others out.
 *
 * Since replies are charged when they are sent, calls of one user are let
 * through only as fast as replies of their size can be sent (budget.h).
 *
 * The table is bounded; names are forgotten when they leave the bus, or when
 * room is needed and nothing of theirs is pending.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/bus/pump.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/envelope.h"

/* Each has a match rule; a system bus allows 512 for one connection. */
#define PEERS_MAX 384
#define PEERS_PER_UID 192

/*
 * Calls that wait, until the caller is known or its replies were sent. A
 * system bus lets one connection wait for 128 replies.
 */
#define PEER_HELD_MAX 128
#define PEERS_HELD_MAX 1024
#define PEERS_HELD_BYTES (4U << 20)

/* So long a verdict about private details is believed that polkit does not revoke. */
#define PEER_DETAILS_US (5 * 1000 * 1000)

#define PEER_PING_AT (64U << 10)
#define PEER_TOLD_MAX (64U << 10) /* above it no signal to one connection alone is sent */
#define PEER_TOLD_FAIR (PEER_TOLD_MAX / 4) /* a connection below this is told longer */
#define PEER_FAIR (64U << 10) /* a connection below this is served longer */
#define PEER_UNPROVEN_MAX (1U << 20) /* per user */
#define PEER_UNPROVEN_HARD (8U << 20) /* per user; nobody of it is served */
/* Root's services share one uid and do not attack: the maximum is for each connection. */
#define PEER_UNPROVEN_ROOT (32U << 20)

struct bus;
struct bus_sender;
struct peers;

int peers_new(struct peers **ret, struct bus *bus);

/** peers_free() - forgets all; tells nobody: see peers_next_kept() */
struct peers *peers_free(struct peers *peers);
DEFINE_FREEP(peers, peers_free)

/** peers_next_kept() - walk the names that peers_keep() was called for; @at: 0 at first; NULL: no more */
const char *peers_next_kept(const struct peers *peers, size_t *at);

/** peers_restore() - a name that was kept on a connection before; the manager is told if it has left */
void peers_restore(struct peers *peers, const char *name);

/** peers_incoming() - what becomes of a message from the bus */
enum pump_verdict peers_incoming(struct peers *peers, struct pump_message *message);

/** peers_outgoing() - charge a message to its receiver */
void peers_outgoing(struct peers *peers, const struct envelope *envelope, size_t n);

/** peers_find_uid() - Return: true with the uid of a known peer */
bool peers_find_uid(const struct peers *peers, const char *name, uid_t *ret);

/** peers_find_groups() - those of a known peer, ascending, until it leaves; none where the bus gives none */
void peers_find_groups(const struct peers *peers, const char *name, const gid_t **ret,
		       size_t *ret_n);

/** peers_find_pid() - the process that connected, which may have ended; 0: not known */
uint32_t peers_find_pid(const struct peers *peers, const char *name);

/** peers_may_tell() - it has read enough of what it was sent for a further signal to it alone; else it is asked */
bool peers_may_tell(const struct peers *peers, const char *name);

/** peers_told() - such a signal was sent, of @n bytes; charged at once, since it is seen only later */
void peers_told(struct peers *peers, const char *name, size_t n);

/** peers_find_details() - may it read private details? Return: true with @ret, where that is known */
bool peers_find_details(const struct peers *peers, const char *name, bool *ret);
void peers_set_details(struct peers *peers, const char *name, bool may_read);
/** peers_forget_details() - polkit thinks otherwise now, of whomever */
void peers_forget_details(struct peers *peers);

/** peers_keep() - it holds something of ours: the manager is told when it leaves */
void peers_keep(struct peers *peers, const char *name);
