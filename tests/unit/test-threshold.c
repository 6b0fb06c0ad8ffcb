/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/core/threshold.h"

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

static struct threshold_spec spec(const char *name, enum threshold_resource resource,
				  enum level_kind kind, uint64_t value)
{
	struct threshold_spec ret = {
		.resource = resource,
		.level = { .kind = kind, .value = value },
		.severity = SEVERITY_WARNING,
	};

	if (kind == LEVEL_PERCENT)
		ret.level.percent = (unsigned int)value;
	snprintf(ret.name, sizeof(ret.name), "%s", name);
	return ret;
}

static struct threshold_spec bytes(const char *name, uint64_t level, uint64_t hysteresis)
{
	struct threshold_spec ret = spec(name, RESOURCE_SPACE, LEVEL_BYTES, level);

	if (hysteresis > 0)
		ret.hysteresis = (struct level){ .kind = LEVEL_BYTES, .value = hysteresis };
	return ret;
}

/* 1000 blocks of 100 bytes, 1000 inodes, nothing reserved */
static struct usage usage_of(uint64_t available, uint64_t files_available)
{
	return (struct usage){
		.block_size = 100,
		.blocks = 1000,
		.free = available,
		.available = available,
		.files = 1000,
		.files_available = files_available,
	};
}

static size_t update(struct threshold_set *set, uint64_t available, struct crossing *ret)
{
	struct usage usage = usage_of(available, 1000);

	return threshold_set_update(set, &usage, ret);
}

static void test_edges(void **state)
{
	struct threshold_spec specs[] = { bytes("low", 30000, 5000) };
	struct crossing crossings[1];
	struct threshold_set set = {};

	assert_int_equal(threshold_set_replace(&set, specs, 1), 0);
	assert_int_equal(threshold_set_severity(&set), -1);
	assert_int_equal(update(&set, 301, crossings), 0);
	assert_true(set.evaluated);
	assert_int_equal(set.items[0].level, 30000);
	assert_int_equal(set.items[0].hysteresis, 5000);

	/* at most the level is below */
	assert_int_equal(update(&set, 300, crossings), 1);
	assert_true(crossings[0].below);
	assert_false(crossings[0].initial);
	assert_int_equal(crossings[0].available, 30000);
	assert_string_equal(crossings[0].threshold->spec.name, "low");
	assert_int_equal(threshold_set_severity(&set), SEVERITY_WARNING);

	/* oscillation inside the hysteresis is told once; its end is still inside */
	for (uint64_t i = 0; i < 100; i++) {
		assert_int_equal(update(&set, 290, crossings), 0);
		assert_int_equal(update(&set, 350, crossings), 0);
	}

	assert_int_equal(update(&set, 351, crossings), 1);
	assert_false(crossings[0].below);
	assert_false(crossings[0].initial);
	assert_int_equal(crossings[0].available, 35100);
	assert_int_equal(threshold_set_severity(&set), -1);

	/* and not below again before the level itself */
	assert_int_equal(update(&set, 301, crossings), 0);
	assert_int_equal(update(&set, 299, crossings), 1);
	threshold_set_deinit(&set);
	assert_null(set.items);
	threshold_set_deinit(NULL);
}

static void test_initial(void **state)
{
	struct threshold_spec specs[] = { bytes("low", 30000, 0), bytes("lower", 10000, 0) };
	struct threshold_spec more[] = { bytes("lower", 10000, 0), bytes("low", 30000, 0),
					 bytes("new", 40000, 0), bytes("other", 40000, 7000) };
	struct crossing crossings[4];
	struct threshold_set set = {};
	struct usage unknown = usage_of(1001, 0);

	assert_int_equal(threshold_set_replace(&set, specs, 2), 0);
	assert_int_equal(threshold_set_update(&set, &unknown, crossings), 0);
	assert_false(set.evaluated);

	assert_int_equal(update(&set, 200, crossings), 1);
	assert_true(crossings[0].initial);
	assert_true(crossings[0].below);
	assert_string_equal(crossings[0].threshold->spec.name, "low");

	/* a reload tells what was told once no more, and what is new as initial */
	more[1].severity = SEVERITY_CRITICAL;
	assert_int_equal(threshold_set_replace(&set, more, 4), 0);
	assert_int_equal(threshold_set_severity(&set), SEVERITY_CRITICAL);
	assert_int_equal(update(&set, 90, crossings), 3);
	assert_string_equal(crossings[0].threshold->spec.name, "new");
	assert_true(crossings[0].initial);
	assert_string_equal(crossings[1].threshold->spec.name, "other");
	assert_true(crossings[1].initial);
	assert_string_equal(crossings[2].threshold->spec.name, "lower");
	assert_false(crossings[2].initial);

	/* another hysteresis makes another threshold */
	more[3].hysteresis.value = 8000;
	assert_int_equal(threshold_set_replace(&set, more, 4), 0);
	assert_int_equal(update(&set, 90, crossings), 1);
	assert_string_equal(crossings[0].threshold->spec.name, "other");
	assert_true(crossings[0].initial);

	/* none at all */
	assert_int_equal(threshold_set_replace(&set, NULL, 0), 0);
	assert_int_equal(set.n_items, 0);
	assert_int_equal(update(&set, 1, NULL), 0);
	assert_int_equal(threshold_set_severity(&set), -1);
	threshold_set_deinit(&set);
}

static void test_replace_bound(void **state)
{
	struct threshold_spec specs[THRESHOLDS_MAX + 1] = {};
	struct crossing crossings[THRESHOLDS_MAX];
	struct threshold_set set = {};

	for (size_t i = 0; i < N_ELEMENTS(specs); i++) {
		specs[i] = bytes("t", 10000 + 100 * i, 0);
		snprintf(specs[i].name, sizeof(specs[i].name), "t%zu", i);
	}

	assert_int_equal(threshold_set_replace(&set, specs, THRESHOLDS_MAX), 0);
	assert_int_equal(threshold_set_replace(&set, specs, THRESHOLDS_MAX + 1), -E2BIG);
	assert_int_equal(set.n_items, THRESHOLDS_MAX);

	assert_int_equal(update(&set, 1000, crossings), 0);
	assert_int_equal(update(&set, 0, crossings), THRESHOLDS_MAX);
	for (size_t i = 1; i < THRESHOLDS_MAX; i++)
		assert_true(crossings[i - 1].threshold->level > crossings[i].threshold->level);
	assert_int_equal(update(&set, 1000, crossings), THRESHOLDS_MAX);
	for (size_t i = 1; i < THRESHOLDS_MAX; i++)
		assert_true(crossings[i - 1].threshold->level < crossings[i].threshold->level);
	threshold_set_deinit(&set);
}

static void test_order(void **state)
{
	struct threshold_spec specs[] = {
		spec("inodes", RESOURCE_INODES, LEVEL_INODES, 900),
		bytes("b", 20000, 0),
		bytes("a", 40000, 0),
		bytes("b2", 20000, 0),
		spec("inodes-low", RESOURCE_INODES, LEVEL_PERCENT, 10),
		bytes("c", 50000, 0),
	};
	static const char *const below[] = { "a", "b", "b2", "inodes", "inodes-low" };
	struct threshold_set set = {};
	struct crossing crossings[6];
	struct usage usage = usage_of(450, 1000);

	assert_int_equal(threshold_set_replace(&set, specs, 6), 0);
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 1);
	assert_string_equal(crossings[0].threshold->spec.name, "c");

	usage = usage_of(200, 100);
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 5);
	for (size_t i = 0; i < 5; i++) {
		assert_string_equal(crossings[i].threshold->spec.name, below[i]);
		assert_true(crossings[i].below);
	}
	assert_int_equal(crossings[4].available, 100);

	/* more inodes and less space at once: what got worse is told first */
	usage = usage_of(500, 100);
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 3);
	assert_string_equal(crossings[0].threshold->spec.name, "b");
	assert_string_equal(crossings[1].threshold->spec.name, "b2");
	assert_string_equal(crossings[2].threshold->spec.name, "a");
	usage = usage_of(150, 1000);
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 5);
	assert_string_equal(crossings[0].threshold->spec.name, "a");
	assert_string_equal(crossings[1].threshold->spec.name, "b");
	assert_string_equal(crossings[2].threshold->spec.name, "b2");
	assert_string_equal(crossings[3].threshold->spec.name, "inodes-low");
	assert_false(crossings[3].below);
	assert_string_equal(crossings[4].threshold->spec.name, "inodes");
	threshold_set_deinit(&set);
}

static void test_hysteresis(void **state)
{
	static const struct {
		struct level level, hysteresis;
		uint64_t reserved;
		uint64_t want_level, want_hysteresis;
	} cases[] = {
		/* the default: a tenth, at least a block */
		{ { LEVEL_BYTES, 0, 30000 }, {}, 0, 30000, 3000 },
		{ { LEVEL_BYTES, 0, 500 }, {}, 0, 500, 100 },
		{ { LEVEL_BYTES, 0, 0 }, {}, 0, 0, 100 },
		{ { LEVEL_PERCENT, 10, 0 }, {}, 0, 10000, 1000 },
		{ { LEVEL_PERCENT_OR_SIZE, 10, 4000 }, {}, 0, 4000, 400 },
		{ { LEVEL_BLOCKS, 0, 70 }, {}, 0, 7000, 700 },
		/* given: as it is, nothing too */
		{ { LEVEL_BYTES, 0, 30000 }, { LEVEL_BYTES, 0, 0 }, 0, 30000, 0 },
		{ { LEVEL_BYTES, 0, 30000 }, { LEVEL_PERCENT, 60, 0 }, 0, 30000, 60000 },
		/* past nine tenths of what there is: a quarter of the room */
		{ { LEVEL_BYTES, 0, 30000 }, { LEVEL_PERCENT, 61, 0 }, 0, 30000, 17500 },
		{ { LEVEL_BYTES, 0, 30000 }, { LEVEL_BYTES, 0, UINT64_MAX }, 0, 30000, 17500 },
		{ { LEVEL_PERCENT, 90, 0 }, {}, 0, 90000, 2500 },
		{ { LEVEL_PERCENT, 90, 0 }, {}, 50, 90000, 1250 },
		{ { LEVEL_PERCENT, 80, 0 }, {}, 0, 80000, 8000 },
		/* at least a block also when cut, if that leaves room */
		{ { LEVEL_BYTES, 0, 99700 }, {}, 0, 99700, 100 },
		{ { LEVEL_BYTES, 0, 99900 }, {}, 0, 99900, 25 },
		/* nothing can clear these */
		{ { LEVEL_PERCENT, 100, 0 }, {}, 0, 100000, 10000 },
		{ { LEVEL_BYTES, 0, UINT64_MAX },
		  { LEVEL_BYTES, 0, UINT64_MAX },
		  0,
		  UINT64_MAX,
		  UINT64_MAX },
	};

	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct threshold_spec one = { .name = "x",
					      .level = cases[i].level,
					      .hysteresis = cases[i].hysteresis };
		struct threshold_set set = {};
		struct crossing crossings[1];
		struct usage usage = usage_of(0, 0);
		size_t n;

		assert_int_equal(threshold_set_replace(&set, &one, 1), 0);
		usage.free = cases[i].reserved;
		assert_int_equal(threshold_set_update(&set, &usage, crossings), 1);
		assert_int_equal(set.items[0].level, cases[i].want_level);
		assert_int_equal(set.items[0].hysteresis, cases[i].want_hysteresis);

		/* an empty filesystem clears whatever can be cleared */
		usage.available = usage.blocks - cases[i].reserved;
		usage.free = usage.blocks;
		n = threshold_set_update(&set, &usage, crossings);
		assert_int_equal(n, cases[i].want_level < 100000 - 100 * cases[i].reserved);
		threshold_set_deinit(&set);
	}
}

static void test_inodes(void **state)
{
	struct threshold_spec specs[] = { spec("percent", RESOURCE_INODES, LEVEL_PERCENT, 5),
					  spec("number", RESOURCE_INODES, LEVEL_INODES, 3) };
	struct threshold_set set = {};
	struct crossing crossings[2];
	struct usage usage = usage_of(1000, 50);
	uint64_t n_bytes, n_inodes;

	assert_int_equal(threshold_set_replace(&set, specs, 2), 0);

	/* not counted, or nonsense: neither crossed nor a distance */
	usage.files = 0;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 0);
	usage.files = 49;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 0);
	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_true(n_bytes == UINT64_MAX && n_inodes == UINT64_MAX);

	usage.files = 1000;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 1);
	assert_true(crossings[0].initial);
	assert_int_equal(set.items[0].hysteresis, 5);
	assert_int_equal(set.items[1].hysteresis, 1);
	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_int_equal(n_inodes, 6);
	usage.files_available = 3;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 1);
	usage.files_available = 4;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 0);
	usage.files_available = 5;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 1);
	assert_false(crossings[0].below);

	/* no longer counted: stays as it is */
	usage.files = 0;
	usage.files_available = 1000;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 0);
	assert_true(set.items[0].crossed);
	threshold_set_deinit(&set);
}

static void test_resize(void **state)
{
	struct threshold_spec specs[] = { spec("low", RESOURCE_SPACE, LEVEL_PERCENT, 10) };
	struct threshold_set set = {};
	struct crossing crossings[1];
	struct usage usage = usage_of(200, 1000);

	assert_int_equal(threshold_set_replace(&set, specs, 1), 0);
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 0);
	assert_int_equal(set.items[0].level, 10000);

	/* ten times the size with the same space available */
	usage.blocks = 10000;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 1);
	assert_true(crossings[0].below);
	assert_int_equal(crossings[0].threshold->level, 100000);

	usage.blocks = 1000;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 1);
	assert_false(crossings[0].below);
	threshold_set_deinit(&set);
}

/* Known for display, where nothing can be crossed; crossed and told only by an update. */
static void test_resolve(void **state)
{
	struct threshold_spec specs[] = { spec("low", RESOURCE_SPACE, LEVEL_PERCENT, 30),
					  spec("files", RESOURCE_INODES, LEVEL_PERCENT, 5) };
	struct usage usage = usage_of(1, 1), unknown = {};
	struct crossing crossings[2];
	struct threshold_set set = {};

	assert_int_equal(threshold_set_replace(&set, specs, 2), 0);
	assert_false(threshold_set_resolve(&set, &unknown));
	assert_int_equal(set.items[0].level, 0);

	assert_true(threshold_set_resolve(&set, &usage));
	assert_int_equal(set.items[0].level, 30000);
	assert_int_equal(set.items[0].hysteresis, 3000);
	assert_int_equal(set.items[1].level, 50);
	assert_false(set.items[0].crossed);
	assert_false(set.evaluated);
	assert_false(threshold_set_resolve(&set, &usage));
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 2);
	assert_true(crossings[0].initial);

	usage.blocks = 2000;
	usage.files = 0;
	assert_true(threshold_set_resolve(&set, &usage));
	assert_int_equal(set.items[0].level, 60000);
	assert_int_equal(set.items[1].level, 50);
	threshold_set_deinit(&set);
}

static void test_distance(void **state)
{
	struct threshold_spec specs[] = { bytes("a", 30000, 5000), bytes("b", 10000, 1000) };
	struct threshold_set set = {};
	struct crossing crossings[2];
	struct usage usage = usage_of(500, 1000);
	uint64_t n_bytes = 1, n_inodes = 1;

	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_true(n_bytes == UINT64_MAX && n_inodes == UINT64_MAX);

	assert_int_equal(threshold_set_replace(&set, specs, 2), 0);
	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_int_equal(n_bytes, 0);

	assert_int_equal(threshold_set_update(&set, &usage, crossings), 0);
	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_int_equal(n_bytes, 20000);
	assert_true(n_inodes == UINT64_MAX);

	/* crossed: as far to "above" of the one as to "below" of the other, whichever is nearer */
	usage.available = 300;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 1);
	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_int_equal(n_bytes, 5001);
	usage.available = 120;
	assert_int_equal(threshold_set_update(&set, &usage, crossings), 0);
	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_int_equal(n_bytes, 2000);

	/* figures that the set has not seen yet and that will cross */
	usage.available = 90;
	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_int_equal(n_bytes, 0);
	usage.available = 400;
	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_int_equal(n_bytes, 0);

	usage.available = 1001;
	threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
	assert_true(n_bytes == UINT64_MAX);
	threshold_set_deinit(&set);
}

/* What a program behind a filesystem may answer: nothing may trap, loop or cross for no reason. */
static void test_hostile(void **state)
{
	static const uint64_t values[] = { 0,	       1,	  4096,
					   1ULL << 32, INT64_MAX, UINT64_MAX - 1,
					   UINT64_MAX };
	struct threshold_spec specs[] = {
		spec("p", RESOURCE_SPACE, LEVEL_PERCENT, 10),
		spec("all", RESOURCE_SPACE, LEVEL_PERCENT, 100),
		spec("blocks", RESOURCE_SPACE, LEVEL_BLOCKS, UINT64_MAX),
		spec("i", RESOURCE_INODES, LEVEL_PERCENT, 100),
		bytes("most", UINT64_MAX, UINT64_MAX),
	};
	struct crossing crossings[N_ELEMENTS(specs)];
	size_t n_known = 0, n = N_ELEMENTS(values);

	for (size_t i = 0; i < n * n * n * n * n; i++) {
		struct usage usage = {
			.block_size = values[i % n],
			.blocks = values[i / n % n],
			.available = values[i / n / n % n],
			.free = values[i / n / n / n % n],
			.files = values[i / n / n / n / n],
			.files_available = values[i % n],
		};
		struct threshold_set set = {};
		uint64_t n_bytes, n_inodes;
		size_t n_crossed;

		assert_int_equal(threshold_set_replace(&set, specs, N_ELEMENTS(specs)), 0);
		n_crossed = threshold_set_update(&set, &usage, crossings);
		threshold_set_distance(&set, &usage, &n_bytes, &n_inodes);
		if (!usage_is_known(&usage)) {
			assert_int_equal(n_crossed, 0);
			assert_true(n_bytes == UINT64_MAX && n_inodes == UINT64_MAX);
		} else {
			n_known++;
			assert_true(set.items[1].crossed && set.items[2].crossed &&
				    set.items[4].crossed);
			assert_int_equal(set.items[3].crossed, usage_counts_files(&usage));
			assert_int_equal(threshold_set_update(&set, &usage, crossings), 0);
		}
		threshold_set_deinit(&set);
	}
	assert_true(n_known > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),	      cmocka_unit_test(test_initial),
		cmocka_unit_test(test_replace_bound), cmocka_unit_test(test_order),
		cmocka_unit_test(test_hysteresis),    cmocka_unit_test(test_inodes),
		cmocka_unit_test(test_resize),	      cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_distance),      cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
