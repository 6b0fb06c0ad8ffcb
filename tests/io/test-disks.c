/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/disks.h"
#include "tests/io/harness.h"

#define SYSFS "/mnt/sys"
#define ALL UINT64_MAX

/* A time at which nothing was read yet. */
#define NOW_US 5000000ULL

static void attribute(const char *directory, const char *name, const char *text)
{
	char path[512];
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* @path: below SYSFS/devices, "sda" or "sda/sda1"; reached by its number as well */
static void device_make(const char *path, const char *number)
{
	char directory[256], below[512], link[256];

	snprintf(directory, sizeof(directory), SYSFS "/devices/%s", path);
	make_directory(directory);
	snprintf(below, sizeof(below), "%s/holders", directory);
	make_directory(below);
	snprintf(below, sizeof(below), "%s/queue", directory);
	make_directory(below);
	snprintf(below, sizeof(below), "%s\n", number);
	attribute(directory, "dev", below);
	snprintf(link, sizeof(link), SYSFS "/dev/block/%s", number);
	snprintf(below, sizeof(below), "../../devices/%s", path);
	assert_return_code(symlink(below, link), errno);
}

static void partition_make(const char *path, const char *number, const char *start,
			   const char *size)
{
	char directory[256];

	device_make(path, number);
	snprintf(directory, sizeof(directory), SYSFS "/devices/%s", path);
	attribute(directory, "partition", "1\n");
	attribute(directory, "start", start);
	attribute(directory, "size", size);
}

/* @path: what @holder, a name below SYSFS/devices, was made of */
static void hold(const char *path, const char *holder)
{
	char link[256], target[256];

	snprintf(link, sizeof(link), SYSFS "/devices/%s/holders/%s", path, holder);
	snprintf(target, sizeof(target), SYSFS "/devices/%s", holder);
	assert_return_code(symlink(target, link), errno);
}

static int setup(void **state)
{
	struct disks *disks;

	make_directory(SYSFS);
	mount_tmpfs(SYSFS, "size=8M,mode=755");
	make_directory(SYSFS "/dev");
	make_directory(SYSFS "/dev/block");
	make_directory(SYSFS "/devices");
	assert_return_code(disks_new(&disks, SYSFS), 0);
	*state = disks;
	return 0;
}

static int teardown(void **state)
{
	disks_free(*state);
	assert_int_equal(system("umount " SYSFS), 0);
	return 0;
}

static const struct device_number sda = { 8, 0 };

/* Exactly these, in any order; @expected has ->told_us 0. */
static void assert_found(struct disks *disks, uint64_t now_us, const struct disk_device *expected,
			 size_t n_expected)
{
	struct disk_device *found;
	size_t n_found;

	assert_int_equal(disks_find(disks, now_us, sda, &found, &n_found), 0);
	assert_int_equal(n_found, n_expected);
	for (size_t i = 0; i < n_expected; i++) {
		bool has = false;

		for (size_t j = 0; j < n_found; j++)
			has = has || (found[j].number.major == expected[i].number.major &&
				      found[j].number.minor == expected[i].number.minor &&
				      found[j].is_partition == expected[i].is_partition &&
				      found[j].start == expected[i].start &&
				      found[j].size == expected[i].size);
		if (!has)
			fail_msg("%u:%u is missing", expected[i].number.major,
				 expected[i].number.minor);
	}
}

static void test_nothing(void **state)
{
	assert_found(*state, NOW_US, NULL, 0);
	device_make("sda", "8:0");
	assert_found(*state, NOW_US + DISKS_KEPT_US, NULL, 0);
}

static void test_partitions(void **state)
{
	static const struct disk_device expected[] = {
		{ { 8, 1 }, true, 2048, 1000 },
		{ { 259, 7 }, true, 4096, 18446744073709551ULL },
	};
	struct disk_device *found;
	size_t n_found;

	device_make("sda", "8:0");
	partition_make("sda/sda1", "8:1", "2048\n", "1000\n");
	partition_make("sda/sda2", "259:7", "4096\n", "18446744073709551\n");
	/* neither is one: no place, and no number */
	partition_make("sda/sda3", "8:3", "4096\n", "none\n");
	make_directory(SYSFS "/devices/sda/sda4");
	attribute(SYSFS "/devices/sda/sda4", "partition", "4\n");
	assert_found(*state, NOW_US, expected, 2);

	(void)disks_find(*state, NOW_US, sda, &found, &n_found);
	for (size_t i = 0; i < n_found; i++) {
		uint64_t start = found[i].start, size = found[i].size;

		assert_false(disk_device_has(&found[i], start - 1));
		assert_true(disk_device_has(&found[i], start));
		assert_true(disk_device_has(&found[i], start + size - 1));
		assert_false(disk_device_has(&found[i], start + size));
		assert_false(disk_device_has(&found[i], UINT64_MAX));
		assert_false(disk_device_has(&found[i], 0));
	}
}

/* LVM on LUKS on a partition, a mirror of two partitions with one of its own, a volume on the disk itself */
static void test_stacked(void **state)
{
	static const struct disk_device expected[] = {
		{ { 8, 1 }, true, 100, 50 },	{ { 8, 2 }, true, 200, 60 },
		{ { 253, 0 }, false, 100, 50 }, { { 253, 1 }, false, 100, 50 },
		{ { 253, 2 }, false, 100, 50 }, { { 9, 0 }, false, 100, 50 },
		{ { 9, 0 }, false, 200, 60 },	{ { 259, 0 }, false, 100, 50 },
		{ { 259, 0 }, false, 200, 60 }, { { 253, 9 }, false, 0, ALL },
	};

	device_make("sda", "8:0");
	partition_make("sda/sda1", "8:1", "100\n", "50\n");
	partition_make("sda/sda2", "8:2", "200\n", "60\n");
	device_make("dm-0", "253:0");
	device_make("dm-1", "253:1");
	device_make("dm-2", "253:2");
	device_make("dm-9", "253:9");
	device_make("md0", "9:0");
	partition_make("md0/md0p1", "259:0", "8\n", "8\n");
	hold("sda/sda1", "dm-0");
	hold("dm-0", "dm-1");
	hold("dm-0", "dm-2");
	hold("sda/sda1", "md0");
	hold("sda/sda2", "md0");
	hold("sda", "dm-9");
	assert_found(*state, NOW_US, expected, sizeof(expected) / sizeof(expected[0]));
}

/* What no kernel has: a circle, and more of everything than is looked at. */
static void test_bounded(void **state)
{
	struct disk_device *found;
	char path[64], number[32];
	size_t n_found;

	device_make("sda", "8:0");
	device_make("dm-0", "253:0");
	hold("sda", "dm-0");
	hold("dm-0", "dm-0");
	hold("dm-0", "sda");
	assert_int_equal(disks_find(*state, NOW_US, sda, &found, &n_found), 0);
	assert_int_equal(n_found, 1);

	for (unsigned int i = 0; i < DISKS_DEPTH; i++) {
		char above[64];

		snprintf(path, sizeof(path), "dm-%u", i);
		snprintf(above, sizeof(above), "dm-%u", i + 1);
		snprintf(number, sizeof(number), "253:%u", i + 1);
		device_make(above, number);
		hold(path, above);
	}
	assert_int_equal(disks_find(*state, NOW_US + DISKS_KEPT_US, sda, &found, &n_found),
			 DISKS_MORE);
	assert_int_equal(n_found, DISKS_DEPTH);

	for (unsigned int i = 0; i < DISKS_DEVICES + 8; i++) {
		snprintf(path, sizeof(path), "sda/sda%u", i);
		snprintf(number, sizeof(number), "8:%u", i + 1);
		partition_make(path, number, "1\n", "1\n");
	}
	assert_int_equal(disks_find(*state, NOW_US + 2 * DISKS_KEPT_US, sda, &found, &n_found),
			 DISKS_MORE);
	assert_int_equal(n_found, DISKS_DEVICES);
}

static void test_kept(void **state)
{
	static const struct disk_device one[] = { { { 8, 1 }, true, 100, 50 } };

	device_make("sda", "8:0");
	assert_found(*state, NOW_US, NULL, 0);
	partition_make("sda/sda1", "8:1", "100\n", "50\n");

	/* A storm reads nothing; a change is seen after a pause, and anything after a while. */
	assert_found(*state, NOW_US + DISKS_KEPT_US - 1, NULL, 0);
	disks_changed(*state);
	assert_found(*state, NOW_US + DISKS_KEPT_US - 1, one, 1);
	assert_return_code(unlink(SYSFS "/devices/sda/sda1/partition"), errno);
	disks_changed(*state);
	assert_found(*state, NOW_US + DISKS_KEPT_US - 1 + DISKS_PAUSE_US - 1, one, 1);
	assert_found(*state, NOW_US + DISKS_KEPT_US - 1 + DISKS_PAUSE_US, NULL, 0);
	attribute(SYSFS "/devices/sda/sda1", "partition", "1\n");
	assert_found(*state, NOW_US + 3 * DISKS_KEPT_US, one, 1);
}

/* A storm of 100,000 messages a second about a disk with as much on it as is looked at. */
static void test_storm(void **state)
{
	const unsigned int n = 100000;
	struct disk_device *found;
	char path[64], number[32];
	uint64_t began, took;
	size_t n_found;

	device_make("sda", "8:0");
	for (unsigned int i = 0; i < DISKS_DEVICES; i++) {
		snprintf(path, sizeof(path), "sda/sda%u", i);
		snprintf(number, sizeof(number), "8:%u", i + 1);
		partition_make(path, number, "1\n", "1\n");
	}
	began = now_us();
	assert_int_equal(disks_find(*state, NOW_US, sda, &found, &n_found), 0);
	took = now_us() - began;
	assert_int_equal(n_found, DISKS_DEVICES);

	began = now_us();
	for (unsigned int i = 0; i < n; i++) {
		/* Each says that something changed, too. */
		disks_changed(*state);
		(void)disks_find(*state, NOW_US + DISKS_PAUSE_US - 1, sda, &found, &n_found);
	}
	print_message("read in %.1f ms, and %u times not in %.1f ms\n", (double)took / 1000, n,
		      (double)(now_us() - began) / 1000);
	/* Had it been read for each, it would have taken this long as often. */
	assert_true(now_us() - began < took * n / 100);
}

/* More disks that fail at once than are kept: for the rest everybody looks. */
static void test_many_disks(void **state)
{
	struct disk_device *found;
	unsigned int n_more = 0;
	size_t n_found;

	for (unsigned int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < DISKS_MAX + 8; i++)
			n_more += disks_find(*state, NOW_US, (struct device_number){ 8, i }, &found,
					     &n_found) == DISKS_MORE;
	assert_int_equal(n_more, 16);

	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(disks_find(*state, NOW_US + DISKS_PAUSE_US,
					    (struct device_number){ 9, i }, &found, &n_found),
				 0);
}

/* A second disk with much on it waits for another wake-up; many small ones do not. */
static void test_at_once(void **state)
{
	const struct device_number sdb = { 8, 512 };
	struct disk_device *found;
	char path[64], number[32];
	size_t n_found;

	device_make("sda", "8:0");
	device_make("sdb", "8:512");
	for (unsigned int i = 0; i < DISKS_AT_ONCE; i++) {
		snprintf(path, sizeof(path), "sda/sda%u", i);
		snprintf(number, sizeof(number), "8:%u", i + 1);
		partition_make(path, number, "1\n", "1\n");
	}
	partition_make("sdb/sdb1", "8:513", "1\n", "1\n");

	assert_int_equal(disks_find(*state, NOW_US, sda, &found, &n_found), 0);
	assert_int_equal(n_found, DISKS_AT_ONCE);
	assert_int_equal(disks_find(*state, NOW_US, sdb, &found, &n_found), DISKS_MORE);
	assert_int_equal(n_found, 0);
	/* What was read just now is known. */
	assert_int_equal(disks_find(*state, NOW_US, sda, &found, &n_found), 0);
	assert_int_equal(n_found, DISKS_AT_ONCE);

	assert_int_equal(disks_find(*state, NOW_US + 1, sdb, &found, &n_found), 0);
	assert_int_equal(n_found, 1);

	/* Due again: the former reading holds until its turn. */
	assert_int_equal(disks_find(*state, NOW_US + DISKS_KEPT_US + 1, sda, &found, &n_found), 0);
	assert_int_equal(disks_find(*state, NOW_US + DISKS_KEPT_US + 1, sdb, &found, &n_found),
			 DISKS_MORE);
	assert_int_equal(n_found, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_partitions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stacked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_disks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
