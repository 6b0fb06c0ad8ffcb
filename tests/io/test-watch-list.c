/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The directories in one, as its reader may know them. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/job-watch-wire.h"
#include "tests/io/harness.h"

#define USER 4711
#define TOP "/mnt/list"

static uint64_t inode_of(const char *path)
{
	struct stat st;

	assert_return_code(stat(path, &st), errno);
	return st.st_ino;
}

static int compare(const void *a, const void *b)
{
	const struct watch_list_entry *one = a, *other = b;

	return strcmp(one->name, other->name);
}

/* Return: a line of what is told of @below, or of @name in it, or the error. */
static const char *list(uid_t uid, const char *below, const char *name)
{
	static char text[4096];
	const struct mount mount = mount_of(TOP);
	char path[256];
	struct watch_list_request request = {
		.where = TOP,
		.mount_id = mount.unique_id ? mount.unique_id : mount.id,
		.mount_id_is_unique = mount.unique_id != 0,
		.root = "root",
		.root_inode = inode_of(TOP "/root"),
		.credential = { .uid = uid },
		.below = below,
		.name = name,
	};
	_cleanup_(watch_list_reply_deinit) struct watch_list_reply reply = {};
	_cleanup_free_ void *payload = NULL, *bytes = NULL;
	size_t n;

	snprintf(path, sizeof(path), TOP "/root/%s", below);
	request.inode = inode_of(path);
	assert_return_code(watch_list_request_encode(&request, &payload, &n), 0);
	assert_return_code(watch_list_job(payload, n, &bytes, &n), 0);
	assert_return_code(watch_list_reply_decode(bytes, n, &reply), 0);

	text[0] = '\0';
	if (reply.error < 0) {
		assert_int_equal(reply.n_entries, 0);
		return strerrorname_np(-reply.error);
	}
	qsort(reply.entries, reply.n_entries, sizeof(*reply.entries), compare);
	for (size_t i = 0; i < reply.n_entries; i++) {
		snprintf(path, sizeof(path), TOP "/root/%s/%s", below, reply.entries[i].name);
		assert_int_equal(reply.entries[i].inode, inode_of(path));
		strcat(strcat(text, *text ? " " : ""), reply.entries[i].name);
	}
	if (reply.is_empty)
		strcat(text, "nothing");
	return text;
}

static void make(const char *path, mode_t mode)
{
	assert_return_code(mkdir(path, 0755), errno);
	assert_return_code(chmod(path, mode), errno);
}

static int setup(void **state)
{
	int fd;

	mount_tmpfs(TOP, "mode=755");
	make(TOP "/root", 0755);
	make(TOP "/root/open", 0755);
	make(TOP "/root/open/below", 0755);
	make(TOP "/root/closed", 0700);
	make(TOP "/root/closed/below", 0755);
	make(TOP "/root/names", 0744);
	make(TOP "/root/search", 0711);
	make(TOP "/root/search/below", 0755);
	make(TOP "/root/mounted", 0755);
	assert_return_code(symlink("open", TOP "/root/link"), errno);
	fd = open(TOP "/root/file", O_CREAT | O_CLOEXEC | O_WRONLY, 0644);
	assert_return_code(fd, errno);
	close(fd);
	assert_return_code(mount("none", TOP "/root/mounted", "tmpfs", 0, "mode=755"), errno);
	return 0;
}

static int teardown(void **state)
{
	assert_return_code(umount2(TOP "/root/mounted", UMOUNT_NOFOLLOW), errno);
	assert_return_code(umount2(TOP, UMOUNT_NOFOLLOW), errno);
	return 0;
}

static void test_as_far_as_one_may(void **state)
{
	assert_string_equal(list(0, "", NULL), "closed names open search");
	assert_string_equal(list(USER, "", NULL), "open");
	assert_string_equal(list(USER, "open", NULL), "below");
	assert_string_equal(list(USER, "open/below", NULL), "nothing");
	assert_string_equal(list(USER, "closed", NULL), "ENOENT");
	assert_string_equal(list(USER, "closed/below", NULL), "ENOENT");
	/* What may be listed and not entered, and what is below what may be entered alone. */
	assert_string_equal(list(USER, "names", NULL), "ENOENT");
	assert_string_equal(list(USER, "search", NULL), "ENOENT");
	assert_string_equal(list(0, "closed", NULL), "below");
}

static void test_one_name(void **state)
{
	assert_string_equal(list(USER, "", "open"), "open");
	assert_string_equal(list(USER, "", "closed"), "");
	assert_string_equal(list(0, "", "closed"), "closed");
	assert_string_equal(list(0, "", "none"), "");
	assert_string_equal(list(0, "", "file"), "");
	assert_string_equal(list(0, "", "link"), "");
	assert_string_equal(list(0, "", "mounted"), "");
}

/* Nobody may take it for a directory that is denied. */
static void test_a_mount_that_is_gone(void **state)
{
	struct watch_list_request request = {
		.where = TOP "/none",
		.mount_id = 1,
		.root = "root",
		.root_inode = 1,
		.below = "",
		.inode = 1,
	};
	_cleanup_(watch_list_reply_deinit) struct watch_list_reply reply = {};
	_cleanup_free_ void *payload = NULL, *bytes = NULL;
	size_t n;

	assert_return_code(watch_list_request_encode(&request, &payload, &n), 0);
	assert_return_code(watch_list_job(payload, n, &bytes, &n), 0);
	assert_return_code(watch_list_reply_decode(bytes, n, &reply), 0);
	assert_int_equal(reply.error, -ESTALE);
}

static void test_no_more_than_told(void **state)
{
	const struct mount mount = mount_of(TOP);
	struct watch_list_request request = {
		.where = TOP,
		.mount_id = mount.unique_id ? mount.unique_id : mount.id,
		.mount_id_is_unique = mount.unique_id != 0,
		.root = "many",
		.below = "",
	};
	_cleanup_(watch_list_reply_deinit) struct watch_list_reply reply = {};
	_cleanup_free_ void *payload = NULL, *bytes = NULL;
	char path[64];
	size_t n;

	make(TOP "/many", 0755);
	for (unsigned int i = 0; i < WATCH_LIST_MAX + 7; i++) {
		snprintf(path, sizeof(path), TOP "/many/%u", i);
		make(path, 0755);
	}
	request.root_inode = request.inode = inode_of(TOP "/many");
	assert_return_code(watch_list_request_encode(&request, &payload, &n), 0);
	assert_return_code(watch_list_job(payload, n, &bytes, &n), 0);
	assert_return_code(watch_list_reply_decode(bytes, n, &reply), 0);
	assert_int_equal(reply.error, 0);
	assert_int_equal(reply.n_entries, WATCH_LIST_MAX);
	assert_int_equal(reply.n_left, 7);
	assert_false(reply.is_cut || reply.is_empty);
}

/* What a broken worker may say. */
static void test_replies_that_are_none(void **state)
{
	static const struct watch_list_entry slash = { .name = "a/b" }, nothing = { .name = "" };
	const struct watch_list_entry *const wrong[] = { &slash, &nothing };
	struct watch_list_reply reply = { .n_entries = 1 }, decoded;
	struct watch_list_entry right = { .name = "name", .inode = 5 };
	_cleanup_free_ void *bytes = NULL;
	size_t n;

	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ void *bad = NULL;

		reply.entries = (struct watch_list_entry *)wrong[i];
		assert_return_code(watch_list_reply_encode(&reply, &bad, &n), 0);
		assert_int_equal(watch_list_reply_decode(bad, n, &decoded), -EBADMSG);
	}
	reply.entries = &right;
	assert_return_code(watch_list_reply_encode(&reply, &bytes, &n), 0);
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(watch_list_reply_decode(bytes, cut, &decoded), -EBADMSG);
	assert_return_code(watch_list_reply_decode(bytes, n, &decoded), 0);
	assert_string_equal(decoded.entries[0].name, "name");
	watch_list_reply_deinit(&decoded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_far_as_one_may),
		cmocka_unit_test(test_one_name),
		cmocka_unit_test(test_a_mount_that_is_gone),
		cmocka_unit_test(test_no_more_than_told),
		cmocka_unit_test(test_replies_that_are_none),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, setup, teardown);
}
