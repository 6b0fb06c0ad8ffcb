/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/wire-uevent.h"

/* A copy of the exact size, so that a read one byte too far is seen. */
static int decode(const char *message, size_t n_message, struct uevent *ret)
{
	char *copy = malloc(n_message ?: 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, message, n_message);
	r = uevent_decode(copy, n_message, ret);
	free(copy);
	return r;
}

/* Literals have their last NUL by themselves. */
#define DECODE(_text, _ret) decode("" _text, sizeof(_text), _ret)

#define LOOP0 "/devices/virtual/block/loop0"
#define BLOCK(_action)                                                                             \
	_action "@" LOOP0 "\0ACTION=" _action "\0DEVPATH=" LOOP0 "\0SUBSYSTEM=block\0"
#define NUMBER "MAJOR=7\0MINOR=0\0DEVNAME=loop0\0DEVTYPE=disk\0SEQNUM=4711"

static void test_kinds(void **state)
{
	struct uevent event = {};

	assert_int_equal(DECODE(BLOCK("change") "DISK_RO=1\0" NUMBER, &event), 0);
	assert_int_equal(event.kind, UEVENT_READ_ONLY);
	assert_int_equal(event.major, 7);
	assert_int_equal(event.minor, 0);

	assert_int_equal(DECODE(BLOCK("change") "DISK_RO=0\0" NUMBER, &event), 0);
	assert_int_equal(event.kind, UEVENT_WRITABLE);
	assert_int_equal(DECODE(BLOCK("change") "DISK_RO=2\0" NUMBER, &event), 0);
	assert_int_equal(event.kind, UEVENT_CHANGED);
	assert_int_equal(DECODE(BLOCK("change") NUMBER, &event), 0);
	assert_int_equal(event.kind, UEVENT_CHANGED);

	assert_int_equal(DECODE(BLOCK("remove") "MAJOR=259\0MINOR=1048575\0SEQNUM=1", &event), 0);
	assert_int_equal(event.kind, UEVENT_REMOVED);
	assert_int_equal(event.major, 259);
	assert_int_equal(event.minor, 1048575);
}

static void test_others(void **state)
{
	const struct uevent untouched = { UEVENT_REMOVED, 77, 78 };
	struct uevent event = untouched;

	assert_int_equal(DECODE(BLOCK("add") NUMBER, &event), UEVENT_OTHER);
	assert_int_equal(DECODE(BLOCK("move") NUMBER, &event), UEVENT_OTHER);
	assert_int_equal(DECODE("remove@/devices/x\0ACTION=remove\0SUBSYSTEM=net\0INTERFACE=eth0",
				&event),
			 UEVENT_OTHER);
	/* block devices under another subsystem's name are not block devices */
	assert_int_equal(DECODE("change@/block/x\0ACTION=change\0SUBSYSTEM=blocks\0" NUMBER,
				&event),
			 UEVENT_OTHER);
	assert_memory_equal(&event, &untouched, sizeof(event));
}

static void test_malformed(void **state)
{
	const struct uevent untouched = { UEVENT_REMOVED, 77, 78 };
	static const char no_nul[] = BLOCK("change") NUMBER;
	struct uevent event = untouched;

	assert_int_equal(decode("", 0, &event), -EBADMSG);
	assert_int_equal(decode(no_nul, sizeof(no_nul) - 1, &event), -EBADMSG);
	assert_int_equal(DECODE("", &event), -EBADMSG);
	/* what udev sends on */
	assert_int_equal(DECODE("libudev\0\xfe\xed\xca\xfe", &event), -EBADMSG);
	assert_int_equal(DECODE("change@x", &event), -EBADMSG);
	assert_int_equal(DECODE("change@x\0ACTION=change\0MAJOR=7\0MINOR=0", &event), -EBADMSG);
	assert_int_equal(DECODE("change@x\0SUBSYSTEM=block\0MAJOR=7\0MINOR=0", &event), -EBADMSG);
	assert_int_equal(DECODE(BLOCK("change") "MAJOR=7", &event), -EBADMSG);
	assert_int_equal(DECODE(BLOCK("change") "MINOR=7", &event), -EBADMSG);
	assert_int_equal(DECODE(BLOCK("change") "MAJOR=\0MINOR=0", &event), -EBADMSG);
	assert_int_equal(DECODE(BLOCK("change") "MAJOR=-1\0MINOR=0", &event), -EBADMSG);
	assert_int_equal(DECODE(BLOCK("change") "MAJOR=4294967296\0MINOR=0", &event), -EBADMSG);
	assert_memory_equal(&event, &untouched, sizeof(event));
}

/* However it is cut, nothing is read past the end, and all but the whole is refused. */
static void test_cut(void **state)
{
	static const char whole[] = BLOCK("change") "DISK_RO=1\0MAJOR=7\0MINOR=0";
	struct uevent event;

	for (size_t n = 0; n < sizeof(whole); n++)
		assert_int_equal(decode(whole, n, &event), -EBADMSG);
	assert_int_equal(decode(whole, sizeof(whole), &event), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
