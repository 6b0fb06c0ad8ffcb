/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/block.h"
#include "daemon/source/kmsg.h"
#include "tests/io/harness.h"

#define FLOOD_US 500000

struct world {
	sd_event *loop;
	struct kmsg *kmsg;
	uint32_t major, minor; /* what is counted */
	unsigned int n_messages, n_lost_calls;
	uint64_t n_lost;
	struct fusion_hint last;
	bool told, lost;
};

static void on_message(const struct kernel_message *message, void *userdata)
{
	struct world *world = userdata;

	if (message->major != world->major || message->minor != world->minor)
		return;
	world->n_messages++;
	world->last = message->hint;
	world->told = true;
}

static void on_lost(uint64_t n, void *userdata)
{
	struct world *world = userdata;

	world->n_lost += n;
	world->n_lost_calls++;
	world->lost = true;
}

static const struct kmsg_ops ops = { .message = on_message, .lost = on_lost };

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	assert_return_code(sd_event_new(&world->loop), 0);
	assert_return_code(kmsg_new(&world->kmsg, world->loop, &ops, world), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	kmsg_free(world->kmsg);
	sd_event_unref(world->loop);
	free(world);
	return 0;
}

/* As any process may: the kernel gives it another facility than its own. */
static void say(const char *text)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s\n", text);
	/* Opened for each, since each open file may write only so much. */
	_cleanup_close_ int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	/* Without the newline it waits for the rest of its line. */
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, line, (size_t)n), n);
}

static void mount_ext4(struct world *world, const char *where, char trigger[static 128])
{
	char name[BLOCK_NAME_MAX];
	struct stat st;

	if (!mount_image(where, "ext4", "32M")) {
		print_message("SKIPPED: mkfs.ext4 is missing\n");
		skip();
	}
	assert_return_code(mount(NULL, where, NULL, MS_REMOUNT, "errors=continue"), errno);
	assert_return_code(stat(where, &st), errno);
	world->major = major(st.st_dev);
	world->minor = minor(st.st_dev);
	assert_return_code(block_name(world->major, world->minor, name), 0);
	snprintf(trigger, 128, "/sys/fs/ext4/%s/trigger_fs_error", name);
}

static void write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_told(void **state)
{
	struct world *world = *state;
	char trigger[128];
	uint64_t began;

	mount_ext4(world, "/mnt/told", trigger);
	/* Mounting says something too; what follows is about the error alone. */
	loop_for(world->loop, 100000);
	world->told = false;
	began = now_us();
	write_file(trigger, "text");
	assert_true(loop_until(world->loop, &world->told, PATIENCE_US));
	print_message("told after %.1f ms\n", (double)(now_us() - began) / 1000);
	assert_int_equal(world->last.source, FUSION_SOURCE_KMSG);
	assert_true(world->last.count >= 1);
	assert_return_code(umount2("/mnt/told", UMOUNT_NOFOLLOW), errno);
}

/* Without any wake-up, and not once more at the next one. */
static void test_catch_up(void **state)
{
	struct world *world = *state;
	char trigger[128];
	unsigned int n;
	uint64_t end;

	mount_ext4(world, "/mnt/caught", trigger);
	loop_for(world->loop, 100000);
	world->told = false;
	write_file(trigger, "text");
	end = now_us() + PATIENCE_US;
	while (!world->told && now_us() < end)
		kmsg_catch_up(world->kmsg);
	assert_true(world->told);

	n = world->n_messages;
	loop_for(world->loop, 100000);
	assert_int_equal(world->n_messages, n);
	assert_return_code(umount2("/mnt/caught", UMOUNT_NOFOLLOW), errno);
}

/* Written by a process, word for word what the kernel says. */
static void test_forged(void **state)
{
	struct world *world = *state;
	struct kmsg_statistics statistics = {};

	world->major = 7;
	world->minor = 0;
	say("<2>EXT4-fs error (device loop0): ext4_lookup:1: inode #2: comm cat: forged");
	say("XFS (loop0): Filesystem has been shut down due to log error (0x2).");
	say("<0>BTRFS info (device loop0 state E): forced readonly");
	while (kmsg_statistics(world->kmsg, &statistics), statistics.foreign < 3)
		assert_true(sd_event_run(world->loop, PATIENCE_US) > 0);
	assert_int_equal(world->n_messages, 0);
	assert_int_equal(world->n_lost, 0);
	assert_true(statistics.records >= 3);
}

static uint64_t cpu_us(const struct rusage *usage)
{
	const struct timeval *user = &usage->ru_utime, *system = &usage->ru_stime;

	return (uint64_t)(user->tv_sec + system->tv_sec) * 1000000 +
	       (uint64_t)(user->tv_usec + system->tv_usec);
}

static uint64_t foreign(const struct world *world)
{
	struct kmsg_statistics statistics;

	kmsg_statistics(world->kmsg, &statistics);
	return statistics.foreign;
}

/* Until all of ours was read, or something was lost. */
static void drain(struct world *world, uint64_t n)
{
	while (foreign(world) < n && !world->lost)
		assert_true(sd_event_run(world->loop, PATIENCE_US) > 0);
}

/* Overwritten before it was read: gone, but counted, and exactly. */
static void test_overwritten(void **state)
{
	struct world *world = *state;
	struct kmsg_statistics statistics = {};
	uint64_t n_said = 0;
	char text[900] = "<15>";

	memset(text + 4, 'x', sizeof(text) - 5);
	/* From the first record on it is known which one is next. */
	say("<15>first");
	n_said++;
	drain(world, n_said);
	assert_false(world->lost);

	/* Twice as much each time, since nobody says how much the kernel keeps. */
	for (unsigned int flood = 256; !world->lost && flood <= 65536; flood *= 2) {
		for (unsigned int i = 0; i < flood; i++)
			say(text);
		n_said += flood;
		drain(world, n_said);
	}
	assert_true(world->lost);

	/* The last one is read in any case, and all before it then. */
	say("<15>Buffer I/O error on dev loop0, logical block 1, lost async page write");
	n_said++;
	while (kmsg_statistics(world->kmsg, &statistics),
	       statistics.records + statistics.lost < n_said)
		assert_true(sd_event_run(world->loop, PATIENCE_US) > 0);
	print_message("%lu said, %lu read, %lu lost in %u calls\n", (unsigned long)n_said,
		      (unsigned long)statistics.records, (unsigned long)statistics.lost,
		      world->n_lost_calls);
	assert_int_equal(statistics.lost, world->n_lost);
	assert_int_equal(world->n_messages, 0);
	/* Others may have said something meanwhile. */
	assert_true(statistics.records + statistics.lost >= n_said);
	assert_true(statistics.records + statistics.lost < n_said + 1000);
}

/* While messages pour in, no more than so many are read, and the rest is told as lost. */
static void test_flood(void **state)
{
	struct world *world = *state;
	struct kmsg_statistics statistics;
	struct rusage usage;
	uint64_t began, took, busy;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			say("<15>flood");
	}

	getrusage(RUSAGE_SELF, &usage);
	busy = cpu_us(&usage);
	began = now_us();
	loop_for(world->loop, FLOOD_US);
	took = now_us() - began;
	getrusage(RUSAGE_SELF, &usage);
	busy = cpu_us(&usage) - busy;
	child_end(child);

	kmsg_statistics(world->kmsg, &statistics);
	print_message("%lu read, %lu lost in %u calls, %.0f %% of a processor\n",
		      (unsigned long)statistics.records, (unsigned long)statistics.lost,
		      world->n_lost_calls, 100.0 * (double)busy / (double)took);
	assert_true(statistics.records > 0);
	assert_true(statistics.records <= (took / KMSG_LATE_US + 1) * KMSG_BATCH);
	assert_true(world->n_lost_calls <= took / KMSG_LATE_US + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_catch_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overwritten, setup, teardown),
	};

	harness_enter();
	if (access("/dev/kmsg", R_OK | W_OK) < 0) {
		fprintf(stderr, "SKIPPED: needs /dev/kmsg\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
