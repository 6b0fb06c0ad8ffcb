/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/history.h"
#include "daemon/core/record.h"
#include "daemon/worker/state-codec.h"
#include "tests/io/state-fixture.h"

static void test_empty(void **state)
{
	struct state_loaded loaded;
	char missing[sizeof(directory)];
	struct stat st;

	assert_int_equal(load_ids(&loaded, NULL, 0), 0);
	assert_string_equal(loaded.epoch, "");
	assert_int_equal(loaded.reserved, 0);
	assert_int_equal(loaded.last_id, 0);
	assert_int_equal(loaded.n_damaged, 0);
	assert_false(loaded.kept_aside);

	/* A missing directory is made, for us alone. */
	strcpy(missing, directory);
	strncat(directory, "/d", sizeof(directory) - strlen(directory) - 1);
	assert_int_equal(load_ids(&loaded, NULL, 0), 0);
	assert_int_equal(stat(directory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	strcpy(directory, missing);
}

static void test_round_trip(void **state)
{
	struct state_loaded loaded;
	uint64_t ids[8];

	for (uint64_t id = 100; id < 105; id++)
		assert_int_equal(append_event(id, EVENT_CORRUPTED), 0);
	assert_int_equal(reserve(EPOCH_A, 5000), 0);

	assert_int_equal(load_ids(&loaded, ids, 8), 5);
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(ids[i], 100 + i);
	assert_string_equal(loaded.epoch, EPOCH_A);
	assert_int_equal(loaded.epoch_first_id, 7);
	assert_int_equal(loaded.reserved, 5000);
	assert_int_equal(loaded.last_id, 104);
	assert_int_equal(loaded.n_damaged, 0);

	/* Never lowered, whoever asks. */
	assert_int_equal(reserve(EPOCH_B, 4000), 0);
	load_ids(&loaded, ids, 8);
	assert_string_equal(loaded.epoch, EPOCH_B);
	assert_int_equal(loaded.reserved, 5000);

	assert_int_equal(reserve("no epoch", 4000), -EINVAL);
}

/* Batches that were given up as lost and written nevertheless, late and out of order. */
static void test_repeated(void **state)
{
	struct details more = {};
	uint8_t frame[RECORD_FRAME_MAX];
	struct record_reader reader = {};
	struct state_loaded loaded;
	struct record record;
	struct detail detail;
	size_t n, n_pairs = 0, offset = 0;
	void *reply;

	assert_int_equal(details_add_string(&more, "path", "x", DETAIL_PRIVATE), 0);
	n = record_frame_amend(frame, sizeof(frame), 11, more.data, more.n_data);
	assert_true(n > 0);

	assert_int_equal(append_event(12, EVENT_SHUTDOWN), 0);
	assert_int_equal(append_event(11, EVENT_SHUTDOWN), 0);
	assert_int_equal(append(frame, n), 0);
	assert_int_equal(append(frame, n), 0);
	assert_int_equal(append_event(11, EVENT_SHUTDOWN), 0);
	assert_int_equal(append_event(12, EVENT_SHUTDOWN), 0);
	/* An amendment of nothing. */
	n = record_frame_amend(frame, sizeof(frame), 99, more.data, more.n_data);
	assert_int_equal(append(frame, n), 0);
	details_deinit(&more);

	assert_int_equal(load(&loaded, &reply), 0);
	reader.data = loaded.frames;
	reader.n_data = loaded.n_frames;

	assert_true(record_reader_next(&reader, &record));
	assert_int_equal(record.id, 11);
	assert_true(details_find(&record.event.details, "path", &detail));
	assert_true(detail.flags & DETAIL_PRIVATE);
	while (details_next(record.event.details.data, record.event.details.n_data, &offset,
			    &detail) == 1)
		n_pairs++;
	assert_int_equal(n_pairs, 4);
	assert_true(record_reader_next(&reader, &record));
	assert_int_equal(record.id, 12);
	assert_false(record_reader_next(&reader, &record));
	assert_int_equal(loaded.last_id, 99);
	free(reply);
}

/* Many mounts by ordinary users: the file stays bounded and keeps the one old damage. */
static void test_compact(void **state)
{
	static uint8_t batch[256 * 1024];
	static uint64_t ids[2 * HISTORY_SIZE_DEFAULT];
	struct state_loaded loaded;
	uint64_t id = 1;
	struct stat st;
	off_t largest = 0;
	size_t n;

	assert_int_equal(append_event(id++, EVENT_CORRUPTED), 0);

	while (id < 100000) {
		size_t n_batch = 0;

		while (sizeof(batch) - n_batch > 1024)
			n_batch += frame_make(batch + n_batch, sizeof(batch) - n_batch, id++,
					      EVENT_MOUNTED);
		assert_int_equal(append(batch, n_batch), 0);
		assert_int_equal(stat(in_directory("history"), &st), 0);
		if (st.st_size > largest)
			largest = st.st_size;
	}

	assert_true(largest <= STATE_COMPACT_MIN);
	assert_true(largest > STATE_COMPACT_MIN / 2);

	n = load_ids(&loaded, ids, 2 * HISTORY_SIZE_DEFAULT);
	assert_true(n > 1 && n <= HISTORY_SIZE_DEFAULT);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[n - 1], id - 1);
	assert_int_equal(loaded.last_id, id - 1);
}

/* The disk is full in the middle of a batch: an error, and the file is as before. */
static void test_full(void **state)
{
	static uint8_t before[16384], after[16384];
	struct rlimit old, limit;
	struct state_loaded loaded;
	size_t n, n_after;

	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(append_event(1, EVENT_SHUTDOWN), 0);
	assert_int_equal(reserve(EPOCH_A, 10), 0);
	n = slurp("history", before, sizeof(before));

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;

	for (size_t room = 0; room < 64; room += 8) {
		limit.rlim_cur = n + room;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		assert_int_equal(append_event(2, EVENT_SHUTDOWN), -EFBIG);
		limit.rlim_cur = room < 32 ? room : 32;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		assert_int_equal(reserve(EPOCH_B, 20), -EFBIG);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);

		n_after = slurp("history", after, sizeof(after));
		assert_int_equal(n_after, n);
		assert_memory_equal(before, after, n);
		assert_int_equal(access(in_directory("ids.new"), F_OK), -1);
	}

	assert_int_equal(append_event(2, EVENT_SHUTDOWN), 0);
	assert_int_equal(load_ids(&loaded, NULL, 0), 2);
	assert_string_equal(loaded.epoch, EPOCH_A);
	assert_int_equal(loaded.reserved, 10);
	assert_int_equal(loaded.n_damaged, 0);
}

static void test_refused(void **state)
{
	static const char *const names[] = { "history", "ids" };
	struct state_loaded loaded;
	char saved[sizeof(directory)];
	void *reply;

	strcpy(saved, directory);

	for (size_t i = 0; i < 2; i++) {
		/* A link, a FIFO, a directory, another's file. */
		spill("target", (const uint8_t *)"x", 1);
		(void)unlink(in_directory("history"));
		assert_int_equal(symlink("target", in_directory(names[i])), 0);
		if (i == 0) {
			assert_int_equal(load(&loaded, &reply), -ELOOP);
			assert_int_equal(append_event(1, EVENT_SHUTDOWN), -ELOOP);
		} else {
			assert_int_equal(load(&loaded, &reply), 0);
			assert_string_equal(loaded.epoch, "");
			free(reply);
		}
		assert_int_equal(unlink(in_directory(names[i])), 0);

		assert_int_equal(mkfifo(in_directory(names[i]), 0600), 0);
		if (i == 0)
			assert_int_equal(load(&loaded, &reply), -EBADF);
		else
			assert_int_equal(reserve(EPOCH_A, 5), 0);
		assert_int_equal(unlink(in_directory(names[i])), 0);
	}

	/* Writable by others. */
	assert_int_equal(append_event(1, EVENT_SHUTDOWN), 0);
	assert_int_equal(chmod(in_directory("history"), 0666), 0);
	assert_int_equal(load(&loaded, &reply), -EPERM);
	assert_int_equal(chmod(in_directory("history"), 0600), 0);

	assert_int_equal(chmod(directory, 0777), 0);
	assert_int_equal(load(&loaded, &reply), -EPERM);
	assert_int_equal(append_event(2, EVENT_SHUTDOWN), -EPERM);
	assert_int_equal(reserve(EPOCH_A, 5), -EPERM);
	assert_int_equal(chmod(directory, 0700), 0);

	if (geteuid() == 0) {
		assert_int_equal(chown(directory, 12345, 0), 0);
		if (load(&loaded, &reply) != -EPERM)
			fail_msg("another user's directory was accepted");
		assert_int_equal(chown(directory, 0, 0), 0);
	}

	/* A link in the place of the directory, a file, a missing parent. */
	assert_int_equal(symlink(saved, in_directory("link")), 0);
	strcpy(directory, in_directory("link"));
	assert_int_equal(load(&loaded, &reply), -ENOTDIR);
	strcpy(directory, saved);
	strcpy(directory, in_directory("target"));
	assert_int_equal(load(&loaded, &reply), -ENOTDIR);
	strcpy(directory, saved);
	strcpy(directory, in_directory("no/such"));
	assert_int_equal(load(&loaded, &reply), -ENOENT);
	strcpy(directory, saved);
}

static bool has_ended(pid_t pid, int *ret_status)
{
	pid_t r = waitpid(pid, ret_status, WNOHANG);

	assert_true(r == 0 || r == pid);
	return r == pid;
}

/* The writer of a killed daemon hangs in the disk: the next one's waits, and reads meanwhile. */
static void test_two_writers(void **state)
{
	static uint8_t bytes[4096];
	struct state_loaded loaded;
	size_t n_damaged, n;
	int lock, status;
	uint64_t ids[8];
	pid_t pids[2];

	assert_int_equal(append_event(1, EVENT_SHUTDOWN), 0);
	assert_int_equal(append_event(2, EVENT_SHUTDOWN), 0);
	n_damaged = slurp("history", bytes, sizeof(bytes)) - 20;
	spill("history", bytes, n_damaged);

	lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(lock >= 0);
	assert_int_equal(flock(lock, LOCK_EX), 0);

	for (unsigned int i = 0; i < 2; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			close(lock);
			_exit(i ? append_event(3, EVENT_SHUTDOWN) : reserve(EPOCH_A, 5));
		}
	}

	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(load_ids(&loaded, ids, 8), 1);
		assert_int_equal(slurp("history", bytes, sizeof(bytes)), n_damaged);
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
	assert_false(has_ended(pids[0], &status));
	assert_false(has_ended(pids[1], &status));

	close(lock);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	n = load_ids(&loaded, ids, 8);
	assert_int_equal(n, 2);
	assert_int_equal(ids[1], 3);
	assert_int_equal(loaded.reserved, 5);
}

static void test_bad_payloads(void **state)
{
	struct state_request request = {
		.directory = directory,
		.frames = "12345678",
		.n_frames = 8,
	};
	struct state_loaded_head head;
	struct state_loaded loaded;
	void *payload, *reply;
	size_t n, n_reply;

	assert_int_equal(state_request_encode(&request, &payload, &n), 0);
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, payload, cut);
		assert_int_equal(state_load_job(copy, cut, &reply, &n_reply), -EBADMSG);
		assert_int_equal(state_append_job(copy, cut, &reply, &n_reply), -EBADMSG);
		assert_int_equal(state_reserve_job(copy, cut, &reply, &n_reply), -EBADMSG);
		free(copy);
	}
	free(payload);

	assert_int_equal(load(&loaded, &reply), 0);
	for (size_t cut = 0; cut < sizeof(head); cut++)
		assert_int_equal(state_loaded_decode(reply, cut, &loaded), -EBADMSG);
	memcpy(&head, reply, sizeof(head));
	free(reply);
	assert_int_equal(state_loaded_decode(&head, sizeof(head), &loaded), 0);

	for (unsigned int i = 0; i < 7; i++) {
		struct state_loaded_head bad = head;

		switch (i) {
		case 0:
			bad.epoch[0] = 'X';
			break;
		case 1:
			bad.next_id = STATE_ID_MAX + 1;
			break;
		case 2:
			bad.n_gaps = HISTORY_GAPS + 1;
			break;
		case 3:
			bad.n_gaps = UINT32_MAX;
			break;
		case 4:
			bad.n_gaps = 1; /* from 0 */
			break;
		case 5:
			bad.n_gaps = 1;
			bad.gaps[0] = (struct history_gap){ 9, 8 };
			break;
		default:
			bad.n_gaps = 1;
			bad.gaps[0] = (struct history_gap){ 9, STATE_ID_MAX };
		}
		assert_int_equal(state_loaded_decode(&bad, sizeof(bad), &loaded), -EBADMSG);
	}
}

/* The mark of an orderly end and the gaps: there until the next writing of the ids, and refused where they make no sense. */
static void test_mark(void **state)
{
	static const struct history_gap gaps[HISTORY_GAPS] = { { 100, 199 }, { 300, 300 } };
	struct state_request request = {
		.epoch = EPOCH_A,
		.epoch_first_id = 7,
		.reserved = 1000,
		.next_id = 500,
		.gaps = gaps,
		.n_gaps = 2,
	};
	struct state_loaded loaded;

	assert_int_equal(append_event(400, EVENT_SHUTDOWN), 0);
	assert_int_equal(reserve_ids(&request), 0);
	for (unsigned int i = 0; i < 2; i++) {
		load_ids(&loaded, NULL, 0);
		assert_int_equal(loaded.next_id, 500);
		assert_int_equal(loaded.reserved, 1000);
		assert_int_equal(loaded.n_gaps, 2);
		assert_memory_equal(loaded.gaps, gaps, 2 * sizeof(gaps[0]));
	}

	/* An id at or above it was given out: the mark is worth nothing. */
	assert_int_equal(append_event(499, EVENT_SHUTDOWN), 0);
	load_ids(&loaded, NULL, 0);
	assert_int_equal(loaded.next_id, 500);
	assert_int_equal(append_event(500, EVENT_SHUTDOWN), 0);
	load_ids(&loaded, NULL, 0);
	assert_int_equal(loaded.next_id, 0);
	assert_int_equal(loaded.reserved, 1000);

	/* Running again. */
	request.next_id = 0;
	request.n_gaps = 1;
	assert_int_equal(reserve_ids(&request), 0);
	load_ids(&loaded, NULL, 0);
	assert_int_equal(loaded.next_id, 0);
	assert_int_equal(loaded.n_gaps, 1);

	request.next_id = STATE_ID_MAX + 1;
	assert_int_equal(reserve_ids(&request), -EINVAL);
	request.next_id = 0;
	request.n_gaps = 3;
	assert_int_equal(reserve_ids(&request), -EINVAL);
	load_ids(&loaded, NULL, 0);
	assert_int_equal(loaded.n_gaps, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_round_trip, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_repeated, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_compact, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_full, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_refused, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_two_writers, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_bad_payloads, state_setup, state_teardown),
		cmocka_unit_test_setup_teardown(test_mark, state_setup, state_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
