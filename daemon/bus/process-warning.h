/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Who is sent ProcessWarning
 *
 * Names on the bus that subscribed, with their uid: each is sent the warnings
 * about processes of that user, root all of them. They are few, and bounded.
 */

#include <stddef.h>
#include <sys/types.h>

#define WARNING_SUBSCRIBERS_MAX 128
#define WARNING_SUBSCRIBERS_PER_UID 8

struct bus;

struct warning_subscriber {
	char *name; /* owned */
	uid_t uid;
};

/* Zeroed: none. */
struct warning_subscribers {
	struct warning_subscriber items[WARNING_SUBSCRIBERS_MAX];
	size_t n;
};

/** warning_subscribers_leave() - the name has left the bus */
void warning_subscribers_leave(struct bus *bus, const char *name);
void warning_subscribers_forget(struct bus *bus);
