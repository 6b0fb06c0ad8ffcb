/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The module as the daemon sees it, without one: it says here what it said when that was recorded. */

#include "tests/io/module-fixture.h"

#define EVENTS (FS_EVENT_BIT(FS_EVENT_FROZEN) | FS_EVENT_BIT(FS_EVENT_THAWED))

struct world {
	sd_event *loop;
	struct module *module;
	struct module_member *member;
	unsigned int n_came, n_went, n_lost_calls, n_events, n_answers;
	uint64_t n_lost;
	int error;
	struct wire_event event;
	struct wire_event_answer answer;
	bool free_at_event;
};

static void on_changed(bool is_present, void *userdata)
{
	struct world *world = userdata;

	assert_int_equal(module_is_present(world->module), is_present);
	if (is_present)
		world->n_came++;
	else
		world->n_went++;
}

static void on_lost(uint64_t n, void *userdata)
{
	struct world *world = userdata;

	world->n_lost_calls++;
	world->n_lost += n;
}

static void on_event(const struct wire_event *event, void *userdata)
{
	struct world *world = userdata;

	world->n_events++;
	world->event = *event;
	if (world->free_at_event)
		world->member = module_member_free(world->member);
}

static void on_answered(int error, const struct wire_event_answer *answer, void *userdata)
{
	struct world *world = userdata;

	world->n_answers++;
	world->error = error;
	if (error == 0)
		world->answer = *answer;
}

static const struct module_ops ops = { .changed = on_changed, .lost = on_lost };
static const struct module_member_ops member_ops = { .event = on_event, .answered = on_answered };

static int setup(void **state)
{
	static const struct module_interest interest = { "ext4", 254, 0, EVENTS };
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	n_tickets = 0;
	present = false;
	family = FIXTURE_FAMILY;
	assert_return_code(sd_event_new(&world->loop), 0);
	assert_return_code(
		module_new(&world->module, world->loop, (struct pool *)world, &ops, world), 0);
	assert_return_code(
		module_member_new(&world->member, world->module, &interest, &member_ops, world), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	module_member_free(world->member);
	module_free(world->module);
	assert_null(current);
	sd_event_unref(world->loop);
	free(world);
	return 0;
}

/* All that can be read at once. */
static void run(struct world *world)
{
	int r;

	while ((r = sd_event_run(world->loop, 0)) > 0)
		;
	assert_return_code(r, -r);
}

static void tell_family(struct world *world, uint8_t command, const char *name, uint16_t id)
{
	struct datagram *datagram = fake_queue(&control.socket, 0);

	datagram_begin(datagram, GENL_ID_CTRL, 0, command);
	datagram_add(datagram, CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	datagram_add(datagram, CTRL_ATTR_FAMILY_ID, &id, sizeof(id));
	run(world);
}

static void come(struct world *world)
{
	present = true;
	tell_family(world, CTRL_CMD_NEWFAMILY, "fs_event", family);
	/* It may go again at once. */
	assert_false(module_is_present(world->module));
	while (!module_is_present(world->module))
		assert_return_code(sd_event_run(world->loop, UINT64_MAX), errno);
	run(world);
}

static void go(struct world *world)
{
	present = false;
	tell_family(world, CTRL_CMD_DELFAMILY, "fs_event", family);
}

static void tell_recorded(struct world *world, enum module_socket_use socket, const char *hex)
{
	datagram_recorded(fake_queue(&current->sockets[socket], 0), hex);
	run(world);
}

/* A request is answered as the module did; with the number of this one. */
static void answer_queue(const struct pool_ticket *ticket, const char *hex)
{
	struct datagram *datagram = fake_queue(&current->sockets[MODULE_SOCKET_REQUESTS], 0);
	uint32_t seq;

	assert_int_equal(sscanf(request_of(ticket), "set %u ", &seq), 1);
	datagram_recorded(datagram, hex);
	memcpy(datagram->bytes + offsetof(struct nlmsghdr, nlmsg_seq), &seq, sizeof(seq));
}

static void answer(struct world *world, const char *hex)
{
	answer_queue(&tickets[n_tickets - 1], hex);
	pool_answer(POOL_DONE, 0);
}

static void refuse(struct world *world, int error)
{
	uint32_t seq;

	assert_int_equal(sscanf(request_of(&tickets[n_tickets - 1]), "set %u ", &seq), 1);
	fake_answer(&current->sockets[MODULE_SOCKET_REQUESTS], seq, error);
}

static void tell_numbered(struct world *world, uint32_t id, uint32_t fs_id, uint64_t seq)
{
	struct datagram *datagram = fake_queue(&current->sockets[MODULE_SOCKET_EVENTS], 0);

	datagram_begin(datagram, family, 0, FS_NL_C_EVENT);
	datagram_add_u32(datagram, FS_NL_A_EVENT_ID, id);
	datagram_add_u32(datagram, FS_NL_A_DEV_MAJOR, 254);
	datagram_add_u32(datagram, FS_NL_A_FS_ID, fs_id);
	datagram_add_u64(datagram, FS_NL_A_SEQ, seq);
	run(world);
}

static void attach(struct world *world)
{
	assert_return_code(module_start(world->module), 0);
	come(world);
	answer(world, recorded_answer);
	assert_int_equal(world->n_answers, 1);
	assert_int_equal(world->error, 0);
}

static void test_there_already(void **state)
{
	struct world *world = *state;

	present = true;
	assert_return_code(module_start(world->module), 0);
	assert_int_equal(world->n_came, 1);
	assert_int_equal(n_tickets, 1);
	assert_string_equal(request_of(&tickets[0]), "set 1 ext4 254:0 18000");
	/* That it came is told all the same where it came a moment before. */
	tell_family(world, CTRL_CMD_NEWFAMILY, "fs_event", family);
	assert_int_equal(world->n_came, 1);
	assert_int_equal(world->n_went, 0);
	assert_int_equal(n_tickets, 1);
}

static void test_comes_and_goes(void **state)
{
	struct world *world = *state;

	assert_return_code(module_start(world->module), 0);
	run(world);
	assert_int_equal(world->n_came, 0);
	assert_false(module_is_present(world->module));
	tell_family(world, CTRL_CMD_NEWFAMILY, "another", 0x30);
	assert_int_equal(world->n_came, 0);
	assert_int_equal(n_tickets, 0);

	come(world);
	assert_int_equal(world->n_came, 1);
	answer(world, recorded_answer_frozen);
	assert_int_equal(world->error, 0);
	assert_true(world->answer.has_holds);
	assert_int_equal(world->answer.holds, FS_EVENT_BIT(FS_EVENT_FROZEN));
	assert_true(world->answer.capable & EVENTS);

	tell_family(world, CTRL_CMD_DELFAMILY, "another", 0x30);
	assert_int_equal(world->n_went, 0);
	go(world);
	assert_int_equal(world->n_went, 1);
	assert_int_equal(world->error, -ENODEV);
	assert_false(module_is_present(world->module));

	/* With another number of the family, and numbers of events from 1. */
	family = 0x31;
	come(world);
	assert_int_equal(world->n_came, 2);
	assert_string_equal(request_of(&tickets[n_tickets - 1]), "set 2 ext4 254:0 18000");
	/* The end of a number that it did not keep, told late. */
	tell_family(world, CTRL_CMD_DELFAMILY, "fs_event", 0x30);
	assert_true(module_is_present(world->module));
	assert_int_equal(world->n_went, 1);
	go(world);
	assert_true(tickets[n_tickets - 1].cancelled);
	assert_int_equal(world->n_went, 2);
}

static void test_events(void **state)
{
	struct module_statistics statistics;
	struct world *world = *state;

	attach(world);
	tell_recorded(world, MODULE_SOCKET_EVENTS, recorded_frozen);
	assert_int_equal(world->n_events, 1);
	assert_int_equal(world->event.id, FS_EVENT_FROZEN);
	assert_int_equal(world->event.pid, 170);
	tell_recorded(world, MODULE_SOCKET_EVENTS, recorded_level);
	tell_recorded(world, MODULE_SOCKET_EVENTS, recorded_thawed);
	assert_int_equal(world->n_events, 3);
	assert_int_equal(world->n_lost_calls, 0);

	/* Of another filesystem; four numbers are missing before it. */
	tell_recorded(world, MODULE_SOCKET_EVENTS, recorded_corrupted);
	assert_int_equal(world->n_events, 3);
	assert_int_equal(world->n_lost_calls, 1);
	assert_int_equal(world->n_lost, 4);
	/* The answer says what holds now. */
	assert_int_equal(n_tickets, 2);
	answer(world, recorded_answer);
	assert_int_equal(world->n_answers, 2);

	module_statistics(world->module, &statistics);
	assert_int_equal(statistics.events, 4);
	assert_int_equal(statistics.unknown, 1);
	assert_int_equal(statistics.lost, 4);
}

/* Between request and answer, events are known by their device, and newer than the answer. */
static void test_early(void **state)
{
	struct world *world = *state;

	present = true;
	assert_return_code(module_start(world->module), 0);
	tell_recorded(world, MODULE_SOCKET_EVENTS, recorded_frozen);
	assert_int_equal(world->n_events, 1);
	answer(world, recorded_answer);
	assert_int_equal(world->error, 0);
	assert_false(world->answer.has_holds);

	/* What was lost meanwhile is asked for once the answer is there. */
	module_member_ask(world->member);
	tell_numbered(world, FS_EVENT_FROZEN, 1, 100);
	assert_int_equal(n_tickets, 2);
	answer(world, recorded_answer);
	assert_int_equal(n_tickets, 3);
	assert_int_equal(world->n_answers, 1);
	answer(world, recorded_answer_frozen);
	assert_int_equal(world->n_answers, 2);
	assert_true(world->answer.has_holds);
}

static void test_overrun(void **state)
{
	struct module_statistics statistics;
	struct world *world = *state;

	attach(world);
	(void)fake_queue(&current->sockets[MODULE_SOCKET_EVENTS], NETLINK_OVERRUN);
	run(world);
	assert_int_equal(world->n_lost_calls, 1);
	assert_int_equal(world->n_lost, 0);
	assert_int_equal(n_tickets, 2);

	/* Of families: whether it is the same module is not known. */
	(void)fake_queue(&control.socket, NETLINK_OVERRUN);
	run(world);
	assert_int_equal(world->n_went, 1);
	assert_int_equal(world->n_came, 2);
	assert_int_equal(n_tickets, 3);

	module_statistics(world->module, &statistics);
	assert_int_equal(statistics.overruns, 2);
}

static void test_not_believed(void **state)
{
	struct module_statistics statistics;
	struct datagram *datagram;
	struct world *world = *state;

	attach(world);
	datagram_recorded(fake_queue(&current->sockets[MODULE_SOCKET_EVENTS], NETLINK_FOREIGN),
			  recorded_frozen);
	datagram_recorded(fake_queue(&current->sockets[MODULE_SOCKET_EVENTS], NETLINK_TRUNCATED),
			  recorded_frozen);
	run(world);
	assert_int_equal(world->n_events, 0);

	/* Cut; and of another family. */
	datagram = fake_queue(&current->sockets[MODULE_SOCKET_EVENTS], 0);
	datagram_recorded(datagram, recorded_frozen);
	datagram->n -= 8;
	datagram = fake_queue(&current->sockets[MODULE_SOCKET_EVENTS], 0);
	datagram_recorded(datagram, recorded_frozen);
	datagram->bytes[offsetof(struct nlmsghdr, nlmsg_type)] = 0x7f;
	run(world);
	assert_int_equal(world->n_events, 0);

	/* A test of somebody else's. */
	datagram = fake_queue(&current->sockets[MODULE_SOCKET_EVENTS], 0);
	datagram_recorded(datagram, recorded_frozen);
	datagram_add(datagram, FS_NL_A_TEST, NULL, 0);
	run(world);
	assert_int_equal(world->n_events, 0);

	module_statistics(world->module, &statistics);
	assert_int_equal(statistics.foreign, 1);
	assert_int_equal(statistics.malformed, 2);
	assert_int_equal(statistics.tests, 1);
	assert_int_equal(statistics.events, 1);
}

static void test_refused(void **state)
{
	static const struct {
		enum pool_result result;
		int error, told;
	} rows[] = {
		{ POOL_FAILED, -EPERM, -EPERM },
		{ POOL_STALLED, 0, -EBUSY },
		{ POOL_BLOCKED, 0, -EBUSY },
		{ POOL_BROKEN, 0, -EBUSY },
		/* Nothing came. */
		{ POOL_DONE, 0, -EIO },
	};
	struct world *world = *state;

	present = true;
	assert_return_code(module_start(world->module), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pool_answer(rows[i].result, rows[i].error);
		assert_int_equal(world->n_answers, i + 1);
		assert_int_equal(world->error, rows[i].told);
		assert_int_equal(n_tickets, i + 1);
		module_member_ask(world->member);
		assert_int_equal(n_tickets, i + 2);
	}

	refuse(world, -EOPNOTSUPP);
	/* A late answer to an earlier request is passed over. */
	datagram_recorded(fake_queue(&current->sockets[MODULE_SOCKET_REQUESTS], 0),
			  recorded_answer);
	pool_answer(POOL_DONE, 0);
	assert_int_equal(world->error, -EOPNOTSUPP);
}

/* It is not found by its type; a worker opens it for the module. */
static void test_by_root(void **state)
{
	static const struct module_root root = { .where = "/mnt/root",
						 .mount_id = 77,
						 .lane = POOL_LANE_FOREIGN,
						 .lane_key = 5,
						 .owner_uid = 6 };
	struct world *world = *state;
	const struct pool_ticket *ticket = &tickets[1];

	assert_int_equal(module_member_ask_root(world->member, &root), -ENODEV);
	present = true;
	assert_return_code(module_start(world->module), 0);
	assert_int_equal(module_member_ask_root(world->member, &root), -EALREADY);
	refuse(world, -ENOENT);
	pool_answer(POOL_DONE, 0);
	assert_int_equal(world->error, -ENOENT);

	assert_return_code(module_member_ask_root(world->member, &root), 0);
	assert_int_equal(n_tickets, 2);
	assert_int_equal(ticket->submission.job, JOB_SEND_ROOT);
	assert_int_equal(ticket->submission.lane, POOL_LANE_FOREIGN);
	assert_int_equal(ticket->submission.lane_key, 5);
	assert_int_equal(ticket->submission.owner_uid, 6);
	assert_string_equal(request_of(ticket), "set 2 18000");
	assert_string_equal(root_of(ticket).where, "/mnt/root");
	assert_int_equal(root_of(ticket).mount_id, 77);
	/* What comes meanwhile is its own. */
	tell_recorded(world, MODULE_SOCKET_EVENTS, recorded_frozen);
	assert_int_equal(world->n_events, 1);
	answer(world, recorded_answer);
	assert_int_equal(world->n_answers, 2);
	assert_int_equal(world->error, 0);
	assert_false(world->answer.has_holds);

	/* Its mount is not touched again. */
	module_member_ask(world->member);
	assert_string_equal(request_of(&tickets[2]), "set 3 #1 18000");
	assert_int_equal(tickets[2].submission.job, JOB_SEND);
	refuse(world, -ENOENT);
	pool_answer(POOL_DONE, 0);
	assert_int_equal(world->error, -ENOENT);

	/* Whoever asks again by root because of -ENOENT has an end. */
	assert_return_code(module_member_ask_root(world->member, &root), 0);
	assert_string_equal(request_of(&tickets[3]), "set 4 18000");
	pool_answer(POOL_FAILED, -ENOENT);
	assert_int_equal(world->error, -ESTALE);
	assert_int_equal(n_tickets, 4);

	/* Another module gives other identities. */
	go(world);
	come(world);
	assert_string_equal(request_of(&tickets[4]), "set 5 ext4 254:0 18000");
}

/* Of two lanes: the answer of the one is read with that of the other. */
static void test_two_lanes(void **state)
{
	static const struct module_interest interest = { "btrfs", 0, 30, EVENTS };
	static const struct module_root root = { .where = "/mnt/root", .mount_id = 77 };
	_cleanup_(module_member_freep) struct module_member *another = NULL;
	struct world *world = *state;

	attach(world);
	assert_return_code(
		module_member_new(&another, world->module, &interest, &member_ops, world), 0);
	refuse(world, -ENOENT);
	pool_answer(POOL_DONE, 0);
	assert_int_equal(world->error, -ENOENT);
	assert_return_code(module_member_ask_root(another, &root), 0);
	module_member_ask(world->member);
	assert_int_equal(n_tickets, 4);

	answer_queue(&tickets[3], recorded_answer_frozen);
	answer_queue(&tickets[2], recorded_answer);
	pool_answer_one(&tickets[2], POOL_DONE, 0);
	assert_int_equal(world->n_answers, 3);
	assert_int_equal(world->error, 0);
	assert_int_equal(world->answer.holds, 0);
	pool_answer_one(&tickets[3], POOL_DONE, 0);
	assert_int_equal(world->n_answers, 4);
	assert_int_equal(world->error, 0);
	assert_int_equal(world->answer.holds, FS_EVENT_BIT(FS_EVENT_FROZEN));
}

static void test_freed(void **state)
{
	struct world *world = *state;

	attach(world);
	world->free_at_event = true;
	tell_recorded(world, MODULE_SOCKET_EVENTS, recorded_frozen);
	assert_null(world->member);
	assert_string_equal(request_of(&tickets[n_tickets - 1]), "del 2 1");
	pool_answer(POOL_FAILED, -EPERM);
	tell_recorded(world, MODULE_SOCKET_EVENTS, recorded_thawed);
	assert_int_equal(world->n_events, 1);
}

/* Its number is not used again: nothing is left to be ended. */
static void test_unmounted(void **state)
{
	struct world *world = *state;

	attach(world);
	tell_numbered(world, FS_EVENT_UNMOUNTED, 1, 1);
	assert_int_equal(world->n_events, 1);
	world->member = module_member_free(world->member);
	assert_int_equal(n_tickets, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_already, setup, teardown),
		cmocka_unit_test_setup_teardown(test_comes_and_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_early, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overrun, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_by_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_lanes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmounted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
