/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/block.h"
#include "daemon/source/btrfs.h"
#include "daemon/source/sysfs.h"
#include "tests/io/harness.h"

/* What creating one file reserves at most, more or less. */
#define METADATA_FULL (4ULL << 20)
#define BTRFS_SIZE (128ULL << 20)

static void test_attribute(void **state)
{
	char text[8];
	uint64_t number = 7;

	assert_return_code(sysfs_read(AT_FDCWD, "/sys/power/state", text, sizeof(text)), 0);
	assert_int_equal(sysfs_read(AT_FDCWD, "/sys/no such", text, sizeof(text)), -ENOENT);
	assert_int_equal(sysfs_read_number(AT_FDCWD, "/sys/block/loop0/dev", &number), -EBADMSG);
	assert_int_equal(number, 7);
	assert_return_code(sysfs_read(AT_FDCWD, "/sys/block/loop0/dev", text, 3), 0);
	assert_string_equal(text, "7:");
	assert_return_code(sysfs_read(AT_FDCWD, "/sys/block/loop0/dev", text, sizeof(text)), 0);
	assert_string_equal(text, "7:0");
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", "../loop0/../loop0", "loop0/../loop0" };
	char name[BLOCK_NAME_MAX], longest[BLOCK_NAME_MAX + 1];
	uint32_t major = 1, minor = 1;

	assert_return_code(block_name(7, 0, name), 0);
	assert_string_equal(name, "loop0");
	assert_int_equal(block_name(4095, 1, name), -ENOENT);
	assert_return_code(block_number("loop0", &major, &minor), 0);
	assert_int_equal(major, 7);
	assert_int_equal(minor, 0);

	/* No name leads out of the directory. */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(block_number(bad[i], &major, &minor), i < 4 ? -EINVAL : -ENOENT);
	memset(longest, 'x', sizeof(longest));
	longest[BLOCK_NAME_MAX] = '\0';
	assert_int_equal(block_number(longest, &major, &minor), -EINVAL);
	longest[BLOCK_NAME_MAX - 1] = '\0';
	assert_int_equal(block_number(longest, &major, &minor), -ENOENT);
	assert_int_equal(block_number("loop0\n", &major, &minor), -ENOENT);
	assert_int_equal(major, 7);
}

/* A loop device of one's own; Return: opened, which keeps it when it is detached. */
static int loop_attach(const char *options, char ret_name[static 64], struct stat *ret)
{
	char command[128];
	FILE *pipe;
	int fd;

	snprintf(command, sizeof(command),
		 "truncate -s 1M /mnt/loop && losetup %s -f --show /mnt/loop", options);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_non_null(fgets(ret_name, 64, pipe));
	assert_int_equal(pclose(pipe), 0);
	ret_name[strcspn(ret_name, "\n")] = '\0';
	fd = open(ret_name, O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_return_code(fstat(fd, ret), errno);
	return fd;
}

static void loop_detach(const char *name, int fd)
{
	char command[128];

	snprintf(command, sizeof(command), "losetup -d %s", name);
	assert_int_equal(system(command), 0);
	close(fd);
}

static int read_only_of(const struct stat *st, bool *ret)
{
	return block_is_read_only(major(st->st_rdev), minor(st->st_rdev), ret);
}

static void test_read_only(void **state)
{
	bool read_only = false;
	char name[64];
	struct stat st;
	int fd, r;

	fd = loop_attach("-r", name, &st);
	assert_return_code(read_only_of(&st, &read_only), 0);
	assert_true(read_only);
	loop_detach(name, fd);

	fd = loop_attach("", name, &st);
	assert_return_code(read_only_of(&st, &read_only), 0);
	assert_false(read_only);
	/* Undone whatever this finds: another test will have the device. */
	assert_return_code(ioctl(fd, BLKROSET, &(int){ 1 }), errno);
	r = read_only_of(&st, &read_only);
	assert_return_code(ioctl(fd, BLKROSET, &(int){ 0 }), errno);
	assert_return_code(r, 0);
	assert_true(read_only);
	assert_return_code(read_only_of(&st, &read_only), 0);
	assert_false(read_only);
	loop_detach(name, fd);

	assert_int_equal(block_is_read_only(4095, 1, &read_only), -ENOENT);
}

static void btrfs_mount(const char *where, char uuid[static BTRFS_UUID_SIZE])
{
	char command[256], line[128];
	FILE *pipe;

	if (system("command -v mkfs.btrfs >/dev/null") != 0) {
		print_message("SKIPPED: mkfs.btrfs is missing\n");
		skip();
	}
	make_directory(where);
	snprintf(command, sizeof(command),
		 "truncate -s 128M %s.img && mkfs.btrfs -q %s.img >/dev/null && "
		 "mount -o loop %s.img %s && findmnt -no UUID %s",
		 where, where, where, where, where);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_non_null(fgets(line, sizeof(line), pipe));
	assert_int_equal(pclose(pipe), 0);
	snprintf(uuid, BTRFS_UUID_SIZE, "%.36s", line);
	assert_true(btrfs_uuid_is_valid(uuid));
}

static void sync_of(const char *where)
{
	_cleanup_close_ int fd = open(where, O_RDONLY | O_CLOEXEC);

	assert_return_code(fd, errno);
	assert_return_code(syncfs(fd), errno);
}

/* Data is damaged behind its back, and then read: the checksum is wrong. */
static void test_btrfs_counters(void **state)
{
	const size_t size = 128UL << 20;
	static char block[65536];
	char uuid[BTRFS_UUID_SIZE];
	struct fusion_counters counters;
	uint64_t commit_ms;
	char *image, *found;
	int fd;

	btrfs_mount("/mnt/stats", uuid);
	assert_return_code(btrfs_counters(uuid, &counters), 0);
	assert_int_equal(counters.corrupted + counters.io_error, 0);
	sync_of("/mnt/stats");
	assert_return_code(btrfs_commit_ms(uuid, &commit_ms), 0);
	assert_int_equal(commit_ms, 0);

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)('A' + (i / 7 + i / 1000) % 53);
	fd = open("/mnt/stats/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
	assert_return_code(umount2("/mnt/stats", 0), errno);
	assert_int_equal(btrfs_counters(uuid, &counters), -ENOENT);

	fd = open("/mnt/stats.img", O_RDWR | O_CLOEXEC);
	image = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(image, MAP_FAILED);
	found = memmem(image, size, block, 4096);
	assert_non_null(found);
	found[100]++;
	munmap(image, size);
	close(fd);

	assert_int_equal(system("mount -o loop /mnt/stats.img /mnt/stats"), 0);
	fd = open("/mnt/stats/file", O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_int_equal(read(fd, block, sizeof(block)), -1);
	assert_int_equal(errno, EIO);
	close(fd);
	assert_return_code(btrfs_counters(uuid, &counters), 0);
	assert_true(counters.corrupted > 0);
	assert_int_equal(counters.io_error, 0);
	assert_return_code(umount2("/mnt/stats", 0), errno);
	assert_return_code(unlink("/mnt/stats.img"), errno);
	assert_int_equal(btrfs_counters("../x", &counters), -EINVAL);

	/* one that is not mounted */
	uuid[0] = uuid[0] == '0' ? '1' : '0';
	assert_int_equal(btrfs_commit_ms(uuid, &commit_ms), -ENOENT);
	assert_int_equal(btrfs_commit_ms("../x", &commit_ms), -EINVAL);
}

static uint64_t btrfs_available(const char *where)
{
	struct statfs sfs;

	sync_of(where);
	assert_return_code(statfs(where, &sfs), errno);
	return sfs.f_bavail * (uint64_t)sfs.f_bsize;
}

static void fill_data(const char *path)
{
	static char block[65536];
	int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);

	assert_return_code(fd, errno);
	memset(block, 'x', sizeof(block));
	for (unsigned int i = 0; i < 10000 && write(fd, block, sizeof(block)) > 0; i++)
		if (i % 64 == 0)
			(void)fsync(fd);
	close(fd);
}

/* Content of small files lies with the metadata. */
static unsigned int fill_metadata(const char *where)
{
	static char block[2000];
	char path[128];
	unsigned int i;

	memset(block, 'x', sizeof(block));
	for (i = 0; i < 1000000; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/%07u", where, i);
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0)
			break;
		if (write(fd, block, sizeof(block)) < 0) {
			close(fd);
			break;
		}
		close(fd);
	}

	assert_int_equal(errno, ENOSPC);
	return i;
}

static void test_btrfs_left(void **state)
{
	char uuid[BTRFS_UUID_SIZE];
	uint64_t fresh, full, left, metadata;
	unsigned int n;

	btrfs_mount("/mnt/left", uuid);
	assert_return_code(btrfs_data_left(uuid, &fresh), 0);
	assert_true(fresh > 1 << 20);
	fill_data("/mnt/left/filler");
	left = btrfs_available("/mnt/left");
	assert_return_code(btrfs_data_left(uuid, &full), 0);
	print_message("data full: %lu available, %lu left\n", (unsigned long)left,
		      (unsigned long)full);
	assert_true(full < 1 << 20);
	assert_return_code(btrfs_metadata_left(uuid, BTRFS_SIZE, &metadata), 0);
	print_message("data full: metadata has %lu left\n", (unsigned long)metadata);
	assert_true(metadata > METADATA_FULL);
	assert_return_code(umount2("/mnt/left", 0), errno);
	assert_int_equal(btrfs_data_left(uuid, &left), -ENOENT);
	assert_return_code(unlink("/mnt/left.img"), errno);

	/* Most is data's, so that it takes not too many files. */
	btrfs_mount("/mnt/left", uuid);
	assert_return_code(btrfs_metadata_left(uuid, BTRFS_SIZE, &metadata), 0);
	assert_in_range(metadata, 32 << 20, 64 << 20);
	assert_int_equal(system("fallocate -l 40M /mnt/left/data"), 0);
	n = fill_metadata("/mnt/left");
	fresh = btrfs_available("/mnt/left");
	assert_return_code(btrfs_data_left(uuid, &left), 0);
	print_message("metadata full after %u files: %lu available, %lu left\n", n,
		      (unsigned long)fresh, (unsigned long)left);
	assert_true(left > 1 << 20);
	assert_return_code(btrfs_metadata_left(uuid, BTRFS_SIZE, &metadata), 0);
	print_message("metadata full: it has %lu left\n", (unsigned long)metadata);
	assert_true(metadata < METADATA_FULL);
	assert_return_code(umount2("/mnt/left", 0), errno);
	assert_return_code(unlink("/mnt/left.img"), errno);
	assert_int_equal(btrfs_data_left("../x", &left), -EINVAL);
	assert_int_equal(btrfs_metadata_left("../x", BTRFS_SIZE, &metadata), -EINVAL);
	assert_int_equal(btrfs_metadata_left(uuid, BTRFS_SIZE, &metadata), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attribute),  cmocka_unit_test(test_names),
		cmocka_unit_test(test_read_only),  cmocka_unit_test(test_btrfs_counters),
		cmocka_unit_test(test_btrfs_left),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
