/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is told to everybody
 *
 * Broadcast signals: Filesystem.Event, PropertiesChanged, InterfacesAdded and
 * InterfacesRemoved. A bus keeps a broadcast for each subscriber that does
 * not read, hence they are few: changes of properties are gathered until the end of the
 * loop's iteration, for one object not more often than each 100 ms, and wait
 * longer where broadcasts have used up their average of 1 KiB/s (with a burst
 * of ANNOUNCE_BURST); events are coalesced before they come here. While much waits for
 * the bus, events are skipped and counted, changes wait.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"

#define ANNOUNCE_SPACING_US (100 * 1000)
#define ANNOUNCE_BYTES_PER_SECOND 1024
#define ANNOUNCE_BURST (128 << 10)
/* Objects that come are told at once; they may leave a debt of so many seconds. */
#define ANNOUNCE_DEBT (8 * ANNOUNCE_BYTES_PER_SECOND)

struct announcer;
struct bus;

int announcer_new(struct announcer **ret, struct bus *bus);
struct announcer *announcer_free(struct announcer *announcer);
DEFINE_FREEP(announcer, announcer_free)

/** announcer_reset() - the connection is gone, and with it all who saw the state before */
void announcer_reset(struct announcer *announcer);

void announcer_change(struct announcer *announcer, const struct fs_key *key,
		      unsigned int properties);

/** announcer_forget() - the object is gone */
void announcer_forget(struct announcer *announcer, const struct fs_key *key);

/** announcer_count() - so many bytes were broadcast */
void announcer_count(struct announcer *announcer, size_t n);
