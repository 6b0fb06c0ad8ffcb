/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Relay of forks
 *
 * Registered processes are sent a queued real-time signal for each new
 * process, with the parent in si_pid and the child in si_value. Here it is
 * decided which fork goes to whom and when a registration ends; the signal
 * itself is sent through a callback.
 *
 * Scope: the forks of all processes for those who may see them (root, holders
 * of the polkit action); else those of processes all of whose uids are that of the
 * registrant. Threads are not relayed. A process whose real and effective uid
 * differed is not taken for the registrant's until it executes: events do not tell
 * the saved uid, and of one that nobody followed until its uids met they told nothing.
 *
 * A registration ends when its process ends, executes, or changes a uid.
 * Before the first signal of each batch, and within one after RELAY_CHECK_SIGNALS
 * signals or RELAY_CHECK_NS, the sender looks at the four uids under its pidfd,
 * so that a lag of the events cannot help anybody.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/process.h"

#define RELAY_SIGNAL_MIN 34 /* 32 and 33 are glibc's own */
#define RELAY_SIGNAL_MAX 64
#define RELAYS_MAX 256 /* of all users together */
#define RELAY_DOUBTFUL_MAX 3 /* scans */

/* A check holds for so many signals, and so long; a look for each of many relays takes longer. */
#define RELAY_CHECK_SIGNALS 64
#define RELAY_CHECK_NS 1000000ULL /* for each 16 relays begun */

struct relay_uids {
	uint32_t real, effective, saved, filesystem;
};

struct relay_options {
	uint32_t pid;
	int signal;
	uid_t owner; /* who registered: counted for, listed to */
	struct relay_uids uids; /* of the process at its registration */
	bool all; /* forks of all users */
	bool patient; /* the scan that it waits for is not caused by it: relay_hurry() */
	uint64_t since_ns; /* CLOCK_MONOTONIC at its registration: older events are not about it */
};

enum relay_end {
	RELAY_STOPPED, /* asked for, or replaced */
	RELAY_EXITED,
	RELAY_EXECED,
	RELAY_UIDS_CHANGED,
	RELAY_BROKEN, /* the signal cannot be sent any more */
};

struct relay;
struct relays;

enum { _RELAY_E_SUCCESS, RELAY_E_LOST, RELAY_E_GONE };

struct relay_ops {
	/* What happens from here on is relayed; of its user alone: the scan is done. May be NULL. */
	void (*ready)(struct relay *relay, void *userdata);
	/*
	 * Is it the process that was registered, with the same uids? Asked before signals, see
	 * above; and once a batch where a thread of it has ended, or events were lost, its
	 * exec among them perhaps. Return: true to go on, else false with *ret_why.
	 */
	bool (*check)(struct relay *relay, enum relay_end *ret_why, void *userdata);
	/* Return: 0, RELAY_E_LOST (EAGAIN: its queue is full; counted), RELAY_E_GONE (the relay ends). */
	int (*send)(struct relay *relay, uint32_t parent, uint32_t child, void *userdata);
	/* CLOCK_MONOTONIC as of now, of which a batch takes some. */
	uint64_t (*now_ns)(void *userdata);
	/* It ends: the last that is told of it; freed after. Once. */
	void (*ended)(struct relay *relay, enum relay_end why, void *userdata);
};

int relays_new(struct relays **ret, const struct relay_ops *ops, void *userdata); /* 0 or -ENOMEM */
struct relays *relays_free(struct relays *relays); /* each is ->ended() with RELAY_STOPPED */
DEFINE_FREEP(relays, relays_free)

/**
 * relay_add() - begin
 * @userdata:	of this relay: its pidfd, its charge
 *
 * One of the same pid is replaced: ->ended() with RELAY_STOPPED. What is checked
 * here is the signal's range and pid 1; whether it is caught or blocked, and who may ask,
 * is the caller's.
 *
 * Callbacks may not add or stop relays.
 *
 * Return: 0, -EINVAL (signal or pid), -ENOSPC (RELAYS_MAX), -ENOMEM.
 */
int relay_add(struct relays *relays, const struct relay_options *options, void *userdata,
	      struct relay **ret);
/** relay_stop() - by whom it was asked for is the caller's; ->ended() with RELAY_STOPPED, and freed */
void relay_stop(struct relay *relay);

/** relay_hurry() - it may cause its scan; Return: whether it was ->patient, and waits */
bool relay_hurry(struct relay *relay);

struct relay *relays_find(const struct relays *relays, uint32_t pid);
struct relay *relays_next(const struct relays *relays, const struct relay *relay); /* NULL: first */
const struct relay_options *relay_options(const struct relay *relay);
void *relay_userdata(const struct relay *relay);
/**
 * relay_lost() - signals not queued and forks that are not known
 *
 * At least so many: a loss of events counts one, and only with ->all as many as
 * it were, since these are of all users; one of an unknown number counts one.
 */
uint64_t relay_lost(const struct relay *relay);
uint64_t relay_sent(const struct relay *relay);
bool relays_want_scan(
	const struct relays *relays); /* one waits for its user's processes, and is not patient */

/* The rest is for feed.c. */

/** relays_batch() - a batch of events begins */
void relays_batch(struct relays *relays);
/** relays_batch_end() - it ends: checks those that something happened to */
void relays_batch_end(struct relays *relays);
/**
 * relays_note() - each event, as it comes: may end a registration, and goes to relays to all
 */
void relays_note(struct relays *relays, const struct wire_proc_event *event);
/**
 * relays_note_own() - a process of the table forked one: for the relays of its user alone
 *
 * Where its uids are not known after a loss it is not relayed, and counts as lost.
 */
void relays_note_own(struct relays *relays, const struct wire_proc_event *event,
		     const struct process *parent);
/** relays_note_lost() - @count 0: unknown */
void relays_note_lost(struct relays *relays, uint64_t count);
/** relays_note_full() - a process of this user has no room: its forks are not known */
void relays_note_full(struct relays *relays, uint32_t uid);
/** relays_want_uid() - some relay is for the forks of this user alone */
bool relays_want_uid(const struct relays *relays, uint32_t uid);
/** relays_want_table() - some relay is for the forks of one user alone */
bool relays_want_table(const struct relays *relays);
/** relays_scan_begun() - a scan is applied from here on: a relay that is added meanwhile waits for the next */
void relays_scan_begun(struct relays *relays);
/**
 * relays_ready() - it was
 * @doubtful:	it may have missed processes of anybody: process_scan_is_doubtful()
 *
 * After a doubtful one a relay waits for the next, RELAY_DOUBTFUL_MAX times; then it
 * begins all the same, with a loss of one.
 */
void relays_ready(struct relays *relays, bool doubtful);
