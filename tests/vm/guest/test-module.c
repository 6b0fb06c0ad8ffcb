// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define ALL (FS_EVENT_BIT(__FS_EVENT_ID_MAX) - 2)
#define RELOADS 10 /* unless VM_RELOADS says another number */

static struct client client;
static struct listener listener;

static void fork_for_ever(const char *argument)
{
	for (;;)
		waitpid(fork() ?: (_exit(0), 0), NULL, 0);
}

static void mount_for_ever(const char *argument)
{
	const struct disk *disk = &disks[atoi(argument)];
	char where[32], path[64];

	snprintf(where, sizeof(where), "/mnt/m%s", argument);
	snprintf(path, sizeof(path), "%s/file", where);
	for (;;) {
		mount_disk(disk->device, disk->type, where, "");
		make_file(path);
		unlink(path);
		unmount(where);
	}
}

static pid_t start(void (*function)(const char *), const char *argument)
{
	pid_t pid = fork();

	if (pid == 0) {
		/* Not for ever, should the test itself be killed. */
		alarm(6 * 3600);
		function(argument);
	}
	return pid;
}

/* Everything at once about what is there at the moment; what comes too late may fail. */
static void ask_for_everything(void)
{
	struct wanted_level level = { "low", FS_LEVEL_BLOCKS, 1 << 30, 1 << 30 };
	struct nlmsghdr *message;
	static const char *const types[] = { "ext4", "xfs", "btrfs" };
	int fd, i, minors[] = { 0, 16, 32 };

	fd = open_path("/mnt/t");
	CHECK_INT(client_fs_set(&client, fd, ALL, ALL_FILE_EVENTS), 0);
	CHECK_INT(client_levels(&client, fd, &level, 1), 0);
	CHECK_INT(client_watch(&client, fd, ALL_FILE_EVENTS), 0);
	CHECK_INT(client_proc(&client, (1 << FS_RECORD_FORK) | (1 << FS_RECORD_EXIT)), 0);
	close(fd);
	for (i = 0; i < 2; i++) {
		/* By device: a descriptor would make an umount fail. */
		message = client_begin(&client, FS_NL_C_FS_SET);
		mnl_attr_put_strz(message, FS_NL_A_FS_TYPE, types[i]);
		mnl_attr_put_u32(message, FS_NL_A_DEV_MAJOR, 254);
		mnl_attr_put_u32(message, FS_NL_A_DEV_MINOR, minors[i]);
		mnl_attr_put_u64(message, FS_NL_A_EVENTS, ALL);
		mnl_attr_put_u32(message, FS_NL_A_FILE_EVENTS, ALL_FILE_EVENTS);
		client_send(&client, message);
	}
}

/* The module goes and comes while filesystems do, processes fork and all is asked for. */
static void reload_under_load(void)
{
	const char *number = getenv("VM_RELOADS");
	int i, k, status, n_reloads = number && atoi(number) ? atoi(number) : RELOADS;
	pid_t pids[3];

	alarm(240 + n_reloads * 120);
	mount_disk("tmpfs", "tmpfs", "/mnt/t", "");
	pids[0] = start(fork_for_ever, "");
	pids[1] = start(mount_for_ever, "0");
	pids[2] = start(mount_for_ever, "1");
	for (i = 0; i < n_reloads; i++) {
		CHECK_INT(client_open(&client), 0);
		CHECK_INT(listener_open(&listener, GROUP_PROC, 0), 0);
		for (k = 0; k < 4; k++) {
			ask_for_everything();
			CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
		}
		CHECK(listener_record(&listener, SOON_MS));
		/* With all requests in force, and with none. */
		if (i % 2)
			client_close(&client);
		unload_module("fsevents");
		client_close(&client);
		listener_close(&listener);
		load_module("fsevents");
		if ((i + 1) % 10 == 0)
			printf("VM-FIGURE reloads under load: %d of %d\n", i + 1, n_reloads);
		fflush(stdout);
	}
	for (i = 0; i < 3; i++) {
		CHECK_INT(waitpid(pids[i], &status, WNOHANG), 0);
		kill(pids[i], SIGKILL);
		waitpid(pids[i], &status, 0);
	}
}

/* Allocations fail here and there: requests are granted or refused, and nothing is left behind. */
static void allocations_fail(void)
{
	struct wanted_level level = { "low", FS_LEVEL_BLOCKS, 1, 1 };
	unsigned int n_granted = 0, n_refused = 0, i;
	int fd, error, fail;

	mount_disk("tmpfs", "tmpfs", "/mnt/t", "");
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	write_text("/sys/kernel/debug/failslab/times", "-1");
	write_text("/sys/kernel/debug/failslab/verbose", "0");
	write_text("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	write_text("/sys/kernel/debug/failslab/task-filter", "Y");
	/* Of this process alone, and then at all */
	write_text("/proc/self/make-it-fail", "1");
	write_text("/sys/kernel/debug/failslab/probability", "10");
	for (i = 0; i < 3000; i++) {
		error = i % 4 == 0   ? client_fs_set(&client, fd, ALL, ALL_FILE_EVENTS)
			: i % 4 == 1 ? client_levels(&client, fd, &level, 1)
			: i % 4 == 2 ? client_watch(&client, fd, ALL_FILE_EVENTS)
				     : client_simple(&client, FS_NL_C_GET_INFO);
		/* The socket's own allocations fail, too: its answer may be lost. */
		if (error)
			n_refused++;
		else
			n_granted++;
	}
	/* Opening that file may fail as well. */
	do
		fail = open("/sys/kernel/debug/failslab/probability", O_WRONLY | O_CLOEXEC);
	while (fail < 0 || write(fail, "0", 1) != 1);
	close(fail);
	CHECK(n_granted > 0);
	CHECK(n_refused > 0);
	printf("VM-FIGURE failing allocations: %u granted, %u refused\n", n_granted, n_refused);
	client_close(&client);
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(client_fs_set(&client, fd, ALL, ALL_FILE_EVENTS), 0);
	client_close(&client);
	close(fd);
	unmount("/mnt/t");
	unload_module("fsevents");
	load_module("fsevents");
}

/* --- who joined before there was anything to join */

#define NUMBERS_MAX 1024

/* As nobody: joins all numbers that may yet become groups, waits, and counts what came of the family. */
static void listen_before(int ready_fd, int family_fd)
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_GENERIC);
	unsigned int number, n_joined = 0, n_received = 0;
	char buffer[16384];
	uint16_t family;
	ssize_t n;

	if (!socket || setgid(65534) || setuid(65534) ||
	    mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		_exit(1);
	for (number = 1; number <= NUMBERS_MAX; number++)
		n_joined += mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &number,
						  sizeof(number)) == 0;
	if (write(ready_fd, &n_joined, sizeof(n_joined)) != sizeof(n_joined) ||
	    read(family_fd, &family, sizeof(family)) != sizeof(family))
		_exit(1);
	while ((n = recv(mnl_socket_get_fd(socket), buffer, sizeof(buffer), MSG_DONTWAIT)) > 0 ||
	       (n < 0 && errno == ENOBUFS))
		if (n > 0 && ((struct nlmsghdr *)buffer)->nlmsg_type == family)
			n_received++;
	if (write(ready_fd, &n_received, sizeof(n_received)) != sizeof(n_received))
		_exit(1);
	_exit(0);
}

static unsigned int read_number(int fd)
{
	unsigned int number;

	CHECK_INT(read(fd, &number, sizeof(number)), sizeof(number));
	return number;
}

/* Numbers that are not groups yet are anybody's; those of the family are not. */
static void joined_before(void)
{
	int ready[2], family[2];

	CHECK_INT(pipe(ready), 0);
	CHECK_INT(pipe(family), 0);
	unload_module("fsevents");
	if (fork() == 0) {
		/* So that it ends with this test. */
		close(family[1]);
		listen_before(ready[1], family[0]);
	}
	CHECK(read_number(ready[0]) > 0);
	load_module("fsevents");

	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_PROC, 0), 0);
	CHECK_INT(client_proc(&client, 1 << FS_RECORD_EXIT), 0);
	waitpid(fork() ?: (_exit(0), 0), NULL, 0);
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	CHECK(listener_record(&listener, SOON_MS));
	CHECK_INT(write(family[1], &listener.family.id, sizeof(listener.family.id)),
		  sizeof(listener.family.id));
	CHECK_INT(read_number(ready[0]), 0);
	CHECK_INT(client_proc(&client, 0), 0);
}

/* --- the listener of its own, which asks for nothing */

static FILE *start_listener(const char *program, const char *group, int count)
{
	char command[128], line[128];
	FILE *output;

	snprintf(command, sizeof(command), "%s %s %d", program, group, count);
	output = popen(command, "r");
	CHECK(output);
	CHECK(fgets(line, sizeof(line), output));
	CHECK(!strcmp(line, "listening\n"));
	return output;
}

static void read_all(FILE *output, char *buffer, size_t size)
{
	size_t n = fread(buffer, 1, size - 1, output);

	buffer[n] = '\0';
	CHECK_INT(pclose(output), 0);
}

static void send_test_event(int fd, uint32_t id, uint64_t data)
{
	struct nlmsghdr *message = client_begin(&client, FS_NL_C_TEST);

	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	mnl_attr_put_u32(message, FS_NL_A_EVENT_ID, id);
	mnl_attr_put_u64(message, FS_NL_A_DATA, data);
	CHECK_INT(client_send(&client, message), 0);
}

static void compare_listeners(const char *other)
{
	char events[2][1024], files[2][1024], wanted[64];
	FILE *outputs[4];
	int fd, i;

	mount_disk("tmpfs", "tmpfs", "/mnt/t", "");
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(client_fs_set(&client, fd, ALL, FS_FILE_RENAME), 0);
	outputs[0] = start_listener("listener", FS_EVENTS_MCAST_GRP_NAME, 2);
	outputs[1] = start_listener(other, FS_EVENTS_MCAST_GRP_NAME, 2);
	outputs[2] = start_listener("listener", FS_EVENTS_GRP_INODE, 1);
	outputs[3] = start_listener(other, FS_EVENTS_GRP_INODE, 1);
	send_test_event(fd, FS_THR_URBELOW, 1ULL << 40);
	send_test_event(fd, FS_WARN_ENOSPC, 28);
	make_file("/mnt/t/one");
	CHECK_INT(rename("/mnt/t/one", "/mnt/t/another"), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	for (i = 0; i < 2; i++) {
		read_all(outputs[i], events[i], sizeof(events[i]));
		read_all(outputs[2 + i], files[i], sizeof(files[i]));
	}
	CHECK(!strcmp(events[0], events[1]));
	CHECK(!strcmp(files[0], files[1]));
	CHECK(strstr(events[0], "event=5 "));
	CHECK(strstr(events[0], "event=1 "));
	CHECK(strstr(events[0], "data=1099511627776 "));
	snprintf(wanted, sizeof(wanted), "pid=%d ", getpid());
	CHECK(strstr(events[0], wanted));
	CHECK(strstr(files[0], "one another\n"));
}

static void passive_listener(void)
{
	compare_listeners("listener");
}

static void passive_listener32(void)
{
	if (!has_listener32())
		test_skip("no library for 32-bit programs, or a kernel that runs none");
	compare_listeners("listener32");
}

const struct test tests_module[] = {
	{ .name = "module-listener", .run = passive_listener },
	{ .name = "module-listener-32-bit", .run = passive_listener32 },
	{ .name = "module-joined-before", .run = joined_before },
	{ .name = "module-reload-under-load", .run = reload_under_load },
	{ .name = "module-allocations-fail",
	  .run = allocations_fail,
	  .needs = "/sys/kernel/debug/failslab" },
	{},
};
