/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The module's processes as the daemon sees them, without a module: its socket
 * and the workers are of cardboard.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/name-ring.h"
#include "daemon/source/module-process.h"
#include "tests/io/fake-module-socket.h"
#include "tests/io/fake-pool.h"

static void check_submission(const struct pool_submission *submission)
{
	assert_int_equal(submission->job, JOB_SEND);
	assert_int_equal(submission->fd, current->socket.fd);
	assert_true(submission->deadline_us > 1000000);
}

int module_socket_compose(const struct module_socket *socket, const struct module_request *request,
			  void **ret, size_t *ret_n)
{
	uint32_t events;
	char text[64];

	assert_int_equal(request->command, FS_NL_C_PROC_SET);
	assert_true(request->acknowledged);
	assert_int_equal(request->n_attributes, 1);
	assert_int_equal(request->attributes[0].type, FS_NL_A_PROC_EVENTS);
	memcpy(&events, request->attributes[0].data, sizeof(events));
	snprintf(text, sizeof(text), "%u %x", request->seq, events);
	*ret = strdup(text);
	*ret_n = strlen(text) + 1;
	return 0;
}

struct world {
	sd_event *loop;
	struct module_process *process;
	unsigned int n_started, n_batches, n_empty, n_lost_calls, n_unknown;
	uint64_t n_lost;
	int error;
	bool again;
	struct wire_proc_event events[64];
	size_t n_events;
};

static void on_started(int error, void *userdata)
{
	struct world *world = userdata;

	world->n_started++;
	world->error = error;
}

static void on_begin(void *userdata)
{
	struct world *world = userdata;

	world->n_batches++;
}

static void on_event(const struct wire_proc_event *event, void *userdata)
{
	struct world *world = userdata;

	assert_true(world->n_events < sizeof(world->events) / sizeof(world->events[0]));
	world->events[world->n_events++] = *event;
}

static void on_lost(uint64_t count, void *userdata)
{
	struct world *world = userdata;

	world->n_lost_calls++;
	world->n_lost += count;
	world->n_unknown += count == 0;
}

static bool on_end(bool empty, void *userdata)
{
	struct world *world = userdata;
	bool again = world->again;

	world->n_empty += empty;
	world->again = false;
	return again;
}

static const struct process_events_ops ops = {
	.started = on_started,
	.begin = on_begin,
	.event = on_event,
	.lost = on_lost,
	.end = on_end,
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	n_tickets = 0;
	current_group = FS_EVENTS_GRP_PROC;
	assert_return_code(sd_event_new(&world->loop), 0);
	assert_return_code(module_process_new(&world->process, world->loop, (struct pool *)world, 0,
					      &ops, world),
			   0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	module_process_free(world->process);
	assert_null(current);
	sd_event_unref(world->loop);
	free(world);
	return 0;
}

/* Until a batch has come whose number is this. */
static void run_until(struct world *world, unsigned int n_batches)
{
	while (world->n_batches < n_batches)
		assert_return_code(sd_event_run(world->loop, 10000000), 0);
}

static struct fs_event_process process_of(uint16_t kind)
{
	return (struct fs_event_process){
		.record = { .size = sizeof(struct fs_event_process),
			    .header_size = sizeof(struct fs_event_process),
			    .kind = kind,
			    .time_ns = 1000 },
		.pid = 51,
		.tgid = 50,
		.by_pid = 31,
		.by_tgid = 30,
		.parent = 20,
		.uid = 7,
		.status = 8,
	};
}

static void add_batch(uint64_t seq, const struct fs_event_process *records, uint32_t n)
{
	struct datagram *datagram = fake_queue(&current->socket, 0);

	datagram_begin(datagram, FIXTURE_FAMILY, 0, FS_NL_C_RECORDS);
	datagram_add_u64(datagram, FS_NL_A_SEQ, seq);
	datagram_add_u32(datagram, FS_NL_A_N_RECORDS, n);
	datagram_add(datagram, FS_NL_A_RECORDS, records, n * sizeof(*records));
}

static void answer_request(struct world *world, int32_t error)
{
	uint32_t seq, events;

	assert_int_equal(n_tickets, 1);
	assert_int_equal(sscanf(tickets[0].payload, "%u %x", &seq, &events), 2);
	assert_int_equal(events, 1 << FS_RECORD_FORK | 1 << FS_RECORD_EXEC | 1 << FS_RECORD_EXIT |
					 1 << FS_RECORD_UID);
	pool_answer(POOL_DONE, 0);
	fake_answer(&current->socket, seq, error);
	while (world->n_started == 0)
		assert_return_code(sd_event_run(world->loop, 10000000), 0);
}

static void begin(struct world *world)
{
	assert_return_code(module_process_start(world->process), 0);
	assert_int_equal(module_process_start(world->process), -EALREADY);
	assert_false(module_process_is_started(world->process));
	answer_request(world, 0);
	assert_int_equal(world->error, 0);
	assert_true(module_process_is_started(world->process));
	run_until(world, 1);
	assert_int_equal(world->n_empty, 1);
}

static void test_refused(void **state)
{
	struct world *world = *state;

	current_group = NULL;
	assert_int_equal(module_process_start(world->process), -ENOENT);
	current_group = FS_EVENTS_GRP_PROC;

	assert_return_code(module_process_start(world->process), 0);
	answer_request(world, -EINVAL);
	assert_int_equal(world->n_started, 1);
	assert_int_equal(world->error, -EINVAL);
	assert_null(current);

	/* It was not even sent. */
	n_tickets = 0;
	assert_return_code(module_process_start(world->process), 0);
	pool_answer(POOL_STALLED, 0);
	assert_int_equal(world->n_started, 2);
	assert_int_equal(world->error, -ETIMEDOUT);
	assert_null(current);
	assert_int_equal(world->n_batches, 0);
}

static void test_events(void **state)
{
	struct fs_event_process records[6];
	struct world *world = *state;
	const struct wire_proc_event *event = world->events;
	char name[NAME_RING_NAME_MAX + 1];

	for (uint16_t i = 0; i < 4; i++)
		records[i] = process_of((uint16_t)(FS_RECORD_FORK + i));
	/* By nobody, and not of a process. */
	records[4] = process_of(FS_RECORD_FORK);
	records[4].by_tgid = 0;
	records[5] = process_of(900);
	begin(world);
	add_batch(1, records, 6);
	run_until(world, 2);

	assert_int_equal(world->n_events, 4);
	assert_int_equal(world->n_lost_calls, 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(event[i].tid, 51);
		assert_int_equal(event[i].tgid, 50);
		assert_int_equal(event[i].monotonic_ns, 1000);
	}
	assert_int_equal(event[0].kind, WIRE_PROC_FORK);
	assert_int_equal(event[0].parent_tid, 31);
	assert_int_equal(event[0].parent_tgid, 30);
	assert_int_equal(event[1].kind, WIRE_PROC_EXEC);
	assert_int_equal(module_process_name(world->process, event[1].name, name), 0);
	assert_int_equal(event[2].kind, WIRE_PROC_EXIT);
	assert_int_equal(event[2].parent_tgid, 20);
	assert_int_equal(event[2].status, 8);
	assert_int_equal(event[3].kind, WIRE_PROC_UID);
	assert_int_equal(event[3].ruid, 7);
	assert_int_equal(event[3].euid, 8);
}

static void test_name(void **state)
{
	struct {
		struct fs_event_process process;
		char name[16];
	} exec = { .process = process_of(FS_RECORD_EXEC), .name = "/bin/true" };
	char name[NAME_RING_NAME_MAX + 1];
	struct world *world = *state;
	struct datagram *datagram;

	exec.process.record.size = sizeof(exec);
	exec.process.name_size = 9;
	begin(world);
	datagram = fake_queue(&current->socket, 0);
	datagram_begin(datagram, FIXTURE_FAMILY, 0, FS_NL_C_RECORDS);
	datagram_add_u64(datagram, FS_NL_A_SEQ, 1);
	datagram_add_u32(datagram, FS_NL_A_N_RECORDS, 1);
	datagram_add(datagram, FS_NL_A_RECORDS, &exec, sizeof(exec));
	run_until(world, 2);
	assert_int_equal(world->n_events, 1);
	assert_int_equal(module_process_name(world->process, world->events[0].name, name), 9);
	assert_string_equal(name, "/bin/true");

	/* No names outlive the subscription. */
	module_process_stop(world->process);
	assert_int_equal(module_process_name(world->process, world->events[0].name, name), 0);
}

static void test_losses(void **state)
{
	const struct fs_event_process records[] = { process_of(FS_RECORD_FORK),
						    process_of(FS_RECORD_EXIT) };
	struct process_events_statistics statistics;
	struct world *world = *state;

	begin(world);
	add_batch(1000, records, 2);
	run_until(world, 2);
	assert_int_equal(world->n_lost_calls, 0);
	add_batch(1005, records, 2);
	run_until(world, 3);
	assert_int_equal(world->n_lost, 3);
	/* At the end there is nothing but the gap. */
	add_batch(1017, NULL, 0);
	run_until(world, 4);
	assert_int_equal(world->n_lost, 13);
	add_batch(1017, records, 1);
	run_until(world, 5);
	assert_int_equal(world->n_lost, 13);
	assert_int_equal(world->n_lost_calls, 2);

	/* An overrun shows by a gap; where nothing follows, it is told all the same. */
	(void)fake_queue(&current->socket, NETLINK_OVERRUN);
	run_until(world, 6);
	assert_int_equal(world->n_lost_calls, 2);
	run_until(world, 7);
	assert_int_equal(world->n_unknown, 1);
	assert_int_equal(world->n_lost_calls, 3);

	(void)fake_queue(&current->socket, NETLINK_FOREIGN);
	(void)fake_queue(&current->socket, NETLINK_TRUNCATED);
	datagram_begin(fake_queue(&current->socket, 0), FIXTURE_FAMILY, 0, FS_NL_C_RECORDS);
	run_until(world, 8);
	assert_int_equal(world->n_unknown, 3);
	module_process_statistics(world->process, &statistics);
	assert_int_equal(statistics.overruns, 1);
	assert_int_equal(statistics.foreign, 1);
	assert_int_equal(statistics.malformed, 2);
	assert_int_equal(statistics.lost, 13);
	assert_int_equal(statistics.events, 5);
	assert_int_equal(world->n_events, 5);
}

/* Each batch has all that there was, or says that it may not. */
static void test_barrier(void **state)
{
	struct world *world = *state;

	begin(world);
	assert_int_equal(current->n_syncs, 1);
	module_process_kick(world->process);
	run_until(world, 2);
	assert_int_equal(current->n_syncs, 2);
	assert_int_equal(world->n_empty, 2);

	world->again = true;
	module_process_kick(world->process);
	run_until(world, 4);
	assert_int_equal(world->n_empty, 4);

	fake_answer(&current->socket, 99, -ENOENT);
	run_until(world, 5);
	assert_int_equal(world->n_empty, 4);
	run_until(world, 6);
	assert_int_equal(world->n_empty, 5);
	assert_int_equal(current->n_syncs, 6);
}

static void test_withdrawn(void **state)
{
	struct world *world = *state;
	uint32_t seq, events;

	begin(world);
	module_process_stop(world->process);
	assert_null(current);
	assert_false(module_process_is_started(world->process));
	assert_int_equal(n_tickets, 2);
	assert_int_equal(sscanf(tickets[1].payload, "%u %x", &seq, &events), 2);
	assert_int_equal(events, 0);
	module_process_stop(world->process);
	assert_int_equal(n_tickets, 2);

	/* While it is being asked for */
	assert_return_code(module_process_start(world->process), 0);
	module_process_stop(world->process);
	assert_true(tickets[2].cancelled);
	assert_int_equal(world->n_started, 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_refused), TEST(test_events),	TEST(test_name),
		TEST(test_losses),  TEST(test_barrier), TEST(test_withdrawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
