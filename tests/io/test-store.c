/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The publisher with real workers on real filesystems that freeze and fill up
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/output/publisher.h"
#include "daemon/output/store.h"
#include "tests/io/harness.h"

#define MOUNT "/mnt/disk"
#define DIRECTORY MOUNT "/fsevents"
#define SECOND_US 1000000ULL
#define LATENESS_MAX_US 500000 /* see fixture.c */
/* What should take less than a second, and waits for the thaw where it is broken. */
#define SOON_US (10 * SECOND_US)

/* Longer than any test: a frozen filesystem outlives the test that failed. */
#define GUARD_S 60

struct fixture {
	sd_event *loop;
	struct pool *pool;
	struct quota *quota;
	struct publisher *publisher;
	struct meter meter;
	bool metered;
	uint64_t worst_us; /* of all stretches with the meter on */
	int frozen; /* descriptor of the frozen filesystem, or -1 */
	pid_t guard;
	bool ready, stalled, answering;
};

static void on_signal(const struct event *event, uint64_t count, void *userdata)
{
}

static void on_ready(void *userdata)
{
	struct fixture *f = userdata;

	f->ready = true;
}

static void on_stalled(bool stalled, void *userdata)
{
	struct fixture *f = userdata;

	f->stalled = stalled;
	f->answering = !stalled;
}

static const struct publisher_ops ops = {
	.signal = on_signal,
	.ready = on_ready,
	.state_stalled = on_stalled,
};

/* The test itself waits for disks: its own doing is not measured. */
static void meter_on(struct fixture *f)
{
	meter_start(&f->meter, f->loop);
	f->metered = true;
}

static void meter_off(struct fixture *f)
{
	if (!f->metered)
		return;

	f->metered = false;
	if (f->meter.worst_us > f->worst_us)
		f->worst_us = f->meter.worst_us;
	meter_stop(&f->meter);
}

static void freeze(struct fixture *f)
{
	meter_off(f);
	f->frozen = open(MOUNT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(f->frozen, errno);
	assert_return_code(ioctl(f->frozen, FIFREEZE, 0), errno);

	f->guard = fork();
	assert_true(f->guard >= 0);
	if (f->guard == 0) {
		sleep(GUARD_S);
		(void)ioctl(f->frozen, FITHAW, 0);
		_exit(0);
	}
	meter_on(f);
}

static void thaw(struct fixture *f)
{
	meter_off(f);
	assert_return_code(ioctl(f->frozen, FITHAW, 0), errno);
	assert_int_equal(close(f->frozen), 0);
	f->frozen = -1;
	child_end(f->guard);
	meter_on(f);
}

static void start(struct fixture *f)
{
	const struct publisher_options options = {
		.state_directory = DIRECTORY,
		.history_size = HISTORY_SIZE_DEFAULT,
		.quota = f->quota,
	};
	uint64_t began;
	int fd;

	f->ready = f->stalled = f->answering = false;
	meter_off(f);
	assert_return_code(zygote_start(&fd), 0);
	meter_on(f);
	assert_return_code(pool_new(&f->pool, f->loop, fd), 0);
	assert_return_code(publisher_new(&f->publisher, f->loop, f->pool, &options, &ops, f), 0);
	began = now_us();
	assert_return_code(publisher_start(f->publisher), 0);
	assert_true(loop_until(f->loop, &f->ready, PATIENCE_US));
	assert_true(now_us() - began < SOON_US);
}

static void stop(struct fixture *f)
{
	uint64_t began = now_us();

	f->publisher = publisher_free(f->publisher);
	f->pool = pool_free(f->pool);
	assert_true(now_us() - began < SOON_US);
	meter_off(f);
}

static int setup(void **state)
{
	static const struct quota_limit limits[_QUOTA_KIND_N];
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->frozen = -1;
	assert_return_code(sd_event_new(&f->loop), 0);
	assert_int_equal(quota_new(&f->quota, limits), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	uint64_t worst;

	if (f->frozen >= 0)
		thaw(f);
	if (f->publisher)
		stop(f);
	meter_off(f);
	worst = f->worst_us;
	print_message("the loop was late by at most %lu us\n", (unsigned long)worst);
	quota_free(f->quota);
	sd_event_unref(f->loop);
	free(f);

	/* A worker that was frozen keeps the mount until it is gone. */
	for (unsigned int i = 0; umount(MOUNT) < 0 && errno == EBUSY && i < 3000; i++)
		usleep(10000);

	if (worst > LATENESS_MAX_US) {
		print_error("the loop was late by %lu us\n", (unsigned long)worst);
		return -1;
	}
	return 0;
}

static uint64_t publish(struct fixture *f, enum event_code code)
{
	struct event event = {
		.realtime_us = 5,
		.code = code,
		.severity = event_code_severity(code),
		.fs = { 7, 0, 1 },
	};

	assert_int_equal(details_add_bytes(&event.details, "where", MOUNT, strlen(MOUNT), 0), 0);
	assert_int_equal(details_add_string(&event.details, "source", "statfs", 0), 0);
	assert_int_equal(details_add_string(&event.details, "type", "ext4", 0), 0);
	return publisher_publish(f->publisher, &event);
}

/* The loop runs until the event is in the state directory. */
static void wait_stored(struct fixture *f, uint64_t id)
{
	static uint8_t bytes[1 << 20];
	uint64_t end = now_us() + PATIENCE_US;
	bool stored = false;

	while (!stored && now_us() < end) {
		int fd = open(DIRECTORY "/history", O_RDONLY | O_CLOEXEC | O_NOATIME);
		ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes));

		if (fd >= 0)
			close(fd);
		stored = n > 0 && memmem(bytes, (size_t)n, &id, sizeof(id));
		loop_for(f->loop, 5000);
	}
	assert_true(stored);
}

/* Frozen while running: told within a second, nothing waits, stopping neither, nothing is lost after the thaw. */
static void run_frozen(struct fixture *f, const char *type, const char *size)
{
	struct publisher_statistics statistics;
	uint64_t began, first, id, last = 0;
	size_t n;

	if (!mount_image(MOUNT, type, size))
		skip();
	start(f);
	first = publish(f, EVENT_CORRUPTED);
	assert_true(first > 0);
	wait_stored(f, first);
	assert_false(f->stalled);

	freeze(f);
	began = now_us();
	assert_true(publish(f, EVENT_FROZEN) > 0);
	assert_true(loop_until(f->loop, &f->stalled, PATIENCE_US));
	assert_true(now_us() - began < SOON_US);
	for (unsigned int i = 0; i < 200; i++)
		last = publish(f, EVENT_IO_ERROR);
	loop_for(f->loop, SECOND_US / 2);

	thaw(f);
	assert_true(loop_until(f->loop, &f->answering, PATIENCE_US));
	wait_stored(f, last);
	publisher_statistics(f->publisher, &statistics);
	assert_int_equal(statistics.state_dropped, 0);
	stop(f);

	start(f);
	n = history_length(publisher_history(f->publisher));
	assert_int_equal(n, 202);
	assert_int_equal(history_oldest(publisher_history(f->publisher)), first);

	/* Stopped while frozen, as at a shutdown; started again while it still is. */
	id = publish(f, EVENT_SHUTDOWN);
	assert_true(id > last);
	wait_stored(f, id);
	freeze(f);
	last = publish(f, EVENT_FROZEN);
	assert_true(loop_until(f->loop, &f->stalled, PATIENCE_US));
	stop(f);
	start(f);
	id = publish(f, EVENT_STALLED);
	assert_true(id > last);
	thaw(f);
	wait_stored(f, id);
	for (began = now_us(); f->stalled && now_us() - began < PATIENCE_US;)
		loop_for(f->loop, 1000);
	assert_false(f->stalled);
	stop(f);
	start(f);
	assert_true(history_length(publisher_history(f->publisher)) >= n + 2);
}

static void test_frozen_ext4(void **state)
{
	run_frozen(*state, "ext4", "32M");
}

static void test_frozen_xfs(void **state)
{
	run_frozen(*state, "xfs", "300M");
}

/* No space for a byte: events go on, and are stored when there is room. */
static void test_full(void **state)
{
	struct fixture *f = *state;
	static char block[65536];
	uint64_t first, last;
	int fd;

	mount_tmpfs(MOUNT, "size=1M,mode=755");
	start(f);
	first = publish(f, EVENT_CORRUPTED);
	wait_stored(f, first);

	fd = open(MOUNT "/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	while (write(fd, block, sizeof(block)) > 0)
		loop_for(f->loop, 1);
	assert_int_equal(errno, ENOSPC);
	/* More than the rest of the file's last page takes. */
	for (unsigned int i = 0; i < 100; i++)
		last = publish(f, EVENT_ENOSPC);
	loop_for(f->loop, SECOND_US / 4);
	assert_false(f->stalled);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(close(fd), 0);
	wait_stored(f, last);
	stop(f);

	start(f);
	assert_int_equal(history_length(publisher_history(f->publisher)), last - first + 1);
	assert_true(publish(f, EVENT_RESPONDING) > last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frozen_ext4, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frozen_xfs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
