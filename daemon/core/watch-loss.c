/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/core/watch-loss.h"

/* Return: bytes of the nearest directory that both are, or are below. */
static size_t common_directory(const char *a, size_t n_a, const char *b, size_t n_b)
{
	size_t n = 0;

	for (size_t i = 0;; i++) {
		if ((i == n_a || a[i] == '/') && (i == n_b || b[i] == '/'))
			n = i;
		if (i == n_a || i == n_b || a[i] != b[i])
			return n;
	}
}

static size_t directory_of(const char *name, size_t n)
{
	const char *slash = n > 0 ? memrchr(name, '/', n) : NULL;

	return slash ? (size_t)(slash - name) : 0;
}

void watch_loss_add(struct watch_loss *loss, uint64_t count, const char *under, size_t n_under)
{
	assert(loss);
	assert(under || n_under == 0);

	/* One more byte: a name that ends where the room does is whole. */
	if (n_under > sizeof(loss->under))
		n_under = directory_of(under, sizeof(loss->under) + 1);

	if (loss->active) {
		if (__builtin_add_overflow(loss->count, count, &loss->count))
			loss->count = UINT64_MAX;
		loss->n_under = common_directory(loss->under, loss->n_under, under, n_under);
		return;
	}

	if (n_under > 0)
		memcpy(loss->under, under, n_under);
	loss->n_under = n_under;
	loss->count = count;
	loss->active = true;
}

bool watch_loss_covers(const struct watch_loss *loss, const char *dir, size_t n_dir)
{
	assert(loss);
	assert(dir || n_dir == 0);

	if (!loss->active)
		return false;
	if (loss->n_under == 0)
		return true;
	return n_dir >= loss->n_under && memcmp(dir, loss->under, loss->n_under) == 0 &&
	       (n_dir == loss->n_under || dir[loss->n_under] == '/');
}

size_t watch_change_directory(const struct change *change)
{
	size_t n;

	assert(change);

	n = directory_of(change->name, change->n_name);
	if (change->n_former == 0)
		return n;
	return common_directory(change->name, n, change->former,
				directory_of(change->former, change->n_former));
}
