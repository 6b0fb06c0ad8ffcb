/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A change of a file as it is told
 *
 * To one watch: names are relative to it, and what it may not know is not in it.
 */

#include <stddef.h>
#include <stdint.h>

/* Names are bytes without NUL, with their length; borrowed. */
struct change {
	uint32_t mask; /* FSEVENTS_... of include/fsevents_stream.h */
	uint32_t pid; /* 0: not known or not to be told */
	uint64_t realtime_us;
	uint64_t inode; /* 0: not known */
	uint64_t cookie; /* not 0: equal in both records of an exchange */
	const char *name;
	size_t n_name;
	const char *former; /* of FSEVENTS_MOVE, else none */
	size_t n_former;
};

/* Longest of both names: a relative path of the kernel's PATH_MAX. */
#define CHANGE_NAME_MAX 4096

/** watch_mask_from_name() - of "create" and so on; 0: no such name. As on the bus, by D-Bus and -e */
uint32_t watch_mask_from_name(const char *name);
/** watch_mask_next() - the name of the lowest bit of @mask at or after @bit, which moves past it; NULL: no more */
const char *watch_mask_next(uint32_t mask, unsigned int *bit);

/* What may be asked for. */
#define WATCH_MASK_ALL                                                                             \
	(0x00000001U | 0x00000002U | 0x00000004U | 0x00000008U | 0x00000020U | 0x00000100U |       \
	 0x00000200U | 0x00000400U | 0x00000800U | 0x00001000U | 0x00002000U | 0x00010000U)
