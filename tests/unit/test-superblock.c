/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <time.h>

#include "tests/unit/mount-fixture.h"

#define ROOT "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"

static void test_come_and_go(void **state)
{
	struct fixture *fixture = *state;
	const struct fs_key first = { 8, 1, 1 };

	fixture_expect(fixture, "", "");
	assert_int_equal(superblock_table_count(fixture->table), 0);
	assert_null(superblock_table_resolve(fixture->table, "/"));
	assert_null(superblock_table_find_device(fixture->table, 8, 1));
	assert_null(superblock_table_find_mount(fixture->table, 1, NULL));
	assert_null(superblock_table_next(fixture->table, NULL));

	fixture_expect(fixture, ROOT "2 1 0:5 / /t rw - tmpfs t rw\n", "+8:1#1 +0:5#2");
	fixture_expect(fixture, ROOT "2 1 0:5 / /t rw - tmpfs t rw\n", "");
	fixture_expect(fixture, ROOT, "-0:5#2");
	fixture_expect(fixture, ROOT "2 1 0:5 / /t rw - tmpfs t rw\n", "+0:5#3");
	assert_non_null(superblock_table_find(fixture->table, &first));
	fixture_expect(fixture, "", "-8:1#1 -0:5#3");
	assert_null(superblock_table_find(fixture->table, &first));
}

static void test_fields(void **state)
{
	struct fixture *fixture = *state;
	const struct mount *mount;
	struct superblock *sb;

	fixture->now_us = 1000;
	fixture->unique_offset = 1ULL << 32;
	assert_int_equal(fixture_try(fixture,
				     ROOT "9 1 0:5 /sub /t\\040x ro,nosuid - fuse.ssh\\040fs "
					  "me@host: rw,user_id=1000,group_id=5\n"
					  "broken\n"),
			 0);
	assert_int_equal(fixture->skipped, 1);

	mount = superblock_table_find_mount(fixture->table, 9, &sb);
	assert_non_null(mount);
	assert_int_equal(mount->id, 9);
	assert_int_equal(mount->unique_id, (1ULL << 32) + 9);
	assert_int_equal(mount->parent, 1);
	assert_string_equal(mount->root, "/sub");
	assert_string_equal(mount->where, "/t x");
	assert_string_equal(mount->options, "ro,nosuid");
	assert_true(mount->read_only);
	assert_true(mount->reachable);
	assert_int_equal(mount->seen_us, 1000);

	assert_ptr_equal(sb, superblock_table_find_device(fixture->table, 0, 5));
	assert_string_equal(sb->type, "fuse.ssh fs");
	assert_string_equal(sb->source, "me@host:");
	assert_string_equal(sb->super_options, "rw,user_id=1000,group_id=5");
	assert_false(sb->read_only);
	assert_int_equal(sb->owner_uid, 1000);
	assert_int_equal(sb->n_mounts, 1);
	assert_ptr_equal(sb->mounts[0], mount);
}

/* Bind mounts, several mounts and btrfs subvolumes: one superblock. */
static void test_several_mounts(void **state)
{
	struct fixture *fixture = *state;
	const struct superblock *sb;

	fixture_expect(fixture,
		       "1 0 0:30 /@ / rw - btrfs /dev/sda2 rw,subvol=/@\n"
		       "2 1 0:5 / /t rw - tmpfs t rw\n"
		       "3 1 0:30 /@home /home rw - btrfs /dev/sda2 rw,subvol=/@home\n"
		       "4 2 0:30 /@/srv /t/srv rw - btrfs /dev/sda2 rw,subvol=/@\n",
		       "+0:30#1 +0:5#2");
	sb = superblock_table_find_device(fixture->table, 0, 30);
	assert_int_equal(sb->n_mounts, 3);
	assert_string_equal(sb->mounts[0]->where, "/");
	assert_string_equal(sb->mounts[1]->where, "/home");
	assert_string_equal(sb->mounts[2]->where, "/t/srv");

	/* The first one goes, another comes: still the same, as long as one stays. */
	fixture_expect(fixture,
		       "2 0 0:5 / / rw - tmpfs t rw\n"
		       "4 2 0:30 /@/srv /t/srv rw - btrfs /dev/sda2 rw,subvol=/@\n"
		       "5 2 0:30 / /top rw - btrfs /dev/sda2 rw,subvol=/\n",
		       "-0:5#2 +0:5#3 ~0:30#1");
	assert_int_equal(sb->n_mounts, 2);
}

static void test_visible_changes(void **state)
{
	struct fixture *fixture = *state;
	struct superblock *sb;

	fixture->now_us = 5;
	fixture_expect(fixture, ROOT, "+8:1#1");
	sb = superblock_table_find_device(fixture->table, 8, 1);
	sb->userdata = fixture;

	fixture->now_us = 9;
	fixture_expect(fixture, "1 0 8:1 / / ro - ext4 /dev/sda1 rw\n", "~8:1#1");
	assert_true(sb->mounts[0]->read_only);
	assert_false(sb->read_only);
	fixture_expect(fixture, "1 0 8:1 / / ro - ext4 /dev/sda1 ro\n", "~8:1#1");
	assert_true(sb->read_only);
	fixture_expect(fixture, "1 0 8:1 / / ro - ext4 /dev/sda1 ro,emergency_ro\n", "~8:1#1");
	fixture_expect(fixture, "1 0 8:1 / / ro - ext4 UUID=5 ro,emergency_ro\n", "~8:1#1");
	assert_string_equal(sb->source, "UUID=5");
	fixture_expect(fixture, "1 0 8:1 / / ro - ext4 UUID=5 ro,emergency_ro\n", "");
	/* Something of another superblock above it changes what can be reached. */
	fixture_expect(fixture,
		       "1 0 8:1 / / ro - ext4 UUID=5 ro,emergency_ro\n"
		       "2 1 0:7 / / rw - tmpfs t rw\n",
		       "+0:7#2 ~8:1#1");
	assert_false(sb->mounts[0]->reachable);
	fixture_expect(fixture, "1 0 8:1 / / ro - ext4 UUID=5 ro,emergency_ro\n", "-0:7#2 ~8:1#1");
	assert_true(sb->mounts[0]->reachable);

	/* The same object all along, first seen when it came. */
	assert_ptr_equal(sb, superblock_table_find_device(fixture->table, 8, 1));
	assert_ptr_equal(sb->userdata, fixture);
	assert_int_equal(sb->generation, 1);
	assert_int_equal(sb->mounts[0]->seen_us, 5);
}

/* An anonymous number that was used again, in all ways in which that can look. */
static void test_reused_number(void **state)
{
	struct fixture *fixture = *state;

	/* Without unique ids: another id, place, root, parent, source or type. */
	fixture_expect(fixture, ROOT "9 1 0:5 / /t rw - tmpfs t rw\n", "+8:1#1 +0:5#2");
	fixture_expect(fixture, ROOT "8 1 0:5 / /t rw - tmpfs t rw\n", "-0:5#2 +0:5#3");
	fixture_expect(fixture, ROOT "8 1 0:5 / /u rw - tmpfs t rw\n", "-0:5#3 +0:5#4");
	fixture_expect(fixture, ROOT "8 1 0:5 /d /u rw - tmpfs t rw\n", "-0:5#4 +0:5#5");
	fixture_expect(fixture, ROOT "8 7 0:5 /d /u rw - tmpfs t rw\n", "-0:5#5 +0:5#6");
	fixture_expect(fixture, ROOT "8 7 0:5 /d /u rw - tmpfs u rw\n", "-0:5#6 +0:5#7");
	fixture_expect(fixture, ROOT "8 7 0:5 /d /u rw - ramfs u rw\n", "-0:5#7 +0:5#8");
	/* btrfs may show another device of itself, and a disk another name. */
	fixture_expect(fixture, ROOT "8 7 0:5 /d /u rw - btrfs /dev/a rw\n", "-0:5#8 +0:5#9");
	fixture_expect(fixture, ROOT "8 7 0:5 /d /u rw - btrfs /dev/b rw\n", "~0:5#9");
	fixture_expect(fixture,
		       "1 0 8:1 / / rw - ext4 /dev/root rw\n"
		       "8 7 0:5 /d /u rw - btrfs /dev/b rw\n",
		       "~8:1#1");
}

static void test_reused_number_unique(void **state)
{
	struct fixture *fixture = *state;
	static const char text[] = "9 1 0:5 / /t rw - tmpfs t rw\n";

	fixture->unique_offset = 100;
	fixture_expect(fixture, text, "+0:5#1");
	fixture_expect(fixture, text, "");
	/* All is equal but the unique id: another mount, and so another superblock. */
	fixture->unique_offset = 200;
	fixture_expect(fixture, text, "-0:5#1 +0:5#2");
	/* The same unique id elsewhere: it was moved. */
	fixture_expect(fixture, "9 3 0:5 / /u rw - tmpfs t rw\n", "~0:5#2");
	/* The unique id is not to be had this time: the rest decides. */
	fixture->unique_offset = 0;
	fixture_expect(fixture, "9 3 0:5 / /u rw - tmpfs t rw\n", "~0:5#2");
	fixture->unique_offset = 200;
	fixture_expect(fixture, "9 3 0:5 / /u rw - tmpfs t rw\n", "~0:5#2");
	/* A kept mount that has another type cannot be. */
	fixture_expect(fixture, "9 3 0:5 / /u rw - ramfs t rw\n", "-0:5#2 +0:5#3");
	/* The mount goes on, with the device number of another superblock. */
	fixture_expect(fixture, "9 3 0:6 / /u rw - ramfs t rw\n", "-0:5#3 +0:6#4");
}

static void test_repeated_id(void **state)
{
	struct fixture *fixture = *state;
	struct superblock *sb;

	fixture_expect(fixture,
		       ROOT "2 1 0:5 / /old rw - tmpfs t rw\n"
			    "3 1 0:6 / /c rw - tmpfs t rw\n"
			    "2 1 0:5 / /new rw - tmpfs t rw\n",
		       "+8:1#1 +0:5#2 +0:6#3");
	assert_string_equal(superblock_table_find_mount(fixture->table, 2, &sb)->where, "/new");
	assert_int_equal(sb->n_mounts, 1);
	assert_string_equal(fixture_resolve(fixture, "/old"), "8:1");
}

static void test_order(void **state)
{
	struct fixture *fixture = *state;
	const struct superblock *sb = NULL;
	uint64_t last = 0;
	size_t n = 0;

	fixture_expect(fixture,
		       "1 0 0:1 / / rw - t s rw\n2 1 0:2 / /b rw - t s rw\n"
		       "3 1 0:3 / /c rw - t s rw\n",
		       "+0:1#1 +0:2#2 +0:3#3");
	fixture_expect(fixture,
		       "9 1 0:9 / /i rw - t s rw\n3 1 0:3 / /c ro - t s rw\n"
		       "8 1 0:8 / /h rw - t s rw\n1 0 0:1 / / ro - t s rw\n",
		       "-0:2#2 +0:9#4 +0:8#5 ~0:3#3 ~0:1#1");

	while ((sb = superblock_table_next(fixture->table, sb))) {
		assert_true(sb->generation > last);
		last = sb->generation;
		n++;
	}
	assert_int_equal(n, 4);
	assert_int_equal(superblock_table_count(fixture->table), 4);
}

static void test_resolve(void **state)
{
	struct fixture *fixture = *state;
	static const char *const rows[][2] = {
		{ "/", "8:1" },
		{ "//", "8:1" },
		{ "/.", "8:1" },
		{ "/..", "8:1" },
		{ "/etc", "8:1" },
		{ "/a", "0:2" },
		{ "/a/", "0:2" },
		{ "/a/x", "0:2" },
		{ "/ab", "8:1" },
		{ "/a//b/.", "0:3" },
		{ "/a/b/c", "0:3" },
		{ "/a/bc", "0:2" },
		{ "/a/../ab", "8:1" },
		{ "/x/../a/b/../..", "8:1" },
		{ "/../../a/b", "0:3" },
		{ "/a/...", "0:2" },
		{ "/a/..b", "0:2" },
		{ "/..a", "8:1" },
		/* overmounted: /o twice, then /p over everything below it */
		{ "/o", "0:5" },
		{ "/o/in", "0:5" },
		{ "/p/q", "0:7" },
		{ "/p/q/r", "0:7" },
		{ "/p", "0:7" },
		{ "", "-" },
		{ "a", "-" },
		{ "./a", "-" },
		{ "~", "-" },
	};

	assert_int_equal(fixture_try(fixture,
				     ROOT "2 1 0:2 / /a rw - t s rw\n3 2 0:3 / /a/b rw - t s rw\n"
					  "4 1 0:4 / /o rw - t s rw\n5 4 0:5 / /o rw - t s rw\n"
					  "8 4 0:8 / /o/in rw - t s rw\n"
					  "6 1 0:6 / /p/q rw - t s rw\n7 1 0:7 / /p rw - t s rw\n"),
			 0);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(fixture_resolve(fixture, rows[i][0]), rows[i][1]) != 0)
			fail_msg("'%s' is on %s, expected %s", rows[i][0],
				 fixture_resolve(fixture, rows[i][0]), rows[i][1]);
	}

	for (uint32_t id = 1; id <= 8; id++) {
		const struct mount *mount = superblock_table_find_mount(fixture->table, id, NULL);

		/* Below the upper one; beside it on the lower one; under a later parent folder. */
		assert_int_equal(mount->reachable, id != 4 && id != 8 && id != 6);
	}
}

static void test_resolve_root(void **state)
{
	struct fixture *fixture = *state;

	/* The initramfs below the real root, as its own parent; a mount on it that is hidden. */
	assert_int_equal(
		fixture_try(fixture,
			    "1 1 0:2 / / rw - rootfs rootfs rw\n"
			    "5 1 0:9 / /dev rw - devtmpfs d rw\n2 1 8:1 / / rw - ext4 s rw\n"
			    "3 2 0:3 / / rw - overlay o rw\n4 3 0:4 / /t rw - tmpfs t rw\n"),
		0);
	assert_string_equal(fixture_resolve(fixture, "/"), "0:3");
	assert_string_equal(fixture_resolve(fixture, "/t/x"), "0:4");
	assert_string_equal(fixture_resolve(fixture, "/dev"), "0:3");

	/* In a chroot the root itself is not to be seen. */
	assert_int_equal(
		fixture_try(fixture,
			    "4 3 0:4 / /t rw - tmpfs t rw\n6 4 0:6 / /t/u rw - tmpfs t rw\n"),
		0);
	assert_string_equal(fixture_resolve(fixture, "/"), "-");
	assert_string_equal(fixture_resolve(fixture, "/t/u/x"), "0:6");
	assert_true(superblock_table_find_mount(fixture->table, 6, NULL)->reachable);
}

static void test_strange_trees(void **state)
{
	struct fixture *fixture = *state;

	/* Rings, a child outside of its parent, an unlinked mount point, two at one place. */
	assert_int_equal(fixture_try(fixture, ROOT
				     "2 3 0:2 / /a rw - t s rw\n3 2 0:3 / /a rw - t s rw\n"
				     "4 4 0:4 / /b rw - t s rw\n5 6 0:5 / /c/d rw - t s rw\n"
				     "6 1 0:6 / /e rw - t s rw\n7 1 0:7 / /f//deleted rw - t s rw\n"
				     "8 1 0:8 / /g rw - t s rw\n9 1 0:9 / /g rw - t s rw\n"),
			 0);
	for (uint32_t id = 1; id <= 9; id++) {
		const struct mount *mount = superblock_table_find_mount(fixture->table, id, NULL);

		assert_int_equal(mount->reachable, id == 1 || id == 6 || id == 9);
	}
	assert_string_equal(fixture_resolve(fixture, "/a"), "8:1");
	assert_string_equal(fixture_resolve(fixture, "/f/deleted"), "8:1");
	assert_string_equal(fixture_resolve(fixture, "/g"), "0:9");
}

static void test_display(void **state)
{
	struct fixture *fixture = *state;
	struct superblock *sb;

	fixture_expect(fixture,
		       ROOT "2 1 0:5 /x /a rw - t s rw\n3 1 0:5 / /long/one rw - t s rw\n"
			    "4 1 0:5 / /long rw - t s rw\n5 1 0:5 / /z rw - t s rw\n"
			    "6 5 0:6 / /z rw - t s rw\n",
		       "+8:1#1 +0:5#2 +0:6#3");
	sb = superblock_table_find_device(fixture->table, 0, 5);
	/* "/z" is shorter but overmounted, "/a" shorter but a folder of it. */
	assert_string_equal(superblock_display_mount(sb)->where, "/long");

	fixture_expect(fixture,
		       ROOT "2 1 0:5 /x /a rw - t s rw\n5 1 0:5 / /z rw - t s rw\n"
			    "6 5 0:6 / /z rw - t s rw\n",
		       "~0:5#2");
	assert_string_equal(superblock_display_mount(sb)->where, "/a");

	fixture_expect(fixture, ROOT "5 1 0:5 / /z rw - t s rw\n6 5 0:6 / /z rw - t s rw\n",
		       "~0:5#2");
	assert_null(superblock_display_mount(sb));
}

static char *many_mounts(size_t n, uint32_t first_id, bool stacked)
{
	char *text = malloc(n * 80 + 80), *p = text;

	if (!text)
		abort();
	p += sprintf(p, "%s", ROOT);
	for (size_t i = 0; i < n; i++) {
		unsigned int id = first_id + (unsigned int)i;

		if (stacked)
			p += sprintf(p, "%u %u 0:%u / /s rw - t s rw\n", id, i ? id - 1 : 1, id);
		else
			p += sprintf(p, "%u 1 0:%u / /srv/m%u rw - t s rw\n", id, id, id);
	}

	return text;
}

static uint64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t cost_of(struct fixture *fixture, size_t n, bool stacked)
{
	char *text = many_mounts(n, 100, stacked), *other = many_mounts(n, 500000, stacked);
	uint64_t begin = cpu_us();

	assert_int_equal(fixture_try(fixture, text), 0);
	assert_int_equal(superblock_table_count(fixture->table), n + 1);
	assert_int_equal(fixture_try(fixture, other), 0);
	assert_int_equal(fixture_try(fixture, other), 0);
	assert_string_equal(fixture->told, "");
	free(text);
	free(other);
	return cpu_us() - begin;
}

/* 64 times the mounts may cost 64 times the time and some noise, never its square. */
static void test_cost_is_linear(void **state)
{
	struct fixture *fixture = *state;

	for (int stacked = 0; stacked < 2; stacked++) {
		uint64_t few = cost_of(fixture, 500, stacked) + 500;
		uint64_t many = cost_of(fixture, 32000, stacked);

		print_message("500 mounts %llu us, 32000 mounts %llu us\n",
			      (unsigned long long)few - 500, (unsigned long long)many);
		assert_true(many < few * 64 * 6);
	}
}

int main(void)
{
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_come_and_go),	   TEST(test_fields),
		TEST(test_several_mounts), TEST(test_visible_changes),
		TEST(test_reused_number),  TEST(test_reused_number_unique),
		TEST(test_repeated_id),	   TEST(test_order),
		TEST(test_resolve),	   TEST(test_resolve_root),
		TEST(test_strange_trees),  TEST(test_display),
		TEST(test_cost_is_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
