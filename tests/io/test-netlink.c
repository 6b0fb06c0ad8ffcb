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
#include "daemon/source/netlink.h"

#define UEVENT_FILE "/sys/devices/virtual/mem/null/uevent"
#define KERNEL_GROUP 1
#define PATIENCE_MS 10000

/* The kernel says "change@/devices/virtual/mem/null" for it. */
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
		if (strcmp(buffer, "change@/devices/virtual/mem/null") == 0)
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

static void test_foreign(void **state)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	static const char forged[] = "change@/devices/virtual/block/loop0\0ACTION=change";
	_cleanup_close_ int fd = -1;
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	char buffer[8192];
	size_t n;
	int r;

	assert_return_code(netlink_new(&netlink, NETLINK_KOBJECT_UEVENT, 0, 1 << 20), 0);
	assert_int_equal(netlink_receive(netlink, buffer, sizeof(buffer), &n), NETLINK_EMPTY);

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	assert_return_code(fd, errno);
	to.nl_pid = netlink_port(netlink);
	assert_int_equal(sendto(fd, forged, sizeof(forged), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(forged));

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
		cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_overrun),
		cmocka_unit_test(test_refused),
	};

	if (geteuid() != 0 || access(UEVENT_FILE, W_OK) < 0) {
		fprintf(stderr, "SKIPPED: needs root and a sysfs to write to\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
