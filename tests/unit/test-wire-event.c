/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/wire-event.h"
#include "tests/unit/event-fixture.h"

static struct wire_message message_of(const struct datagram *datagram)
{
	struct wire_message message, none;
	size_t offset = 0;

	assert_int_equal(wire_message_next(datagram->bytes, datagram->n, &offset, &message), 1);
	assert_int_equal(offset, datagram->n);
	assert_int_equal(wire_message_next(datagram->bytes, datagram->n, &offset, &none), 0);
	return message;
}

static int decode(const struct datagram *datagram, struct wire_event *ret)
{
	struct wire_message message = message_of(datagram);

	assert_false(message.is_ack);
	assert_int_equal(message.family, FIXTURE_FAMILY);
	assert_int_equal(message.command, FS_NL_C_EVENT);
	return wire_event_decode(message.attributes, message.n_attributes, ret);
}

static void test_recorded(void **state)
{
	static const struct {
		const char *hex;
		struct wire_event event;
	} rows[] = {
		{ recorded_frozen,
		  { .id = FS_EVENT_FROZEN, .dev_major = 254, .fs_id = 1, .pid = 170, .seq = 1 } },
		{ recorded_level,
		  { .id = FS_THR_LRBELOW,
		    .dev_major = 254,
		    .fs_id = 1,
		    .data = 40425,
		    .seq = 2,
		    .level = "reached" } },
		{ recorded_thawed,
		  { .id = FS_EVENT_THAWED, .dev_major = 254, .fs_id = 1, .pid = 171, .seq = 3 } },
		{ recorded_unmounted,
		  { .id = FS_EVENT_UNMOUNTED,
		    .dev_major = 254,
		    .fs_id = 1,
		    .pid = 166,
		    .seq = 7 } },
		{ recorded_corrupted,
		  { .id = FS_ERR_CORRUPTED,
		    .dev_major = 254,
		    .dev_minor = 48,
		    .fs_id = 2,
		    .pid = 179,
		    .data = EBADMSG,
		    .seq = 8,
		    .error = EBADMSG,
		    .has_inode = true,
		    .inode = 74 } },
	};
	uint64_t time_ns = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct wire_event *wanted = &rows[i].event;
		struct datagram datagram;
		struct wire_event event;

		datagram_recorded(&datagram, rows[i].hex);
		assert_int_equal(decode(&datagram, &event), 1);
		assert_int_equal(event.id, wanted->id);
		assert_int_equal(event.dev_major, wanted->dev_major);
		assert_int_equal(event.dev_minor, wanted->dev_minor);
		assert_int_equal(event.fs_id, wanted->fs_id);
		assert_int_equal(event.pid, wanted->pid);
		assert_int_equal(event.data, wanted->data);
		assert_int_equal(event.seq, wanted->seq);
		assert_int_equal(event.error, wanted->error);
		assert_int_equal(event.has_inode, wanted->has_inode);
		assert_int_equal(event.inode, wanted->inode);
		assert_int_equal(event.count, 1);
		assert_false(event.test);
		assert_string_equal(event.level, wanted->level);
		assert_true(event.time_ns > time_ns);
		time_ns = event.time_ns;
	}
}

static void test_composed(void **state)
{
	struct datagram datagram;
	struct wire_event event;

	/* Also what a later module adds. */
	datagram_begin(&datagram, FIXTURE_FAMILY, 0, FS_NL_C_EVENT);
	datagram_add_u32(&datagram, FS_NL_A_EVENT_ID, 4711);
	datagram_add_u32(&datagram, FS_NL_A_COUNT, 12);
	datagram_add(&datagram, FS_NL_A_TEST, NULL, 0);
	datagram_add(&datagram, FS_NL_A_MAX + 100, "future", 6);
	datagram_add_u64(&datagram, FS_NL_A_CAUSED_ID, 1ULL << 32);
	datagram_add_u32(&datagram, FS_NL_A_ERRNO, 70000);
	assert_int_equal(decode(&datagram, &event), 1);
	assert_int_equal(event.id, 4711);
	assert_int_equal(event.count, 12);
	assert_true(event.repeats);
	assert_true(event.test);
	assert_int_equal(event.pid, 0);
	assert_int_equal(event.error, 0);
	assert_int_equal(event.seq, 0);
}

static void test_malformed(void **state)
{
	static const uint16_t attributes[] = {
		FS_NL_A_EVENT_ID, FS_NL_A_DEV_MAJOR, FS_NL_A_DEV_MINOR, FS_NL_A_CAUSED_ID,
		FS_NL_A_DATA,	  FS_NL_A_SEQ,	     FS_NL_A_FS_ID,	FS_NL_A_TIME,
		FS_NL_A_ERRNO,	  FS_NL_A_COUNT,     FS_NL_A_INODE,
	};
	char level[FS_EVENT_LEVEL_NAME_MAX + 2];
	struct datagram datagram;
	struct wire_event event = { .id = 99 };
	struct wire_message message;

	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		datagram_begin(&datagram, FIXTURE_FAMILY, 0, FS_NL_C_EVENT);
		datagram_add_u32(&datagram, FS_NL_A_EVENT_ID, 1);
		datagram_add(&datagram, attributes[i], "abcdef", 6);
		assert_int_equal(decode(&datagram, &event), -EBADMSG);
	}

	/* One byte more than the longest, and one with a NUL within. */
	memset(level, 'x', sizeof(level));
	datagram_begin(&datagram, FIXTURE_FAMILY, 0, FS_NL_C_EVENT);
	datagram_add_u32(&datagram, FS_NL_A_EVENT_ID, 1);
	datagram_add(&datagram, FS_NL_A_LEVEL, level, FS_EVENT_LEVEL_NAME_MAX + 1);
	assert_int_equal(decode(&datagram, &event), -EBADMSG);
	datagram_begin(&datagram, FIXTURE_FAMILY, 0, FS_NL_C_EVENT);
	datagram_add_u32(&datagram, FS_NL_A_EVENT_ID, 1);
	datagram_add(&datagram, FS_NL_A_LEVEL, "a\0b", 4);
	assert_int_equal(decode(&datagram, &event), -EBADMSG);

	/* Of nothing */
	datagram_begin(&datagram, FIXTURE_FAMILY, 0, FS_NL_C_EVENT);
	datagram_add_u32(&datagram, FS_NL_A_DEV_MAJOR, 8);
	assert_int_equal(decode(&datagram, &event), 0);
	assert_int_equal(event.id, 99);

	datagram_recorded(&datagram, recorded_corrupted);
	for (size_t n = 1; n < datagram.n; n++) {
		size_t offset = 0;

		assert_int_equal(wire_message_next(datagram.bytes, n, &offset, &message), -EBADMSG);
	}
	message = message_of(&datagram);
	for (size_t n = 1; n < message.n_attributes; n++)
		assert_true(wire_event_decode(message.attributes, n, &event) <= 1);
}

static void test_answer(void **state)
{
	struct wire_event_answer answer = {};
	struct wire_message message;
	struct datagram datagram;

	datagram_recorded(&datagram, recorded_answer);
	message = message_of(&datagram);
	assert_false(message.is_ack);
	assert_int_equal(message.command, FS_NL_C_FS_SET);
	assert_int_equal(
		wire_event_answer_decode(message.attributes, message.n_attributes, &answer), 1);
	assert_int_equal(answer.fs_id, 1);
	assert_true(answer.capable & FS_EVENT_BIT(FS_EVENT_FROZEN));
	assert_true(answer.has_holds);
	assert_int_equal(answer.holds, 0);

	datagram_recorded(&datagram, recorded_answer_frozen);
	message = message_of(&datagram);
	assert_int_equal(
		wire_event_answer_decode(message.attributes, message.n_attributes, &answer), 1);
	assert_int_equal(answer.holds, FS_EVENT_BIT(FS_EVENT_FROZEN));

	/* One that says less */
	datagram_begin(&datagram, FIXTURE_FAMILY, 7, FS_NL_C_FS_SET);
	datagram_add_u32(&datagram, FS_NL_A_FS_ID, 5);
	message = message_of(&datagram);
	assert_int_equal(message.seq, 7);
	assert_int_equal(
		wire_event_answer_decode(message.attributes, message.n_attributes, &answer), 1);
	assert_int_equal(answer.fs_id, 5);
	assert_false(answer.has_holds);
	datagram_add_u32(&datagram, FS_NL_A_CAPABLE, 1);
	message = message_of(&datagram);
	assert_int_equal(wire_event_answer_decode(message.attributes, message.n_attributes,
						  &answer),
			 -EBADMSG);
}

static void test_watch_answer(void **state)
{
	struct wire_message message;
	struct datagram datagram;
	uint32_t id = 0;

	datagram_begin(&datagram, FIXTURE_FAMILY, 7, FS_NL_C_WATCH_ADD);
	datagram_add_u32(&datagram, FS_NL_A_FS_ID, 5);
	message = message_of(&datagram);
	assert_int_equal(wire_watch_answer_decode(message.attributes, message.n_attributes, &id),
			 0);
	datagram_add_u32(&datagram, FS_NL_A_WATCH_ID, 77);
	message = message_of(&datagram);
	assert_int_equal(message.command, FS_NL_C_WATCH_ADD);
	assert_int_equal(wire_watch_answer_decode(message.attributes, message.n_attributes, &id),
			 1);
	assert_int_equal(id, 77);
	datagram_add(&datagram, FS_NL_A_WATCH_ID, "too long", 8);
	message = message_of(&datagram);
	assert_int_equal(wire_watch_answer_decode(message.attributes, message.n_attributes, &id),
			 -EBADMSG);
}

static void test_refusal(void **state)
{
	struct wire_message message;
	struct datagram datagram;
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} refusal = {
		.header = { .nlmsg_len = sizeof(refusal),
			    .nlmsg_type = NLMSG_ERROR,
			    .nlmsg_seq = 3 },
	};
	static const struct {
		int32_t sent, taken;
	} rows[] = { { -EBUSY, -EBUSY }, { 0, 0 }, { 5, -EIO }, { INT32_MIN, -EIO } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		refusal.error.error = rows[i].sent;
		memcpy(datagram.bytes, &refusal, sizeof(refusal));
		datagram.n = sizeof(refusal);
		message = message_of(&datagram);
		assert_true(message.is_ack);
		assert_int_equal(message.seq, 3);
		assert_int_equal(message.error, rows[i].taken);
	}
}

static void test_family(void **state)
{
	struct wire_family family = {};
	struct wire_message message;
	struct datagram datagram;
	uint16_t id = 0x23;

	datagram_begin(&datagram, GENL_ID_CTRL, 0, CTRL_CMD_NEWFAMILY);
	datagram_add(&datagram, CTRL_ATTR_FAMILY_NAME, "fs_event", sizeof("fs_event"));
	message = message_of(&datagram);
	assert_int_equal(wire_family_decode(message.attributes, message.n_attributes, &family), 0);
	datagram_add(&datagram, CTRL_ATTR_FAMILY_ID, &id, sizeof(id));
	message = message_of(&datagram);
	assert_int_equal(message.family, GENL_ID_CTRL);
	assert_int_equal(wire_family_decode(message.attributes, message.n_attributes, &family), 1);
	assert_string_equal(family.name, "fs_event");
	assert_int_equal(family.id, 0x23);
	datagram_add(&datagram, CTRL_ATTR_FAMILY_NAME, "a-name-of-16byte", 16);
	message = message_of(&datagram);
	assert_int_equal(wire_family_decode(message.attributes, message.n_attributes, &family),
			 -EBADMSG);
}

static void test_sequence(void **state)
{
	struct wire_event_sequence sequence = {};

	assert_int_equal(wire_event_sequence_note(&sequence, 100, 1), 0);
	assert_int_equal(wire_event_sequence_note(&sequence, 101, 3), 0);
	assert_int_equal(wire_event_sequence_note(&sequence, 104, 1), 0);
	assert_int_equal(wire_event_sequence_note(&sequence, 110, 2), 5);
	assert_int_equal(wire_event_sequence_note(&sequence, 112, 1), 0);
	/* Another count */
	assert_int_equal(wire_event_sequence_note(&sequence, 1, 1), 0);
	assert_int_equal(wire_event_sequence_note(&sequence, 3, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),     cmocka_unit_test(test_composed),
		cmocka_unit_test(test_malformed),    cmocka_unit_test(test_answer),
		cmocka_unit_test(test_watch_answer), cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_family),	     cmocka_unit_test(test_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
