/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Asking as somebody else
 *
 * A worker takes the filesystem credentials of a user for a moment: fsuid,
 * fsgid, groups, and no effective capability, since one that is left opens
 * what the user could not. The real, effective and saved uids stay, or the user
 * could signal the worker.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct caller {
	uid_t uid; /* 0: root asks, and nothing changes */
	const gid_t *groups; /* none: no group at all */
	size_t n_groups;
};

/* What was before; opaque. */
struct caller_saved {
	bool changed;
	int death_signal;
	int n_groups;
	gid_t *groups;
	uint32_t effective[2];
};

/**
 * caller_enter() - be that user until caller_leave()
 * @ret:	to give to caller_leave()
 *
 * Return: 0, or a negative errno, and then everything is as before.
 */
int caller_enter(const struct caller *caller, struct caller_saved *ret);

/** caller_leave() - ends the process where it cannot be itself again */
void caller_leave(struct caller_saved *saved);
