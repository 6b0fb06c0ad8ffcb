/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One filesystem whose time is told by the test, and what fusion told of it. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/fusion.h"

#define MS 1000ULL
#define SECOND (1000 * MS)
#define TOLD_MAX 4096

struct told {
	uint64_t at_us;
	struct fusion_fact fact;
};

struct fs {
	struct fusion fusion;
	struct fusion_look look; /* what a look shows now */
	struct usage usage;
	uint64_t now_us;
	bool looks_by_itself; /* when a hint asks for it */
	unsigned int asked; /* looks that hints asked for */
	struct told told[TOLD_MAX];
	size_t n_told;
};

static inline void fs_init(struct fs *fs, const char *type)
{
	memset(fs, 0, sizeof(*fs));
	fs->now_us = 100 * SECOND;
	fs->usage = (struct usage){ 4096, 10000, 9000, 9000, 1000, 900, false };
	fs->look = (struct fusion_look){
		.read_only_known = true,
		.read_only_source = FUSION_SOURCE_STATMOUNT,
		.device_known = true,
		.root_known = true,
		.codes = UINT32_MAX,
		.usage = &fs->usage,
	};
	if (strcmp(type, "ext4") == 0 || strcmp(type, "btrfs") == 0) {
		fs->look.counters_known = true;
		fs->look.counters_source =
			type[0] == 'e' ? FUSION_SOURCE_EXT4 : FUSION_SOURCE_BTRFS;
	}
	fusion_init(&fs->fusion, type);
}

static inline void fs_told(struct fs *fs, const struct fusion_fact *facts, size_t n)
{
	assert_true(n <= FUSION_FACTS_MAX);
	for (size_t i = 0; i < n; i++) {
		assert_true(facts[i].count >= 1);
		assert_true(fs->n_told < TOLD_MAX);
		fs->told[fs->n_told++] = (struct told){ fs->now_us, facts[i] };
	}
}

static inline void fs_look(struct fs *fs)
{
	struct fusion_fact facts[FUSION_FACTS_MAX];

	fs_told(fs, facts, fusion_look(&fs->fusion, fs->now_us, &fs->look, facts));
}

/* Until a point in time, as a timer would. */
static inline void fs_run(struct fs *fs, uint64_t until_us)
{
	struct fusion_fact facts[FUSION_FACTS_MAX];

	for (uint64_t due_us = fusion_due(&fs->fusion); due_us <= until_us;
	     due_us = fusion_due(&fs->fusion)) {
		uint64_t before_us = due_us;

		if (due_us > fs->now_us)
			fs->now_us = due_us;
		fs_told(fs, facts, fusion_tell(&fs->fusion, fs->now_us, facts));
		if (fusion_wants_look(&fs->fusion)) {
			fs->asked++;
			if (fs->looks_by_itself)
				fs_look(fs);
		}
		/* or the loop would spin */
		assert_true(fusion_due(&fs->fusion) != before_us);
	}
	fs->now_us = until_us;
}

static inline void fs_pass(struct fs *fs, uint64_t us)
{
	fs_run(fs, fs->now_us + us);
}

static inline void fs_hint(struct fs *fs, struct fusion_hint hint)
{
	struct fusion_fact facts[FUSION_FACTS_MAX];
	bool look;

	if (hint.count == 0)
		hint.count = 1;
	fs_told(fs, facts, fusion_hint(&fs->fusion, fs->now_us, &hint, facts, &look));
	if (look) {
		fs->asked++;
		if (fs->looks_by_itself)
			fs_look(fs);
	}
}

#define HINT(_fs, _kind, _source, ...)                                                             \
	fs_hint((_fs), (struct fusion_hint){ .kind = FUSION_HINT_##_kind,                          \
					     .source = FUSION_SOURCE_##_source,                    \
					     ##__VA_ARGS__ })

/* "corrupted read-only/emergency": the codes that were told, in order. */
static inline const char *fs_codes(const struct fs *fs)
{
	static char text[4096];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < fs->n_told && n < sizeof(text) - 64; i++) {
		const struct fusion_fact *fact = &fs->told[i].fact;

		n += (size_t)snprintf(
			text + n, sizeof(text) - n, "%s%s%s%s", n > 0 ? " " : "",
			event_code_name(fact->code), fact->code == EVENT_READ_ONLY ? "/" : "",
			fact->code == EVENT_READ_ONLY ? read_only_reason_name(fact->reason) : "");
	}
	return text;
}

static inline void fs_forget(struct fs *fs)
{
	fs->n_told = 0;
}
