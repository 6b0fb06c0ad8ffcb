/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The mount table as a worker reads it
 *
 * For questions about one mount at this moment: the daemon's own table is as of the last
 * change that the kernel told, and a rename above a mount point is none.
 */

#include <stdbool.h>
#include <stdint.h>

struct mount_facts {
	bool idmapped;
	char *where; /* bytes; to be freed */
};

/** mount_table_find() - Return: 0, -ENOENT for none of this namespace, or another negative errno */
int mount_table_find(uint32_t id, struct mount_facts *ret);
