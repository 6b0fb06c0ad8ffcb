/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
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
#include "daemon/source/uevent.h"
#include "tests/io/harness.h"

#define UEVENT_FILE "/sys/devices/virtual/block/loop0/uevent"
#define STORM 2000
#define OVERRUN 8000

struct world {
	sd_event *loop;
	struct uevents *uevents;
	unsigned int n_changed, n_lost;
	bool told, lost;
};

static void on_event(const struct uevent *event, void *userdata)
{
	struct world *world = userdata;

	if (event->major != 7 || event->minor != 0 || event->kind != UEVENT_CHANGED)
		return;
	world->n_changed++;
	world->told = true;
}

static void on_lost(void *userdata)
{
	struct world *world = userdata;

	world->n_lost++;
	world->lost = true;
}

static const struct uevents_ops ops = { .event = on_event, .lost = on_lost };

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	assert_return_code(sd_event_new(&world->loop), 0);
	assert_return_code(uevents_new(&world->uevents, world->loop, &ops, world), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	uevents_free(world->uevents);
	sd_event_unref(world->loop);
	free(world);
	return 0;
}

static void provoke(unsigned int n)
{
	_cleanup_close_ int fd = open(UEVENT_FILE, O_WRONLY | O_CLOEXEC);

	assert_return_code(fd, errno);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(write(fd, "change", 6), 6);
}

static void test_told(void **state)
{
	struct world *world = *state;
	struct uevents_statistics statistics;
	uint64_t began = now_us();

	provoke(1);
	assert_true(loop_until(world->loop, &world->told, PATIENCE_US));
	print_message("told after %.1f ms\n", (double)(now_us() - began) / 1000);
	uevents_statistics(world->uevents, &statistics);
	assert_true(statistics.messages >= 1);
	assert_int_equal(statistics.malformed, 0);
}

/* Told one by one, or told that some are missing: never less without a word. */
static void test_storm(void **state)
{
	struct world *world = *state;
	struct uevents_statistics statistics;

	provoke(STORM);
	while (world->n_changed < STORM && !world->lost)
		assert_true(sd_event_run(world->loop, PATIENCE_US) > 0);
	/* What waited is taken first; it goes on afterwards. */
	world->told = false;
	provoke(1);
	assert_true(loop_until(world->loop, &world->told, PATIENCE_US));

	uevents_statistics(world->uevents, &statistics);
	print_message("%u of %u told, %lu overruns\n", world->n_changed, STORM,
		      (unsigned long)statistics.overruns);
	assert_true(world->n_changed >= STORM || world->n_lost > 0);
	assert_true(world->n_changed >= 100);
	assert_int_equal(world->n_lost > 0, statistics.overruns > 0);
}

/* More than the socket holds while nobody reads. */
static void test_overrun(void **state)
{
	struct world *world = *state;
	struct uevents_statistics statistics;

	provoke(OVERRUN);
	assert_true(loop_until(world->loop, &world->lost, PATIENCE_US));
	uevents_statistics(world->uevents, &statistics);
	assert_true(statistics.overruns > 0);
	while (sd_event_run(world->loop, 0) > 0)
		;
	assert_in_range(world->n_changed, 100, OVERRUN - 1);

	world->told = false;
	provoke(1);
	assert_true(loop_until(world->loop, &world->told, PATIENCE_US));
}

/* The inode of a descriptor of ours that is a socket; 0: it is none. */
static unsigned long socket_inode(int fd)
{
	char path[64], target[64] = "";
	unsigned long inode;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target) - 1) < 0 ||
	    sscanf(target, "socket:[%lu]", &inode) != 1)
		return 0;
	return inode;
}

/* Where the one socket that this process has is bound to. */
static uint32_t find_port(void)
{
	char line[256];
	FILE *file = fopen("/proc/net/netlink", "re");
	unsigned int protocol, port;
	unsigned long inode;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %u %u %*s %*s %*s %*s %*s %*s %lu", &protocol, &port,
			   &inode) != 3 ||
		    protocol != NETLINK_KOBJECT_UEVENT)
			continue;
		for (int fd = 3; fd < 64; fd++) {
			if (socket_inode(fd) == inode) {
				fclose(file);
				return port;
			}
		}
	}

	fail_msg("the socket is not in the table");
	return 0;
}

static void test_forged(void **state)
{
	static const char forged[] = "change@/devices/virtual/block/loop0\0ACTION=change\0"
				     "SUBSYSTEM=block\0MAJOR=7\0MINOR=0\0DISK_RO=1\0SEQNUM=1";
	struct world *world = *state;
	struct uevents_statistics statistics = {};
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = find_port() };
	_cleanup_close_ int fd = -1;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	assert_return_code(fd, errno);
	assert_int_equal(sendto(fd, forged, sizeof(forged), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(forged));

	while (uevents_statistics(world->uevents, &statistics), statistics.foreign == 0)
		assert_true(sd_event_run(world->loop, PATIENCE_US) > 0);
	assert_int_equal(statistics.foreign, 1);
	assert_int_equal(world->n_lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_overrun, setup, teardown),
		cmocka_unit_test_setup_teardown(test_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged, setup, teardown),
	};

	if (geteuid() != 0 || access(UEVENT_FILE, W_OK) < 0) {
		fprintf(stderr, "SKIPPED: needs root and a sysfs to write to\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
