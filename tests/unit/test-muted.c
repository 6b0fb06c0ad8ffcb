/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/agent/identity.h"
#include "daemon/agent/muted.h"

static void test_there_and_back(void **state)
{
	_cleanup_(muted_deinit) struct muted muted = {}, again = {};
	_cleanup_free_ char *text = NULL;

	assert_int_equal(muted_add(&muted, "1234-ABCD /dev/sdb1", "/media/stick one"), 0);
	assert_int_equal(muted_add(&muted, "- server:/export /srv", "/srv"), 0);
	assert_int_equal(muted_add(&muted, "- server:/export /srv", "/srv"), 0);
	text = muted_print(&muted);
	assert_string_equal(text, "1234-ABCD /dev/sdb1\t/media/stick one\n"
				  "- server:/export /srv\t/srv\n");
	assert_int_equal(muted_parse(&again, text), 0);
	assert_int_equal(again.n_items, 2);
	assert_true(muted_has(&again, "1234-ABCD /dev/sdb1"));
	/* Neither the UUID nor the device alone. */
	assert_false(muted_has(&again, "1234-ABCD /dev/sda1"));
	assert_false(muted_has(&again, "5678-ABCD /dev/sdb1"));
	assert_string_equal(again.items[1].where, "/srv");
}

static void test_strange_lines(void **state)
{
	_cleanup_(muted_deinit) struct muted muted = {};

	assert_int_equal(muted_parse(&muted, "\n\t\nno-tab here\nno-space\t/x\n\xff a\t/x\n"
					     "- good /x\t/x\nlast one\t"),
			 0);
	assert_int_equal(muted.n_items, 2);
	assert_string_equal(muted.items[0].identity, "- good /x");
	assert_string_equal(muted.items[1].identity, "last one");
	assert_string_equal(muted.items[1].where, "");
}

static void test_remove(void **state)
{
	_cleanup_(muted_deinit) struct muted muted = {};

	assert_int_equal(muted_add(&muted, "1234-ABCD /dev/sdb1", "/a"), 0);
	assert_int_equal(muted_add(&muted, "- tmpfs /b", "/b"), 0);
	assert_int_equal(muted_add(&muted, "9999-0000 /dev/sdc1", "/c"), 0);
	assert_int_equal(muted_remove(&muted, "-"), 0);
	assert_int_equal(muted_remove(&muted, "/dev/sdb"), 0);
	assert_int_equal(muted_remove(&muted, "/dev/sdb1"), 1);
	assert_int_equal(muted_remove(&muted, "9999-0000"), 1);
	assert_int_equal(muted_remove(&muted, "/b"), 1);
	assert_int_equal(muted_remove(&muted, NULL), 0);
}

static void test_bound(void **state)
{
	_cleanup_(muted_deinit) struct muted muted = {};
	char identity[64];

	for (unsigned int i = 0; i <= MUTED_MAX; i++) {
		snprintf(identity, sizeof(identity), "- source%u /x", i);
		assert_int_equal(muted_add(&muted, identity, "/x"), 0);
	}
	assert_int_equal(muted.n_items, MUTED_MAX);
	assert_false(muted_has(&muted, "- source0 /x"));
	assert_int_equal(muted_remove(&muted, NULL), MUTED_MAX);
}

static void test_udev(void **state)
{
	char uuid[IDENTITY_UUID_MAX];

	identity_parse_udev(uuid,
			    "S:disk/by-uuid/x\nE:ID_FS_UUID_ENC=1\nE:ID_FS_UUID=0a1B-9\nI:1\n");
	assert_string_equal(uuid, "0a1B-9");
	identity_parse_udev(uuid, "E:ID_FS_UUID=ab");
	assert_string_equal(uuid, "ab");
	identity_parse_udev(uuid, "I:1\n");
	assert_string_equal(uuid, "");
	/* Nothing of it may look like another field. */
	identity_parse_udev(uuid, "E:ID_FS_UUID=ab /dev/sda1\n");
	assert_string_equal(uuid, "");
	identity_parse_udev(uuid, "E:ID_FS_UUID=0123456789012345678901234567890123456789"
				  "012345678901234567890123\n");
	assert_string_equal(uuid, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_strange_lines),
		cmocka_unit_test(test_remove),	       cmocka_unit_test(test_bound),
		cmocka_unit_test(test_udev),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
