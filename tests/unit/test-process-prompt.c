/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/process-prompt.h"

static unsigned int take(struct process_prompt *prompt, uint64_t from_us, uint64_t step_us,
			 unsigned int n)
{
	unsigned int n_taken = 0;

	for (unsigned int i = 0; i < n; i++)
		n_taken += process_prompt_take(prompt, from_us + i * step_us);
	return n_taken;
}

static void test_burst_and_rate(void **state)
{
	struct process_prompt prompt = {};

	assert_int_equal(take(&prompt, 1000000, 0, 2000), PROCESS_PROMPT_BURST);
	/* 10 000 a second for ten seconds */
	assert_int_equal(take(&prompt, 1000000, 100, 100000), 10 * PROCESS_PROMPT_RATE - 1);
	/* nothing for a minute: the burst, and no more */
	assert_int_equal(take(&prompt, 71000000, 0, 2000), PROCESS_PROMPT_BURST);
}

static void test_few(void **state)
{
	struct process_prompt prompt = {};

	assert_int_equal(take(&prompt, 0, 10000, 2000), 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_and_rate),
		cmocka_unit_test(test_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
