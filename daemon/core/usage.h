/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Usage of a filesystem
 *
 * What one statfs said, in its own units, checked for sense: a filesystem
 * may be a user's program that answers zeros or 2^64-1. All arithmetic on it
 * saturates, so that the worst a hostile answer can do is to be ignored.
 */

#include <stdbool.h>
#include <stdint.h>

struct usage {
	uint64_t block_size; /* f_frsize, bytes */
	uint64_t blocks; /* f_blocks */
	uint64_t free; /* f_bfree */
	uint64_t
		available; /* f_bavail; on btrfs less the data that is reserved but not yet committed */
	uint64_t files; /* f_files; 0 = the filesystem does not count them */
	uint64_t files_available; /* f_ffree */
	bool read_only; /* ST_RDONLY */
};

/** usage_is_known() - false for zero blocks or block size, or available > blocks */
bool usage_is_known(const struct usage *usage);

/** usage_counts_files() - false where inodes are not counted, or more are said to be free than exist */
bool usage_counts_files(const struct usage *usage);

/* In bytes; UINT64_MAX where the product does not fit. */
uint64_t usage_bytes(const struct usage *usage);
uint64_t usage_available_bytes(const struct usage *usage);
uint64_t usage_free_bytes(const struct usage *usage);
