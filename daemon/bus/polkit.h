/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Questions to polkit
 *
 * CheckAuthorization of org.freedesktop.PolicyKit1 for a caller by its unique
 * bus name, never waited for. A question may be open for as long as a person
 * thinks: how many there are is bounded, and one whose caller leaves the bus is
 * cancelled. What follows from a verdict is the asker's; this knows no method.
 *
 * Lives as long as one connection.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/envelope.h"

#define POLKIT_PER_UID 4
#define POLKIT_MAX 32

/* For a person who looks for the password. */
#ifndef POLKIT_PERSON_US
#define POLKIT_PERSON_US (120ULL * 1000 * 1000)
#endif

/* For polkit alone, whose rules are programs; then it counts as absent. */
#define POLKIT_RULES_US (5ULL * 1000 * 1000)

struct bus;
struct polkit;

enum polkit_verdict {
	POLKIT_YES,
	POLKIT_NO,
	POLKIT_CHALLENGE, /* somebody would have to be asked, and may not or cannot be */
	POLKIT_LATE, /* nobody answered in time */
	POLKIT_ABSENT, /* there is no polkit, or none that makes sense */
};

enum {
	_POLKIT_E_SUCCESS,

	POLKIT_E_LIMIT, /* too many questions of this user, or of all */
};

struct polkit_question {
	const char *action; /* of static storage */
	const char *caller; /* unique name; borrowed for the call only */
	uid_t uid; /* whom it is counted for */
	bool interactive; /* a person may be asked */
	uint64_t timeout_us;

	/* Exactly one of these is called, once, never before polkit_ask() has returned. */
	void (*answered)(enum polkit_verdict verdict, void *userdata);
	void (*dropped)(void *userdata); /* the caller has left, or the connection is gone */
	void *userdata;
};

/** polkit_new() - of a connection that is there: also asks to be told when polkit's opinions change */
int polkit_new(struct polkit **ret, struct bus *bus);

/** polkit_free() - drops all questions */
struct polkit *polkit_free(struct polkit *polkit);
DEFINE_FREEP(polkit, polkit_free)

/** polkit_ask() - Return: 0, POLKIT_E_LIMIT, or a negative errno; neither function is called unless 0 */
int polkit_ask(struct polkit *polkit, const struct polkit_question *question);

/** polkit_is_asked() - something is asked for this caller */
bool polkit_is_asked(const struct polkit *polkit, const char *caller);

/** polkit_leave() - the caller has left the bus: cancels what is asked for it */
void polkit_leave(struct polkit *polkit, const char *caller);

/** polkit_speaks() - a signal that polkit itself sent, as far as it is known by an answer */
bool polkit_speaks(const struct polkit *polkit, const struct envelope *signal);
