/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Who is asking
 *
 * A uid with its groups as the bus gave them; equal ones are one object, so
 * that verdicts are shared by all watches of a user. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/cleanup.h"

/* More are refused: one that is left out may be denied what everybody else may do. */
#define CREDENTIAL_GROUPS_MAX 1024

struct credentials; /* the table */

struct credential {
	struct credentials *table;
	unsigned int n_refs;
	uint32_t number; /* of it in the table; not that of another one while it lives */
	uid_t uid;
	size_t n_groups;
	gid_t groups[]; /* ascending, each once */
};

int credentials_new(struct credentials **ret);
struct credentials *
credentials_free(struct credentials *credentials); /* asserts that none is held */
DEFINE_FREEP(credentials, credentials_free)

/** credential_get() - a reference; Return: 0, -E2BIG (more different groups than above) or -ENOMEM */
int credential_get(struct credentials *credentials, uid_t uid, const gid_t *groups, size_t n_groups,
		   struct credential **ret);
struct credential *credential_ref(struct credential *credential);
struct credential *credential_unref(struct credential *credential); /* NULL is fine; gives NULL */
DEFINE_FREEP(credential, credential_unref)

/** credential_is_root() - may see everything: nothing is asked for it */
static inline bool credential_is_root(const struct credential *credential)
{
	return credential->uid == 0;
}
