/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/credential.h"

/* As many as there are users with watches: looked through. */
struct credentials {
	struct credential **all; /* by number; NULL: free */
	size_t n_all;
};

int credentials_new(struct credentials **ret)
{
	struct credentials *credentials;

	assert(ret);

	credentials = calloc(1, sizeof(*credentials));
	if (!credentials)
		return -ENOMEM;

	*ret = credentials;
	return 0;
}

struct credentials *credentials_free(struct credentials *credentials)
{
	if (!credentials)
		return NULL;

	for (size_t i = 0; i < credentials->n_all; i++)
		assert(!credentials->all[i]);
	free(credentials->all);
	free(credentials);
	return NULL;
}

static int gid_compare(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return (x > y) - (x < y);
}

static size_t gids_sort(gid_t *gids, size_t n)
{
	size_t n_different = 0;

	if (n == 0)
		return 0;
	qsort(gids, n, sizeof(*gids), gid_compare);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || gids[i] != gids[i - 1])
			gids[n_different++] = gids[i];
	return n_different;
}

static int number_find(struct credentials *credentials, uint32_t *ret)
{
	size_t n = credentials->n_all, n_new = n ? 2 * n : 8;
	struct credential **all;

	for (size_t i = 0; i < n; i++)
		if (!credentials->all[i]) {
			*ret = (uint32_t)i;
			return 0;
		}

	all = reallocarray(credentials->all, n_new, sizeof(struct credential *));
	if (!all)
		return -ENOMEM;
	for (size_t i = n; i < n_new; i++)
		all[i] = NULL;
	credentials->all = all;
	credentials->n_all = n_new;
	*ret = (uint32_t)n;
	return 0;
}

static bool credential_equal(const struct credential *a, const struct credential *b)
{
	return a->uid == b->uid && a->n_groups == b->n_groups &&
	       memcmp(a->groups, b->groups, a->n_groups * sizeof(gid_t)) == 0;
}

int credential_get(struct credentials *credentials, uid_t uid, const gid_t *groups, size_t n_groups,
		   struct credential **ret)
{
	_cleanup_free_ struct credential *credential = NULL;
	int r;

	assert(credentials);
	assert(groups || n_groups == 0);
	assert(ret);

	credential = calloc(1, sizeof(*credential) + n_groups * sizeof(gid_t));
	if (!credential)
		return -ENOMEM;
	credential->uid = uid;
	if (n_groups > 0)
		memcpy(credential->groups, groups, n_groups * sizeof(gid_t));
	credential->n_groups = gids_sort(credential->groups, n_groups);
	if (credential->n_groups > CREDENTIAL_GROUPS_MAX)
		return -E2BIG;

	for (size_t i = 0; i < credentials->n_all; i++)
		if (credentials->all[i] && credential_equal(credentials->all[i], credential)) {
			*ret = credential_ref(credentials->all[i]);
			return 0;
		}

	r = number_find(credentials, &credential->number);
	if (r < 0)
		return r;
	credential->table = credentials;
	credential->n_refs = 1;
	credentials->all[credential->number] = credential;
	*ret = TAKE_PTR(credential);
	return 0;
}

struct credential *credential_ref(struct credential *credential)
{
	assert(credential);
	assert(credential->n_refs > 0);

	credential->n_refs++;
	return credential;
}

struct credential *credential_unref(struct credential *credential)
{
	if (!credential)
		return NULL;

	assert(credential->n_refs > 0);
	if (--credential->n_refs > 0)
		return NULL;

	credential->table->all[credential->number] = NULL;
	free(credential);
	return NULL;
}
