/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>

#include "daemon/core/fusion-internal.h"

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t total(const struct fusion_counters *counters)
{
	return add(counters->corrupted, counters->io_error);
}

/*
 * Whose hints are of errors that the counter counts too: ext4 reports each by
 * fanotify and counts it; what btrfs counts, it or the block layer has logged.
 */
static bool is_counted(const struct fusion *fusion, const struct fusion_hint *hint)
{
	if (fusion_is_type(fusion, fusion_btrfs_types))
		return hint->source != FUSION_SOURCE_ROOT;
	return fusion_is_type(fusion, fusion_ext_types) &&
	       (hint->source == FUSION_SOURCE_FANOTIFY || hint->source == FUSION_SOURCE_MODULE);
}

uint64_t fusion_ledger_claim(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint)
{
	struct fusion_ledger *ledger = &fusion->ledger;
	uint64_t paid = 0, left;

	if (!is_counted(fusion, hint)) {
		fusion->others = add(fusion->others, hint->count);
		return hint->count;
	}

	/* Hints do not come that late: the source has lost them. */
	if (now_us >= ledger->debt_us + FUSION_CAUSE_US)
		ledger->debt = 0;
	if (ledger->debt > 0)
		paid = hint->count < ledger->debt ? hint->count : ledger->debt;
	ledger->debt -= paid;

	left = hint->count - paid;
	ledger->claimed = add(ledger->claimed, left);
	ledger->claimed_us = now_us;
	return left;
}

/* The counter is a smaller one, or will never show what hints told. */
static void ledger_rebase(struct fusion *fusion, uint64_t shown)
{
	struct fusion_ledger *ledger = &fusion->ledger;

	if (ledger->claimed > shown)
		fusion->others = add(fusion->others, ledger->claimed - shown);
	ledger->claimed = shown;
	ledger->debt = 0;
	ledger->grace_us = 0;
}

/* As the counter was split. */
static enum fusion_hint_kind counter_kind(int error)
{
	return fusion_error_kind(error) == FUSION_HINT_CORRUPTED ? FUSION_HINT_CORRUPTED
								 : FUSION_HINT_IO_ERROR;
}

/* What it came with is history on btrfs, and damage that was never repaired on ext4. */
static void ledger_open(struct fusion *fusion, const struct fusion_look *look,
			struct fusion_facts *facts)
{
	struct fusion_ledger *ledger = &fusion->ledger;
	uint64_t before = total(&look->counters), claimed = ledger->claimed;
	struct fusion_fact *fact;

	ledger->known = true;
	ledger->told = look->counters;
	/* of hints that came before, and of a counter that had not moved yet */
	ledger->claimed = before > claimed ? before : claimed;
	if (before <= claimed || !fusion_is_type(fusion, fusion_ext_types))
		return;

	fact = fusion_fact_add(facts,
			       counter_kind(look->counters.last_error) == FUSION_HINT_CORRUPTED
				       ? EVENT_CORRUPTED
				       : EVENT_IO_ERROR,
			       look->counters_source);
	fact->error = look->counters.last_error;
	fact->count = before - claimed;
	fact->initial = true;
	fusion->failed = true;
}

void fusion_ledger_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look,
			struct fusion_facts *facts)
{
	struct fusion_ledger *ledger = &fusion->ledger;
	uint64_t shown;

	if (!look->counters_known)
		return;

	shown = total(&look->counters);
	if (!ledger->known)
		ledger_open(fusion, look, facts);
	else if (shown < total(&ledger->shown)) {
		ledger_rebase(fusion, shown);
		ledger->told = look->counters;
	} else if (shown < ledger->claimed && now_us >= ledger->claimed_us + FUSION_SAME_US)
		ledger_rebase(fusion, shown);

	ledger->shown = look->counters;
	ledger->source = look->counters_source;
	if (shown <= ledger->claimed) {
		ledger->grace_us = 0;
		if (shown == ledger->claimed)
			ledger->told = look->counters;
	} else if (ledger->grace_us == 0) {
		ledger->grace_us = now_us + FUSION_GRACE_US;
	}
}

/* Return: how many of them hints may still come for. */
static uint64_t ledger_tell(struct fusion *fusion, uint64_t now_us, enum fusion_hint_kind kind,
			    uint64_t count)
{
	const struct fusion_ledger *ledger = &fusion->ledger;
	struct fusion_hint hint = {
		.kind = kind,
		.source = ledger->source,
		.count = count,
	};

	if (count == 0)
		return 0;
	/* The last error may be of the other kind. */
	if (ledger->shown.last_error != 0 && counter_kind(ledger->shown.last_error) == kind)
		hint.error = ledger->shown.last_error;
	if (!fusion_failure_join(fusion, now_us, &hint)) {
		fusion_failure_add(fusion, now_us, &hint);
		return count;
	}

	/* The kernel limits messages of btrfs: the next one is of another error. */
	return fusion_is_type(fusion, fusion_btrfs_types) ? 0 : count;
}

void fusion_ledger_settle(struct fusion *fusion, uint64_t now_us)
{
	struct fusion_ledger *ledger = &fusion->ledger;
	uint64_t shown = total(&ledger->shown), missing, corrupted, debt;

	ledger->grace_us = 0;
	if (shown <= ledger->claimed)
		return;

	/* Which of the kinds were claimed is not known: what grew may be told. */
	missing = shown - ledger->claimed;
	corrupted = ledger->shown.corrupted > ledger->told.corrupted
			    ? ledger->shown.corrupted - ledger->told.corrupted
			    : 0;
	if (corrupted > missing)
		corrupted = missing;

	debt = ledger_tell(fusion, now_us, FUSION_HINT_CORRUPTED, corrupted);
	debt += ledger_tell(fusion, now_us, FUSION_HINT_IO_ERROR, missing - corrupted);
	ledger->claimed = shown;
	ledger->told = ledger->shown;
	ledger->debt = add(ledger->debt, debt);
	ledger->debt_us = now_us;
	fusion->failed = true;
	fusion->error_us = now_us;
}

uint64_t fusion_ledger_count(const struct fusion *fusion)
{
	uint64_t shown = total(&fusion->ledger.shown);

	return shown > fusion->ledger.claimed ? shown : fusion->ledger.claimed;
}
