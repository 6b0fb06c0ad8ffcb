/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/procfile.h"

#define REST                                                                                       \
	" 1821 1821 19694 0 -1 4194304 101 0 0 0 0 0 0 0 20 0 3 0 191290 3133440 360 "             \
	"18446744073709551615 93824992231424 93824992251961 140737488346384 0 0\n"

static int stat_of(const char *text, struct procfile_stat *ret)
{
	return procfile_decode_stat(text, strlen(text), ret);
}

static void test_stat(void **state)
{
	struct procfile_stat got;

	assert_int_equal(stat_of("1870 (cat) R" REST, &got), 0);
	assert_int_equal(got.pid, 1870);
	assert_int_equal(got.parent, 1821);
	assert_int_equal(got.state, 'R');
	assert_int_equal(got.flags, 4194304);
	assert_int_equal(got.n_threads, 3);
	assert_int_equal(got.start_ticks, 191290);
	assert_int_equal(got.memory_bytes, 3133440);
	assert_int_equal(got.start_code, 93824992231424);
	assert_int_equal(got.end_code, 93824992251961);
	assert_int_equal(got.start_stack, 140737488346384);
}

/* The name is the process's own choice. */
static void test_names(void **state)
{
	static const char *const names[] = {
		"1870 (a b) R" REST,
		"1870 () R" REST,
		"1870 ()) R" REST,
		"1870 () R 1 1 1) R" REST,
		"1870 (\n) R" REST,
		"1870 (1870 (x) Z 7) R" REST,
		"1870 (\\)\xff\x01(( ) R" REST,
	};
	struct procfile_stat got;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_int_equal(stat_of(names[i], &got), 0);
		assert_int_equal(got.state, 'R');
		assert_int_equal(got.parent, 1821);
		assert_int_equal(got.start_ticks, 191290);
	}
}

static void test_stat_malformed(void **state)
{
	static const char *const texts[] = {
		"",
		"1870",
		"1870 (cat",
		"1870 cat) R" REST,
		"0 (cat) R" REST,
		"x (cat) R" REST,
		"4294967296 (cat) R" REST,
		"1870 (cat) R x 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 5 0",
		"1870 (cat) R 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 99999999999999999999 0",
		"1870 (cat) R 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0",
		"1870 (cat) R 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 5 1 1 1 1 1",
	};
	struct procfile_stat got = { .pid = 99 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(stat_of(texts[i], &got), -EBADMSG);
	assert_int_equal(got.pid, 99);
}

#define STATUS                                                                                     \
	"Name:\tUid: 7 7 7 7\nUmask:\t0022\nUid:\t1000\t0\t2\t4294967295\n"                        \
	"SigPnd:\t0000000000000000\nSigBlk:\t0000000000010000\nSigCgt:\t00000002a0000400\n"

static void test_status(void **state)
{
	struct procfile_status got = {};
	const char *text = STATUS;

	assert_int_equal(procfile_decode_status(text, strlen(text), &got), 0);
	assert_int_equal(got.uids[0], 1000);
	assert_int_equal(got.uids[1], 0);
	assert_int_equal(got.uids[2], 2);
	assert_int_equal(got.uids[3], UINT32_MAX);
	assert_int_equal(got.blocked, 0x10000);
	assert_int_equal(got.caught, 0x2a0000400);

	/* cut within the last number it still is one; before, none */
	for (size_t n = 0; n < strlen(text) - strlen("00000002a0000400\n") + 1; n++)
		assert_int_equal(procfile_decode_status(text, n, &got), -EBADMSG);
}

static void test_status_malformed(void **state)
{
	static const char *const texts[] = {
		"Uid:\t1\t2\t3\nSigBlk:\t0\nSigCgt:\t0\n",
		"Uid:\t1\t2\t3\t4294967296\nSigBlk:\t0\nSigCgt:\t0\n",
		"Uid:\t1\t2\t3\t-1\nSigBlk:\t0\nSigCgt:\t0\n",
		"Uid:\t1\t2\t3\t4\nSigBlk:\t10000000000000000\nSigCgt:\t0\n",
		"Uid:\t1\t2\t3\t4\nSigBlk:\tg\nSigCgt:\t0\n",
		"Uid:\t1\t2\t3\t4\nSigBlk:\t0\nxSigCgt:\t0\n",
	};
	struct procfile_status got = { .caught = 99 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(procfile_decode_status(texts[i], strlen(texts[i]), &got),
				 -EBADMSG);
	assert_int_equal(got.caught, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_stat_malformed),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
