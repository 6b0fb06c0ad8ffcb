/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the module alone tells: who found no space, and what is frozen. */

#include "tests/unit/fusion-fixture.h"

static struct fs *full(bool culprits)
{
	static struct fs fs;

	fs_init(&fs, "ext4");
	fs.usage = (struct usage){ 1024, 56037, 56023, 54713, 16384, 16373 };
	fs.look.culprits = culprits;
	fs_look(&fs);
	assert_int_equal(fs.n_told, 0);
	return &fs;
}

static void available(struct fs *fs, uint64_t blocks)
{
	fs->usage.available = blocks;
	fs_look(fs);
}

/* The process is told first, and the look that follows finds what was told. */
static void test_process_first(void **state)
{
	struct fs *fs = full(true);

	HINT(fs, NO_SPACE, MODULE, .pid = 4711);
	assert_string_equal(fs_codes(fs), "enospc");
	assert_int_equal(fs->told[0].fact.pid, 4711);
	assert_int_equal(fs->told[0].fact.error, ENOSPC);
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_MODULE);
	available(fs, 0);
	fs_pass(fs, 10 * SECOND);
	assert_int_equal(fs->n_told, 1);
	assert_true(fusion_is_full(&fs->fusion));

	/* As long as it is full there is no news in it. */
	for (unsigned int i = 0; i < 200; i++) {
		HINT(fs, NO_METADATA, MODULE, .pid = 4712 + i);
		fs_pass(fs, SECOND);
	}
	assert_int_equal(fs->n_told, 1);

	/* Room, and full once more, soon after. */
	available(fs, 1000);
	assert_false(fusion_is_full(&fs->fusion));
	HINT(fs, NO_METADATA, MODULE, .pid = 5000);
	assert_string_equal(fs_codes(fs), "enospc enospc-metadata");
	assert_int_equal(fs->told[1].fact.pid, 5000);
	available(fs, 0);
	fs_pass(fs, SECOND);
	assert_int_equal(fs->n_told, 2);
}

/* A look finds it first: who it was may still come. */
static void test_look_first(void **state)
{
	struct fs *fs = full(true);

	available(fs, 0);
	assert_true(fusion_is_full(&fs->fusion));
	assert_int_equal(fs->n_told, 0);
	fs_pass(fs, FUSION_CULPRIT_US / 2);
	HINT(fs, NO_SPACE, MODULE, .pid = 4711);
	assert_string_equal(fs_codes(fs), "enospc");
	assert_int_equal(fs->told[0].fact.pid, 4711);
	fs_pass(fs, 5 * SECOND);
	assert_int_equal(fs->n_told, 1);
	assert_true(fusion_due(&fs->fusion) == UINT64_MAX);
}

/* What a process met again before there was room comes when there is: that is no news. */
static void test_repeated(void **state)
{
	struct fs *fs = full(true);

	HINT(fs, NO_SPACE, MODULE, .pid = 4711);
	available(fs, 0);
	fs_pass(fs, SECOND / 2);
	available(fs, 50000);
	fs_pass(fs, SECOND / 2);
	HINT(fs, NO_SPACE, MODULE, .pid = 4711, .repeats = true);
	fs_pass(fs, 10 * SECOND);
	assert_string_equal(fs_codes(fs), "enospc");

	/* Of what waits for who it was, it says so. */
	available(fs, 0);
	HINT(fs, NO_SPACE, MODULE, .pid = 4712, .repeats = true);
	assert_string_equal(fs_codes(fs), "enospc enospc");
	assert_int_equal(fs->told[1].fact.pid, 4712);
}

/* Nobody was refused: the last block was taken, that is all. */
static void test_nobody(void **state)
{
	struct fs *fs = full(true);

	available(fs, 0);
	fs_pass(fs, FUSION_CULPRIT_US - 1);
	assert_int_equal(fs->n_told, 0);
	fs_pass(fs, 1);
	assert_string_equal(fs_codes(fs), "enospc");
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_STATFS);
	assert_int_equal(fs->told[0].fact.pid, 0);
	/* Too late. */
	HINT(fs, NO_SPACE, MODULE, .pid = 4711);
	assert_int_equal(fs->n_told, 1);

	/* Where nobody would say it, nobody is waited for. */
	fs = full(false);
	available(fs, 0);
	assert_string_equal(fs_codes(fs), "enospc");
}

/* More was asked for than there is, and much is left. */
static void test_large_request(void **state)
{
	struct fs *fs = full(true);

	for (unsigned int i = 0; i < 100; i++) {
		HINT(fs, NO_SPACE, MODULE, .pid = 4711);
		fs_look(fs);
		assert_false(fusion_is_full(&fs->fusion));
		fs_pass(fs, SECOND);
	}
	/* at 0 s and at 60 s */
	assert_string_equal(fs_codes(fs), "enospc enospc");
}

static void test_inodes(void **state)
{
	struct fs *fs = full(true);

	HINT(fs, NO_SPACE, MODULE, .pid = 1);
	HINT(fs, NO_INODES, MODULE, .pid = 2);
	assert_string_equal(fs_codes(fs), "enospc enospc-inodes");
	assert_int_equal(fs->told[1].fact.pid, 2);
	fs->usage.files_available = 0;
	available(fs, 0);
	fs_pass(fs, SECOND);
	assert_int_equal(fs->n_told, 2);
	assert_true(fusion_is_full(&fs->fusion));
}

/* What it finds at first is told as it was, and who came before that is not. */
static void test_initial(void **state)
{
	struct fs fs;

	fs_init(&fs, "ext4");
	fs.usage.available = 0;
	fs.look.culprits = true;
	HINT(&fs, NO_SPACE, MODULE, .pid = 4711);
	assert_int_equal(fs.n_told, 0);
	fs_look(&fs);
	assert_string_equal(fs_codes(&fs), "enospc");
	assert_true(fs.told[0].fact.initial);
}

/* A state that was told holds while its source is away, and is not told twice when that comes. */
static void test_frozen(void **state)
{
	struct fs *fs = full(true);

	HINT(fs, FROZEN, MODULE, .pid = 7);
	HINT(fs, FROZEN, MODULE);
	fs_look(fs);
	fs->look.codes = ~(1U << EVENT_FROZEN | 1U << EVENT_THAWED);
	for (unsigned int i = 0; i < 5; i++)
		fs_look(fs);
	assert_true(fusion_is_frozen(&fs->fusion));
	HINT(fs, FROZEN, MODULE);
	assert_string_equal(fs_codes(fs), "frozen");
	assert_int_equal(fs->told[0].fact.pid, 7);
	HINT(fs, THAWED, MODULE);
	assert_string_equal(fs_codes(fs), "frozen thawed");
}

/* Its source is gone for good: what is written to is frozen no more. */
static void test_frozen_until_written(void **state)
{
	struct fs *fs = full(true);

	/* While somebody tells of it, figures say nothing: they were of before. */
	HINT(fs, FROZEN, MODULE);
	fs->usage.free = 50000;
	fs_look(fs);
	fs->usage.free = 49000;
	fs_look(fs);
	assert_string_equal(fs_codes(fs), "frozen");

	fs = full(true);
	fs->look.codes = ~(1U << EVENT_FROZEN | 1U << EVENT_THAWED);
	HINT(fs, FROZEN, MODULE);
	fs->usage.free = 50000;
	fs_look(fs);
	fs_look(fs);
	assert_true(fusion_is_frozen(&fs->fusion));
	fs->usage.free--;
	fs_look(fs);
	assert_false(fusion_is_frozen(&fs->fusion));
	assert_string_equal(fs_codes(fs), "frozen thawed");
	assert_int_equal(fs->told[1].fact.source, FUSION_SOURCE_STATFS);
}

/* One failure, whoever says it. */
static void test_same_failure(void **state)
{
	struct fs *fs = full(true);

	fs->look.counters_known = false;
	HINT(fs, CORRUPTED, MODULE, .error = EBADMSG, .pid = 9, .has_inode = true, .inode = 74);
	HINT(fs, CORRUPTED, FANOTIFY, .error = EBADMSG, .pid = 9, .has_inode = true, .inode = 74);
	HINT(fs, CORRUPTED, KMSG);
	fs_pass(fs, 5 * SECOND);
	assert_string_equal(fs_codes(fs), "corrupted");
	assert_int_equal(fs->told[0].fact.pid, 9);

	HINT(fs, SHUTDOWN, MODULE, .pid = 9);
	HINT(fs, IO_ERROR, MODULE);
	fs_pass(fs, 5 * SECOND);
	HINT(fs, SHUTDOWN, KMSG);
	fs_pass(fs, 5 * SECOND);
	assert_string_equal(fs_codes(fs), "corrupted shutdown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_process_first),
		cmocka_unit_test(test_look_first),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_large_request),
		cmocka_unit_test(test_inodes),
		cmocka_unit_test(test_initial),
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_frozen_until_written),
		cmocka_unit_test(test_same_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
