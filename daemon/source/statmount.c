/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/index.h"
#include "daemon/core/mount-options.h"
#include "daemon/source/kernel.h"
#include "daemon/source/statmount.h"

/* Ids in one listmount(). */
#define LIST_BATCH 512

/* Bytes of options that are looked at. */
#define OPTIONS_MAX 4096

struct pair {
	uint64_t unique_id;
	uint32_t mnt_id;
};

/* Pairs by mnt_id. */
struct map {
	struct pair *pairs;
	size_t n_pairs, n_allocated;
	struct index index;
};

struct mount_ids {
	struct map map; /* of the last reading */
	uint64_t last; /* largest unique id ever listed */
	uint64_t listings;
};

static void map_deinit(struct map *map)
{
	free(map->pairs);
	index_deinit(&map->index);
	*map = (struct map){};
}

static uint32_t *map_slot(const struct map *map, uint32_t mnt_id)
{
	uint32_t *slot = index_first(&map->index, hash_number(mnt_id));

	while (*slot && map->pairs[*slot - 1].mnt_id != mnt_id)
		slot = index_next(&map->index, slot);

	return slot;
}

static int map_grow(struct map *map)
{
	size_t n = map->n_allocated ? 2 * map->n_allocated : 64;
	struct index index;
	struct pair *pairs;
	int r;

	pairs = reallocarray(map->pairs, n, sizeof(*pairs));
	if (!pairs)
		return -ENOMEM;

	map->pairs = pairs;
	r = index_init(&index, n);
	if (r < 0)
		return r;

	index_deinit(&map->index);
	map->index = index;
	map->n_allocated = n;

	for (size_t i = 0; i < map->n_pairs; i++)
		*map_slot(map, map->pairs[i].mnt_id) = (uint32_t)i + 1;

	return 0;
}

static int map_set(struct map *map, uint32_t mnt_id, uint64_t unique_id)
{
	uint32_t *slot;
	int r;

	if (map->n_pairs == map->n_allocated) {
		r = map_grow(map);
		if (r < 0)
			return r;
	}

	slot = map_slot(map, mnt_id);
	if (!*slot)
		*slot = (uint32_t)++map->n_pairs;

	map->pairs[*slot - 1] = (struct pair){ .unique_id = unique_id, .mnt_id = mnt_id };
	return 0;
}

static uint64_t map_find(const struct map *map, uint32_t mnt_id)
{
	uint32_t number;

	if (map->n_pairs == 0)
		return 0;

	number = *map_slot(map, mnt_id);
	return number ? map->pairs[number - 1].unique_id : 0;
}

static int map_copy(struct map *ret, const struct map *map)
{
	for (size_t i = 0; i < map->n_pairs; i++) {
		int r = map_set(ret, map->pairs[i].mnt_id, map->pairs[i].unique_id);

		if (r < 0)
			return r;
	}

	return 0;
}

/*
 * Adds what the kernel has above @last. Where an mnt_id is known already the
 * listed one replaces it: ids go up, so that it is the later owner.
 */
static int list_after(struct map *map, uint64_t *last)
{
	for (;;) {
		uint64_t ids[LIST_BATCH];
		ssize_t n;

		n = kernel_listmount(*last, ids, LIST_BATCH);
		if (n < 0)
			return n == -ENOMEM ? -ENOMEM : MOUNT_IDS_UNSUPPORTED;

		for (ssize_t i = 0; i < n; i++) {
			struct kernel_statmount facts = {};
			int r;

			/* Gone since it was listed, or not for us to see: not in the reading then. */
			if (kernel_statmount(ids[i], KERNEL_STATMOUNT_MNT_BASIC, &facts,
					     sizeof(facts)) < 0)
				continue;

			r = map_set(map, facts.mnt_id_old, ids[i]);
			if (r < 0)
				return r;
		}

		if (n > 0)
			*last = ids[n - 1];
		if (n < LIST_BATCH)
			return 0;
	}
}

/* The number that each line begins with; what is malformed is the parser's to say. */
static bool next_id(const char **text, const char *end, uint32_t *ret)
{
	const char *p = *text, *newline;
	uint64_t id = 0;

	if (p == end)
		return false;

	for (; p < end && *p >= '0' && *p <= '9' && id <= UINT32_MAX; p++)
		id = id * 10 + (uint64_t)(*p - '0');

	newline = memchr(p, '\n', (size_t)(end - p));
	*text = newline ? newline + 1 : end;
	*ret = (uint32_t)id;
	return true;
}

static bool knows_all(const struct map *map, const char *text, const char *end)
{
	uint32_t id;

	while (next_id(&text, end, &id)) {
		if (map_find(map, id) == 0)
			return false;
	}

	return true;
}

static int keep_only(struct map *ret, const struct map *map, const char *text, const char *end)
{
	uint32_t id;

	while (next_id(&text, end, &id)) {
		uint64_t unique_id = map_find(map, id);
		int r;

		if (unique_id == 0)
			continue;

		r = map_set(ret, id, unique_id);
		if (r < 0)
			return r;
	}

	return 0;
}

int mount_ids_new(struct mount_ids **ret)
{
	struct mount_ids *ids;

	assert(ret);

	ids = calloc(1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;

	*ret = ids;
	return 0;
}

struct mount_ids *mount_ids_free(struct mount_ids *ids)
{
	if (!ids)
		return NULL;

	map_deinit(&ids->map);
	free(ids);
	return NULL;
}

int mount_ids_refresh(struct mount_ids *ids, const char *text, size_t n_text, bool complete)
{
	_cleanup_(map_deinit) struct map known = {}, map = {};
	const char *end = text + n_text;
	uint64_t last;
	int r = 0;

	assert(ids);
	assert(text);

	complete = complete || ids->last == 0;
	last = ids->last;

	if (!complete) {
		r = map_copy(&known, &ids->map);
		if (r == 0)
			r = list_after(&known, &last);
	}

	if (r == 0 && (complete || !knows_all(&known, text, end))) {
		map_deinit(&known);
		ids->listings++;
		last = 0;
		r = list_after(&known, &last);
	}

	if (r == 0)
		r = keep_only(&map, &known, text, end);
	if (r != 0)
		return r;

	map_deinit(&ids->map);
	ids->map = map;
	map = (struct map){};
	if (last > ids->last)
		ids->last = last;
	return 0;
}

uint64_t mount_ids_find(const struct mount_ids *ids, uint32_t mnt_id)
{
	assert(ids);

	return map_find(&ids->map, mnt_id);
}

uint64_t mount_ids_listings(const struct mount_ids *ids)
{
	assert(ids);

	return ids->listings;
}

static int statmount_read(uint64_t unique_id, uint64_t mask, size_t n_str,
			  struct kernel_statmount **ret)
{
	_cleanup_free_ struct kernel_statmount *facts = NULL;
	size_t n = sizeof(*facts) + n_str;
	int r;

	facts = calloc(1, n);
	if (!facts)
		return -ENOMEM;

	r = kernel_statmount(unique_id, mask, facts, n);
	if (r < 0)
		return r == -ENOSYS ? -EOPNOTSUPP : r;

	*ret = TAKE_PTR(facts);
	return 0;
}

/* The options with their NUL, all of them within @n_str; NULL: the kernel lies. */
static const char *statmount_string(const struct kernel_statmount *facts, size_t n_str)
{
	const char *options = facts->str + facts->mnt_opts;

	if (facts->mnt_opts >= n_str || !memchr(options, '\0', n_str - facts->mnt_opts))
		return NULL;
	return options;
}

/* Whole names: one that only contains @name is another. */
static bool options_have(const char *options, const char *name)
{
	const char *option;
	size_t n;

	while ((option = mount_options_next(&options, &n)))
		if (n == strlen(name) && memcmp(option, name, n) == 0)
			return true;
	return false;
}

int statmount_super(uint64_t unique_id, bool with_options, struct statmount_super *ret)
{
	_cleanup_free_ struct kernel_statmount *facts = NULL;
	const uint64_t options_mask = with_options ? KERNEL_STATMOUNT_MNT_OPTS : 0;
	size_t n_str = with_options ? OPTIONS_MAX : 0;
	const char *options = "";
	int r;

	assert(ret);

	r = statmount_read(unique_id, KERNEL_STATMOUNT_SB_BASIC | options_mask, n_str, &facts);
	if (r < 0)
		return r;
	if (!(facts->mask & KERNEL_STATMOUNT_SB_BASIC))
		return -EOPNOTSUPP;

	if (facts->mask & options_mask) {
		options = statmount_string(facts, n_str);
		if (!options)
			return -EBADMSG;
	}

	*ret = (struct statmount_super){
		.read_only = facts->sb_flags & KERNEL_SB_RDONLY,
		.emergency_ro = options_have(options, "emergency_ro"),
		.shutdown = options_have(options, "shutdown"),
	};
	return 0;
}

int statmount_options(uint64_t unique_id, char *ret, size_t n_ret)
{
	_cleanup_free_ struct kernel_statmount *facts = NULL;
	const char *options;
	int r;

	assert(ret);
	assert(n_ret > 0);

	r = statmount_read(unique_id, KERNEL_STATMOUNT_MNT_OPTS, n_ret, &facts);
	if (r < 0)
		return r;

	/* Not told: a kernel before 6.11, or there are none, which cannot be told apart. */
	if (!(facts->mask & KERNEL_STATMOUNT_MNT_OPTS))
		return -EOPNOTSUPP;

	options = statmount_string(facts, n_ret);
	if (!options)
		return -EOVERFLOW;

	memcpy(ret, options, strlen(options) + 1);
	return 0;
}
