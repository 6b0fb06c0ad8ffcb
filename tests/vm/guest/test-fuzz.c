// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

#define REQUESTS 100000
#define ALL (FS_EVENT_BIT(__FS_EVENT_ID_MAX) - 2)

static struct client client;
static uint64_t state = 0x9e3779b97f4a7c15ULL;
static int fd;

/* xorshift: the same sequence in each run */
static uint32_t random_number(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 32) % below;
}

static uint64_t random_value(void)
{
	static const uint64_t values[] = { 0,	   1,	       2,	   3,	  7,	     255,
					   1 << 8, 0x7fffffff, 0x80000000, ~0ULL, 1ULL << 63 };

	if (random_number(4) == 0)
		return fd;
	return random_number(2) ? values[random_number(sizeof(values) / sizeof(values[0]))]
				: random_number(4096);
}

static void put_random(struct nlmsghdr *message, int depth)
{
	uint16_t type = random_number(FS_NL_A_MAX + 3);
	static const char *const names[] = { "tmpfs", "ext4", "a", "",
					     "no such type of filesystem" };
	uint8_t bytes[64];
	struct nlattr *nest;
	size_t i;

	switch (random_number(7)) {
	case 0:
	case 1:
		mnl_attr_put_u32(message, type, random_value());
		break;
	case 2:
		mnl_attr_put_u64(message, type, random_value());
		break;
	case 3:
		mnl_attr_put_strz(message, type,
				  names[random_number(sizeof(names) / sizeof(names[0]))]);
		break;
	case 4:
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = random_number(256);
		mnl_attr_put(message, type, random_number(sizeof(bytes)), bytes);
		break;
	case 5:
		mnl_attr_put(message, type, 0, NULL);
		break;
	case 6:
		if (depth > 2)
			break;
		nest = mnl_attr_nest_start(message, random_number(2) ? FS_NL_A_LEVELS : type);
		for (i = random_number(4); i > 0; i--)
			put_random(message, depth + 1);
		mnl_attr_nest_end(message, nest);
		break;
	}
}

/* A request that is right but for one thing, or wrong throughout */
static size_t make_request(void)
{
	struct nlmsghdr *message =
		client_begin(&client, random_number(8) ? FS_NL_C_GET_INFO + random_number(11)
						       : random_number(256));
	uint8_t *bytes = (uint8_t *)message;
	size_t size;
	uint32_t i;

	if (random_number(2))
		mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	for (i = random_number(5); i > 0; i--)
		put_random(message, 0);
	size = message->nlmsg_len;
	/* Only what is behind the header of netlink, which is not ours. */
	if (random_number(3) == 0)
		for (i = random_number(4); i > 0; i--)
			bytes[NLMSG_HDRLEN + random_number(size - NLMSG_HDRLEN)] ^=
				1 << random_number(8);
	if (random_number(4) == 0) {
		size = NLMSG_HDRLEN + random_number(size - NLMSG_HDRLEN);
		message->nlmsg_len = size;
	}
	return size;
}

/* Whether the family itself, and not what stands before it, looks at this request */
static bool is_ours(size_t size)
{
	const struct nlmsghdr *message = (const void *)client.buffer;
	const struct genlmsghdr *generic = mnl_nlmsg_get_payload(message);

	return size >= NLMSG_HDRLEN + GENL_HDRLEN && generic->cmd >= FS_NL_C_GET_INFO &&
	       generic->cmd <= FS_NL_C_MAX && !generic->reserved;
}

/* Refused requests have a text, and nothing goes wrong inside of the kernel. */
static void random_requests(void)
{
	unsigned int n_granted = 0, n_refused = 0, n_foreign = 0, i;
	size_t size;
	bool ours;
	int error;

	mount_disk("tmpfs", "tmpfs", "/mnt/t", "size=1m");
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	for (i = 0; i < REQUESTS; i++) {
		size = make_request();
		ours = is_ours(size);
		error = client_send_raw(&client, client.buffer, size);
		CHECK(error != -ETIMEDOUT);
		if (error == 0)
			n_granted++;
		else if (ours)
			n_refused++;
		else
			n_foreign++;
		if (error && ours && !client.text[0])
			test_fail(__FILE__, __LINE__, "request %u: no text for %d", i, error);
		/* What was granted is given up from time to time. */
		if (i % 1000 == 0) {
			client_close(&client);
			CHECK_INT(client_open(&client), 0);
		}
	}
	printf("VM-FIGURE fuzz: %u granted, %u refused with a text, %u not for the family\n",
	       n_granted, n_refused, n_foreign);
	CHECK(n_granted > REQUESTS / 1000);
	CHECK(n_refused > REQUESTS / 2);
	client_close(&client);
	close(fd);
	unmount("/mnt/t");
}

/* What is refused changes nothing: a request in force stays as it is. */
static void refused_change_nothing(void)
{
	struct listener listener;
	struct client other;
	struct nlmsghdr *message;
	uint64_t before;
	int i, error;

	mount_disk("tmpfs", "tmpfs", "/mnt/t", "size=1m");
	fd = open_path("/mnt/t");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(client_open(&other), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	CHECK_INT(client_fs_set(&other, fd, FS_EVENT_BIT(FS_ERR_CORRUPTED), 0), 0);
	CHECK_INT(client_simple(&other, FS_NL_C_GET_INFO), 0);
	before = other.n_seq[GROUP_EVENT];
	for (i = 0; i < 5000; i++) {
		/* No attribute 31: each of these is refused whatever else it has. */
		message = client_begin(&client, FS_NL_C_FS_SET + random_number(3));
		mnl_attr_put_u32(message, FS_NL_A_FD, fd);
		mnl_attr_put_u64(message, FS_NL_A_EVENTS, random_value());
		mnl_attr_put_u32(message, 31, random_value());
		error = client_send(&client, message);
		CHECK(error < 0);
		CHECK(client.text[0]);
	}
	CHECK_INT(client_simple(&other, FS_NL_C_GET_INFO), 0);
	CHECK_INT(other.n_seq[GROUP_EVENT], before);
	message = client_begin(&other, FS_NL_C_TEST);
	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	mnl_attr_put_u32(message, FS_NL_A_EVENT_ID, FS_EVENT_FROZEN);
	CHECK_INT(client_send(&other, message), -ENOENT);
	message = client_begin(&other, FS_NL_C_TEST);
	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	mnl_attr_put_u32(message, FS_NL_A_EVENT_ID, FS_ERR_CORRUPTED);
	CHECK_INT(client_send(&other, message), 0);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_ERR_CORRUPTED);
}

const struct test tests_fuzz[] = {
	{ .name = "fuzz-random-requests", .run = random_requests, .seconds = 180 },
	{ .name = "fuzz-refused-change-nothing", .run = refused_change_nothing },
	{},
};
