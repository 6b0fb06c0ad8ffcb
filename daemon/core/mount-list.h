/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One reading of mountinfo, sorted out
 *
 * The lines of a reading in their order, each mount id once, grouped by
 * device number. Knows nothing of earlier readings. Strings lie in the text
 * that was read.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/mountinfo.h"
#include "daemon/core/superblock.h"

struct mount_entry {
	struct mountinfo_entry info;
	uint64_t unique_id;
	uint32_t next; /* entry of the same device, number + 1; 0: the last one */
};

struct mount_device {
	uint32_t first, last; /* entries */
	uint32_t n_entries;
};

struct mount_list {
	struct mount_entry *entries;
	size_t n_entries;
	struct mount_device *devices; /* in the order of their first entries */
	size_t n_devices;
};

/**
 * mount_list_init() - parse and sort a reading
 * @ret:	to be given to mount_list_deinit(), on success only
 *
 * Of lines with the same mount id, which a reading that overtook a move can
 * have, the last one holds, in the place of the first.
 *
 * Return: 0 or -ENOMEM.
 */
int mount_list_init(struct mount_list *ret, const struct superblock_reading *reading,
		    size_t *ret_skipped);
void mount_list_deinit(struct mount_list *list);
