/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>

#include "daemon/core/fusion-internal.h"

/*
 * What xfs shows as available and gives to nobody: the blocks that an append
 * of one block may need for its map of extents (XFS_DELALLOCBLKS and the free
 * list of a group; 5 were seen on full filesystems of any size).
 */
#define XFS_BLOCKS_LEFT 8

/*
 * btrfs reserves for the creation of one file what its trees could need at
 * worst: about 16 items, twice 8 levels of 16 KiB each.
 */
#define METADATA_LEFT (4ULL << 20)
#define METADATA_ENOUGH (2 * METADATA_LEFT)
/* Kept together, they have nodes of 4 KiB, a quarter of those. */
#define MIXED_LEFT (1ULL << 20)
#define MIXED_ENOUGH (2 * MIXED_LEFT)
/* With less than this, which is less than a block group, data has run out too. */
#define DATA_LEFT (1ULL << 20)

/* Clearly more than none. */
#define ENOUGH_PART 128
#define ENOUGH_BLOCKS 64
#define ENOUGH_INODES 16

/* Where inodes are made as long as there is space, none are left when it is gone. */
static bool has_own_inodes(const struct fusion *fusion)
{
	static const char *const types[] = { "tmpfs", NULL };

	return fusion_is_type(fusion, fusion_ext_types) || fusion_is_type(fusion, types);
}

static uint64_t enough_of(uint64_t all, uint64_t at_least)
{
	uint64_t enough = all / ENOUGH_PART > at_least ? all / ENOUGH_PART : at_least;

	return enough < all / 2 ? enough : all / 2;
}

/* Return: whether it has run out just now. */
static bool latch(bool *full, bool is_out, bool is_enough)
{
	bool was = *full;

	if (is_out)
		*full = true;
	else if (is_enough)
		*full = false;
	return *full && !was;
}

/* When a process that found none of this was told last. */
static uint64_t *culprit_us(struct fusion *fusion, enum event_code code)
{
	return code == EVENT_ENOSPC_INODES ? &fusion->no_inodes_us : &fusion->no_space_us;
}

static bool was_told(struct fusion *fusion, uint64_t now_us, enum event_code code)
{
	uint64_t told_us = *culprit_us(fusion, code);

	return told_us != 0 && now_us < told_us + FUSION_WINDOW_MAX_US;
}

static struct fusion_fact *space_tell(struct fusion_facts *facts, enum event_code code,
				      enum fusion_source source)
{
	struct fusion_fact *fact = fusion_fact_add(facts, code, source);

	fact->error = ENOSPC;
	return fact;
}

/* A look found it: told, unless a process was told of, or may be in a moment. */
static void space_found(struct fusion *fusion, uint64_t now_us, enum event_code code,
			const struct fusion_look *look, bool initial, struct fusion_facts *facts)
{
	if (was_told(fusion, now_us, code))
		return;
	if (initial || !look->culprits) {
		space_tell(facts, code, FUSION_SOURCE_STATFS)->initial = initial;
		return;
	}
	if (!fusion->space_waits)
		fusion->space_due_us = now_us + FUSION_CULPRIT_US;
	fusion->space_waits |= 1U << code;
}

void fusion_space_tell(struct fusion *fusion, uint64_t now_us, struct fusion_facts *facts)
{
	if (!fusion->space_waits || now_us < fusion->space_due_us)
		return;
	for (enum event_code code = 0; code < _EVENT_CODE_N; code++)
		if (fusion->space_waits & 1U << code)
			(void)space_tell(facts, code, FUSION_SOURCE_STATFS);
	fusion->space_waits = 0;
}

void fusion_space_hint(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint,
		       struct fusion_facts *facts)
{
	enum event_code code = EVENT_ENOSPC;
	uint32_t same = 1U << EVENT_ENOSPC | 1U << EVENT_ENOSPC_METADATA;
	bool full = fusion->full_data || fusion->full_metadata;

	if (hint->kind == FUSION_HINT_NO_METADATA) {
		code = EVENT_ENOSPC_METADATA;
	} else if (hint->kind == FUSION_HINT_NO_INODES) {
		code = EVENT_ENOSPC_INODES;
		same = 1U << EVENT_ENOSPC_INODES;
		full = fusion->full_inodes;
	}

	/* Until then a look tells it, and what was told already is so no more. */
	if (!fusion->looked || was_told(fusion, now_us, code))
		return;
	if ((full || hint->repeats) && !(fusion->space_waits & same))
		return;
	fusion->space_waits &= ~same;
	*culprit_us(fusion, code) = now_us;
	space_tell(facts, code, hint->source)->pid = hint->pid;
}

/* btrfs: blocks of data may be free that no file can be made for. */
static bool metadata_is_out(const struct fusion_look *look, bool is_out)
{
	if (look->data_left_known && look->data_left < DATA_LEFT)
		return false;
	if (look->metadata_left_known && look->metadata_left < METADATA_LEFT)
		return look->data_left_known || !is_out;
	return is_out && look->data_left_known;
}

static void space_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look,
		       bool initial, struct fusion_facts *facts)
{
	bool was = fusion->full_data || fusion->full_metadata;
	const struct usage *usage = look->usage;
	uint64_t limit = fusion_is_type(fusion, fusion_xfs_types) ? XFS_BLOCKS_LEFT : 0;
	bool is_out = usage->available <= limit;
	bool is_enough = usage->available > limit &&
			 usage->available - limit >= enough_of(usage->blocks, ENOUGH_BLOCKS);
	bool no_metadata = metadata_is_out(look, is_out);
	bool metadata_enough =
		is_enough && (!look->metadata_left_known || look->metadata_left >= METADATA_ENOUGH);

	if (look->mixed_left_known) {
		is_out = is_out || look->mixed_left < MIXED_LEFT;
		is_enough = is_enough && look->mixed_left >= MIXED_ENOUGH;
	}

	/* One of the two is told: room for the other one helps nobody. */
	if (latch(&fusion->full_metadata, no_metadata && !fusion->full_data, metadata_enough))
		space_found(fusion, now_us, EVENT_ENOSPC_METADATA, look, initial, facts);
	if (latch(&fusion->full_data, is_out && !fusion->full_metadata, is_enough))
		space_found(fusion, now_us, EVENT_ENOSPC, look, initial, facts);
	if (was && !fusion->full_data && !fusion->full_metadata)
		fusion->no_space_us = 0;
}

uint64_t fusion_metadata_distance(const struct fusion *fusion, uint64_t left)
{
	assert(fusion);

	if (fusion->full_metadata)
		return left < METADATA_ENOUGH ? METADATA_ENOUGH - left : UINT64_MAX;
	return left >= METADATA_LEFT ? left - METADATA_LEFT + 1 : UINT64_MAX;
}

static void inodes_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look,
			bool initial, struct fusion_facts *facts)
{
	bool was = fusion->full_inodes;
	const struct usage *usage = look->usage;
	bool is_out = usage->files_available == 0;

	if (!usage_counts_files(usage)) {
		fusion->full_inodes = false;
		return;
	}
	if (fusion->full_data && !has_own_inodes(fusion))
		is_out = false;
	if (latch(&fusion->full_inodes, is_out,
		  usage->files_available >= enough_of(usage->files, ENOUGH_INODES)))
		space_found(fusion, now_us, EVENT_ENOSPC_INODES, look, initial, facts);
	if (was && !fusion->full_inodes)
		fusion->no_inodes_us = 0;
}

void fusion_space_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look,
		       bool initial, struct fusion_facts *facts)
{
	/* What takes no writes cannot run out of anything. */
	if (!look->usage || !usage_is_known(look->usage) || look->usage->read_only ||
	    fusion->reason != READ_ONLY_NO || fusion->seen != READ_ONLY_NO)
		return;

	space_look(fusion, now_us, look, initial, facts);
	inodes_look(fusion, now_us, look, initial, facts);
}
