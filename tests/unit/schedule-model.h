/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A model of the daemon's cycle on one filesystem
 *
 * Filesystem, writers, write gate, checks and the shared tick in simulated
 * time, beside the truth: when each threshold was really crossed, against
 * when a check saw it. Include cmocka.h before.
 */

#include <stdint.h>
#include <stdlib.h>

#include "daemon/core/schedule.h"
#include "daemon/core/threshold.h"

#define MB (1000ULL * 1000)
#define GB (1000 * MB)
#define MS 1000ULL
#define SECOND 1000000ULL
#define BLOCK 4096ULL
#define CHUNK (16 * BLOCK)
#define NEVER UINT64_MAX

/* What it takes in the daemon, in simulated time: the gate's event, a check, a mark. */
#define GATE_US 200
#define CHECK_US 100
#define ARM_US 300

#define N_LEVELS 5
#define N_LATE 256

struct model {
	struct schedule schedule;
	struct threshold_set set;
	struct threshold_set truth;
	struct usage usage; /* what statfs says */
	uint64_t now_us;
	uint64_t check_us, gate_us, arm_us, tick_us;
	uint64_t commit_us; /* 0: figures move at once, else period of the commit */
	uint64_t deleted; /* blocks that the next commit gives back */
	bool no_gate; /* arming fails */
	uint64_t crossed_us[N_LEVELS];
	uint64_t crossed_at[N_LEVELS];
	uint64_t late[N_LATE];
	uint64_t overshoot; /* largest, bytes */
	size_t n_late, n_below, n_above;
	unsigned int n_checks, n_ticks, n_openings;
};

struct writer {
	uint64_t next_us;
	void (*write)(struct model *model, struct writer *writer);
	uint64_t rate; /* bytes/s */
	uint64_t until_us;
	uint64_t pause_us; /* between bursts */
	uint64_t burst; /* bytes in one */
	uint64_t written;
};

static inline void model_init(struct model *model, uint64_t size, const unsigned int *percents,
			      const struct schedule_policy *policy)
{
	struct threshold_spec specs[N_LEVELS] = {};
	struct crossing crossings[N_LEVELS];
	size_t n = 0;

	*model = (struct model){ .now_us = 1000 * SECOND, .gate_us = NEVER, .arm_us = NEVER };
	model->usage = (struct usage){ .block_size = BLOCK,
				       .blocks = size / BLOCK,
				       .free = size / BLOCK,
				       .available = size / BLOCK };
	for (; n < N_LEVELS && percents[n]; n++) {
		specs[n].name[0] = (char)('a' + n);
		specs[n].level = (struct level){ .kind = LEVEL_PERCENT, .percent = percents[n] };
	}
	assert_int_equal(threshold_set_replace(&model->set, specs, n), 0);
	assert_int_equal(threshold_set_replace(&model->truth, specs, n), 0);
	assert_int_equal(threshold_set_update(&model->truth, &model->usage, crossings), 0);
	schedule_init(&model->schedule, policy);
	model->check_us = model->now_us;
	model->tick_us = model->now_us + 60 * SECOND;
}

static inline void model_deinit(struct model *model)
{
	threshold_set_deinit(&model->set);
	threshold_set_deinit(&model->truth);
}

static inline void model_show(struct model *model, uint64_t available)
{
	struct crossing crossings[N_LEVELS];
	size_t n;

	model->usage.available = model->usage.free = available;
	n = threshold_set_update(&model->truth, &model->usage, crossings);
	for (size_t i = 0; i < n; i++) {
		ptrdiff_t k = crossings[i].threshold - model->truth.items;

		model->crossed_us[k] = model->now_us;
		model->crossed_at[k] = crossings[i].available;
	}
}

/* A write, an fallocate, a deletion; @opens: fanotify tells it */
static inline void model_use(struct model *model, int64_t n_blocks, bool opens)
{
	int64_t available = (int64_t)model->usage.available - n_blocks;

	if (n_blocks < 0 && model->commit_us)
		model->deleted += (uint64_t)-n_blocks;
	else
		model_show(model, available > 0 ? (uint64_t)available : 0);
	if (opens && model->schedule.armed && model->gate_us == NEVER)
		model->gate_us = model->now_us + GATE_US;
}

static inline void model_commit(struct model *model)
{
	if (!model->commit_us || model->now_us % model->commit_us || !model->deleted)
		return;
	model_show(model, model->usage.available + model->deleted);
	model->deleted = 0;
}

static inline void model_check(struct model *model)
{
	struct crossing crossings[N_LEVELS];
	uint64_t bytes, inodes;
	size_t n;

	model->n_checks++;
	n = threshold_set_update(&model->set, &model->usage, crossings);
	for (size_t i = 0; i < n; i++) {
		ptrdiff_t k = crossings[i].threshold - model->set.items;
		uint64_t available = crossings[i].available, at = model->crossed_at[k];

		assert_true(model->n_late < N_LATE);
		model->late[model->n_late++] = model->now_us - model->crossed_us[k];
		if (crossings[i].below && at - available > model->overshoot)
			model->overshoot = at - available;
		if (crossings[i].below)
			model->n_below++;
		else
			model->n_above++;
	}

	threshold_set_distance(&model->set, &model->usage, &bytes, &inodes);
	model->check_us = NEVER;
	switch (schedule_checked(&model->schedule, model->now_us, &model->usage, bytes, inodes)) {
	case SCHEDULE_ARM:
		assert_false(model->schedule.armed);
		assert_true(model->arm_us == NEVER);
		model->arm_us = model->now_us + ARM_US;
		break;
	case SCHEDULE_GUARDED:
		assert_true(model->schedule.armed);
		assert_true(model->schedule.due_us == NEVER);
		break;
	case SCHEDULE_WAIT:
		break;
	}
	if (model->schedule.due_us != NEVER && model->arm_us == NEVER)
		model->check_us = model->schedule.due_us + CHECK_US;
	if (model->check_us <= model->now_us)
		model->check_us = model->now_us + CHECK_US;
}

static inline void model_step(struct model *model)
{
	uint64_t now = model->now_us;

	if (now == model->gate_us) {
		model->gate_us = NEVER;
		model->n_openings++;
		schedule_opened(&model->schedule, now);
		model->check_us = now + CHECK_US;
	} else if (now == model->arm_us) {
		model->arm_us = NEVER;
		schedule_armed(&model->schedule, now, !model->no_gate);
		model->check_us = now + CHECK_US;
	} else if (now == model->check_us) {
		model_check(model);
	} else if (now == model->tick_us) {
		model->tick_us = now + 60 * SECOND;
		model->n_ticks++;
		if (model->schedule.due_us == NEVER)
			model_check(model);
	}
}

static inline uint64_t earliest(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline void model_run(struct model *model, uint64_t for_us, struct writer *writer)
{
	uint64_t until = model->now_us + for_us, next;

	for (;;) {
		next = earliest(earliest(model->gate_us, model->arm_us),
				earliest(model->check_us, model->tick_us));
		next = earliest(next, writer ? writer->next_us : NEVER);
		if (model->commit_us)
			next = earliest(next,
					(model->now_us / model->commit_us + 1) * model->commit_us);
		if (next > until)
			break;
		model->now_us = next;
		model_commit(model);
		if (writer && next == writer->next_us)
			writer->write(model, writer);
		else
			model_step(model);
	}
	model->now_us = until;
}

static inline int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static inline uint64_t model_median(struct model *model)
{
	assert_true(model->n_late > 0);
	qsort(model->late, model->n_late, sizeof(model->late[0]), compare_u64);
	return model->late[model->n_late / 2];
}

static inline uint64_t model_latest(struct model *model)
{
	model_median(model);
	return model->late[model->n_late - 1];
}

static inline void write_steady(struct model *model, struct writer *writer)
{
	model_use(model, CHUNK / BLOCK, true);
	writer->next_us += CHUNK * SECOND / writer->rate;
	if (model->usage.available == 0)
		writer->next_us = NEVER;
}

static inline void write_bursts(struct model *model, struct writer *writer)
{
	write_steady(model, writer);
	writer->written += CHUNK;
	if (writer->written >= writer->burst && writer->next_us != NEVER) {
		writer->written = 0;
		writer->next_us += writer->pause_us;
	}
}

static inline void write_in_place(struct model *model, struct writer *writer)
{
	model_use(model, 0, true);
	writer->next_us += writer->pause_us;
}

/* Stores to a mapped file: blocks go, no event comes. */
static inline void write_mapped(struct model *model, struct writer *writer)
{
	model_use(model, CHUNK / BLOCK, false);
	writer->next_us += CHUNK * SECOND / writer->rate;
}
