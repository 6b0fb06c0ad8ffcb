/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/worker/conffile.h"
#include "daemon/worker/devices.h"
#include "daemon/worker/users.h"
#include "tests/io/fixture.h"

/*
 * A loop that waited for what hangs would be late by a whole deadline, which is
 * four times this. What a good day has, below 20 ms, is printed and not
 * asserted: a busy machine adds its own.
 */
#define LATENESS_MAX_US 500000

int devices_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	return -EOPNOTSUPP;
}

int users_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	return -EOPNOTSUPP;
}

/* Stands in for the reader of the configuration: does as the payload says. */
int conffile_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	const char *text = payload;

	if (n == 0)
		return -EINVAL;
	if (text[0] == 'f')
		return -EUCLEAN;
	if (text[0] == 'x')
		_exit(3);
	if (text[0] == 's')
		pause();

	/* 'h': longer than a reply may be; else the payload itself. */
	*ret_n = text[0] == 'h' ? (64U << 20) + 1 : n;
	*ret_reply = calloc(1, *ret_n);
	if (!*ret_reply)
		return -ENOMEM;
	if (text[0] != 'h')
		memcpy(*ret_reply, payload, n);
	return 0;
}

int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int fd;

	assert_non_null(fixture);
	assert_return_code(zygote_start(&fd), 0);
	assert_return_code(sd_event_new(&fixture->loop), 0);
	assert_return_code(pool_new(&fixture->pool, fixture->loop, fd), 0);
	meter_start(&fixture->meter, fixture->loop);
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;
	uint64_t worst = fixture->meter.worst_us;
	uint64_t began = now_us();

	meter_stop(&fixture->meter);
	pool_free(fixture->pool);
	sd_event_unref(fixture->loop);
	free(fixture);
	print_message("loop late by at most %.1f ms\n", (double)worst / 1000);
	if (worst > LATENESS_MAX_US || now_us() - began > PATIENCE_US) {
		print_error("too late, or freeing took too long: %lu us\n",
			    (unsigned long)(now_us() - began));
		return -1;
	}
	return 0;
}

static void on_reply(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct call *call = userdata;

	call->result = result;
	call->ended_us = now_us();
	call->n++;
	call->done = true;
	if (result == POOL_FAILED) {
		assert_int_equal(n_reply, sizeof(int));
		call->error = *(const int *)reply;
	}
	if (result == POOL_DONE && n_reply > 0) {
		free(call->reply);
		call->reply = malloc(n_reply);
		assert_non_null(call->reply);
		memcpy(call->reply, reply, n_reply);
		call->n_reply = n_reply;
		(void)statfs_reply_decode(reply, n_reply, &call->statfs);
	}
}

struct pool_submission call_prepare(struct call *call, enum pool_lane lane, uint64_t key)
{
	call->began_us = now_us();
	call->done = false;
	return (struct pool_submission){
		.lane = lane,
		.lane_key = key,
		.fd = -1,
		.deadline_us = DEADLINE_US,
		.reply = on_reply,
		.userdata = call,
	};
}

int submit_statfs(struct fixture *fixture, struct call *call, const struct mount *mount,
		  enum pool_lane lane, uint64_t key)
{
	struct statfs_request request = {
		.where = mount->where,
		.mount_id = mount_number(mount),
		.mount_id_is_unique = mount->unique_id != 0,
	};
	struct pool_submission s = call_prepare(call, lane, key);
	void *payload;
	int r;

	assert_return_code(statfs_request_encode(&request, &payload, &s.n_payload), 0);
	s.job = JOB_STATFS;
	s.payload = payload;
	s.owner_uid = call->owner_uid;
	r = pool_submit(fixture->pool, &s, &call->ticket);
	free(payload);
	return r;
}

void run_statfs(struct fixture *fixture, struct call *call, const struct mount *mount,
		enum pool_lane lane, uint64_t key)
{
	assert_return_code(submit_statfs(fixture, call, mount, lane, key), 0);
	assert_false(call->done);
	assert_true(loop_until(fixture->loop, &call->done, PATIENCE_US));
}

void run_task(struct fixture *fixture, struct call *call, const void *payload, size_t n)
{
	struct pool_submission s = call_prepare(call, POOL_LANE_TASKS, 0);

	s.job = JOB_CONFIG;
	s.payload = payload;
	s.n_payload = n;
	s.deadline_us = PATIENCE_US;
	assert_return_code(pool_submit(fixture->pool, &s, NULL), 0);
	assert_true(loop_until(fixture->loop, &call->done, PATIENCE_US));
}

void wait_blocked(struct fixture *fixture, unsigned int n)
{
	uint64_t end = now_us() + PATIENCE_US;
	struct pool_statistics statistics;

	do {
		loop_for(fixture->loop, 1000);
		pool_statistics(fixture->pool, &statistics);
	} while (statistics.blocked != n && now_us() < end);

	assert_int_equal(statistics.blocked, n);
}

void call_deinit(struct call *call)
{
	free(call->reply);
}
