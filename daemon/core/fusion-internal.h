/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The interior of fusion
 *
 * What the parts of fusion call each other by: failures (which errors are one),
 * the ledger (errors that a counter shows), space. Each adds to a list of
 * facts, or keeps in mind what fusion_tell() will add.
 */

#include "daemon/core/fusion.h"

struct fusion_facts {
	struct fusion_fact *facts; /* room for FUSION_FACTS_MAX */
	size_t n;
};

/** fusion_fact_add() - Return: the fact, with @code and its severity, to be filled */
struct fusion_fact *fusion_fact_add(struct fusion_facts *facts, enum event_code code,
				    enum fusion_source source);

/** fusion_wait() - something is to be told when things have settled */
void fusion_wait(struct fusion *fusion, uint64_t now_us);

/** fusion_is_type() - @types ends in NULL */
bool fusion_is_type(const struct fusion *fusion, const char *const *types);

extern const char *const fusion_ext_types[];
extern const char *const fusion_btrfs_types[];
extern const char *const fusion_xfs_types[];

/** fusion_failure_add() - take in errors; told by fusion_failure_settle() unless of a failure that is open */
void fusion_failure_add(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint);

/**
 * fusion_failure_join() - errors of which only the number is known
 *
 * They count with the latest failure of their code that is open or was so
 * within FUSION_CAUSE_US. Return: whether there is one.
 */
bool fusion_failure_join(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint);

/** fusion_failure_drop() - what waits to be told of I/O is a consequence: count it only */
void fusion_failure_drop(struct fusion *fusion);

/** fusion_failure_settle() - tell what waits */
void fusion_failure_settle(struct fusion *fusion, struct fusion_facts *facts);

/** fusion_failure_tell() - tell the windows that have ended */
void fusion_failure_tell(struct fusion *fusion, uint64_t now_us, struct fusion_facts *facts);

/** fusion_failure_due() - when the next window ends that has something to tell; UINT64_MAX: none */
uint64_t fusion_failure_due(const struct fusion *fusion);

/** fusion_ledger_claim() - Return: how many of @hint's errors are not told already */
uint64_t fusion_ledger_claim(struct fusion *fusion, uint64_t now_us,
			     const struct fusion_hint *hint);

/** fusion_ledger_look() - take in a counter; the first time what it shows is told as initial */
void fusion_ledger_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look,
			struct fusion_facts *facts);

/** fusion_ledger_settle() - hand over to failures what no hint claimed */
void fusion_ledger_settle(struct fusion *fusion, uint64_t now_us);

/** fusion_ledger_count() - errors that the counter shows or hints told of it */
uint64_t fusion_ledger_count(const struct fusion *fusion);

/** fusion_space_look() - take in figures; tells what has run out */
void fusion_space_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look,
		       bool initial, struct fusion_facts *facts);

/** fusion_space_hint() - a process found none */
void fusion_space_hint(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint,
		       struct fusion_facts *facts);

/** fusion_space_tell() - tell what waited for its culprit long enough */
void fusion_space_tell(struct fusion *fusion, uint64_t now_us, struct fusion_facts *facts);
