/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/core/capability.h"
#include "include/fs_event.h"

#define BASE                                                                                       \
	"enospc threshold-below threshold-above read-only read-write mounted unmounted stalled "   \
	"responding"

static const struct capability_sources none = {};
static const struct capability_sources all = {
	.fs_errors = true,
	.fs_errors_common = true,
	.kmsg = true,
	.module = UINT32_MAX,
};
/* What it says of itself on a kernel where not all can be had. */
static const struct capability_sources frozen = {
	.module = 1U << EVENT_FROZEN | 1U << EVENT_THAWED | 1U << EVENT_THRESHOLD_BELOW,
};
static const struct capability_sources marked = { .fs_errors = true };
static const struct capability_sources unmarked = { .fs_errors_common = true };
static const struct capability_sources common = {
	.fs_errors = true,
	.fs_errors_common = true,
};
static const struct capability_sources stock = { .fs_errors = true, .kmsg = true };

static uint32_t codes_of(const char *names)
{
	uint32_t codes = 0;
	char text[512], *rest = text, *name;

	snprintf(text, sizeof(text), "%s", names);
	while ((name = strsep(&rest, " "))) {
		enum event_code code;

		assert_int_equal(event_code_from_name(name, &code), 0);
		codes |= 1U << code;
	}
	return codes;
}

static uint32_t ask(const char *type, uint32_t major, const struct capability_sources *sources)
{
	char name[64];
	struct superblock sb = { .key = { .major = major, .minor = 1, .n = 1 }, .type = name };

	snprintf(name, sizeof(name), "%s", type);
	return capability_codes(&sb, sources);
}

static void test_table(void **state)
{
	static const struct {
		const char *type;
		uint32_t major;
		const struct capability_sources *sources;
		const char *more; /* than BASE */
	} rows[] = {
		{ "ext4", 8, &none, "enospc-inodes corrupted io-error shutdown" },
		{ "ext4", 8, &stock, "enospc-inodes corrupted io-error shutdown writeback-error" },
		{ "ext3", 8, &stock, "enospc-inodes corrupted io-error shutdown writeback-error" },
		{ "xfs", 8, &none, "enospc-inodes shutdown" },
		{ "xfs", 8, &marked, "enospc-inodes shutdown" },
		{ "xfs", 8, &stock, "enospc-inodes shutdown corrupted io-error writeback-error" },
		{ "xfs", 8, &common, "enospc-inodes shutdown corrupted io-error" },
		{ "xfs", 8, &unmarked, "enospc-inodes shutdown" },
		{ "btrfs", 0, &none, "enospc-metadata corrupted io-error" },
		{ "btrfs", 0, &stock, "enospc-metadata corrupted io-error writeback-error" },
		{ "btrfs", 0, &all,
		  "enospc-metadata corrupted io-error writeback-error frozen thawed" },
		{ "ext4", 8, &all,
		  "enospc-metadata enospc-inodes corrupted io-error writeback-error shutdown "
		  "frozen "
		  "thawed" },
		{ "xfs", 8, &frozen, "enospc-inodes shutdown frozen thawed" },
		{ "vfat", 8, &frozen, "io-error frozen thawed" },
		{ "tmpfs", 0, &frozen, "enospc-inodes" },
		{ "f2fs", 8, &stock, "enospc-inodes io-error writeback-error" },
		{ "f2fs", 8, &common, "enospc-inodes io-error corrupted" },
		{ "tmpfs", 0, &all, "enospc-inodes" },
		{ "overlay", 0, &all, "enospc-inodes" },
		{ "vfat", 8, &stock, "io-error writeback-error" },
		{ "reiserfs", 8, &stock, "enospc-inodes io-error writeback-error" },
		{ "nfs4", 0, &all, "enospc-inodes io-error" },
		{ "fuse.sshfs", 0, &all, "enospc-inodes io-error" },
		{ "fuseblk", 8, &none, "enospc-inodes io-error" },
		{ "fuseblk", 8, &all, "enospc-inodes io-error writeback-error" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t codes = ask(rows[i].type, rows[i].major, rows[i].sources);
		uint32_t expected = codes_of(BASE) | codes_of(rows[i].more);

		if (codes != expected)
			print_error("%s, row %zu: %#x\n", rows[i].type, i, codes ^ expected);
		assert_int_equal(codes, expected);
	}
}

/* An image is full from the day that it was made, and takes no remount. */
static void test_image(void **state)
{
	static const char expected[] = "mounted unmounted stalled responding io-error";

	assert_int_equal(ask("squashfs", 7, &all), codes_of(expected));
	assert_int_equal(ask("iso9660", 11, &none), codes_of(expected));
}

/* A source more never takes a code away. */
static void test_monotonic(void **state)
{
	static const char *const types[] = { "ext4", "xfs",  "btrfs", "f2fs",
					     "vfat", "nfs4", "tmpfs", "squashfs" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		for (unsigned int set = 0; set < 16; set++) {
			for (unsigned int bit = 1; bit < 16; bit <<= 1) {
				struct capability_sources less = { set & 1, set & 2, set & 4,
								   set & 8 ? UINT32_MAX : 0 };
				unsigned int more_set = set | bit;
				struct capability_sources more = { more_set & 1, more_set & 2,
								   more_set & 4,
								   more_set & 8 ? UINT32_MAX : 0 };
				uint32_t codes = ask(types[i], 8, &less);

				assert_int_equal(codes & ~ask(types[i], 8, &more), 0);
			}
		}
	}
}

static bool wants(const char *type, uint32_t major)
{
	char name[64];
	struct superblock sb = { .key = { .major = major, .minor = 1, .n = 1 }, .type = name };

	snprintf(name, sizeof(name), "%s", type);
	return capability_wants_module(&sb);
}

static void test_module(void **state)
{
	assert_true(wants("ext4", 8));
	assert_true(wants("btrfs", 0));
	assert_true(wants("reiserfs", 8));
	assert_false(wants("tmpfs", 0));
	assert_false(wants("nfs4", 0));
	assert_false(wants("squashfs", 7));

	assert_int_equal(capability_of_module(0), 0);
	assert_int_equal(capability_of_module(FS_EVENT_BIT(FS_EVENT_FROZEN) |
					      FS_EVENT_BIT(FS_WARN_ENOSPC_META) |
					      FS_EVENT_BIT(FS_THR_LRBELOW) | FS_EVENT_BIT(60)),
			 codes_of("frozen enospc-metadata"));
	assert_int_equal(
		capability_of_module(FS_EVENT_BIT(FS_EVENT_ID_MAX + 1) - 1),
		codes_of("enospc enospc-metadata enospc-inodes read-only read-write corrupted "
			 "io-error writeback-error shutdown frozen thawed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_monotonic),
		cmocka_unit_test(test_module),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
