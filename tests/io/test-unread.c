/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/output/stream.h"
#include "daemon/output/unread.h"

#define UID 1000
#define STREAMS 4

struct world {
	sd_event *loop;
	struct quota *quota;
	struct unread *unread;
	int client;
};

static void world_init(struct world *world)
{
	static const struct quota_limit limits[_QUOTA_KIND_N] = {
		[QUOTA_STREAMS] = { .per_uid = STREAMS, .total = STREAMS },
	};

	assert_true(sd_event_new(&world->loop) >= 0);
	assert_int_equal(quota_new(&world->quota, limits), 0);
	assert_int_equal(unread_new(&world->unread, world->loop), 0);
}

static void world_deinit(struct world *world)
{
	unread_free(world->unread);
	assert_int_equal(quota_total(world->quota, QUOTA_STREAMS), 0);
	quota_free(world->quota);
	sd_event_unref(world->loop);
}

static uint64_t charged(const struct world *world)
{
	return quota_used(world->quota, UID, QUOTA_STREAMS);
}

/* Sends until nothing more goes in, or @n packets. Return: the client's end. */
static int stream_end(struct world *world, unsigned int n)
{
	static const char packet[16384];
	struct quota_charge charge = {};
	int ours, client;

	assert_int_equal(stream_make_sockets(&ours, &client), 0);
	assert_int_equal(quota_charge(world->quota, &charge, UID, QUOTA_STREAMS, 1), 0);
	while (n > 0 && send(ours, packet, sizeof(packet), MSG_NOSIGNAL) > 0)
		n--;
	unread_keep(world->unread, ours, &charge);
	assert_null(charge.quota);
	return client;
}

static unsigned int spin(struct world *world)
{
	unsigned int n = 0;

	while (sd_event_run(world->loop, 0) > 0)
		assert_true(++n < 1000);
	return n;
}

static void test_read(void **state)
{
	struct world world;
	char packet[16384];
	unsigned int n = 0;
	ssize_t k;
	int client;

	world_init(&world);
	client = stream_end(&world, 1000);
	spin(&world);
	assert_int_equal(charged(&world), 1);

	/* All that was sent, and the end; the place is free with the last packet. */
	while ((k = recv(client, packet, sizeof(packet), MSG_DONTWAIT)) > 0) {
		assert_int_equal(k, sizeof(packet));
		n++;
		spin(&world);
	}
	assert_int_equal(k, 0);
	assert_true(n > 1);
	assert_int_equal(charged(&world), 0);
	close(client);
	world_deinit(&world);
}

static void test_small_packets(void **state)
{
	struct world world;
	struct quota_charge charge = {};
	int ours, client;
	char byte = 0;

	world_init(&world);
	assert_int_equal(stream_make_sockets(&ours, &client), 0);
	assert_int_equal(quota_charge(world.quota, &charge, UID, QUOTA_STREAMS, 1), 0);
	assert_int_equal(send(ours, &byte, 1, MSG_NOSIGNAL), 1);
	unread_keep(world.unread, ours, &charge);
	spin(&world);
	assert_int_equal(charged(&world), 1);
	assert_int_equal(recv(client, &byte, 1, MSG_DONTWAIT), 1);
	spin(&world);
	assert_int_equal(charged(&world), 0);
	close(client);
	world_deinit(&world);
}

static void test_closed(void **state)
{
	struct world world;
	int client, copy;

	world_init(&world);
	client = stream_end(&world, 1000);
	copy = dup(client);
	/* Not by shutting it, nor by closing one of two. */
	assert_int_equal(shutdown(client, SHUT_RDWR), 0);
	close(client);
	spin(&world);
	assert_int_equal(charged(&world), 1);
	close(copy);
	spin(&world);
	assert_int_equal(charged(&world), 0);
	world_deinit(&world);
}

static void test_nothing_left(void **state)
{
	struct world world;
	int client;

	world_init(&world);
	client = stream_end(&world, 0);
	assert_int_equal(charged(&world), 0);
	assert_int_equal(spin(&world), 0);
	close(client);
	world_deinit(&world);
}

static void test_many(void **state)
{
	int clients[STREAMS];
	struct quota_charge charge = {};
	struct world world;

	world_init(&world);
	for (unsigned int i = 0; i < STREAMS; i++)
		clients[i] = stream_end(&world, 2);
	assert_int_equal(quota_charge(world.quota, &charge, UID, QUOTA_STREAMS, 1),
			 QUOTA_E_EXCEEDED);
	/* Those that are hung up and not read do not keep the loop busy. */
	spin(&world);
	assert_int_equal(spin(&world), 0);

	close(clients[2]);
	spin(&world);
	assert_int_equal(charged(&world), STREAMS - 1);
	assert_int_equal(quota_charge(world.quota, &charge, UID, QUOTA_STREAMS, 1), 0);
	quota_release(&charge);
	/* The rest go with the set. */
	world_deinit(&world);
	for (unsigned int i = 0; i < STREAMS; i++)
		if (i != 2)
			close(clients[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),   cmocka_unit_test(test_small_packets),
		cmocka_unit_test(test_closed), cmocka_unit_test(test_nothing_left),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
