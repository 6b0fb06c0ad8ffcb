/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/wire-event.h"
#include "daemon/core/wire-records.h"
#include "tests/unit/event-fixture.h"

/* As the module sent it on Linux 6.12: a shell's child, which executes and ends with 3. */
static const char recorded[] = "30010000230000000000000000000000020100000c0007000100000000000000"
			       "0c00080000000000000000000800110003000000fc0010005000000050000200"
			       "c8e0ea7105000000fcffffef000000000000000000000000bd000000bd000000"
			       "bc000000bc000000bc000000bd00000000000000000000000000000000000000"
			       "000000000000000058000000500003006b004c7205000000fcffffef00000000"
			       "3800000000000000bd000000bd000000bd000000bd000000bc000000bd000000"
			       "0000000000000000000000000000000002000000070000002f62696e2f736800"
			       "5000000050000400f3d6b97205000000fcffffef000000000000000000000000"
			       "bd000000bd0000000000000000000000bc000000bd0000000000000000030000"
			       "03000000000000000000000000000000";

/* A batch that is put together here: at most as much as fits into a datagram. */
struct batch {
	_Alignas(8) uint8_t bytes[4096];
	size_t n;
	uint32_t n_records;
};

static struct fs_event_file file_of(uint32_t events)
{
	return (struct fs_event_file){
		.record = { .header_size = sizeof(struct fs_event_file),
			    .kind = FS_RECORD_FILE,
			    .time_ns = 1000 },
		.inode = 12,
		.dir_inode = 2,
		.fs_id = 7,
		.events = events,
		.pid = 44,
		.tid = 45,
	};
}

static struct fs_event_process process_of(uint16_t kind)
{
	return (struct fs_event_process){
		.record = { .header_size = sizeof(struct fs_event_process),
			    .kind = kind,
			    .time_ns = 2000 },
		.pid = 51,
		.tgid = 50,
		.by_pid = 31,
		.by_tgid = 30,
		.parent = 20,
		.inner_pid = 2,
		.uid = 1000,
	};
}

static void batch_add(struct batch *batch, struct fs_event_record *head, const char *names)
{
	size_t n = head->header_size, n_names = strlen(names);
	uint8_t *at = batch->bytes + batch->n;

	head->size = (uint32_t)(n + n_names + 7) / 8 * 8;
	assert_true(batch->n + head->size <= sizeof(batch->bytes));
	memset(at, 0, head->size);
	memcpy(at, head, n);
	memcpy(at + n, names, n_names);
	batch->n += head->size;
	batch->n_records++;
}

static struct wire_records records_of(const struct batch *batch)
{
	return (struct wire_records){
		.seq = 1,
		.n = batch->n_records,
		.data = batch->bytes,
		.n_data = batch->n,
		.n_left = batch->n_records,
	};
}

static int first_of(const struct batch *batch, struct wire_record *ret)
{
	struct wire_records records = records_of(batch);

	return wire_record_next(&records, ret);
}

static void assert_name(const struct wire_name *name, const char *expected)
{
	assert_int_equal(name->n, strlen(expected));
	assert_memory_equal(name->bytes, expected, name->n);
}

static void test_recorded(void **state)
{
	struct wire_records records;
	struct wire_message message;
	struct datagram datagram;
	struct wire_record record;
	size_t offset = 0;

	datagram_recorded(&datagram, recorded);
	assert_int_equal(wire_message_next(datagram.bytes, datagram.n, &offset, &message), 1);
	assert_int_equal(message.command, FS_NL_C_RECORDS);
	assert_int_equal(wire_records_decode(message.attributes, message.n_attributes, &records),
			 1);
	assert_int_equal(records.seq, 1);
	assert_int_equal(records.n, 3);

	assert_int_equal(wire_record_next(&records, &record), 1);
	assert_int_equal(record.kind, FS_RECORD_FORK);
	assert_int_equal(record.process.pid, 189);
	assert_int_equal(record.process.tgid, 189);
	assert_int_equal(record.process.by_pid, 188);
	assert_int_equal(record.process.by_tgid, 188);
	assert_int_equal(record.process.parent, 188);
	assert_int_equal(record.process.inner_pid, 189);
	assert_int_equal(record.process.pid_namespace, 0xeffffffc);
	assert_int_equal(record.process.name.n, 0);

	assert_int_equal(wire_record_next(&records, &record), 1);
	assert_int_equal(record.kind, FS_RECORD_EXEC);
	assert_int_equal(record.process.inode, 56);
	assert_int_equal(record.process.by_pid, 189);
	assert_name(&record.process.name, "/bin/sh");

	assert_int_equal(wire_record_next(&records, &record), 1);
	assert_int_equal(record.kind, FS_RECORD_EXIT);
	assert_int_equal(record.process.status, 3 << 8);
	assert_int_equal(record.process.flags, FS_PROCESS_LEADER | FS_PROCESS_LAST);
	assert_int_equal(record.process.parent, 188);
	assert_int_equal(record.time_ns, 0x572b9d6f3);

	assert_int_equal(wire_record_next(&records, &record), 0);
}

static void test_file(void **state)
{
	struct fs_event_file file = file_of(FS_FILE_RENAME);
	struct fs_event_process fork = process_of(FS_RECORD_FORK);
	struct wire_records records;
	struct wire_record record;
	struct batch batch = {};

	file.new_dir_inode = 3;
	file.name_size = 3;
	file.new_name_size = 5;
	file.generation = 99;
	batch_add(&batch, &file.record, "oldnewer");
	batch_add(&batch, &fork.record, "");
	/* A name without a directory is of no use, nor one without bytes. */
	file.dir_inode = 0;
	file.new_name_size = 0;
	batch_add(&batch, &file.record, "old");

	records = records_of(&batch);
	assert_int_equal(wire_record_next(&records, &record), 1);
	assert_int_equal(record.kind, FS_RECORD_FILE);
	assert_int_equal(record.time_ns, 1000);
	assert_int_equal(record.file.inode, 12);
	assert_int_equal(record.file.dir_inode, 2);
	assert_int_equal(record.file.new_dir_inode, 3);
	assert_int_equal(record.file.fs_id, 7);
	assert_int_equal(record.file.watch_id, 0);
	assert_int_equal(record.file.events, FS_FILE_RENAME);
	assert_int_equal(record.file.generation, 99);
	assert_int_equal(record.file.pid, 44);
	assert_int_equal(record.file.tid, 45);
	assert_name(&record.file.name, "old");
	assert_name(&record.file.new_name, "newer");
	assert_int_equal(wire_record_next(&records, &record), 1);
	assert_int_equal(record.kind, FS_RECORD_FORK);
	assert_int_equal(record.process.by_tgid, 30);
	assert_int_equal(wire_record_next(&records, &record), 1);
	assert_int_equal(record.file.dir_inode, 0);
	assert_int_equal(record.file.new_dir_inode, 0);
	assert_int_equal(record.file.name.n, 0);
	assert_int_equal(record.file.new_name.n, 0);
	assert_int_equal(wire_record_next(&records, &record), 0);
}

/* What a later module adds: kinds, and members behind those that are known. */
static void test_later(void **state)
{
	struct {
		struct fs_event_process known;
		uint64_t future;
	} later = { .known = process_of(FS_RECORD_EXEC), .future = UINT64_MAX };
	struct fs_event_record unknown = { .header_size = sizeof(unknown), .kind = 900 };
	struct fs_event_process nobody = process_of(FS_RECORD_EXIT);
	struct fs_event_file nothing = file_of(0);
	struct wire_records records;
	struct wire_record record;
	struct batch batch = {};

	later.known.record.header_size = sizeof(later);
	later.known.name_size = 4;
	nobody.tgid = 0;
	batch_add(&batch, &unknown, "something");
	batch_add(&batch, &nobody.record, "");
	nobody.tgid = 1U << 31;
	batch_add(&batch, &nobody.record, "");
	batch_add(&batch, &nothing.record, "");
	batch_add(&batch, &later.known.record, "true");

	records = records_of(&batch);
	assert_int_equal(wire_record_next(&records, &record), 1);
	assert_int_equal(record.kind, FS_RECORD_EXEC);
	assert_name(&record.process.name, "true");
	assert_int_equal(wire_record_next(&records, &record), 0);
}

static void test_other_pids(void **state)
{
	struct fs_event_process fork = process_of(FS_RECORD_FORK);
	struct wire_record record;
	struct batch batch = {};

	fork.by_pid = fork.by_tgid = fork.parent = fork.inner_pid = UINT32_MAX;
	batch_add(&batch, &fork.record, "");
	assert_int_equal(first_of(&batch, &record), 1);
	assert_int_equal(record.process.by_pid, 0);
	assert_int_equal(record.process.by_tgid, 0);
	assert_int_equal(record.process.parent, 0);
	assert_int_equal(record.process.inner_pid, 0);
}

static void test_malformed_names(void **state)
{
	static const struct {
		const char *names;
		uint16_t n_name, n_new_name;
	} rows[] = {
		{ "a/b", 3, 0 },
		{ ".", 1, 0 },
		{ "..", 2, 0 },
		{ "ab..", 2, 2 },
		{ "a", 2, 0 },
		{ "ab", 2, 9 },
		{ "ab", UINT16_MAX, UINT16_MAX },
		{ "ab", 0, 9 },
		{ "ab", 9, 0 },
	};
	static const size_t lengths[] = { NAME_MAX, NAME_MAX + 1, FS_EVENT_NAME_MAX,
					  FS_EVENT_NAME_MAX + 1 };
	char name[FS_EVENT_NAME_MAX + 2];
	struct wire_record record;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fs_event_file file = file_of(FS_FILE_CREATE);
		struct batch batch = {};

		file.new_dir_inode = 3;
		file.name_size = rows[i].n_name;
		file.new_name_size = rows[i].n_new_name;
		batch_add(&batch, &file.record, rows[i].names);
		assert_int_equal(first_of(&batch, &record), -EBADMSG);
	}

	memset(name, 'x', sizeof(name));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t n = lengths[i];
		struct fs_event_file file = file_of(FS_FILE_CREATE);
		struct fs_event_process exec = process_of(FS_RECORD_EXEC);
		struct batch batch = {};

		name[n] = '\0';
		file.name_size = exec.name_size = (uint16_t)n;
		batch_add(&batch, &exec.record, name);
		assert_int_equal(first_of(&batch, &record), 1);
		batch = (struct batch){};
		batch_add(&batch, &file.record, name);
		assert_int_equal(first_of(&batch, &record), n <= FS_EVENT_NAME_MAX ? 1 : -EBADMSG);
		if (n <= FS_EVENT_NAME_MAX) {
			assert_int_equal(record.file.name.n, n == NAME_MAX ? n : 0);
			assert_int_equal(record.file.dir_inode, n == NAME_MAX ? 2 : 0);
			assert_int_equal(record.file.inode, 12);
		}
		name[n] = 'x';
	}
}

static void test_malformed_lengths(void **state)
{
	static const struct {
		uint32_t size;
		uint16_t n_header;
	} rows[] = {
		{ 0, 80 },  { 8, 80 },		{ 72, 80 }, { 84, 80 }, { 96, 80 },
		{ 80, 88 }, { UINT32_MAX, 80 }, { 80, 15 }, { 80, 16 }, { UINT32_MAX - 7, 80 },
		{ 80, 72 },
	};
	struct fs_event_process fork = process_of(FS_RECORD_FORK);
	struct wire_records records;
	struct wire_record record;
	struct batch batch = {};

	batch_add(&batch, &fork.record, "");
	assert_int_equal(first_of(&batch, &record), 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fork.record.size = rows[i].size;
		fork.record.header_size = rows[i].n_header;
		memcpy(batch.bytes, &fork, sizeof(fork));
		assert_int_equal(first_of(&batch, &record), -EBADMSG);
	}

	/* Fewer and more than the batch says */
	fork = process_of(FS_RECORD_FORK);
	batch = (struct batch){};
	batch_add(&batch, &fork.record, "");
	for (uint32_t n = 0; n <= 2; n += 2) {
		records = records_of(&batch);
		records.n = records.n_left = n;
		if (n == 2)
			assert_int_equal(wire_record_next(&records, &record), 1);
		assert_int_equal(wire_record_next(&records, &record), -EBADMSG);
	}
}

static int decode(const struct datagram *datagram, struct wire_records *ret)
{
	struct wire_message message;
	size_t offset = 0;

	assert_int_equal(wire_message_next(datagram->bytes, datagram->n, &offset, &message), 1);
	return wire_records_decode(message.attributes, message.n_attributes, ret);
}

static void test_batch(void **state)
{
	struct wire_records records = { .seq = 99 };
	struct wire_record record;
	struct datagram datagram;
	struct wire_message message;
	size_t offset = 0;

	/* Only that there is a gap */
	datagram_begin(&datagram, FIXTURE_FAMILY, 0, FS_NL_C_RECORDS);
	datagram_add_u64(&datagram, FS_NL_A_LOST, 17);
	assert_int_equal(decode(&datagram, &records), 0);
	datagram_add_u64(&datagram, FS_NL_A_SEQ, 18);
	assert_int_equal(decode(&datagram, &records), 0);
	assert_int_equal(records.seq, 99);
	datagram_add_u32(&datagram, FS_NL_A_N_RECORDS, 0);
	assert_int_equal(decode(&datagram, &records), 1);
	assert_int_equal(records.seq, 18);
	assert_int_equal(wire_record_next(&records, &record), 0);
	datagram_add(&datagram, FS_NL_A_RECORDS, NULL, 0);
	assert_int_equal(decode(&datagram, &records), 1);
	assert_int_equal(wire_record_next(&records, &record), 0);
	datagram_add(&datagram, FS_NL_A_SEQ, "four", 4);
	assert_int_equal(decode(&datagram, &records), -EBADMSG);

	datagram_recorded(&datagram, recorded);
	assert_int_equal(wire_message_next(datagram.bytes, datagram.n, &offset, &message), 1);
	for (size_t n = 1; n < message.n_attributes; n++) {
		int r = wire_records_decode(message.attributes, n, &records);

		/* Cut where an attribute ends, it says more than it has. */
		if (r == 1)
			r = wire_record_next(&records, &record);
		assert_true(r == 0 || r == -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),	cmocka_unit_test(test_file),
		cmocka_unit_test(test_later),		cmocka_unit_test(test_other_pids),
		cmocka_unit_test(test_malformed_names), cmocka_unit_test(test_malformed_lengths),
		cmocka_unit_test(test_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
