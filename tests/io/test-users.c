/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/users.h"

#define N(_array) (sizeof(_array) / sizeof(*(_array)))

static void test_job(void **state)
{
	const char *names[] = { "root", "no-such-user-here", "nobody" };
	_cleanup_free_ void *payload = NULL, *reply = NULL;
	const struct passwd *nobody = getpwnam("nobody");
	size_t n_payload, n_reply;
	uid_t uid = 7;

	assert_int_equal(users_request_encode(names, N(names), &payload, &n_payload), 0);
	assert_int_equal(users_job(payload, n_payload, &reply, &n_reply), 0);
	assert_int_equal(users_reply_find(reply, n_reply, "no-such-user-here", &uid), -ENOENT);
	assert_int_equal(users_reply_find(reply, n_reply, "roo", &uid), -ENODATA);
	assert_int_equal(uid, 7);
	assert_int_equal(users_reply_find(reply, n_reply, "root", &uid), 0);
	assert_int_equal(uid, 0);
	if (nobody) {
		assert_int_equal(users_reply_find(reply, n_reply, "nobody", &uid), 0);
		assert_int_equal(uid, nobody->pw_uid);
	}

	/* In copies of their own, so that a byte too many is seen. */
	for (size_t i = 0; i < n_payload; i++) {
		_cleanup_free_ void *cut = malloc(i ? i : 1), *none = NULL;
		size_t n_none;

		memcpy(cut, payload, i);
		assert_int_equal(users_job(cut, i, &none, &n_none), -EBADMSG);
	}
	for (size_t i = 0; i < n_reply; i++) {
		_cleanup_free_ void *cut = malloc(i ? i : 1);

		memcpy(cut, reply, i);
		assert_int_equal(users_reply_find(cut, i, "nobody", &uid), -EBADMSG);
	}
}

static void test_none(void **state)
{
	_cleanup_free_ void *payload = NULL, *reply = NULL;
	size_t n_payload, n_reply;
	uid_t uid;

	assert_int_equal(users_request_encode(NULL, 0, &payload, &n_payload), 0);
	assert_int_equal(users_job(payload, n_payload, &reply, &n_reply), 0);
	assert_int_equal(users_reply_find(reply, n_reply, "root", &uid), -ENODATA);
}

static void test_nonsense(void **state)
{
	/* one name; positive error */
	static const uint32_t positive[] = { 1, 0, 5, 0 }, many[] = { UINT32_MAX, 0, 0, 0 },
			      nameless[] = { 1, UINT32_MAX, 0, 0 };
	uid_t uid;

	assert_int_equal(users_reply_find(positive, sizeof(positive), "root", &uid), -EBADMSG);
	assert_int_equal(users_reply_find(many, sizeof(many), "root", &uid), -EBADMSG);
	assert_int_equal(users_reply_find(nameless, sizeof(nameless), "root", &uid), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_job),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
