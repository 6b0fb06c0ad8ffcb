/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tests/unit/fusion-fixture.h"

#define MIB (1ULL << 20)

static struct fs *space(const char *type, struct usage usage)
{
	static struct fs fs;

	fs_init(&fs, type);
	fs.usage = usage;
	fs_look(&fs);
	return &fs;
}

static void available(struct fs *fs, uint64_t blocks)
{
	fs->usage.available = blocks;
	fs_look(fs);
}

static void test_data(void **state)
{
	/* An ext4 of 64 MiB as an ordinary user fills it: reserved blocks stay free. */
	struct fs *fs = space("ext4", (struct usage){ 1024, 56037, 56023, 54713, 16384, 16373 });

	fs->usage.free = 1310;
	available(fs, 1);
	assert_int_equal(fs->n_told, 0);
	assert_false(fusion_is_full(&fs->fusion));
	available(fs, 0);
	assert_string_equal(fs_codes(fs), "enospc");
	assert_int_equal(fs->told[0].fact.severity, SEVERITY_CRITICAL);
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_STATFS);
	assert_int_equal(fs->told[0].fact.error, ENOSPC);
	assert_false(fs->told[0].fact.initial);
	assert_true(fusion_is_full(&fs->fusion));

	/* 1/128 of it is 437 blocks: a little more or less is no news. */
	for (unsigned int i = 0; i < 100; i++) {
		available(fs, 436);
		available(fs, 0);
	}
	assert_int_equal(fs->n_told, 1);
	assert_true(fusion_is_full(&fs->fusion));
	available(fs, 437);
	assert_false(fusion_is_full(&fs->fusion));
	available(fs, 0);
	assert_string_equal(fs_codes(fs), "enospc enospc");
	assert_false(fusion_has_failed(&fs->fusion));
	assert_int_equal(fusion_error_count(&fs->fusion), 0);
}

static void test_small(void **state)
{
	/* 64 blocks would be all of it: half is enough. */
	struct fs *fs = space("tmpfs", (struct usage){ 4096, 10, 10, 10, 4, 4 });

	available(fs, 0);
	available(fs, 4);
	assert_true(fusion_is_full(&fs->fusion));
	available(fs, 5);
	assert_false(fusion_is_full(&fs->fusion));
	fs->usage.files_available = 0;
	fs_look(fs);
	assert_string_equal(fs_codes(fs), "enospc enospc-inodes");
	fs->usage.files_available = 2;
	fs_look(fs);
	assert_false(fusion_is_full(&fs->fusion));
}

static void test_xfs(void **state)
{
	/* As seen when nobody gets a block any more: five are shown. */
	struct fs *fs = space("xfs", (struct usage){ 4096, 60416, 56087, 56087, 153600, 153597 });

	available(fs, 9);
	assert_int_equal(fs->n_told, 0);
	fs->usage.files = 104;
	fs->usage.files_available = 0;
	available(fs, 5);
	assert_string_equal(fs_codes(fs), "enospc");
	assert_int_equal(fs->told[0].fact.severity, SEVERITY_CRITICAL);

	/* With space, what its own limit leaves counts. */
	fs->usage.files = 6144;
	available(fs, 55257);
	assert_string_equal(fs_codes(fs), "enospc enospc-inodes");
	assert_int_equal(fs->told[1].fact.severity, SEVERITY_WARNING);
	assert_true(fusion_is_full(&fs->fusion));
}

static void test_inodes(void **state)
{
	struct fs *fs = space("ext4", (struct usage){ 1024, 59637, 59575, 58265, 1984, 1 });

	assert_int_equal(fs->n_told, 0);
	fs->usage.files_available = 0;
	fs_look(fs);
	assert_string_equal(fs_codes(fs), "enospc-inodes");
	fs->usage.files_available = 15;
	fs_look(fs);
	fs->usage.files_available = 0;
	fs_look(fs);
	assert_int_equal(fs->n_told, 1);
	fs->usage.files_available = 16;
	fs_look(fs);
	assert_false(fusion_is_full(&fs->fusion));
	fs->usage.files_available = 0;
	fs_look(fs);
	assert_string_equal(fs_codes(fs), "enospc-inodes enospc-inodes");

	/* ext4 has its own: both can be gone. */
	available(fs, 0);
	assert_string_equal(fs_codes(fs), "enospc-inodes enospc-inodes enospc");

	/* Not counted at all. */
	fs = space("btrfs", (struct usage){ 4096, 32768, 31288, 12032, 0, 0 });
	assert_int_equal(fs->n_told, 0);
	fs = space("fuse", (struct usage){ 4096, 1000, 900, 900, 10, 11 });
	assert_int_equal(fs->n_told, 0);
}

static void test_metadata(void **state)
{
	/* As seen on 128 MiB after 36,342 empty files. */
	struct fs *fs = space("btrfs", (struct usage){ 4096, 32768, 31288, 12032, 0, 0 });

	fs->look.data_left_known = fs->look.metadata_left_known = true;
	fs->look.data_left = 8 * MIB;
	fs->look.metadata_left = 27 * MIB;
	available(fs, 12032);
	assert_int_equal(fs->n_told, 0);
	fs->look.metadata_left = 3915776;
	available(fs, 2048);
	assert_string_equal(fs_codes(fs), "enospc-metadata");
	assert_int_equal(fs->told[0].fact.severity, SEVERITY_CRITICAL);
	assert_true(fusion_is_full(&fs->fusion));
	fs->look.metadata_left = 7 * MIB;
	fs_look(fs);
	fs->look.metadata_left = 3 * MIB;
	fs_look(fs);
	assert_int_equal(fs->n_told, 1);
	fs->look.metadata_left = 8 * MIB;
	fs_look(fs);
	assert_false(fusion_is_full(&fs->fusion));

	/* Only statfs says so, and data has room. */
	fs->look.metadata_left_known = false;
	available(fs, 0);
	assert_string_equal(fs_codes(fs), "enospc-metadata enospc-metadata");
	available(fs, 12032);
	fs->look.data_left = MIB - 1;
	available(fs, 0);
	assert_string_equal(fs_codes(fs), "enospc-metadata enospc-metadata enospc");

	/* One of the two is told, however they sway. */
	for (unsigned int i = 0; i < 100; i++) {
		fs->look.data_left = i % 2 ? 0 : 8 * MIB;
		fs_look(fs);
	}
	assert_int_equal(fs->n_told, 3);
	assert_true(fusion_is_full(&fs->fusion));
}

/* How far it is to the next change: there and back. */
static void test_metadata_distance(void **state)
{
	struct fs *fs = space("btrfs", (struct usage){ 4096, 32768, 31288, 12032, 0, 0 });
	uint64_t left;

	fs->look.data_left_known = fs->look.metadata_left_known = true;
	fs->look.data_left = 8 * MIB;
	fs->look.metadata_left = left = 27 * MIB;
	fs_look(fs);
	assert_int_equal(fusion_metadata_distance(&fs->fusion, left), 23 * MIB + 1);
	fs->look.metadata_left -= fusion_metadata_distance(&fs->fusion, left) - 1;
	fs_look(fs);
	assert_int_equal(fs->n_told, 0);
	fs->look.metadata_left = left = fs->look.metadata_left - 1;
	fs_look(fs);
	assert_string_equal(fs_codes(fs), "enospc-metadata");

	assert_int_equal(fusion_metadata_distance(&fs->fusion, left), 4 * MIB + 1);
	fs->look.metadata_left += fusion_metadata_distance(&fs->fusion, left);
	fs_look(fs);
	assert_false(fusion_is_full(&fs->fusion));

	/* Data has run out instead: more of metadata would change nothing. */
	fs->look.data_left = 0;
	fs->look.metadata_left = left = MIB;
	available(fs, 0);
	assert_string_equal(fs_codes(fs), "enospc-metadata enospc");
	assert_true(fusion_metadata_distance(&fs->fusion, left) == UINT64_MAX);
}

static void test_mixed(void **state)
{
	/* As seen on 128 MiB when it was full: the global reserve stays available. */
	struct fs *fs = space("btrfs", (struct usage){ 4096, 32768, 32407, 31480, 0, 0 });

	fs->look.mixed_left_known = true;
	fs->look.mixed_left = 5644288;
	available(fs, 1450);
	assert_int_equal(fs->n_told, 0);
	fs->look.mixed_left = MIB;
	available(fs, 330);
	assert_int_equal(fs->n_told, 0);
	fs->look.mixed_left = 946176;
	available(fs, 300);
	assert_string_equal(fs_codes(fs), "enospc");
	assert_int_equal(fs->told[0].fact.error, ENOSPC);
	fs->look.mixed_left = 163840;
	available(fs, 56);
	fs->look.mixed_left = 2 * MIB - 1;
	available(fs, 31480);
	fs->look.mixed_left = 0;
	available(fs, 0);
	assert_int_equal(fs->n_told, 1);
	assert_true(fusion_is_full(&fs->fusion));
	fs->look.mixed_left = 2 * MIB;
	available(fs, 500);
	assert_false(fusion_is_full(&fs->fusion));
}

static void test_not_writable(void **state)
{
	struct fs *fs = space("ext4", (struct usage){ 1024, 1000, 900, 800, 100, 90 });

	/* A full image is as it should be. */
	fs_init(fs, "squashfs");
	fs->look.read_only = true;
	fs->usage = (struct usage){ 131072, 10, 0, 0, 100, 0, true };
	fs_look(fs);
	fs_pass(fs, 100 * SECOND);
	assert_int_equal(fs->n_told, 0);
	assert_false(fusion_is_full(&fs->fusion));

	/* Nor while its flag is not known otherwise. */
	fs_init(fs, "iso9660");
	fs->look.read_only_known = false;
	fs->usage = (struct usage){ 2048, 10, 0, 0, 0, 0, true };
	fs_look(fs);
	assert_int_equal(fs->n_told, 0);

	/* What was full stays told. */
	fs = space("ext4", (struct usage){ 1024, 1000, 100, 0, 100, 90 });
	assert_string_equal(fs_codes(fs), "enospc");
	assert_true(fs->told[0].fact.initial);
	fs->look.read_only = true;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_false(fusion_is_full(&fs->fusion));
	fs->look.read_only = false;
	fs_look(fs);
	assert_true(fusion_is_full(&fs->fusion));
	assert_string_equal(fs_codes(fs), "enospc read-only/admin read-write");
}

/* A user's program answers as it likes. */
static void test_hostile(void **state)
{
	static const uint64_t values[] = { 0, 1, 4096, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX };
	const size_t n = sizeof(values) / sizeof(values[0]);
	struct fs *fs = space("fuse", (struct usage){ 0 });

	assert_int_equal(fs->n_told, 0);
	for (size_t i = 0; i < n * n * n * n; i++) {
		bool known;

		fs_forget(fs);
		fs->usage = (struct usage){
			.block_size = 4096,
			.blocks = values[i % n],
			.available = values[i / n % n],
			.files = values[i / n / n % n],
			.files_available = values[i / n / n / n % n],
		};
		known = usage_is_known(&fs->usage);
		fs_look(fs);
		assert_true(known || fs->n_told == 0);
		assert_true(fs->n_told <= 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data),	     cmocka_unit_test(test_small),
		cmocka_unit_test(test_xfs),	     cmocka_unit_test(test_inodes),
		cmocka_unit_test(test_metadata),     cmocka_unit_test(test_metadata_distance),
		cmocka_unit_test(test_not_writable), cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_mixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
