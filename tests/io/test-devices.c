/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Numbers and identities of block devices. Needs root to make device nodes; skips elsewhere. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/devices.h"

#define N(_array) (sizeof(_array) / sizeof(*(_array)))

static char disk[64];

static int setup(void **state)
{
	char path[96];

	strcpy(disk, "/tmp/test-devices-XXXXXX");
	if (!mkdtemp(disk))
		return -1;
	snprintf(path, sizeof(path), "%s/by-uuid", disk);
	if (mkdir(path, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/by-label", disk);
	return mkdir(path, 0755);
}

static int teardown(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", disk);
	return system(command);
}

static void put_node(const char *name, unsigned int n_major, unsigned int n_minor)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", disk, name);
	assert_int_equal(mknod(path, S_IFBLK | 0600, makedev(n_major, n_minor)), 0);
}

static void put_link(const char *name, const char *target)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", disk, name);
	assert_int_equal(symlink(target, path), 0);
}

static const struct device_identity *find(const struct devices_found *found, uint32_t n_major,
					  uint32_t n_minor)
{
	for (size_t i = 0; i < found->n_identities; i++)
		if (found->identities[i].number.major == n_major &&
		    found->identities[i].number.minor == n_minor)
			return &found->identities[i];

	return NULL;
}

static void test_identities(void **state)
{
	static const struct device_number numbers[] = { { 8, 1 }, { 8, 2 }, { 8, 3 }, { 8, 4 } };
	const struct devices_request request = { .numbers = numbers, .n_numbers = N(numbers) };
	_cleanup_(devices_found_deinit) struct devices_found found = {};

	if (geteuid() != 0)
		skip();

	put_node("a", 8, 1);
	put_node("b", 8, 2);
	put_node("c", 8, 3);
	put_node("other", 9, 9);
	put_link("by-uuid/ABCD-1234", "../a");
	put_link("by-label/my\\x20disk\\x2f\\xff\\x5cx", "../a");
	put_link("by-uuid/b-uuid", "../b");
	/* not of udev's making: taken as it stands */
	put_link("by-label/odd\\xg0\\x0\\x00", "../c");
	put_link("by-uuid/o-uuid", "../other");
	put_link("by-uuid/dangling", "../gone");
	put_link("by-label/loop", "loop");
	put_link("by-label/folder", "..");

	assert_int_equal(devices_lookup_in(disk, &request, &found), 0);
	assert_int_equal(found.n_paths, 0);
	assert_int_equal(found.n_identities, 3);
	assert_string_equal(find(&found, 8, 1)->uuid, "ABCD-1234");
	assert_string_equal(find(&found, 8, 1)->label, "my disk/\xff\\x");
	assert_string_equal(find(&found, 8, 2)->uuid, "b-uuid");
	assert_null(find(&found, 8, 2)->label);
	assert_null(find(&found, 8, 3)->uuid);
	assert_string_equal(find(&found, 8, 3)->label, "odd\\xg0\\x0\\x00");
	assert_null(find(&found, 8, 4));
}

static void test_no_udev(void **state)
{
	static const struct device_number number = { 8, 1 };
	const struct devices_request request = { .numbers = &number, .n_numbers = 1 };
	_cleanup_(devices_found_deinit) struct devices_found found = {};

	assert_int_equal(devices_lookup_in("/nonexistent", &request, &found), 0);
	assert_int_equal(found.n_identities, 0);
}

static void test_paths(void **state)
{
	char outside[96];
	const char *const paths[] = {
		"/dev/null", "/dev/no-such-device", "/etc/passwd", "/dev/../etc/passwd", "sda", "",
		outside,
	};
	static const int errors[] = {
		-ENOTBLK, -ENOENT, -EACCES, -EACCES, -EACCES, -EACCES, -EACCES,
	};
	const struct devices_request request = { .paths = paths, .n_paths = N(paths) };
	_cleanup_(devices_found_deinit) struct devices_found found = {};

	/* a device node that is not below /dev is none of ours */
	snprintf(outside, sizeof(outside), "%s/node", disk);
	if (geteuid() == 0)
		put_node("node", 7, 0);

	assert_int_equal(devices_lookup(&request, &found), 0);
	assert_int_equal(found.n_paths, N(paths));
	for (size_t i = 0; i < N(paths); i++)
		assert_int_equal(found.paths[i].error, errors[i]);
}

/* A block device of this machine, whichever it has; NULL: none. */
static const char *find_block(struct stat *st)
{
	static char path[32];

	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/dev/loop%d", i);
		if (stat(path, st) == 0 && S_ISBLK(st->st_mode))
			return path;
	}

	return NULL;
}

static void test_job(void **state)
{
	struct stat st;
	const char *block = find_block(&st);
	const char *paths[] = { "/dev/null", block ? block : "/dev/none", "/dev/no-such-device" };
	const struct device_number nobody = { 4095, 1 };
	_cleanup_free_ void *payload = NULL, *reply = NULL;
	struct device_number number = { 1, 2 };
	char *uuid = NULL, *label = NULL;
	size_t n_payload, n_reply;

	assert_int_equal(device_request_encode(paths, N(paths), &nobody, 1, &payload, &n_payload),
			 0);
	assert_int_equal(devices_job(payload, n_payload, &reply, &n_reply), 0);
	assert_int_equal(devices_reply_find_path(reply, n_reply, "/dev/null", &number), -ENOTBLK);
	assert_int_equal(devices_reply_find_path(reply, n_reply, "/dev/no-such-device", &number),
			 -ENOENT);
	assert_int_equal(devices_reply_find_path(reply, n_reply, "/dev/nul", &number), -ENODATA);
	assert_int_equal(number.major, 1);
	if (block) {
		assert_int_equal(devices_reply_find_path(reply, n_reply, block, &number), 0);
		assert_int_equal(number.major, major(st.st_rdev));
		assert_int_equal(number.minor, minor(st.st_rdev));
	}
	assert_int_equal(devices_reply_find_identity(reply, n_reply, &nobody, &uuid, &label),
			 -ENOENT);
	assert_null(uuid);
	assert_null(label);

	for (size_t i = 0; i < n_payload; i++) {
		_cleanup_free_ void *cut = malloc(i ? i : 1), *none = NULL;
		size_t n_none;

		memcpy(cut, payload, i);
		assert_int_equal(devices_job(cut, i, &none, &n_none), -EBADMSG);
	}
}

/* A reply as devices-wire.c writes it: one path, one identity. */
static size_t make_reply(uint8_t *ret)
{
	static const uint32_t numbers[] = { 8, 17 };
	uint8_t *p = ret;
	uint32_t value;

#define PUT_U32(_value) (value = (_value), memcpy(p, &value, 4), p += 4)
#define PUT_TEXT(_text)                                                                            \
	(PUT_U32(strlen(_text)), memcpy(p, _text, strlen(_text)), p += strlen(_text))
	PUT_U32(1);
	PUT_TEXT("/dev/sdb1");
	PUT_U32(0);
	PUT_U32(numbers[0]);
	PUT_U32(numbers[1]);
	PUT_U32(1);
	PUT_U32(numbers[0]);
	PUT_U32(numbers[1]);
	PUT_TEXT("u-u");
	PUT_U32(UINT32_MAX);
	return (size_t)(p - ret);
}

static void test_reply(void **state)
{
	const struct device_number sdb1 = { 8, 17 };
	char *uuid = NULL, *label = (char *)"untouched";
	struct device_number number;
	uint8_t reply[128];
	size_t n = make_reply(reply);

	assert_int_equal(devices_reply_find_path(reply, n, "/dev/sdb1", &number), 0);
	assert_int_equal(number.minor, 17);
	assert_int_equal(devices_reply_find_identity(reply, n, &sdb1, &uuid, &label), 0);
	assert_string_equal(uuid, "u-u");
	assert_null(label);
	free(uuid);

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ uint8_t *cut = malloc(i ? i : 1);

		memcpy(cut, reply, i);
		assert_int_equal(devices_reply_find_identity(cut, i, &sdb1, &uuid, &label),
				 -EBADMSG);
	}
}

static void test_reply_hostile(void **state)
{
	const struct device_number sdb1 = { 8, 17 };
	uint8_t reply[128];
	size_t n = make_reply(reply);
	_cleanup_free_ uint8_t *exact = malloc(n);

	for (size_t i = 0; i < n; i++) {
		for (unsigned int byte = 0; byte < 256; byte++) {
			char *uuid = NULL, *label = NULL;
			struct device_number number;
			int r;

			memcpy(exact, reply, n);
			exact[i] = (uint8_t)byte;
			r = devices_reply_find_path(exact, n, "/dev/sdb1", &number);
			assert_true(r <= 0);
			r = devices_reply_find_identity(exact, n, &sdb1, &uuid, &label);
			assert_true(r == 0 || r == -EBADMSG || r == -ENOENT);
			free(uuid);
			free(label);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identities, setup, teardown),
		cmocka_unit_test(test_no_udev),
		cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
		cmocka_unit_test(test_job),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_reply_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
