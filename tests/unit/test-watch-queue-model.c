/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Random changes through queues of any size, against what was pushed
 *
 * Each change that is not merged has the next number; what is taken has all
 * numbers in their order, as the record itself or in the count of a loss that leads
 * to its directory.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/watch-queue.h"
#include "include/fsevents_stream.h"

#define N_NAMES 60
#define N_PUSHES 20000

/* What must be told of one number. */
struct number {
	bool is_lost; /* before it came to the queue */
	struct change change;
	const char *under;
};

struct unknown {
	uint64_t seq; /* of what came next */
	const char *under;
	bool told;
};

struct model {
	struct quota *quota;
	struct watch_queue *queue;
	unsigned int random;
	unsigned int step; /* names change by one in so many */
	struct number numbers[3 * N_PUSHES]; /* by number */
	struct unknown unknowns[N_PUSHES];
	size_t n_unknowns;
	uint64_t next_seq;
	uint64_t peeked_seq; /* the first that was not peeked */
	uint64_t expected; /* the next that is taken */
	uint64_t merged, collapsed;
};

static char names[N_NAMES][600];

static unsigned int draw(struct model *model, unsigned int n)
{
	model->random = model->random * 1103515245U + 12345U;
	return (model->random >> 8) % n;
}

static void make_names(void)
{
	static const char *dirs[] = { "", "a/", "a/b/", "a/bc/", "d/e/f/", "d/" };

	for (unsigned int i = 1; i < N_NAMES - 1; i++)
		snprintf(names[i], sizeof(names[i]), "%s%u", dirs[i % 6], i / 6);
	/* Longer than a loss has room for, and in names of no other. */
	memset(names[N_NAMES - 1], 'x', 500);
	memcpy(names[N_NAMES - 1] + 150, "/", 1);
	memcpy(names[N_NAMES - 1] + 400, "/", 1);
}

/* Whether who looks through @under sees what has that name. */
static bool leads_to(const char *under, size_t n_under, const char *name)
{
	size_t n = strlen(name);

	return n_under == 0 ||
	       (n > n_under && memcmp(under, name, n_under) == 0 && name[n_under] == '/');
}

static bool is_name(const char *name, size_t n, const char *bytes)
{
	return strlen(name) == n && memcmp(name, bytes, n) == 0;
}

static bool ends_names(const struct number *number, const char *name)
{
	const uint32_t mask = number->change.mask;

	if (number->is_lost || (mask & (FSEVENTS_UNMOUNT | FSEVENTS_MOVE_SELF)))
		return true;
	if ((mask & FSEVENTS_MOVE) && (mask & FSEVENTS_DIRECTORY))
		return true;
	return (mask & FSEVENTS_MOVE) && strcmp(number->change.former, name) == 0;
}

/* It went into the last record of its name: that one must be allowed to change. */
static void note_merged(struct model *model, const struct change *change)
{
	for (uint64_t seq = model->next_seq - 1;; seq--) {
		struct number *number = &model->numbers[seq];

		assert_true(seq >= model->peeked_seq);
		if (!number->is_lost && strcmp(number->change.name, change->name) == 0) {
			assert_int_equal(number->change.inode, change->inode);
			assert_int_equal(number->change.pid, change->pid);
			number->change.mask |= change->mask;
			model->merged++;
			return;
		}
		assert_false(ends_names(number, change->name));
	}
}

static void draw_change(struct model *model, struct change *ret)
{
	static const uint32_t masks[] = {
		FSEVENTS_CREATE, FSEVENTS_DELETE,      FSEVENTS_MOVE,	FSEVENTS_MODIFY,
		FSEVENTS_ATTRIB, FSEVENTS_CLOSE_WRITE, FSEVENTS_MODIFY, FSEVENTS_OPEN,
	};
	static unsigned int where;

	if (draw(model, model->step) == 0)
		where = draw(model, N_NAMES);
	*ret = (struct change){
		.mask = masks[draw(model, 8)],
		.pid = 1 + draw(model, 10) / 9,
		.inode = where + draw(model, 10) / 9,
		.realtime_us = model->next_seq * 10,
		.name = names[where],
		.former = "",
	};
	if (draw(model, 6) == 0)
		ret->mask |= FSEVENTS_DIRECTORY;
	if (ret->mask & FSEVENTS_MOVE)
		ret->former = names[1 + draw(model, N_NAMES - 1)];
	if (where == 0)
		ret->mask = draw(model, 4) ? FSEVENTS_ATTRIB : FSEVENTS_MOVE_SELF;
	if (where == 0)
		ret->former = "";
	ret->n_name = strlen(ret->name);
	ret->n_former = strlen(ret->former);
}

static void push(struct model *model)
{
	struct watch_queue_statistics before, after;
	struct change change;

	draw_change(model, &change);
	watch_queue_statistics(model->queue, &before);
	watch_queue_push(model->queue, &change);
	watch_queue_statistics(model->queue, &after);

	assert_int_equal(after.pushed, before.pushed + 1);
	if (after.merged > before.merged) {
		note_merged(model, &change);
		return;
	}
	model->numbers[model->next_seq++] = (struct number){ .change = change };
	if (after.lost > before.lost + 1)
		model->collapsed++;
}

static void push_lost(struct model *model)
{
	const char *under = names[draw(model, N_NAMES)];
	uint64_t count = draw(model, 3);

	watch_queue_push_lost(model->queue, count, under, strlen(under));
	if (count == 0)
		model->unknowns[model->n_unknowns++] =
			(struct unknown){ .seq = model->next_seq, .under = under };
	for (; count > 0; count--)
		model->numbers[model->next_seq++] =
			(struct number){ .is_lost = true, .under = under };
}

static void check_lost(struct model *model, const struct watch_record *record)
{
	if (record->count == 0) {
		for (size_t i = 0; i < model->n_unknowns; i++) {
			struct unknown *unknown = &model->unknowns[i];
			size_t n = record->n_under;

			if (unknown->seq <= model->expected &&
			    (is_name(unknown->under, n, record->under) ||
			     leads_to(record->under, n, unknown->under)))
				unknown->told = true;
		}
		return;
	}

	for (uint64_t i = 0; i < record->count; i++) {
		const struct number *number = &model->numbers[model->expected++];

		assert_true(model->expected <= model->next_seq);
		if (number->is_lost) {
			assert_true(is_name(number->under, record->n_under, record->under) ||
				    leads_to(record->under, record->n_under, number->under));
			continue;
		}
		assert_true(leads_to(record->under, record->n_under, number->change.name));
		if (number->change.n_former > 0)
			assert_true(
				leads_to(record->under, record->n_under, number->change.former));
	}
}

static void check_change(struct model *model, const struct watch_record *record)
{
	const struct change *told = &record->change;
	const struct number *number = &model->numbers[model->expected];

	for (size_t i = 0; i < model->n_unknowns; i++)
		assert_true(model->unknowns[i].told || model->unknowns[i].seq > record->seq);

	assert_int_equal(record->seq, model->expected);
	model->expected++;
	assert_true(model->expected <= model->next_seq);
	assert_false(number->is_lost);
	assert_int_equal(told->mask, number->change.mask);
	assert_int_equal(told->pid, number->change.pid);
	assert_int_equal(told->inode, number->change.inode);
	assert_int_equal(told->realtime_us, number->change.realtime_us);
	assert_true(is_name(number->change.name, told->n_name, told->name));
	assert_true(is_name(number->change.former, told->n_former, told->former));
}

/* All that was peeked, once it is known that it is taken. */
static void check_packet(struct model *model, const void *packet, size_t n)
{
	struct watch_record record;
	size_t offset = 0;

	while (watch_record_next(packet, n, &offset, &record)) {
		if (record.is_lost)
			check_lost(model, &record);
		else
			check_change(model, &record);
	}
	assert_int_equal(offset, n);
}

static void note_peeked(struct model *model, const void *packet, size_t n)
{
	struct watch_record record;
	size_t offset = 0;

	while (watch_record_next(packet, n, &offset, &record))
		if (!record.is_lost && record.seq >= model->peeked_seq)
			model->peeked_seq = record.seq + 1;
}

static void check_counts(struct model *model)
{
	struct watch_queue_statistics statistics;

	watch_queue_statistics(model->queue, &statistics);
	assert_int_equal(statistics.pushed, statistics.merged + statistics.delivered +
						    statistics.lost + statistics.queued);
	assert_int_equal(statistics.merged, model->merged);
	assert_int_equal(statistics.bytes, quota_used(model->quota, 1000, QUOTA_QUEUE_BYTES));
}

static void take(struct model *model)
{
	static uint64_t copy[WATCH_PACKET_MAX / 8];
	size_t n_max = draw(model, 2) ? WATCH_PACKET_MIN : WATCH_PACKET_MAX;
	const void *packet;
	size_t n;

	packet = watch_queue_peek(model->queue, n_max, &n);
	assert_true((packet == NULL) == watch_queue_is_empty(model->queue));
	if (!packet)
		return;

	assert_true(n > 0 && n <= n_max && n % 8 == 0);
	note_peeked(model, packet, n);
	memcpy(copy, packet, n);
	/* Between the two comes more. */
	for (unsigned int i = draw(model, 20); i > 0; i--)
		push(model);
	assert_memory_equal(packet, copy, n);
	check_packet(model, packet, n);
	watch_queue_pop(model->queue);
	check_counts(model);
}

/* Return: how often a directory collapsed. */
static uint64_t run(uint64_t limit, unsigned int seed, unsigned int step, unsigned int pace)
{
	const struct quota_limit limits[_QUOTA_KIND_N] = {
		[QUOTA_QUEUE_BYTES] = { .per_uid = limit, .total = limit },
	};
	struct model *model = calloc(1, sizeof(*model));
	uint64_t collapsed;

	assert_non_null(model);
	model->random = seed;
	model->step = step;
	model->next_seq = model->expected = model->peeked_seq = 1;
	assert_int_equal(quota_new(&model->quota, limits), 0);
	assert_int_equal(watch_queue_new(&model->queue, model->quota, 1000), 0);

	while (model->next_seq < N_PUSHES) {
		push(model);
		if (draw(model, pace) == 0)
			take(model);
		if (draw(model, pace) == 0)
			push_lost(model);
	}
	while (!watch_queue_is_empty(model->queue))
		take(model);

	assert_int_equal(model->expected, model->next_seq);
	for (size_t i = 0; i < model->n_unknowns; i++)
		assert_true(model->unknowns[i].told);
	assert_true(model->merged > 0 || limit == 0);
	assert_int_equal(quota_used(model->quota, 1000, QUOTA_QUEUE_BYTES), 0);

	watch_queue_free(model->queue);
	quota_free(model->quota);
	collapsed = model->collapsed;
	free(model);
	return collapsed;
}

static void test_model(void **state)
{
	static const uint64_t limits[] = { 0, 4096, 20000, 70000, 300000, 100000000 };
	static const unsigned int steps[] = { 1, 5, 60 };
	uint64_t collapsed;

	make_names();
	for (unsigned int i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		collapsed = 0;
		for (unsigned int j = 0; j < sizeof(steps) / sizeof(steps[0]); j++)
			for (unsigned int seed = 1; seed <= 2; seed++)
				collapsed += run(limits[i], seed, steps[j], seed == 1 ? 6000 : 200);
		assert_true((collapsed > 0) == (limits[i] > 0 && limits[i] < 100000000));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
