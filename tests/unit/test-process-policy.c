/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/process-policy.h"

#define N(_array) (sizeof(_array) / sizeof(*(_array)))
#define SECOND 1000000ULL

struct world {
	struct process_policy *policy;
	struct process_warning last;
	char rule[32];
	unsigned int n_warnings;
};

static void on_warn(const struct process_warning *warning, void *userdata)
{
	struct world *w = userdata;

	w->last = *warning;
	snprintf(w->rule, sizeof(w->rule), "%s", warning->rule);
	w->n_warnings++;
}

static const struct process_policy_ops ops = { on_warn };

static int setup(void **state)
{
	static struct world w;

	w = (struct world){};
	*state = &w;
	return process_policy_new(&w.policy, &ops, &w);
}

static int teardown(void **state)
{
	struct world *w = *state;

	process_policy_free(w->policy);
	return 0;
}

static void test_match(void **state)
{
	const struct process_rule rules[] = {
		{ .name = "any", .exits = PROCESS_EXITS_SIGNAL },
		{ .name = "name", .command = "nginx", .fork_rate = 1 },
		{ .name = "path", .command = "/usr/sbin/nginx", .fork_rate = 1 },
		{ .name = "unit", .unit = "nginx.service", .fork_rate = 1 },
		{ .name = "slice", .unit = "system.slice", .fork_rate = 1 },
		{ .name = "number", .user = "33", .fork_rate = 1 },
		{ .name = "user", .user = "www-data", .fork_rate = 1 },
		{ .name = "both", .user = "33", .command = "nginx", .fork_rate = 1 },
		{ .name = "silent", .user = "33" },
		{ .name = "long", .command = "a-very-long-name-of-it", .fork_rate = 1 },
	};
	const struct process_identity nginx = {
		.comm = "nginx",
		.file = "/usr/sbin/nginx",
		.unit = "system.slice/nginx.service",
		.uid_known = true,
		.uid = 33,
	};
	const struct process_identity named = { .comm = "nginx", .file = "/tmp/x" };
	const struct process_identity cut = { .comm = "a-very-long-nam" };
	const struct process_identity other = { .comm = "a-very-long-nam",
						.file = "/a-very-long-name-of-another" };
	const struct process_identity nothing = {};
	struct world *w = *state;

	assert_int_equal(process_policy_set_rules(w->policy, rules, N(rules)), 0);
	assert_true(process_policy_is_active(w->policy));
	assert_true(process_policy_wants_identity(w->policy));
	assert_int_equal(process_policy_match(w->policy, &nginx), 0xbf);
	for (size_t i = 0; i < N(rules); i++)
		assert_int_equal(process_rule_names_user(&rules[i]),
				 rules[i].user && strcmp(rules[i].user, "www-data") == 0);
	process_policy_set_user(w->policy, "www-data", 33);
	assert_int_equal(process_policy_match(w->policy, &nginx), 0xff);
	assert_int_equal(process_policy_match(w->policy, &named), 0x03);
	assert_int_equal(process_policy_match(w->policy, &cut), 0x201);
	assert_int_equal(process_policy_match(w->policy, &other), 0x01);
	assert_int_equal(process_policy_match(w->policy, &nothing), 0x01);
}

static void test_rules(void **state)
{
	struct process_rule rules[PROCESS_RULES_MAX + 1];
	struct world *w = *state;

	for (size_t i = 0; i < N(rules); i++)
		rules[i] = (struct process_rule){ .name = "x", .user = "33", .fork_rate = 1 };
	assert_int_equal(process_policy_set_rules(w->policy, rules, N(rules)), -E2BIG);
	assert_false(process_policy_is_active(w->policy));
	assert_int_equal(process_policy_set_rules(w->policy, rules, PROCESS_RULES_MAX), 0);
	assert_true(process_policy_is_active(w->policy));
	assert_false(process_policy_wants_identity(w->policy));
	assert_int_equal(process_policy_set_rules(w->policy, NULL, 0), 0);
	assert_false(process_policy_is_active(w->policy));
}

static void check_unit(const char *text, const char *want)
{
	char got[256] = "untouched";

	assert_int_equal(process_unit_of(text, strlen(text), got, sizeof(got)), want ? 0 : -ENOENT);
	if (want)
		assert_string_equal(got, want);
}

static void test_units(void **state)
{
	char deep[2048] = "0::";

	check_unit("0::/system.slice/nginx.service\n", "system.slice/nginx.service");
	check_unit("0::/init.scope\n", "init.scope");
	/* what a user calls something within its own unit is not believed */
	check_unit("0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service\n",
		   "user.slice/user-1000.slice/user@1000.service");
	check_unit("0::/system.slice/a.service/system.slice/nginx.service\n",
		   "system.slice/a.service");
	check_unit("12:cpu:/x.service\n1:name=systemd:/system.slice/b.service\n0::/\n",
		   "system.slice/b.service");
	check_unit("5:cpu:/x:name=systemd:/system.slice/b.service\n", NULL);
	check_unit("0::/docker/nginx.service\n", NULL);
	check_unit("0::/.service\n", NULL);
	check_unit("0::/\n", NULL);
	check_unit("", NULL);
	for (int i = 0; i < 60; i++)
		strcat(deep, "/abcdefg.slice");
	check_unit(deep, NULL);
}

/* Return: the child, whose parent matches all rules. */
static struct process fork_at(struct world *w, uint64_t now_us, struct process *parent,
			      uint32_t pid)
{
	struct process child = { .pid = pid };
	const struct process_change change = {
		.kind = PROCESS_FORKED, .process = &child, .parent = parent, .pid = pid
	};

	process_policy_note(w->policy, &change, now_us);
	return child;
}

static void test_fork_rate(void **state)
{
	const struct process_rule rule = { .name = "bomb", .fork_rate = 10 };
	struct process root = { .pid = 5, .rules = 1, .uid_known = true, .uid = 1000 };
	struct process idle = { .pid = 6 };
	struct world *w = *state;
	uint64_t now = 100 * SECOND;

	assert_int_equal(process_policy_set_rules(w->policy, &rule, 1), 0);
	for (uint32_t i = 0; i < 100; i++)
		fork_at(w, now, &idle, 1000 + i);
	/* ten a second for long, and one that follows */
	for (uint32_t i = 0; i < 100; i++, now += SECOND / 10)
		assert_int_equal(fork_at(w, now, &root, 100 + i).rules, 1);
	assert_int_equal(w->n_warnings, 0);
	fork_at(w, now - SECOND / 10, &root, 300);
	assert_int_equal(w->n_warnings, 1);
	assert_int_equal(w->last.code, PROCESS_WARNING_FORK_RATE);
	assert_int_equal(w->last.severity, SEVERITY_WARNING);
	assert_string_equal(w->rule, "bomb");
	assert_int_equal(w->last.pid, 5);
	assert_int_equal(w->last.rate, 11);
	assert_int_equal(w->last.limit, 10);
	assert_true(w->last.uid_known);
	assert_int_equal(w->last.uid, 1000);
	/* the same second says no more */
	for (uint32_t i = 0; i < 50; i++)
		fork_at(w, now, &root, 400 + i);
	assert_int_equal(w->n_warnings, 1);
}

/* A bomb's leaves fork twice each: the root is to blame, among many that fork a little. */
/* The root of a bomb is one user's, the leaf that forks last another's, who then has its pid. */
static void test_whose(void **state)
{
	const struct process_rule rule = { .name = "bomb", .fork_rate = 5 };
	struct process root = {
		.pid = 5, .rules = 1, .uid_known = true, .uid = 1000, .born_ticks = 70
	};
	const struct process_identity mine = { .uid_known = true, .uid = 1000 };
	const struct process_identity others = { .uid_known = true };
	struct process_warning warning;
	struct world *w = *state;

	assert_int_equal(process_policy_set_rules(w->policy, &rule, 1), 0);
	for (uint32_t i = 0; w->n_warnings == 0 && i < 10; i++) {
		struct process leaf = fork_at(w, 100 * SECOND, &root, 100 + i);

		/* a program of root */
		leaf.uid_known = true;
		leaf.uid = 0;
		fork_at(w, 100 * SECOND, &leaf, 200 + i);
	}
	assert_int_equal(w->n_warnings, 1);
	warning = w->last;
	assert_int_equal(warning.pid, 5);
	assert_true(warning.uid_known);
	assert_int_equal(warning.uid, 1000);
	assert_true(process_warning_is_of(&warning, 71, &mine));
	assert_false(process_warning_is_of(&warning, 72, &mine));
	assert_false(process_warning_is_of(&warning, 70, &others));
	warning.start_ticks = 69;
	assert_true(process_warning_is_of(&warning, 69, &mine));
	assert_false(process_warning_is_of(&warning, 70, &mine));
	warning.uid_known = false;
	assert_false(process_warning_is_of(&warning, 69, &mine));
}

static void test_culprit(void **state)
{
	const struct process_rule rule = { .name = "bomb", .fork_rate = 250 };
	struct process tree[512] = { { .pid = 1000, .rules = 1 } };
	struct process others[100] = {};
	struct world *w = *state;
	uint64_t now = 100 * SECOND;
	size_t n = 1;

	assert_int_equal(process_policy_set_rules(w->policy, &rule, 1), 0);
	for (size_t i = 0; i < N(others); i++)
		others[i] = (struct process){ .pid = (uint32_t)i + 1, .rules = 1 };
	for (size_t i = 0; n + 1 < N(tree) && w->n_warnings == 0; i++) {
		now += 1000;
		tree[n] = fork_at(w, now, &tree[i], (uint32_t)(1000 + n));
		tree[n + 1] = fork_at(w, now, &tree[i], (uint32_t)(1001 + n));
		n += 2;
		if (i % 2)
			fork_at(w, now, &others[i % N(others)], 5000 + (uint32_t)i);
	}
	assert_int_equal(w->n_warnings, 1);
	assert_int_equal(w->last.pid, 1000);
	assert_true(w->last.culprit_forks >= 200);
}

static void end_at(struct world *w, uint64_t now_us, uint64_t rules, uint32_t status)
{
	struct process process = { .pid = 7, .rules = rules, .status = status };
	const struct process_change change = { .kind = PROCESS_ENDED,
					       .process = &process,
					       .pid = 7 };

	process_policy_note(w->policy, &change, now_us);
}

static void test_exits(void **state)
{
	const struct process_rule rules[] = {
		{ .name = "status", .exits = PROCESS_EXITS_STATUS },
		{ .name = "signal", .exits = PROCESS_EXITS_SIGNAL },
		{ .name = "none", .fork_rate = 1 },
	};
	struct world *w = *state;
	uint64_t now = 100 * SECOND;

	assert_int_equal(process_policy_set_rules(w->policy, rules, N(rules)), 0);
	end_at(w, now, 7, 0);
	end_at(w, now, 0, 9);
	end_at(w, now, 2, 0x100);
	end_at(w, now, 4, 9);
	assert_int_equal(w->n_warnings, 0);
	end_at(w, now, 1, 0x300);
	assert_int_equal(w->n_warnings, 1);
	assert_int_equal(w->last.code, PROCESS_WARNING_EXIT_STATUS);
	assert_int_equal(w->last.status, 0x300);
	end_at(w, now, 7, 0x80 | 11);
	assert_int_equal(w->n_warnings, 3);
	assert_int_equal(w->last.code, PROCESS_WARNING_EXIT_SIGNAL);
	assert_string_equal(w->rule, "signal");
}

/* A few at once, then one a minute, which says how many were not told. */
static void test_suppressed(void **state)
{
	const struct process_rule rule = { .name = "loop", .exits = PROCESS_EXITS_STATUS };
	struct world *w = *state;
	uint64_t now = 100 * SECOND, told = 0;

	assert_int_equal(process_policy_set_rules(w->policy, &rule, 1), 0);
	for (unsigned int i = 0; i < 6000; i++, now += SECOND / 10) {
		unsigned int before = w->n_warnings;

		end_at(w, now, 1, 0x100);
		if (w->n_warnings > before)
			told += 1 + w->last.suppressed;
	}
	assert_in_range(w->n_warnings, 4 + 9, 4 + 10);
	assert_in_range(told, 6000 - 600, 6000);
	end_at(w, now + 3600 * SECOND, 1, 0x100);
	assert_int_equal(told + 1 + w->last.suppressed, 6001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_match, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rules, setup, teardown),
		cmocka_unit_test(test_units),
		cmocka_unit_test_setup_teardown(test_fork_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_culprit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whose, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_suppressed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
