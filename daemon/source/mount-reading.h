/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A reading of the mount table
 *
 * The text of mountinfo and the unique ids of the mounts in it, both of one
 * state of the table where that can be had. Reads when it is asked to; when to
 * ask is decided in mounts.c. Touches no mount.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/source/statmount.h"

struct mount_reading {
	int fd; /* of mountinfo, owned; read and polled here alone */
	char *text; /* owned */
	size_t n_text, n_allocated;
	struct mount_ids *ids; /* owned; NULL: not in this kernel */
	bool ids_complete; /* the next refresh must list all */
	uint64_t unsteady; /* tries in vain, so far */
};

/** mount_reading_init() - with no file yet; Return: 0 or -ENOMEM */
int mount_reading_init(struct mount_reading *reading);

/** mount_reading_open() - Return: 0 or a negative errno */
int mount_reading_open(struct mount_reading *reading, const char *path);
void mount_reading_deinit(struct mount_reading *reading);

/** mount_reading_changed() - whether the kernel's table did; true once for each time */
bool mount_reading_changed(struct mount_reading *reading);

enum mount_reading_outcome {
	MOUNT_READING_UNSTEADY = 1, /* the table changed during each try */
};

/**
 * mount_reading_take() - read text and ids
 *
 * Text and ids belong together: nothing changed from before the one to after
 * the other. A change in between could lose a line, since the kernel gives the
 * file in pieces, or join a mnt_id with the unique id of its next owner.
 *
 * Return: 0, MOUNT_READING_UNSTEADY with the last try, or a negative errno.
 */
int mount_reading_take(struct mount_reading *reading);

/** mount_reading_shrink() - a storm is over: what it needed is given back */
void mount_reading_shrink(struct mount_reading *reading);
