/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/core/credential.h"

static void test_shared(void **state)
{
	const gid_t some[] = { 7, 5, 7, 6 }, same[] = { 5, 6, 7 }, others[] = { 5, 6 };
	struct credential *a, *b, *c, *d;
	struct credentials *credentials;

	assert_int_equal(credentials_new(&credentials), 0);
	assert_int_equal(credential_get(credentials, 1000, some, 4, &a), 0);
	assert_int_equal(a->n_groups, 3);
	assert_int_equal(a->groups[0], 5);
	assert_int_equal(a->groups[2], 7);
	assert_int_equal(credential_get(credentials, 1000, same, 3, &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(credential_get(credentials, 1000, others, 2, &c), 0);
	assert_ptr_not_equal(a, c);
	assert_int_not_equal(a->number, c->number);
	assert_int_equal(credential_get(credentials, 0, NULL, 0, &d), 0);
	assert_true(credential_is_root(d));
	assert_false(credential_is_root(a));

	credential_unref(a);
	assert_int_equal(b->n_refs, 1);
	credential_unref(b);
	assert_int_equal(credential_get(credentials, 1001, same, 3, &a), 0);
	assert_int_not_equal(a->number, c->number);
	assert_int_not_equal(a->number, d->number);
	credential_unref(a);
	credential_unref(c);
	credential_unref(d);
	assert_null(credential_unref(NULL));
	credentials_free(credentials);
}

static void test_many_groups(void **state)
{
	static gid_t groups[CREDENTIAL_GROUPS_MAX + 10];
	struct credentials *credentials;
	struct credential *many[20], *none = NULL;

	for (size_t i = 0; i < CREDENTIAL_GROUPS_MAX + 10; i++)
		groups[i] = (gid_t)(CREDENTIAL_GROUPS_MAX + 10 - i);
	assert_int_equal(credentials_new(&credentials), 0);
	for (uid_t i = 0; i < 20; i++) {
		assert_int_equal(credential_get(credentials, 1000 + i, groups,
						CREDENTIAL_GROUPS_MAX, &many[i]),
				 0);
		assert_int_equal(many[i]->n_groups, CREDENTIAL_GROUPS_MAX);
		assert_int_equal(many[i]->number, i);
	}
	assert_int_equal(credential_get(credentials, 1000, groups, CREDENTIAL_GROUPS_MAX + 1,
					&none),
			 -E2BIG);
	assert_null(none);
	for (size_t i = CREDENTIAL_GROUPS_MAX; i < CREDENTIAL_GROUPS_MAX + 10; i++)
		groups[i] = groups[0];
	assert_int_equal(
		credential_get(credentials, 1000, groups, CREDENTIAL_GROUPS_MAX + 10, &none), 0);
	assert_ptr_equal(none, many[0]);
	credential_unref(none);
	for (uid_t i = 0; i < 20; i++)
		credential_unref(many[i]);
	credentials_free(credentials);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_many_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
