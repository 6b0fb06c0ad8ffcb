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
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/block.h"
#include "daemon/source/ext4.h"
#include "tests/io/harness.h"

#define WHERE "/mnt/ext4"

struct world {
	sd_event *loop;
	struct ext4_errors *errors;
	uint32_t major, minor;
	char trigger[128];
	bool changed;
	unsigned int n_changed;
	bool free_when_changed;
};

static void on_changed(void *userdata)
{
	struct world *world = userdata;

	world->changed = true;
	world->n_changed++;
	if (world->free_when_changed)
		world->errors = ext4_errors_free(world->errors);
}

/* Where the new filesystem is: its trigger is named after its device. */
static void find_device(struct world *world)
{
	char name[BLOCK_NAME_MAX];
	struct stat st;

	assert_return_code(stat(WHERE, &st), errno);
	world->major = major(st.st_dev);
	world->minor = minor(st.st_dev);
	assert_return_code(block_name(world->major, world->minor, name), 0);
	snprintf(world->trigger, sizeof(world->trigger), "/sys/fs/ext4/%s/trigger_fs_error", name);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	if (!mount_image(WHERE, "ext4", "32M")) {
		print_message("SKIPPED: mkfs.ext4 is missing\n");
		skip();
	}
	assert_return_code(mount(NULL, WHERE, NULL, MS_REMOUNT, "errors=continue"), errno);
	find_device(world);
	assert_return_code(sd_event_new(&world->loop), 0);
	assert_return_code(ext4_errors_new(&world->errors, world->loop, world->major, world->minor,
					   on_changed, world),
			   0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	ext4_errors_free(world->errors);
	sd_event_unref(world->loop);
	free(world);
	return umount2(WHERE, UMOUNT_NOFOLLOW) == 0 || errno == EINVAL ? 0 : -1;
}

static void trigger(const struct world *world)
{
	_cleanup_close_ int fd = open(world->trigger, O_WRONLY | O_CLOEXEC);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, "text", 4), 4);
}

static void wait_changed(struct world *world)
{
	world->changed = false;
	assert_true(loop_until(world->loop, &world->changed, PATIENCE_US));
}

static void test_counted(void **state)
{
	struct world *world = *state;
	struct fusion_counters counters;
	uint64_t began, worst = 0;

	assert_return_code(ext4_errors_read(world->errors, &counters), 0);
	assert_int_equal(counters.corrupted + counters.io_error, 0);
	assert_int_equal(counters.last_error, 0);

	for (unsigned int i = 1; i <= 10; i++) {
		began = now_us();
		trigger(world);
		wait_changed(world);
		if (now_us() - began > worst)
			worst = now_us() - began;
		assert_return_code(ext4_errors_read(world->errors, &counters), 0);
		assert_int_equal(counters.corrupted, i);
		assert_int_equal(counters.io_error, 0);
		assert_int_equal(counters.last_error, EUCLEAN);
	}
	print_message("ten errors, each seen within %.1f ms\n", (double)worst / 1000);
}

/* Wakes up less often than errors come, and misses none. */
static void test_storm(void **state)
{
	const unsigned int n = 2000;
	struct world *world = *state;
	struct fusion_counters counters = {};

	for (unsigned int i = 0; i < n; i++)
		trigger(world);
	while (counters.corrupted < n) {
		wait_changed(world);
		assert_return_code(ext4_errors_read(world->errors, &counters), 0);
	}
	assert_int_equal(counters.corrupted, n);
	print_message("%u errors, %u times woken\n", n, world->n_changed);
}

/* Nobody reads what was told: there is nothing more to say. */
static void test_unread(void **state)
{
	struct world *world = *state;
	struct fusion_counters counters;

	for (unsigned int i = 0; i < 100; i++) {
		trigger(world);
		loop_for(world->loop, 1000);
	}
	assert_int_equal(world->n_changed, 1);
	assert_return_code(ext4_errors_read(world->errors, &counters), 0);
	assert_int_equal(counters.corrupted, 100);

	trigger(world);
	wait_changed(world);
	assert_int_equal(world->n_changed, 2);
}

static void test_freed_when_told(void **state)
{
	struct world *world = *state;

	world->free_when_changed = true;
	trigger(world);
	wait_changed(world);
	assert_null(world->errors);
	trigger(world);
	loop_for(world->loop, 1000);
	assert_int_equal(world->n_changed, 1);
}

/* What is followed can be unmounted; then it says nothing, and does not spin either. */
static void test_unmounted(void **state)
{
	struct world *world = *state;
	struct fusion_counters counters;
	unsigned int n = 0;

	trigger(world);
	wait_changed(world);
	assert_return_code(umount2(WHERE, UMOUNT_NOFOLLOW), errno);
	world->n_changed = 0;

	/* Once to learn of it, and never again. */
	while (sd_event_run(world->loop, 100000) > 0)
		assert_true(++n < 10);
	assert_int_equal(world->n_changed, 0);
	assert_int_equal(ext4_errors_read(world->errors, &counters), -ENOENT);
}

static void test_found(void **state)
{
	struct world *world = *state;
	struct ext4_errors *errors = (struct ext4_errors *)state;
	struct fusion_counters counters;
	unsigned int major, minor;
	FILE *file;
	int r;

	/* A second one of the same filesystem begins with all that there is. */
	trigger(world);
	wait_changed(world);
	r = ext4_errors_new(&errors, world->loop, world->major, world->minor, on_changed, world);
	assert_return_code(r, 0);
	assert_return_code(ext4_errors_read(errors, &counters), 0);
	assert_int_equal(counters.corrupted, 1);
	ext4_errors_free(errors);

	errors = (struct ext4_errors *)state;
	r = ext4_errors_new(&errors, world->loop, 4095, 1, on_changed, world);
	assert_int_equal(r, -ENOENT);
	/* A block device, and no ext4 on it. */
	assert_int_equal(system("truncate -s 1M /mnt/i && losetup -f /mnt/i && losetup -n -O "
				"MAJ:MIN -j /mnt/i >/mnt/number"),
			 0);
	file = fopen("/mnt/number", "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%u:%u", &major, &minor), 2);
	fclose(file);
	r = ext4_errors_new(&errors, world->loop, major, minor, on_changed, world);
	assert_int_equal(system("losetup -d $(losetup -n -O NAME -j /mnt/i) && rm /mnt/i"), 0);
	assert_int_equal(r, -ENOENT);
	assert_ptr_equal(errors, state);
	assert_null(ext4_errors_free(NULL));
}

/* Remembered on disk with each of its codes (fs/ext4/ext4.h); last_error_errcode is byte 0x27b. */
static void test_kinds(void **state)
{
	static const struct {
		unsigned int code;
		int error;
		bool is_damage;
	} kinds[] = {
		{ 0, 0, true },	      { 1, 0, true },	    { 2, EIO, false },
		{ 3, ENOMEM, false }, { 4, EBADMSG, true }, { 5, EUCLEAN, true },
		{ 6, ENOSPC, false }, { 8, EROFS, false },  { 200, 0, true },
	};
	struct world *world = *state;
	struct fusion_counters counters;
	char command[512];

	if (system("command -v debugfs >/dev/null") != 0) {
		print_message("SKIPPED: debugfs is missing\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		world->errors = ext4_errors_free(world->errors);
		assert_return_code(umount2(WHERE, UMOUNT_NOFOLLOW), errno);
		snprintf(command, sizeof(command),
			 "cd /mnt && truncate -s 8M i && mkfs.ext4 -q -O ^metadata_csum i && "
			 "debugfs -w -R 'ssv error_count 3' i 2>/dev/null && "
			 "printf '\\%o' | dd of=i bs=1 seek=%u conv=notrunc status=none && "
			 "mount -o loop,errors=continue i " WHERE " && rm i",
			 kinds[i].code, 1024 + 0x27b);
		assert_int_equal(system(command), 0);
		find_device(world);
		assert_return_code(ext4_errors_new(&world->errors, world->loop, world->major,
						   world->minor, on_changed, world),
				   0);
		assert_return_code(ext4_errors_read(world->errors, &counters), 0);
		assert_int_equal(counters.last_error, kinds[i].error);
		assert_int_equal(counters.corrupted, kinds[i].is_damage ? 3 : 0);
		assert_int_equal(counters.io_error, kinds[i].is_damage ? 0 : 3);
	}
}

/* Damaged for real: the extents of a file make no sense. */
static void test_damaged(void **state)
{
	struct world *world = *state;
	struct fusion_counters counters;

	assert_return_code(umount2(WHERE, UMOUNT_NOFOLLOW), errno);
	world->errors = ext4_errors_free(world->errors);
	if (system("command -v debugfs >/dev/null") != 0) {
		print_message("SKIPPED: debugfs is missing\n");
		skip();
	}
	assert_int_equal(
		system("cd /mnt && truncate -s 16M i && mkfs.ext4 -q i && "
		       "debugfs -w -R 'write /proc/self/comm f' i 2>/dev/null && "
		       "debugfs -w -R 'set_inode_field f block[0] 0x1234' i 2>/dev/null && "
		       "mount -o loop,errors=continue i " WHERE " && rm i"),
		0);
	find_device(world);
	assert_return_code(ext4_errors_new(&world->errors, world->loop, world->major, world->minor,
					   on_changed, world),
			   0);
	assert_int_equal(open(WHERE "/f", O_RDONLY | O_CLOEXEC), -1);
	assert_int_equal(errno, EUCLEAN);
	wait_changed(world);
	assert_return_code(ext4_errors_read(world->errors, &counters), 0);
	assert_true(counters.corrupted > 0);
	assert_int_equal(counters.last_error, EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_when_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmounted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
