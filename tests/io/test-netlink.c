/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/netlink-batch.h"
#include "daemon/source/netlink.h"

#define UEVENT_FILE "/sys/devices/virtual/mem/null/uevent"
#define KERNEL_GROUP 1
#define PATIENCE_MS 10000
#define NULL_CHANGES "change@/devices/virtual/mem/null"

/* The kernel says NULL_CHANGES for it. */
static void provoke(void)
{
	_cleanup_close_ int fd = open(UEVENT_FILE, O_WRONLY | O_CLOEXEC);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, "change", 6), 6);
}

static void wait_readable(const struct netlink *netlink)
{
	struct pollfd pollfd = { .fd = netlink_fd(netlink), .events = POLLIN };

	assert_int_equal(poll(&pollfd, 1, PATIENCE_MS), 1);
}

/* Other things may change on this machine meanwhile: until ours comes. */
static void expect_null(struct netlink *netlink)
{
	char buffer[8192];
	size_t n;
	int r;

	for (;;) {
		r = netlink_receive(netlink, buffer, sizeof(buffer) - 1, &n);
		if (r == NETLINK_EMPTY) {
			wait_readable(netlink);
			continue;
		}
		assert_int_equal(r, 0);
		buffer[n] = '\0';
		if (strcmp(buffer, NULL_CHANGES) == 0)
			return;
	}
}

static void test_kernel(void **state)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	char buffer[16];
	size_t n = 12345;
	int r;

	assert_return_code(netlink_new(&netlink, NETLINK_KOBJECT_UEVENT, KERNEL_GROUP, 1 << 20), 0);
	assert_int_not_equal(netlink_port(netlink), 0);
	assert_int_equal(fcntl(netlink_fd(netlink), F_GETFD), FD_CLOEXEC);
	provoke();
	expect_null(netlink);

	/* Longer than the buffer: taken away whole. */
	provoke();
	wait_readable(netlink);
	r = netlink_receive(netlink, buffer, sizeof(buffer), &n);
	assert_int_equal(r, NETLINK_TRUNCATED);
	assert_int_equal(n, 12345);
}

static void forge(const struct netlink *netlink)
{
	static const char forged[] = "change@/devices/virtual/block/loop0\0ACTION=change";
	const struct sockaddr_nl to = {
		.nl_family = AF_NETLINK,
		.nl_pid = netlink_port(netlink),
	};
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	assert_return_code(fd, errno);
	assert_int_equal(sendto(fd, forged, sizeof(forged), 0, (const struct sockaddr *)&to,
				sizeof(to)),
			 sizeof(forged));
}

static void test_foreign(void **state)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	char buffer[8192];
	size_t n;
	int r;

	assert_return_code(netlink_new(&netlink, NETLINK_KOBJECT_UEVENT, 0, 1 << 20), 0);
	assert_int_equal(netlink_receive(netlink, buffer, sizeof(buffer), &n), NETLINK_EMPTY);

	forge(netlink);
	r = netlink_receive(netlink, buffer, sizeof(buffer), &n);
	assert_int_equal(r, NETLINK_FOREIGN);
	assert_int_equal(netlink_receive(netlink, buffer, sizeof(buffer), &n), NETLINK_EMPTY);
}

static void test_overrun(void **state)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	char buffer[8192];
	unsigned int n_overruns = 0;
	size_t n;
	int r;

	assert_return_code(netlink_new(&netlink, NETLINK_KOBJECT_UEVENT, KERNEL_GROUP, 4096), 0);
	for (unsigned int i = 0; i < 200; i++)
		provoke();

	while ((r = netlink_receive(netlink, buffer, sizeof(buffer), &n)) != NETLINK_EMPTY) {
		assert_true(r == 0 || r == NETLINK_OVERRUN);
		n_overruns += r == NETLINK_OVERRUN;
	}
	assert_true(n_overruns >= 1);

	/* And it goes on. */
	provoke();
	expect_null(netlink);
}

struct taken {
	unsigned int null, foreign, truncated, overruns, most; /* the most by one call */
};

/* Adds to @taken what waits. */
static void take(const struct netlink *netlink, struct netlink_batch *batch, struct taken *taken)
{
	size_t n = 12345;
	int r;

	while ((r = netlink_batch_receive(batch, netlink_fd(netlink), &n)) != NETLINK_EMPTY) {
		taken->overruns += r == NETLINK_OVERRUN;
		if (r == NETLINK_OVERRUN)
			continue;
		assert_int_equal(r, 0);
		taken->most = n > taken->most ? (unsigned int)n : taken->most;
		for (size_t i = 0; i < n; i++) {
			const void *data = NULL;
			size_t n_data = 0;

			r = netlink_batch_get(batch, i, &data, &n_data);
			taken->foreign += r == NETLINK_FOREIGN;
			taken->truncated += r == NETLINK_TRUNCATED;
			taken->null += r == 0 && n_data >= sizeof(NULL_CHANGES) &&
				       memcmp(data, NULL_CHANGES, sizeof(NULL_CHANGES)) == 0;
		}
	}
}

static void take_until(const struct netlink *netlink, struct netlink_batch *batch,
		       struct taken *taken, unsigned int n_null)
{
	for (;;) {
		take(netlink, batch, taken);
		if (taken->null >= n_null)
			break;
		wait_readable(netlink);
	}
}

/* Foreign ones between the kernel's, and again in the same places. */
static void test_batch(void **state)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	_cleanup_(netlink_batch_freep) struct netlink_batch *batch = NULL, *narrow = NULL;
	struct taken taken = {}, cut = {};

	assert_return_code(netlink_new(&netlink, NETLINK_KOBJECT_UEVENT, KERNEL_GROUP, 1 << 20), 0);
	assert_return_code(netlink_batch_new(&batch, 4, 8192), 0);
	for (unsigned int round = 1; round <= 3; round++) {
		for (unsigned int i = 0; i < 5; i++) {
			provoke();
			forge(netlink);
		}
		take_until(netlink, batch, &taken, 5 * round);
	}
	assert_int_equal(taken.null, 15);
	assert_int_equal(taken.foreign, 15);
	assert_int_equal(taken.truncated, 0);
	assert_int_equal(taken.overruns, 0);
	assert_in_range(taken.most, 2, 4);

	assert_return_code(netlink_batch_new(&narrow, 4, 16), 0);
	provoke();
	wait_readable(netlink);
	take(netlink, narrow, &cut);
	assert_true(cut.truncated >= 1);
	assert_int_equal(cut.null, 0);
	assert_null(netlink_batch_free(NULL));
}

/* However many were taken before by the same call, an overrun is told. */
static void test_batch_overrun(void **state)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	_cleanup_(netlink_batch_freep) struct netlink_batch *batch = NULL;
	struct taken taken = {};

	assert_return_code(netlink_new(&netlink, NETLINK_KOBJECT_UEVENT, KERNEL_GROUP, 4096), 0);
	assert_return_code(netlink_batch_new(&batch, 64, 8192), 0);
	for (unsigned int i = 0; i < 200; i++)
		provoke();
	take(netlink, batch, &taken);
	assert_true(taken.overruns >= 1);
	assert_true(taken.null < 200);

	provoke();
	take_until(netlink, batch, &taken, taken.null + 1);
}

static void test_batch_failed(void **state)
{
	_cleanup_(netlink_batch_freep) struct netlink_batch *batch = NULL;
	size_t n = 12345;

	assert_return_code(netlink_batch_new(&batch, 4, 16), 0);
	assert_int_equal(netlink_batch_receive(batch, -1, &n), -EBADF);
	assert_int_equal(n, 12345);
}

static void test_refused(void **state)
{
	struct netlink *netlink = (struct netlink *)state;

	assert_int_equal(netlink_new(&netlink, 31, 0, 4096), -EPROTONOSUPPORT);
	assert_ptr_equal(netlink, state);
	assert_null(netlink_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),	      cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_overrun),	      cmocka_unit_test(test_batch),
		cmocka_unit_test(test_batch_overrun), cmocka_unit_test(test_batch_failed),
		cmocka_unit_test(test_refused),
	};

	if (geteuid() != 0 || access(UEVENT_FILE, W_OK) < 0) {
		fprintf(stderr, "SKIPPED: needs root and a sysfs to write to\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
