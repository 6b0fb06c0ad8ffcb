/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/history.h"
#include "daemon/core/record.h"
#include "tests/io/state-fixture.h"

char directory[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

int state_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(directory, sizeof(directory), "%s/fsevents-XXXXXX",
		       tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	return mkdtemp(directory) ? 0 : -1;
}

int state_teardown(void **state)
{
	return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *in_directory(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

size_t slurp(const char *name, uint8_t *ret, size_t n_ret)
{
	FILE *file = fopen(in_directory(name), "re");
	size_t n;

	assert_non_null(file);
	n = fread(ret, 1, n_ret, file);
	assert_int_equal(fclose(file), 0);
	return n;
}

void spill(const char *name, const uint8_t *data, size_t n)
{
	FILE *file = fopen(in_directory(name), "we");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(in_directory(name), 0600), 0);
}

static void event_make(struct event *ret, uint64_t id, enum event_code code)
{
	*ret = (struct event){
		.id = id,
		.realtime_us = 1000 + id,
		.code = code,
		.severity = event_code_severity(code),
		.fs = { 8, 1, (uint32_t)(id % 5) },
		.data = id * 3,
	};
	assert_int_equal(details_add_bytes(&ret->details, "where", "/srv", 4, 0), 0);
	assert_int_equal(details_add_string(&ret->details, "source", "statfs", 0), 0);
	assert_int_equal(details_add_string(&ret->details, "type", "ext4", 0), 0);
}

size_t frame_make(uint8_t *ret, size_t n_ret, uint64_t id, enum event_code code)
{
	struct event event;
	size_t n;

	event_make(&event, id, code);
	n = record_frame_event(ret, n_ret, &event);
	event_deinit(&event);
	assert_true(n > 0);
	return n;
}

typedef int job_fn(const void *payload, size_t n, void **ret_reply, size_t *ret_n);

static int run(job_fn *job, const struct state_request *request, void **ret_reply, size_t *ret_n)
{
	void *payload = NULL;
	size_t n;
	int r;

	assert_int_equal(state_request_encode(request, &payload, &n), 0);
	r = job(payload, n, ret_reply, ret_n);
	free(payload);
	return r;
}

int append(const uint8_t *frames, size_t n_frames)
{
	struct state_request request = {
		.directory = directory,
		.history_size = HISTORY_SIZE_DEFAULT,
		.frames = frames,
		.n_frames = n_frames,
	};
	void *reply;
	size_t n;
	int r;

	r = run(state_append_job, &request, &reply, &n);
	assert_null(reply);
	return r;
}

int append_event(uint64_t id, enum event_code code)
{
	uint8_t frame[RECORD_FRAME_MAX];

	return append(frame, frame_make(frame, sizeof(frame), id, code));
}

int reserve_ids(const struct state_request *ids)
{
	struct state_request request = *ids;
	void *reply;
	size_t n;

	request.directory = directory;
	return run(state_reserve_job, &request, &reply, &n);
}

int reserve(const char *epoch, uint64_t reserved)
{
	return reserve_ids(&(struct state_request){
		.epoch = epoch,
		.epoch_first_id = 7,
		.reserved = reserved,
	});
}

/* Return: the errno of the job; *ret borrows from *ret_reply. */
int load(struct state_loaded *ret, void **ret_reply)
{
	struct state_request request = {
		.directory = directory,
		.history_size = HISTORY_SIZE_DEFAULT,
	};
	size_t n;
	int r;

	*ret_reply = NULL;
	r = run(state_load_job, &request, ret_reply, &n);
	if (r < 0)
		return r;

	assert_int_equal(state_loaded_decode(*ret_reply, n, ret), 0);
	return 0;
}

/* Loads and checks that ids rise; Return: number of events. */
size_t load_ids(struct state_loaded *ret, uint64_t *ids, size_t n_max)
{
	struct record_reader reader = {};
	struct record record;
	uint64_t last = 0;
	size_t n = 0;
	void *reply;

	assert_int_equal(load(ret, &reply), 0);
	reader.data = ret->frames;
	reader.n_data = ret->n_frames;

	while (record_reader_next(&reader, &record)) {
		assert_int_equal(record.kind, RECORD_EVENT);
		assert_true(record.id > last);
		last = record.id;
		if (n < n_max)
			ids[n] = record.id;
		n++;
	}

	assert_int_equal(reader.n_damaged, 0);
	assert_true(ret->last_id >= last);
	ret->frames = NULL;
	free(reply);
	return n;
}
