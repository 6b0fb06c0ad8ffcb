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
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/name-ring.h"
#include "daemon/source/module-process.h"
#include "daemon/source/module-socket.h"
#include "daemon/source/netlink.h"
#include "tests/unit/event-fixture.h"

struct queued {
	int outcome; /* 0: the datagram */
	struct datagram datagram;
};

struct module_socket {
	int fd;
	struct queued queue[16];
	size_t n, at;
	unsigned int n_syncs;
};

struct pool_ticket {
	struct pool_submission submission;
	char payload[64];
	bool cancelled, answered;
};

static struct module_socket *current; /* NULL: closed */
static bool present;
static struct pool_ticket tickets[8];
static size_t n_tickets;

int module_socket_new(struct module_socket **ret, const struct module_socket_options *options)
{
	assert_string_equal(options->group, FS_EVENTS_GRP_PROC);
	if (!present)
		return -ENOENT;
	assert_null(current);
	current = calloc(1, sizeof(*current));
	assert_non_null(current);
	current->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_return_code(current->fd, errno);
	*ret = current;
	return 0;
}

struct module_socket *module_socket_free(struct module_socket *socket)
{
	if (!socket)
		return NULL;
	assert_ptr_equal(socket, current);
	close(socket->fd);
	free(socket);
	current = NULL;
	return NULL;
}

int module_socket_fd(const struct module_socket *socket)
{
	return socket->fd;
}

uint16_t module_socket_family(const struct module_socket *socket)
{
	return FIXTURE_FAMILY;
}

int module_socket_receive(struct module_socket *socket, const void **ret, size_t *ret_n)
{
	struct queued *queued = &socket->queue[socket->at];
	eventfd_t value;

	if (socket->at == socket->n) {
		socket->at = socket->n = 0;
		(void)eventfd_read(socket->fd, &value);
		return NETLINK_EMPTY;
	}
	socket->at++;
	*ret = queued->datagram.bytes;
	*ret_n = queued->datagram.n;
	return queued->outcome;
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

int module_socket_sync(struct module_socket *socket, uint32_t seq)
{
	socket->n_syncs++;
	return 0;
}

int pool_submit(struct pool *pool, const struct pool_submission *submission,
		struct pool_ticket **ret_ticket)
{
	struct pool_ticket *ticket = &tickets[n_tickets];

	assert_true(n_tickets < sizeof(tickets) / sizeof(tickets[0]));
	assert_int_equal(submission->job, JOB_SEND);
	assert_int_equal(submission->fd, current->fd);
	assert_true(submission->deadline_us > 1000000);
	assert_true(submission->n_payload <= sizeof(ticket->payload));
	n_tickets++;
	*ticket = (struct pool_ticket){ .submission = *submission };
	memcpy(ticket->payload, submission->payload, submission->n_payload);
	if (ret_ticket)
		*ret_ticket = ticket;
	return 0;
}

void pool_cancel(struct pool_ticket *ticket)
{
	if (ticket)
		ticket->cancelled = true;
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
	present = true;
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

static struct datagram *add(int outcome)
{
	struct queued *queued = &current->queue[current->n];

	assert_true(current->n < sizeof(current->queue) / sizeof(current->queue[0]));
	current->n++;
	queued->outcome = outcome;
	assert_return_code(eventfd_write(current->fd, 1), errno);
	return &queued->datagram;
}

static void add_answer(uint32_t seq, int32_t error)
{
	struct datagram *datagram = add(0);
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = {
		.header = { .nlmsg_len = sizeof(answer),
			    .nlmsg_type = NLMSG_ERROR,
			    .nlmsg_seq = seq },
		.error.error = error,
	};

	memcpy(datagram->bytes, &answer, sizeof(answer));
	datagram->n = sizeof(answer);
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
	struct datagram *datagram = add(0);

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
	tickets[0].submission.reply(POOL_DONE, NULL, 0, tickets[0].submission.userdata);
	add_answer(seq, error);
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

	present = false;
	assert_int_equal(module_process_start(world->process), -ENOENT);
	present = true;

	assert_return_code(module_process_start(world->process), 0);
	answer_request(world, -EINVAL);
	assert_int_equal(world->n_started, 1);
	assert_int_equal(world->error, -EINVAL);
	assert_null(current);

	/* It was not even sent. */
	n_tickets = 0;
	assert_return_code(module_process_start(world->process), 0);
	tickets[0].submission.reply(POOL_STALLED, NULL, 0, tickets[0].submission.userdata);
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
	datagram = add(0);
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
	(void)add(NETLINK_OVERRUN);
	run_until(world, 6);
	assert_int_equal(world->n_lost_calls, 2);
	run_until(world, 7);
	assert_int_equal(world->n_unknown, 1);
	assert_int_equal(world->n_lost_calls, 3);

	(void)add(NETLINK_FOREIGN);
	(void)add(NETLINK_TRUNCATED);
	datagram_begin(add(0), FIXTURE_FAMILY, 0, FS_NL_C_RECORDS);
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

	add_answer(99, -ENOENT);
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
