/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/io/stream-world.h"

static void test_replay_then_live(void **state)
{
	struct stream_statistics before, after;
	struct world world;

	world_init(&world, 1000, 100);
	for (unsigned int i = 0; i < 300; i++)
		world_push_quietly(&world);
	world_open(&world, 0, false);
	world_drain(&world);
	assert_int_equal(world.hellos, 1);
	assert_int_equal(world.hello.oldest_id, 100);
	assert_int_equal(world.hello.newest_id, 399);
	assert_int_equal(world.hello.since_id, 99);
	assert_int_equal(world.hello.flags, 0);
	assert_string_equal(world.hello.epoch, WORLD_EPOCH);
	assert_int_equal(world.events, 300);
	assert_int_equal(world.lost, 0);
	assert_false(world.saw_private);
	/* many to a packet */
	assert_true(world.packets <= 4);

	for (unsigned int i = 0; i < 10; i++)
		world_push(&world);
	world_drain(&world);
	assert_int_equal(world.events, 310);
	assert_int_equal(world.last_id, 409);

	/* Idle: the loop has nothing to do for it. */
	stream_statistics(world.stream, &before);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(sd_event_run(world.loop, 0), 0);
	stream_statistics(world.stream, &after);
	assert_int_equal(before.wakeups, after.wakeups);
	assert_int_equal(after.sent, 310);
	world_deinit(&world);
}

static void test_since(void **state)
{
	static const struct {
		uint64_t since_id, events, lost;
		bool reset;
	} cases[] = {
		{ 0, 20, 0, false },  { 99, 20, 0, false }, { 110, 9, 0, false },
		{ 119, 0, 0, false }, { 120, 20, 0, true }, { UINT64_MAX, 20, 0, true },
		{ 98, 20, 0, true }, /* of an epoch before */
		{ 1, 20, 0, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world;

		world_init(&world, 1000, 100);
		for (unsigned int k = 0; k < 20; k++)
			world_push_quietly(&world);
		world_open(&world, cases[i].since_id, false);
		world_drain(&world);
		assert_int_equal(world.hello.flags, cases[i].reset ? FSEVENTS_HELLO_RESET : 0);
		assert_int_equal(world.events, cases[i].events);
		assert_int_equal(world.lost, cases[i].lost);
		assert_int_equal(world.last_id, 119);
		world_push(&world);
		world_drain(&world);
		assert_int_equal(world.last_id, 120);
		world_deinit(&world);
	}
}

/* What the history dropped since is lost, and said to be. */
static void test_since_evicted(void **state)
{
	struct event event = { .code = EVENT_ENOSPC, .test = true };
	struct world world;

	world_init(&world, 1000, 100);
	for (unsigned int i = 0; i < 3 * HISTORY_TEST_BUDGET; i++)
		history_push(world.history, &event);
	world_open(&world, 110, false);
	world_drain(&world);
	assert_int_equal(world.hello.flags, 0);
	assert_int_equal(world.hello.since_id, 110);
	assert_int_equal(world.events, HISTORY_TEST_BUDGET);
	assert_int_equal(world.lost, 99 + 2 * HISTORY_TEST_BUDGET - 110);
	world_deinit(&world);
}

/* Of runs that ended abruptly: told once each, apart from what the history dropped, and not counted. */
static void test_gaps(void **state)
{
	static const struct {
		uint64_t since_id, gaps, gap_ids, lost, events;
	} cases[] = {
		{ 0, 2, 20 + 100, 0, 3 },  { 10, 2, 20 + 100, 0, 2 },
		{ 5, 2, 20 + 100, 4, 3 }, /* further back: evicted meanwhile */
		{ 20, 2, 10 + 100, 0, 2 }, /* told by the run that ended, and not stored */
		{ 30, 1, 100, 0, 2 },	   { 31, 1, 100, 0, 1 },
		{ 131, 1, 1, 0, 0 },	   { 132, 0, 0, 0, 0 },
	};
	struct event event = { .code = EVENT_IO_ERROR, .severity = SEVERITY_CRITICAL };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stream_statistics statistics;
		struct world world;

		/* 10, 31 and 32 are events; 11 to 30 and 33 to 132 are gaps. */
		world_init(&world, 1000, 133);
		world.first_id = 1;
		for (event.id = 10; event.id <= 32; event.id += event.id == 10 ? 21 : 1)
			assert_int_equal(history_restore(world.history, &event), 0);
		history_add_gap(world.history, &(struct history_gap){ 11, 30 });
		history_add_gap(world.history, &(struct history_gap){ 33, 132 });
		world_open(&world, cases[i].since_id, false);
		world_drain(&world);
		assert_int_equal(world.hello.flags, 0);
		assert_int_equal(world.gaps, cases[i].gaps);
		assert_int_equal(world.gap_ids, cases[i].gap_ids);
		assert_int_equal(world.lost, cases[i].lost);
		assert_int_equal(world.events, cases[i].events);
		assert_int_equal(world.last_id, 132);

		world_push(&world);
		world_drain(&world);
		assert_int_equal(world.last_id, 133);
		assert_int_equal(world.gaps, cases[i].gaps);
		stream_statistics(world.stream, &statistics);
		assert_int_equal(statistics.lost, cases[i].lost);
		world_deinit(&world);
	}
}

/* A late writer of the run that ended filled a part of the gap; more was evicted around it. */
static void test_gap_with_events(void **state)
{
	struct event event = { .id = 15, .code = EVENT_IO_ERROR, .severity = SEVERITY_CRITICAL };
	struct world world;

	world_init(&world, 1000, 40);
	world.first_id = 1;
	assert_int_equal(history_restore(world.history, &event), 0);
	history_add_gap(world.history, &(struct history_gap){ 11, 20 });
	history_add_gap(world.history, &(struct history_gap){ 21, 25 });
	world_open(&world, 5, false);
	world_drain(&world);
	/* 6-10 lost, 11-14 unknown, 15, 16-20 and 21-25 unknown, 26-39 lost */
	assert_int_equal(world.gaps, 3);
	assert_int_equal(world.gap_ids, 14);
	assert_int_equal(world.lost, 5 + 14);
	assert_int_equal(world.events, 1);
	world_deinit(&world);
}

static void test_empty_history(void **state)
{
	struct world world;

	world_init(&world, 1000, 100);
	world_open(&world, 5000, true);
	world_drain(&world);
	assert_int_equal(world.hellos, 1);
	assert_int_equal(world.hello.oldest_id, 0);
	assert_int_equal(world.hello.newest_id, 99);
	assert_int_equal(world.hello.flags, FSEVENTS_HELLO_RESET);
	assert_int_equal(world_push(&world), 100);
	world_drain(&world);
	assert_int_equal(world.events, 1);
	assert_true(world.saw_private);
	world_deinit(&world);
}

static void test_never_reads(void **state)
{
	struct stream_statistics before, after;
	struct world world;

	world_init(&world, 1000, 1);
	world_open(&world, 0, false);
	for (unsigned int i = 0; i < 5000; i++) {
		world_push(&world);
		if (i % 3 == 0)
			world_spin(&world);
	}

	/* Full: from here on it costs nothing, neither memory nor wake-ups. */
	stream_statistics(world.stream, &before);
	assert_true(before.packets < 2000);
	for (unsigned int i = 0; i < 100000; i++) {
		world_push(&world);
		if (i % 100 == 0)
			assert_int_equal(sd_event_run(world.loop, 0), 0);
	}
	stream_statistics(world.stream, &after);
	assert_int_equal(before.packets, after.packets);
	assert_int_equal(before.wakeups, after.wakeups);

	/* What was kept for it: the buffer, which the kernel doubles, and the packet that filled it. */
	while (world_take_packet(&world))
		;
	assert_in_range(world.bytes, STREAM_BUFFER / 4, 2 * STREAM_BUFFER + FSEVENTS_PACKET_MAX);
	assert_true(world.last_id < 105000);

	/* Once it reads, it hears exactly what it missed, in its place. */
	world_drain(&world);
	assert_int_equal(world.last_id, 105000);
	assert_int_equal(world.events + world.lost, 105000);
	assert_true(world.lost > 90000);
	stream_statistics(world.stream, &after);
	assert_int_equal(after.lost, world.lost);
	assert_int_equal(after.sent, world.events);
	assert_int_equal(world.closed, 0);
	world_deinit(&world);
}

static void test_slow_reader(void **state)
{
	struct world world;

	srand(4);
	world_init(&world, 300, 1);
	world_open(&world, 0, false);
	for (unsigned int i = 0; i < 50000; i++) {
		world_push(&world);
		if (rand() % 50 == 0)
			sd_event_run(world.loop, 0);
		/* fast for a while, then slow */
		if (rand() % (i / 5000 % 2 ? 400 : 10) == 0)
			world_take_packet(&world);
	}
	world_drain(&world);
	assert_int_equal(world.events + world.lost, 50000);
	assert_true(world.lost > 0 && world.events > 5000);
	world_deinit(&world);
}

/* Opened while events come: no gap, no duplicate; take_record() checks each id. */
static void test_open_under_load(void **state)
{
	struct world world;

	srand(5);
	world_init(&world, 8192, 1);
	for (unsigned int i = 0; i < 3000; i++)
		world_push_quietly(&world);
	world_open(&world, 1234, true);
	for (unsigned int i = 0; i < 2000; i++) {
		world_push(&world);
		if (rand() % 7 == 0)
			sd_event_run(world.loop, 0);
		while (rand() % 3 == 0 && world_take_packet(&world))
			;
	}
	world_drain(&world);
	assert_int_equal(world.hello.since_id, 1234);
	assert_int_equal(world.events, 5000 - 1234);
	assert_int_equal(world.lost, 0);
	world_deinit(&world);
}

/* A burst within one round of the loop that the history alone could not hold. */
static void test_burst_is_sent_in_time(void **state)
{
	struct event event = { .code = EVENT_ENOSPC, .test = true };
	struct world world;

	world_init(&world, 1000, 1);
	world_open(&world, 0, false);
	world_drain(&world);
	for (unsigned int i = 0; i < 10 * HISTORY_TEST_BUDGET; i++) {
		history_push(world.history, &event);
		stream_kick(world.stream);
	}
	world_drain(&world);
	assert_int_equal(world.events, 10 * HISTORY_TEST_BUDGET);
	assert_int_equal(world.lost, 0);
	world_deinit(&world);
}

static void test_amendments(void **state)
{
	struct world world;
	uint64_t id;

	world_init(&world, 1000, 1);
	world_open(&world, 0, true);
	world_drain(&world);

	/* Amended before it was sent: it comes whole. */
	world_amend(&world, world_push(&world));
	world_drain(&world);
	assert_int_equal(world.events, 1);
	assert_int_equal(world.amends, 0);

	id = world_push(&world);
	world_drain(&world);
	world_amend(&world, id);
	world_drain(&world);
	assert_int_equal(world.events, 2);
	assert_int_equal(world.amends, 1);

	/* More than are remembered: told as what they are. */
	for (unsigned int i = 0; i < 2 * HISTORY_AMENDMENTS; i++)
		world_push(&world);
	world_drain(&world);
	for (unsigned int i = 1; i <= 2 * HISTORY_AMENDMENTS; i++)
		world_amend(&world, id + i);
	world_drain(&world);
	assert_int_equal(world.amends, 1 + HISTORY_AMENDMENTS);
	assert_int_equal(world.lost_amends, 1);
	assert_int_equal(world.lost, 0);
	world_deinit(&world);
}

static void test_amendments_are_private(void **state)
{
	struct world world;
	uint64_t id;

	world_init(&world, 1000, 1);
	world_open(&world, 0, false);
	id = world_push(&world);
	world_drain(&world);
	world_amend(&world, id);
	world_drain(&world);
	world_push(&world);
	world_drain(&world);
	assert_int_equal(world.events, 2);
	assert_int_equal(world.amends, 0);
	assert_false(world.saw_private);
	world_deinit(&world);
}

/* The largest events, so that packets end at every place. */
static void test_large_events(void **state)
{
	struct world world;
	char *text;

	world_init(&world, 4096, 1);
	text = calloc(1, DETAILS_MAX);
	memset(text, 'x', DETAILS_MAX - 60);
	assert_int_equal(details_add_string(&world.where, "text", text, 0), 0);
	free(text);
	world_open(&world, 0, true);
	for (unsigned int i = 0; i < 100; i++)
		world_push(&world);
	world_drain(&world);
	assert_int_equal(world.events + world.lost, 100);
	assert_int_equal(world.lost, 0);
	world_deinit(&world);
}

static void test_nothing_can_be_stored(void **state)
{
	union {
		struct cmsghdr header;
		char buffer[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov = { .iov_base = (char[]){ "x" }, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct world world;

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &(int){ 0 }, sizeof(int));

	world_init(&world, 1000, 1);
	world_open(&world, 0, false);
	assert_int_equal(sendmsg(world.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(send(world.fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT), -1);
	assert_int_equal(errno, EPIPE);
	world_drain(&world);
	assert_int_equal(world.closed, 0);
	assert_int_equal(world.hellos, 1);
	/* close-on-exec, and reads wait unless the client asks otherwise */
	assert_true(fcntl(world.fd, F_GETFD) & FD_CLOEXEC);
	assert_false(fcntl(world.fd, F_GETFL) & O_NONBLOCK);
	world_deinit(&world);
}

static void test_client_leaves(void **state)
{
	for (unsigned int i = 0; i < 8; i++) {
		struct world world;

		world_init(&world, 1000, 1);
		world.free_when_closed = i & 1;
		world_open(&world, 0, false);
		if (i & 2) {
			/* blocked while it leaves */
			for (unsigned int k = 0; k < 5000; k++) {
				world_push(&world);
				world_spin(&world);
			}
		}
		if (i & 4) {
			assert_int_equal(shutdown(world.fd, SHUT_RD), 0);
		} else {
			close(world.fd);
			world.fd = -1;
		}

		/* A push before the loop hears of it must not call back. */
		for (unsigned int k = 0; k < 100; k++)
			world_push(&world);
		assert_int_equal(world.closed, 0);
		assert_true(world_spin(&world) > 0);
		assert_int_equal(world.closed, 1);

		if (world.stream)
			world_push(&world);
		assert_int_equal(world_spin(&world), 0);
		assert_int_equal(world.closed, 1);
		world_deinit(&world);
	}
}

static void test_end(void **state)
{
	struct world world;

	world_init(&world, 1000, 1);
	world_open(&world, 0, false);
	world_push(&world);
	world_spin(&world);
	world.stream = stream_free(world.stream);
	assert_false(world.ended);
	while (world_take_packet(&world))
		;
	assert_true(world.ended);
	assert_int_equal(world.events, 1);
	world_deinit(&world);
}

/* The readers under examples/ understand what is sent. */
static void run_reader(const char *program)
{
	struct event event = { .id = 1, .code = EVENT_IO_ERROR, .severity = SEVERITY_CRITICAL };
	char output[8192] = {}, fd_text[16];
	struct world world;
	ssize_t n, total = 0;
	int out[2], status;
	pid_t pid;

	world_init(&world, 1000, 6);
	world.first_id = 1;
	event.details = world.where;
	assert_int_equal(history_restore(world.history, &event), 0);
	history_add_gap(world.history, &(struct history_gap){ 2, 5 });
	world_open(&world, 0, true);
	world_spin(&world);
	world_amend(&world, 1);
	world_spin(&world);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = dup(world.fd);

		snprintf(fd_text, sizeof(fd_text), "%d", fd);
		dup2(out[1], STDOUT_FILENO);
		execl(program, program, fd_text, (char *)NULL);
		_exit(127);
	}

	close(out[1]);
	world.stream = stream_free(world.stream);
	close(world.fd);
	world.fd = -1;
	while ((n = read(out[0], output + total, sizeof(output) - 1 - (size_t)total)) > 0)
		total += n;
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);

	assert_non_null(strstr(output, "hello epoch=" WORLD_EPOCH " oldest=1 newest=5"));
	assert_non_null(strstr(output, "lost first=2 last=5 unknown"));
	assert_non_null(strstr(output, "event id=1 code=io-error severity=critical"));
	assert_non_null(strstr(output, "where=/mnt"));
	assert_non_null(strstr(output, "path=/secret"));
	assert_non_null(strstr(output, "amend id=1 inode=1"));
	assert_non_null(strstr(output, "end"));
	world_deinit(&world);
}

static void test_readers(void **state)
{
	const char *readers[] = { getenv("STREAM_READER_C"), getenv("STREAM_READER_PY") };

	if (!readers[0] && !readers[1]) {
		print_message("STREAM_READER_C and STREAM_READER_PY are not set\n");
		skip();
	}
	for (size_t i = 0; i < 2; i++)
		if (readers[i])
			run_reader(readers[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replay_then_live),
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_since_evicted),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_gap_with_events),
		cmocka_unit_test(test_empty_history),
		cmocka_unit_test(test_never_reads),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_open_under_load),
		cmocka_unit_test(test_burst_is_sent_in_time),
		cmocka_unit_test(test_amendments),
		cmocka_unit_test(test_amendments_are_private),
		cmocka_unit_test(test_large_events),
		cmocka_unit_test(test_nothing_can_be_stored),
		cmocka_unit_test(test_client_leaves),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
