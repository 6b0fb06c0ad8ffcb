/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/wire-proc.h"
#include "tests/unit/proc-fixture.h"

static void add_fork(struct datagram *datagram, uint32_t seq, int parent, int tid, int tgid)
{
	struct proc_event event = proc_event(PROC_EVENT_FORK, 3);

	event.event_data.fork.parent_pid = parent;
	event.event_data.fork.parent_tgid = parent;
	event.event_data.fork.child_pid = tid;
	event.event_data.fork.child_tgid = tgid;
	datagram_add(datagram, &event, seq, 0);
}

static void expect_end(const struct datagram *datagram, size_t *offset)
{
	struct wire_proc_event got;

	assert_int_equal(wire_proc_next(datagram->bytes, datagram->n, offset, &got), 0);
}

static void test_kinds(void **state)
{
	struct datagram datagram = {};
	struct wire_proc_event got;
	struct proc_event event;
	size_t offset = 0;

	add_fork(&datagram, 7, 10, 12, 11);
	event = proc_event(PROC_EVENT_EXEC, 1);
	event.event_data.exec.process_pid = 20;
	event.event_data.exec.process_tgid = 20;
	datagram_add(&datagram, &event, 8, 0);
	event = proc_event(PROC_EVENT_UID, 1);
	event.event_data.id.process_pid = 21;
	event.event_data.id.process_tgid = 20;
	event.event_data.id.r.ruid = 1000;
	event.event_data.id.e.euid = 0;
	datagram_add(&datagram, &event, 9, 0);
	event = proc_event(PROC_EVENT_EXIT, 0);
	event.event_data.exit.process_pid = 21;
	event.event_data.exit.process_tgid = 20;
	event.event_data.exit.exit_code = 0x300;
	event.event_data.exit.parent_tgid = 10;
	datagram_add(&datagram, &event, 10, 0);

	assert_int_equal(wire_proc_next(datagram.bytes, datagram.n, &offset, &got), 1);
	assert_int_equal(got.kind, WIRE_PROC_FORK);
	assert_int_equal(got.cpu, 3);
	assert_int_equal(got.seq, 7);
	assert_int_equal(got.monotonic_ns, 123456789);
	assert_int_equal(got.tid, 12);
	assert_int_equal(got.tgid, 11);
	assert_int_equal(got.parent_tgid, 10);

	assert_int_equal(wire_proc_next(datagram.bytes, datagram.n, &offset, &got), 1);
	assert_int_equal(got.kind, WIRE_PROC_EXEC);
	assert_int_equal(got.tgid, 20);

	assert_int_equal(wire_proc_next(datagram.bytes, datagram.n, &offset, &got), 1);
	assert_int_equal(got.kind, WIRE_PROC_UID);
	assert_int_equal(got.tid, 21);
	assert_int_equal(got.ruid, 1000);
	assert_int_equal(got.euid, 0);

	assert_int_equal(wire_proc_next(datagram.bytes, datagram.n, &offset, &got), 1);
	assert_int_equal(got.kind, WIRE_PROC_EXIT);
	assert_int_equal(got.status, 0x300);
	assert_int_equal(got.parent_tgid, 10);
	expect_end(&datagram, &offset);
}

static void test_acknowledgement(void **state)
{
	struct proc_event event = proc_event(PROC_EVENT_NONE, UINT32_MAX);
	struct datagram datagram = {};
	struct wire_proc_event got;
	size_t offset = 0;

	event.event_data.ack.err = EPERM;
	datagram_add(&datagram, &event, 5, 42);
	assert_int_equal(wire_proc_next(datagram.bytes, datagram.n, &offset, &got), 1);
	assert_int_equal(got.kind, WIRE_PROC_ACK);
	assert_int_equal(got.ack, 42);
	assert_int_equal(got.error, EPERM);
}

/* What is numbered must be told, though it is of no interest or cannot be. */
static void test_other_kinds(void **state)
{
	struct proc_event event = proc_event(PROC_EVENT_SID, 2);
	struct datagram datagram = {};
	struct wire_proc_event got;
	size_t offset = 0;

	datagram_add(&datagram, &event, 1, 0);
	event = proc_event(0x00100000, 2);
	datagram_add(&datagram, &event, 2, 0);
	add_fork(&datagram, 3, 1, 0, 0);
	add_fork(&datagram, 4, 1, -1, -1);
	for (uint32_t seq = 1; seq <= 4; seq++) {
		assert_int_equal(wire_proc_next(datagram.bytes, datagram.n, &offset, &got), 1);
		assert_int_equal(got.kind, WIRE_PROC_OTHER);
		assert_int_equal(got.seq, seq);
	}
	expect_end(&datagram, &offset);
}

static void test_foreign_messages(void **state)
{
	struct datagram datagram = {};
	struct wire_proc_event got;
	struct cn_msg message;
	uint16_t type = NLMSG_ERROR;
	size_t offset = 0;

	/* another user of the connector, then an error, then ours */
	add_fork(&datagram, 1, 10, 11, 11);
	memcpy(&message, datagram.bytes + sizeof(struct nlmsghdr), sizeof(message));
	message.id.idx = 9;
	memcpy(datagram.bytes + sizeof(struct nlmsghdr), &message, sizeof(message));
	offset = datagram.n;
	add_fork(&datagram, 2, 10, 11, 11);
	memcpy(datagram.bytes + offset + offsetof(struct nlmsghdr, nlmsg_type), &type,
	       sizeof(type));
	add_fork(&datagram, 3, 10, 11, 11);

	offset = 0;
	assert_int_equal(wire_proc_next(datagram.bytes, datagram.n, &offset, &got), 1);
	assert_int_equal(got.seq, 3);
	expect_end(&datagram, &offset);
}

static int decode_first(const struct datagram *datagram, size_t n)
{
	struct wire_proc_event got = { .seq = 99 };
	size_t offset = 0;
	int r = wire_proc_next(datagram->bytes, n, &offset, &got);

	if (r <= 0)
		assert_int_equal(got.seq, 99);
	return r;
}

static void test_cut(void **state)
{
	struct datagram datagram = {};
	uint32_t lengths[] = { 0, 15, 0x80000000, UINT32_MAX, 77 };
	uint16_t length;

	add_fork(&datagram, 1, 10, 11, 11);
	for (size_t n = 1; n < datagram.n; n++)
		assert_int_equal(decode_first(&datagram, n), -EBADMSG);
	assert_int_equal(decode_first(&datagram, datagram.n), 1);

	/* the event's own length: past the message, and short of what a fork needs */
	length = sizeof(struct proc_event) + 1;
	memcpy(datagram.bytes + AT_LENGTH, &length, sizeof(length));
	assert_int_equal(decode_first(&datagram, datagram.n), -EBADMSG);
	length = offsetof(struct proc_event, event_data) + 15;
	memcpy(datagram.bytes + AT_LENGTH, &length, sizeof(length));
	assert_int_equal(decode_first(&datagram, datagram.n), -EBADMSG);
	length++;
	memcpy(datagram.bytes + AT_LENGTH, &length, sizeof(length));
	assert_int_equal(decode_first(&datagram, datagram.n), 1);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		memcpy(datagram.bytes, &lengths[i], sizeof(lengths[i]));
		assert_int_equal(decode_first(&datagram, datagram.n), -EBADMSG);
	}
}

/* Kernels before 3.17 tell no parent at an exit. */
static void test_exit_without_parent(void **state)
{
	struct proc_event event = proc_event(PROC_EVENT_EXIT, 0);
	uint16_t length = offsetof(struct proc_event, event_data) + 16;
	struct datagram datagram = {};
	struct wire_proc_event got;
	size_t offset = 0;

	event.event_data.exit.process_pid = event.event_data.exit.process_tgid = 5;
	event.event_data.exit.parent_tgid = 77;
	datagram_add(&datagram, &event, 1, 0);
	memcpy(datagram.bytes + AT_LENGTH, &length, sizeof(length));
	assert_int_equal(wire_proc_next(datagram.bytes, datagram.n, &offset, &got), 1);
	assert_int_equal(got.kind, WIRE_PROC_EXIT);
	assert_int_equal(got.parent_tgid, 0);
}

static uint64_t note(struct wire_proc_sequence *sequence, uint32_t cpu, uint32_t seq)
{
	const struct wire_proc_event event = { .kind = WIRE_PROC_OTHER, .cpu = cpu, .seq = seq };
	uint64_t lost = 99;

	assert_int_equal(wire_proc_sequence_note(sequence, &event, &lost), 0);
	return lost;
}

static void test_sequence(void **state)
{
	struct wire_proc_sequence sequence = {};
	struct wire_proc_event event = { .kind = WIRE_PROC_ACK, .cpu = UINT32_MAX };
	uint64_t lost = 99;

	assert_int_equal(note(&sequence, 0, 1000), 0);
	assert_int_equal(note(&sequence, 63, 5), 0);
	assert_int_equal(note(&sequence, 0, 1001), 0);
	assert_int_equal(note(&sequence, 0, 1005), 3);
	assert_int_equal(note(&sequence, 63, 6), 0);
	/* told twice, or begun anew: no loss */
	assert_int_equal(note(&sequence, 0, 3), 0);
	assert_int_equal(note(&sequence, 0, 4), 0);
	assert_int_equal(note(&sequence, 1, UINT32_MAX - 1), 0);
	assert_int_equal(note(&sequence, 1, UINT32_MAX), 0);
	assert_int_equal(note(&sequence, 1, 0), 0);
	assert_int_equal(note(&sequence, 1, 2), 1);

	/* an acknowledgement is numbered; one without a CPU is passed over */
	event.cpu = 1;
	event.seq = 5;
	assert_int_equal(wire_proc_sequence_note(&sequence, &event, &lost), 0);
	assert_int_equal(lost, 2);
	assert_int_equal(note(&sequence, 1, 6), 0);
	event.cpu = UINT32_MAX;
	assert_int_equal(wire_proc_sequence_note(&sequence, &event, &lost), 0);
	assert_int_equal(lost, 0);
	/* a CPU that cannot be is refused */
	event.kind = WIRE_PROC_OTHER;
	event.cpu = WIRE_PROC_CPUS_MAX;
	lost = 99;
	assert_int_equal(wire_proc_sequence_note(&sequence, &event, &lost), -ERANGE);
	assert_int_equal(lost, 99);
	assert_int_equal(note(&sequence, WIRE_PROC_CPUS_MAX - 1, 1), 0);

	wire_proc_sequence_deinit(&sequence);
	assert_int_equal(note(&sequence, 0, 77), 0);
	wire_proc_sequence_deinit(&sequence);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),	    cmocka_unit_test(test_acknowledgement),
		cmocka_unit_test(test_other_kinds), cmocka_unit_test(test_foreign_messages),
		cmocka_unit_test(test_cut),	    cmocka_unit_test(test_exit_without_parent),
		cmocka_unit_test(test_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
