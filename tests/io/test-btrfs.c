/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/btrfs.h"
#include "tests/io/harness.h"

#define WHERE "/mnt/btrfs"

/*
 * Made as @mkfs says, with the devices $a and $b to be named in it, and mounted.
 * Both are of 256 MiB; the second may go unused.
 */
static void btrfs_make(const char *mkfs, char uuid[static BTRFS_UUID_SIZE])
{
	char command[512], name[64];
	struct stat st;
	FILE *pipe;

	make_directory(WHERE);
	/* What has several devices is found when all of them are named. */
	snprintf(command, sizeof(command),
		 "cd /mnt && truncate -s 256M a b && a=$(losetup -f --show a) && "
		 "b=$(losetup -f --show b) && mkfs.btrfs -q -f %s >/dev/null 2>&1 && "
		 "mount -t btrfs -o device=%s $a " WHERE " && echo $a",
		 mkfs, strstr(mkfs, "$b") ? "$b" : "$a");
	pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_non_null(fgets(name, sizeof(name), pipe));
	assert_int_equal(pclose(pipe), 0);
	name[strcspn(name, "\n")] = '\0';
	assert_return_code(stat(name, &st), errno);
	assert_return_code(btrfs_uuid_find(major(st.st_rdev), minor(st.st_rdev), uuid), 0);
}

static int teardown(void **state)
{
	(void)umount2(WHERE, UMOUNT_NOFOLLOW);
	return system("cd /mnt && for i in a b; do losetup -j $i | cut -d: -f1 | xargs -r losetup "
		      "-d; done;"
		      "rm -f a b");
}

static int setup(void **state)
{
	if (system("command -v mkfs.btrfs >/dev/null") != 0) {
		print_message("SKIPPED: mkfs.btrfs is missing\n");
		skip();
	}
	return 0;
}

static void fill(const char *path)
{
	static char block[65536];
	_cleanup_close_ int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

	assert_return_code(fd, errno);
	for (unsigned int i = 0; i < 10000 && write(fd, block, sizeof(block)) > 0; i++)
		if (i % 64 == 0)
			(void)fsync(fd);
	(void)syncfs(fd);
}

/* Data and metadata together: what f_bavail calls available at the end is the reserve. */
static void test_mixed(void **state)
{
	char uuid[BTRFS_UUID_SIZE];
	uint64_t left = 7, fresh;
	struct statfs sfs;

	/* It does not fill its device, whose end is out of reach. */
	btrfs_make("--mixed -b 128M $a", uuid);
	assert_int_equal(btrfs_data_left(uuid, &left), -ENOENT);
	assert_int_equal(btrfs_metadata_left(uuid, 128 << 20, &left), -ENOENT);
	assert_int_equal(left, 7);
	assert_return_code(btrfs_mixed_left(uuid, 128 << 20, &fresh), 0);
	assert_in_range(fresh, 64 << 20, 128 << 20);

	fill(WHERE "/filler");
	assert_int_equal(open(WHERE "/another", O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1);
	assert_int_equal(errno, ENOSPC);
	assert_return_code(statfs(WHERE, &sfs), errno);
	assert_true(sfs.f_bavail > 0);
	assert_return_code(btrfs_mixed_left(uuid, 128 << 20, &left), 0);
	print_message("full: %lu available, %lu left\n",
		      (unsigned long)(sfs.f_bavail * (uint64_t)sfs.f_bsize), (unsigned long)left);
	assert_true(left < 1 << 20);

	assert_return_code(umount2(WHERE, 0), errno);
	assert_int_equal(btrfs_mixed_left(uuid, 128 << 20, &left), -ENOENT);
	assert_int_equal(btrfs_mixed_left("../x", 0, &left), -EINVAL);
}

static void test_apart(void **state)
{
	char uuid[BTRFS_UUID_SIZE];
	uint64_t left = 7;

	btrfs_make("$a", uuid);
	assert_int_equal(btrfs_mixed_left(uuid, 128 << 20, &left), -ENOENT);
	assert_int_equal(left, 7);
	assert_return_code(btrfs_metadata_left(uuid, 256 << 20, &left), 0);
}

/* The end of a device that the filesystem was not given is nobody's. */
static void test_smaller_than_device(void **state)
{
	char uuid[BTRFS_UUID_SIZE];
	uint64_t left, devices;
	struct statfs sfs;

	btrfs_make("-b 128M $a", uuid);
	assert_return_code(statfs(WHERE, &sfs), errno);
	assert_int_equal(sfs.f_blocks * (uint64_t)sfs.f_bsize, 128 << 20);
	assert_return_code(btrfs_metadata_left(uuid, UINT64_MAX, &devices), 0);
	assert_return_code(btrfs_metadata_left(uuid, 128 << 20, &left), 0);
	print_message("%lu left, %lu with all of the device\n", (unsigned long)left,
		      (unsigned long)devices);
	assert_true(left > 4 << 20);
	/* a device's rest of 128 MiB, twice on disk, less what it keeps for itself */
	assert_in_range(devices - left, 60 << 20, 128 << 20);
}

/* And where it has all of them, that takes nothing away, whatever f_blocks is divided by. */
static void test_all_of_devices(void **state)
{
	static const char *const kinds[] = {
		"-d single -m dup $a",	     "-d dup -m dup $a",	"-d single -m single $a",
		"-d raid1 -m raid1 $a $b",   "-d raid0 -m raid1 $a $b", "-d single -m raid1 $a $b",
		"-d single -m single $a $b",
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char uuid[BTRFS_UUID_SIZE];
		uint64_t left, devices;
		struct statfs sfs;

		btrfs_make(kinds[i], uuid);
		assert_return_code(statfs(WHERE, &sfs), errno);
		assert_return_code(btrfs_metadata_left(uuid, UINT64_MAX, &devices), 0);
		assert_return_code(
			btrfs_metadata_left(uuid, sfs.f_blocks * (uint64_t)sfs.f_bsize, &left), 0);
		if (left != devices)
			print_error("%s: %lu, %lu\n", kinds[i], (unsigned long)left,
				    (unsigned long)devices);
		assert_true(left == devices);
		teardown(NULL);
	}
}

static void survives(const char *mkfs, bool expected)
{
	char uuid[BTRFS_UUID_SIZE];

	btrfs_make(mkfs, uuid);
	assert_int_equal(btrfs_survives_device(uuid), expected);
	assert_return_code(umount2(WHERE, 0), errno);
	assert_false(btrfs_survives_device(uuid));
	teardown(NULL);
}

/* It is the profile of data that counts, in whatever way metadata is kept. */
static void test_survives(void **state)
{
	survives("-d raid1 -m raid1 $a $b", true);
	survives("--mixed -d raid1 -m raid1 $a $b", true);
	survives("-d single -m raid1 $a $b", false);
	survives("-d raid0 -m raid1 $a $b", false);
	survives("-d dup -m dup $a", false);
	assert_false(btrfs_survives_device("../x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mixed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_smaller_than_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_of_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(test_survives, setup, teardown),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
