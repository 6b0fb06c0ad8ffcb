/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What watches, and hubs and groups that are gone, have come to: for the statistics. */

#include <stdint.h>

/* received + gaps = delivered + merged + denied + lost + queued: see watches_statistics(). */
struct watches_account {
	uint64_t told; /* changes that hubs gave, and what is told of mounts */
	uint64_t gaps; /* losses of unknown extent */
	uint64_t lost_before; /* changes that hubs told as a loss of known count */
	uint64_t denied; /* of hubs that are gone */
	uint64_t events; /* likewise, fed */
	uint64_t questions;
	uint64_t outside; /* events that were dropped at once */
	uint64_t ignored; /* directories that the kernel was to be silent of */
	uint64_t hushed; /* times that it was to be silent of the links of files */
	/* Of watches that are gone. */
	uint64_t delivered, merged, lost;
};
