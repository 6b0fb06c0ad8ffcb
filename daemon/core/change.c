/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/core/change.h"
#include "include/fsevents_stream.h"

/* By rising bits. */
static const struct {
	uint32_t bit;
	const char *name;
} names[] = {
	{ FSEVENTS_ACCESS, "access" },	     { FSEVENTS_MODIFY, "modify" },
	{ FSEVENTS_ATTRIB, "attrib" },	     { FSEVENTS_CLOSE_WRITE, "close-write" },
	{ FSEVENTS_OPEN, "open" },	     { FSEVENTS_CREATE, "create" },
	{ FSEVENTS_DELETE, "delete" },	     { FSEVENTS_DELETE_SELF, "delete-self" },
	{ FSEVENTS_MOVE_SELF, "move-self" }, { FSEVENTS_MOUNT, "mount" },
	{ FSEVENTS_UNMOUNT, "unmount" },     { FSEVENTS_MOVE, "move" },
};

#define N_NAMES (sizeof(names) / sizeof(names[0]))

uint32_t watch_mask_from_name(const char *name)
{
	assert(name);

	for (size_t i = 0; i < N_NAMES; i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].bit;
	return 0;
}

const char *watch_mask_next(uint32_t mask, unsigned int *bit)
{
	assert(bit);

	for (size_t i = 0; i < N_NAMES; i++) {
		unsigned int at = (unsigned int)__builtin_ctz(names[i].bit);

		if (at < *bit || !(mask & names[i].bit))
			continue;
		*bit = at + 1;
		return names[i].name;
	}

	return NULL;
}
