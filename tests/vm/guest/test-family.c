// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define ALL (FS_EVENT_BIT(__FS_EVENT_ID_MAX) - 2)

static struct client client;
static struct listener listener;

static void mounted(void)
{
	mount_disk("tmpfs", "tmpfs", "/mnt/t", "size=1m");
}

static int test_event(struct client *from, int fd, uint32_t id)
{
	struct nlmsghdr *message = client_begin(from, FS_NL_C_TEST);

	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	mnl_attr_put_u32(message, FS_NL_A_EVENT_ID, id);
	mnl_attr_put_u64(message, FS_NL_A_DATA, 7);
	return client_send(from, message);
}

/* What a listener of 2015 reads, and what was added since */
static void event_is_complete(void)
{
	int fd;

	mounted();
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	CHECK_INT(client_fs_set(&client, fd, ALL, 0), 0);
	CHECK(client.fs_id > 0);
	CHECK_INT(test_event(&client, fd, FS_ERR_CORRUPTED), 0);
	CHECK(listener_wait(&listener, FS_ERR_CORRUPTED, SOON_MS));
	CHECK(listener.event.test);
	CHECK_INT(listener.event.data, 7);
	CHECK_INT(listener.event.caused_id, getpid());
	CHECK_INT(listener.event.dev_major, client.dev_major);
	CHECK_INT(listener.event.dev_minor, client.dev_minor);
	CHECK_INT(listener.event.fs_id, client.fs_id);
	CHECK_INT(listener.event.lost, 0);
}

/* Nothing that nobody asked for; and gone with the socket that asked */
static void requests_end_with_socket(void)
{
	struct client other;
	int fd;

	mounted();
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(client_open(&other), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	CHECK_INT(test_event(&client, fd, FS_ERR_CORRUPTED), -ENOENT);
	CHECK(strlen(client.text) > 0);
	CHECK_INT(client_fs_set(&other, fd, FS_EVENT_BIT(FS_ERR_CORRUPTED), 0), 0);
	CHECK_INT(test_event(&client, fd, FS_ERR_CORRUPTED), 0);
	CHECK(listener_wait(&listener, FS_ERR_CORRUPTED, SOON_MS));
	CHECK_INT(test_event(&client, fd, FS_WARN_ENOSPC), -ENOENT);
	client_close(&other);
	CHECK_INT(test_event(&client, fd, FS_ERR_CORRUPTED), -ENOENT);
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	CHECK(!listener_event(&listener, 0));
}

/* The union of what two ask for, each event once; what one withdraws the other keeps */
static void requests_add_up(void)
{
	struct client other;
	struct nlmsghdr *message;
	int fd;

	mounted();
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(client_open(&other), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	CHECK_INT(client_fs_set(&client, fd,
				FS_EVENT_BIT(FS_ERR_CORRUPTED) | FS_EVENT_BIT(FS_EVENT_FROZEN), 0),
		  0);
	CHECK_INT(client_fs_set(&other, fd,
				FS_EVENT_BIT(FS_ERR_CORRUPTED) | FS_EVENT_BIT(FS_WARN_ENOSPC), 0),
		  0);
	CHECK_INT(other.fs_id, client.fs_id);
	CHECK_INT(test_event(&client, fd, FS_ERR_CORRUPTED), 0);
	CHECK_INT(test_event(&client, fd, FS_EVENT_FROZEN), 0);
	CHECK_INT(test_event(&client, fd, FS_WARN_ENOSPC), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	CHECK(listener_event(&listener, SOON_MS) && listener.event.id == FS_ERR_CORRUPTED);
	CHECK(listener_event(&listener, SOON_MS) && listener.event.id == FS_EVENT_FROZEN);
	CHECK(listener_event(&listener, SOON_MS) && listener.event.id == FS_WARN_ENOSPC);
	CHECK(!listener_event(&listener, 0));

	message = client_begin(&client, FS_NL_C_FS_DEL);
	mnl_attr_put_u32(message, FS_NL_A_FS_ID, client.fs_id);
	CHECK_INT(client_send(&client, message), 0);
	CHECK_INT(test_event(&client, fd, FS_ERR_CORRUPTED), 0);
	CHECK_INT(test_event(&client, fd, FS_EVENT_FROZEN), -ENOENT);
	CHECK_INT(listener.n_missing, 0);
}

static struct nlmsghdr *by_device(const char *type, uint32_t major, uint32_t minor)
{
	struct nlmsghdr *message = client_begin(&client, FS_NL_C_FS_SET);

	mnl_attr_put_strz(message, FS_NL_A_FS_TYPE, type);
	mnl_attr_put_u32(message, FS_NL_A_DEV_MAJOR, major);
	mnl_attr_put_u32(message, FS_NL_A_DEV_MINOR, minor);
	mnl_attr_put_u64(message, FS_NL_A_EVENTS, FS_EVENT_BIT(FS_ERR_CORRUPTED));
	return message;
}

static struct nlmsghdr *by_identity(uint32_t id)
{
	struct nlmsghdr *message = client_begin(&client, FS_NL_C_FS_SET);

	mnl_attr_put_u32(message, FS_NL_A_FS_ID, id);
	mnl_attr_put_u64(message, FS_NL_A_EVENTS, FS_EVENT_BIT(FS_ERR_CORRUPTED));
	return message;
}

static void filesystem_is_found_by_device(void)
{
	uint32_t id, major, minor;
	int fd;

	mounted();
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(client_fs_set(&client, fd, ALL, 0), 0);
	id = client.fs_id, major = client.dev_major, minor = client.dev_minor;
	CHECK_INT(client_send(&client, by_device("tmpfs", major, minor)), 0);
	CHECK_INT(client.fs_id, id);
	CHECK_INT(client_send(&client, by_device("ext4", major, minor)), -ENOENT);
	CHECK(client.text[0]);
	CHECK_INT(client_send(&client, by_device("tmpfs", major, 1U << 31)), -ENOENT);
	CHECK_INT(client_send(&client, by_device("cifs", major, minor)), -EOPNOTSUPP);
	CHECK(client.text[0]);

	/* By what an answer gave. */
	client.dev_minor = 0;
	CHECK_INT(client_send(&client, by_identity(id)), 0);
	CHECK_INT(client.fs_id, id);
	CHECK_INT(client.dev_minor, minor);
	CHECK_INT(client_send(&client, by_identity(id + 1)), -ENOENT);
}

static void refuses(struct nlmsghdr *message, int error)
{
	CHECK_INT(client_send(&client, message), error);
	if (!client.text[0])
		test_fail(__FILE__, __LINE__, "no text in the answer to %d", error);
}

/* Each refused request has a text and changes nothing. */
static void wrong_requests_are_refused(void)
{
	const struct wanted_level down = { "a", FS_LEVEL_BLOCKS, 10, 9 };
	const struct wanted_level name = { "A", FS_LEVEL_BLOCKS, 10, 10 };
	const struct wanted_level resource = { "a", 7, 10, 10 };
	const struct wanted_level twice[2] = { { "a", 0, 10, 10 }, { "a", 0, 20, 20 } };
	struct nlmsghdr *message;
	int fd, socket_pair[2];

	mounted();
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);

	refuses(client_begin(&client, FS_NL_C_FS_SET), -EINVAL);
	message = client_begin(&client, FS_NL_C_FS_SET);
	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	refuses(message, -EINVAL);
	message = client_begin(&client, FS_NL_C_FS_SET);
	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	mnl_attr_put_u64(message, FS_NL_A_EVENTS, 1ULL << 63);
	refuses(message, -EINVAL);
	message = client_begin(&client, FS_NL_C_FS_SET);
	mnl_attr_put_u32(message, FS_NL_A_FD, 9999);
	mnl_attr_put_u64(message, FS_NL_A_EVENTS, 2);
	refuses(message, -EBADF);
	/* An attribute of another request, and one of no length */
	message = client_begin(&client, FS_NL_C_FS_SET);
	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	mnl_attr_put_u32(message, FS_NL_A_WATCH_ID, 1);
	refuses(message, -EINVAL);
	message = client_begin(&client, FS_NL_C_FS_SET);
	mnl_attr_put_u16(message, FS_NL_A_FD, fd);
	CHECK(client_send(&client, message) < 0);
	CHECK(client.text[0]);

	CHECK_INT(pipe(socket_pair), 0);
	CHECK_INT(client_fs_set(&client, socket_pair[0], ALL, 0), -EOPNOTSUPP);
	CHECK_INT(client_fs_set(&client, fd, 0, FS_FILE_DIRECTORY), -EINVAL);
	CHECK_INT(client_watch(&client, fd, 0), -EINVAL);
	CHECK_INT(client_watch(&client, socket_pair[0], FS_FILE_MODIFY), -EOPNOTSUPP);
	CHECK_INT(client_proc(&client, 1), -EINVAL);
	message = client_begin(&client, FS_NL_C_WATCH_DEL);
	mnl_attr_put_u32(message, FS_NL_A_WATCH_ID, 1);
	refuses(message, -ENOENT);

	CHECK_INT(client_levels(&client, fd, &down, 1), -EINVAL);
	CHECK_INT(client_levels(&client, fd, &name, 1), -EINVAL);
	CHECK(client_levels(&client, fd, &resource, 1) < 0);
	CHECK_INT(client_levels(&client, fd, twice, 2), -EINVAL);
	CHECK_INT(client_levels(&client, fd, twice, 1), -ENOENT);
	CHECK_INT(test_event(&client, fd, FS_ERR_CORRUPTED), -ENOENT);
}

static void try_all(const char *who)
{
	static struct client poor;
	struct listener joined;
	int group, error;

	error = client_open(&poor);
	/* In a network namespace of its own, the family is not there. */
	if (error == -ENOENT)
		return;
	CHECK_INT(error, 0);
	for (group = 0; group < GROUP_MAX; group++)
		CHECK_INT(listener_open(&joined, group, 0), -EPERM);
	CHECK_INT(client_fs_set(&poor, open_path("/mnt/t"), ALL, 0), -EPERM);
	CHECK_INT(client_proc(&poor, 1 << FS_RECORD_FORK), -EPERM);
	CHECK_INT(client_simple(&poor, FS_NL_C_GET_INFO), -EPERM);
	CHECK_INT(client_simple(&poor, FS_NL_C_SYNC), -EPERM);
}

static void in_other_user(int namespaces)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (namespaces ? unshare(namespaces) : setgid(65534) || setuid(65534))
			test_fail(__FILE__, __LINE__, "unshare %x: %s", namespaces,
				  strerror(errno));
		try_all("");
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		_exit(1);
}

static void unprivileged_may_nothing(void)
{
	mounted();
	in_other_user(0);
	in_other_user(CLONE_NEWUSER);
	in_other_user(CLONE_NEWNET);
	in_other_user(CLONE_NEWUSER | CLONE_NEWNET);
	/* A check that could not fail would be none: with privilege all of it is granted. */
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_PROC, 0), 0);
	CHECK_INT(client_fs_set(&client, open_path("/mnt/t"), ALL, 0), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
}

/* More than the queue has room for, and a reader that is too slow: what is missing is known. */
static void loss_of_events_is_exact(void)
{
	uint64_t before, after, n_seen = 0;
	int fd, i;

	mounted();
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(client_fs_set(&client, fd, ALL, 0), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 1), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	before = client.n_seq[GROUP_EVENT];
	for (i = 0; i < 2000; i++)
		CHECK_INT(test_event(&client, fd, FS_ERR_CORRUPTED), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	listener.next_seq = before + 1;
	while (listener_event(&listener, 0))
		n_seen++;
	CHECK(listener.n_overruns > 0);
	/* The last one is received again, so that the gap is closed. */
	CHECK_INT(test_event(&client, fd, FS_EVENT_THAWED), 0);
	CHECK(listener_wait(&listener, FS_EVENT_THAWED, SOON_MS));
	n_seen++;
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	after = client.n_seq[GROUP_EVENT];
	CHECK_INT(after - before, 2001);
	CHECK_INT(n_seen + listener.n_missing, 2001);
	CHECK(listener.n_missing > 0);
}

/* Who asks for too much is refused with a text, and others go on. */
static void requests_have_bounds(void)
{
	struct client *clients = calloc(300, sizeof(*clients));
	int fd, n, i, error = 0;

	mounted();
	fd = open_path("/mnt/t");
	CHECK(clients);
	for (n = 0; n < 300 && !error; n++) {
		CHECK_INT(client_open(&clients[n]), 0);
		error = client_fs_set(&clients[n], fd, ALL, FS_FILE_CREATE);
	}
	CHECK_INT(error, -ENOSPC);
	CHECK(clients[n - 1].text[0]);
	CHECK_INT(client_fs_set(&clients[0], fd, ALL, FS_FILE_DELETE), 0);
	for (i = 0; i < n; i++)
		client_close(&clients[i]);
	CHECK_INT(client_open(&client), 0);

	write_text("/sys/module/fsevents/parameters/watches_max", "3");
	error = 0;
	for (n = 0; n < 4 && !error; n++)
		error = client_watch(&client, fd, FS_FILE_CREATE);
	write_text("/sys/module/fsevents/parameters/watches_max", "65536");
	CHECK_INT(error, -ENOSPC);
	CHECK_INT(n, 4);
	CHECK(client.text[0]);

	write_text("/sys/module/fsevents/parameters/requests_max", "0");
	error = client_fs_set(&client, fd, ALL, 0);
	write_text("/sys/module/fsevents/parameters/requests_max", "16384");
	CHECK_INT(error, -ENOSPC);
	CHECK(client.text[0]);
	CHECK_INT(client_fs_set(&client, fd, ALL, 0), 0);

	/* What replaces another is not one more. */
	write_text("/sys/module/fsevents/parameters/requests_max", "1");
	error = client_fs_set(&client, fd, ALL, FS_FILE_CREATE);
	write_text("/sys/module/fsevents/parameters/requests_max", "16384");
	CHECK_INT(error, 0);
	free(clients);
}

/* What other modules produce through the exports */
static void exports_produce(void)
{
	mounted();
	load_module("producer");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	/* Nobody asked. */
	write_text("/sys/module/producer/parameters/notify", "8 /mnt/t");
	CHECK_INT(client_fs_set(&client, open_path("/mnt/t"), FS_EVENT_BIT(FS_ERR_CORRUPTED), 0),
		  0);
	write_text("/sys/module/producer/parameters/notify", "1 /mnt/t");
	/* It is not, and this would be the last that is told of it. */
	write_text("/sys/module/producer/parameters/notify", "17 /mnt/t");
	write_text("/sys/module/producer/parameters/notify", "8 /mnt/t");
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_ERR_CORRUPTED);
	CHECK_INT(listener.event.fs_id, client.fs_id);
	CHECK_INT(listener.event.caused_id, getpid());

	write_text("/sys/module/producer/parameters/send", "2");
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_WARN_ENOSPC_META);
	CHECK_INT(listener.event.data, 42);
	CHECK_INT(listener.n_missing, 0);
	write_text("/sys/module/producer/parameters/send", "0");
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_EVENT_NONE);
	unload_module("producer");
}

/* A message that could not be made has a number nevertheless. */
static void failed_message_is_a_gap(void)
{
	FILE *file;

	mounted();
	load_module("producer");
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	write_text("/sys/module/producer/parameters/send", "1");
	CHECK(listener_event(&listener, SOON_MS));
	file = fopen("/sys/module/producer/parameters/fail", "w");
	CHECK(file);
	fputs("1", file);
	CHECK(fclose(file) != 0 && errno == EXDEV);
	write_text("/sys/module/producer/parameters/send", "1");
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.n_missing, 1);
	CHECK(listener.event.lost > 0);
	unload_module("producer");
}

/* A flood of one event is told once, and counted. */
static void repetitions_are_merged(void)
{
	int i, n = 0;

	mounted();
	load_module("producer");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	CHECK_INT(client_fs_set(&client, open_path("/mnt/t"), FS_EVENT_BIT(FS_EVENT_IO_ERROR), 0),
		  0);
	for (i = 0; i < 100; i++)
		write_text("/sys/module/producer/parameters/notify", "12 /mnt/t");
	while (n < 100) {
		CHECK(listener_event(&listener, SOON_MS));
		CHECK_INT(listener.event.id, FS_EVENT_IO_ERROR);
		CHECK(n > 0 || listener.event.count == 0);
		n += listener.event.count ? listener.event.count : 1;
	}
	CHECK_INT(n, 100);
	unload_module("producer");
}

/* Whose number nobody learns it is no watch: what its answer had no room for is as if never asked. */
static void undelivered_watch(void)
{
	struct nlmsghdr *message;
	int fd, n_bytes = 1, n_overruns = 0, i;
	ssize_t n;

	mounted();
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(setsockopt(mnl_socket_get_fd(client.socket), SOL_SOCKET, SO_RCVBUF, &n_bytes,
			     sizeof(n_bytes)),
		  0);
	for (i = 0; i < 50; i++) {
		message = client_begin(&client, FS_NL_C_GET_INFO);
		CHECK(mnl_socket_sendto(client.socket, message, message->nlmsg_len) >= 0);
	}
	message = client_begin(&client, FS_NL_C_WATCH_ADD);
	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	mnl_attr_put_u32(message, FS_NL_A_FILE_EVENTS, FS_FILE_CREATE);
	CHECK(mnl_socket_sendto(client.socket, message, message->nlmsg_len) >= 0);
	while ((n = recv(mnl_socket_get_fd(client.socket), client.buffer, sizeof(client.buffer),
			 MSG_DONTWAIT)) > 0 ||
	       (n < 0 && errno == ENOBUFS)) {
		n_overruns += n < 0;
		message = (void *)client.buffer;
		CHECK(n < 0 || message->nlmsg_type == NLMSG_ERROR ||
		      ((struct genlmsghdr *)mnl_nlmsg_get_payload(message))->cmd ==
			      FS_NL_C_GET_INFO);
	}
	CHECK(n_overruns > 0);

	write_text("/sys/module/fsevents/parameters/watches_max", "1");
	CHECK_INT(client_watch(&client, fd, FS_FILE_CREATE), 0);
	CHECK_INT(client_watch(&client, fd, FS_FILE_CREATE), -ENOSPC);
	write_text("/sys/module/fsevents/parameters/watches_max", "65536");
}

const struct test tests_family[] = {
	{ .name = "family-event-is-complete", .run = event_is_complete },
	{ .name = "family-requests-end-with-socket", .run = requests_end_with_socket },
	{ .name = "family-requests-add-up", .run = requests_add_up },
	{ .name = "family-found-by-device", .run = filesystem_is_found_by_device },
	{ .name = "family-refusals", .run = wrong_requests_are_refused },
	{ .name = "family-unprivileged", .run = unprivileged_may_nothing },
	{ .name = "family-bounds", .run = requests_have_bounds },
	{ .name = "family-loss-is-exact", .run = loss_of_events_is_exact },
	{ .name = "family-exports", .run = exports_produce },
	{ .name = "family-failed-message", .run = failed_message_is_a_gap },
	{ .name = "family-merging", .run = repetitions_are_merged },
	{ .name = "family-undelivered-watch", .run = undelivered_watch },
	{},
};
