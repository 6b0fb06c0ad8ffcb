/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Planted and broken configuration files. Needs root for files of others; skips those elsewhere. */

#include <errno.h>
#include <fcntl.h>
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

#include "daemon/core/cleanup.h"
#include "daemon/worker/conffile.h"

#define STRANGER 65534

static char root[64], etc[96], vendor[96], admin[128], main_file[128];
static struct conffile_paths paths;

static void remove_tree(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", root);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	umask(022);
	strcpy(root, "/tmp/test-conffile-XXXXXX");
	if (!mkdtemp(root))
		return -1;

	snprintf(etc, sizeof(etc), "%s/etc", root);
	snprintf(vendor, sizeof(vendor), "%s/vendor.d", root);
	snprintf(admin, sizeof(admin), "%s/f.conf.d", etc);
	snprintf(main_file, sizeof(main_file), "%s/f.conf", etc);
	if (mkdir(etc, 0755) < 0 || mkdir(vendor, 0755) < 0 || mkdir(admin, 0755) < 0)
		return -1;

	paths = (struct conffile_paths){
		.vendor = vendor,
		.file = main_file,
		.admin = admin,
		.uid = geteuid(),
	};
	return 0;
}

static int teardown(void **state)
{
	remove_tree();
	return 0;
}

static void path_in(char ret[static 256], const char *folder, const char *base)
{
	snprintf(ret, 256, "%s/%s", folder, base);
}

static void put(const char *folder, const char *base, const char *text)
{
	char path[256];
	FILE *file;

	path_in(path, folder, base);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void load(struct conffile_set *ret)
{
	assert_int_equal(conffile_load_paths(&paths, ret), 0);
}

/* One text a row: "base=contents", or "base!part of the error". */
static void assert_texts(const struct conffile_set *set, const char *const *expected, size_t n)
{
	for (size_t i = 0; i < set->n_texts && set->n_texts != n; i++)
		print_error("%s: %s\n", set->texts[i].name,
			    set->texts[i].error ? set->texts[i].error : set->texts[i].text);
	assert_int_equal(set->n_texts, n);

	for (size_t i = 0; i < n; i++) {
		const struct config_text *text = &set->texts[i];
		const char *base = strrchr(text->name, '/') + 1, *mark = strpbrk(expected[i], "=!");

		if (strlen(base) != (size_t)(mark - expected[i]) ||
		    strncmp(base, expected[i], strlen(base)) != 0)
			fail_msg("%s instead of %s", base, expected[i]);
		if (*mark == '=') {
			if (text->error)
				fail_msg("%s: %s", base, text->error);
			assert_non_null(text->text);
			assert_int_equal(text->n_text, strlen(mark + 1));
			assert_memory_equal(text->text, mark + 1, text->n_text);
		} else {
			assert_null(text->text);
			assert_non_null(text->error);
			if (!strstr(text->error, mark + 1))
				fail_msg("%s: %s", base, text->error);
		}
	}
}

#define ASSERT_LOADS(...)                                                                          \
	do {                                                                                       \
		const char *const _expected[] = { __VA_ARGS__ };                                   \
		_cleanup_(conffile_set_deinit) struct conffile_set _set = {};                      \
                                                                                                   \
		load(&_set);                                                                       \
		assert_texts(&_set, _expected, sizeof(_expected) / sizeof(*_expected));            \
	} while (0)

static void test_order_and_masks(void **state)
{
	char path[256];

	put(vendor, "20-b.conf", "vb");
	put(vendor, "10-a.conf", "va");
	put(vendor, "30-masked.conf", "vm");
	put(vendor, "40-null.conf", "vn");
	put(etc, "f.conf", "main");
	put(admin, "30-masked.conf", "am");
	put(admin, "05-z.conf", "az");
	put(admin, "B.conf", "aB");
	put(admin, ".hidden.conf", "no");
	put(admin, "notes.txt", "no");
	put(admin, "x.conf~", "no");
	put(admin, ".conf", "no");
	path_in(path, admin, "40-null.conf");
	assert_int_equal(symlink("/dev/null", path), 0);

	ASSERT_LOADS("10-a.conf=va", "20-b.conf=vb", "f.conf=main", "05-z.conf=az",
		     "30-masked.conf=am", "40-null.conf=", "B.conf=aB");

	/* what is refused masks as well: the name is taken */
	path_in(path, admin, "30-masked.conf");
	assert_int_equal(chmod(path, 0666), 0);
	ASSERT_LOADS("10-a.conf=va", "20-b.conf=vb", "f.conf=main", "05-z.conf=az",
		     "30-masked.conf!everybody can write", "40-null.conf=", "B.conf=aB");
}

static void test_nothing_there(void **state)
{
	_cleanup_(conffile_set_deinit) struct conffile_set set = {};

	load(&set);
	assert_int_equal(set.n_texts, 0);

	remove_tree();
	load(&set);
	assert_int_equal(set.n_texts, 0);

	paths.required = true;
	ASSERT_LOADS("f.conf!No such file or directory");
	assert_int_equal(mkdir(root, 0700), 0);
	assert_int_equal(mkdir(etc, 0755), 0);
	ASSERT_LOADS("f.conf!No such file or directory");
	/* its drop-ins are read nevertheless */
	assert_int_equal(mkdir(admin, 0755), 0);
	put(admin, "a.conf", "a");
	ASSERT_LOADS("f.conf!No such file or directory", "a.conf=a");
}

static void test_own_file(void **state)
{
	_cleanup_(conffile_set_deinit) struct conffile_set set = {};
	char path[256];

	put(etc, "f.conf", "main");
	put(admin, "a.conf", "a");
	assert_int_equal(conffile_load(main_file, &set), 0);
	assert_int_equal(set.n_texts, 2);
	assert_string_equal(set.texts[0].name, main_file);
	path_in(path, admin, "a.conf");
	assert_string_equal(set.texts[1].name, path);
	conffile_set_deinit(&set);

	/* as in the current directory */
	assert_int_equal(chdir(etc), 0);
	assert_int_equal(conffile_load("f.conf", &set), 0);
	assert_int_equal(set.n_texts, 2);
	assert_string_equal(set.texts[0].name, "f.conf");
	assert_string_equal(set.texts[1].name, "f.conf.d/a.conf");
	conffile_set_deinit(&set);

	assert_int_equal(conffile_load("missing.conf", &set), 0);
	assert_int_equal(set.n_texts, 1);
	assert_non_null(strstr(set.texts[0].error, "No such file"));
	assert_int_equal(chdir("/"), 0);
}

static void test_kinds(void **state)
{
	char path[256];

	put(etc, "f.conf", "main");
	put(etc, "elsewhere", "planted");
	path_in(path, admin, "fifo.conf");
	assert_int_equal(mkfifo(path, 0600), 0);
	path_in(path, admin, "folder.conf");
	assert_int_equal(mkdir(path, 0755), 0);
	path_in(path, admin, "link.conf");
	assert_int_equal(symlink("../elsewhere", path), 0);
	path_in(path, admin, "longer.conf");
	assert_int_equal(symlink("/dev/null/and/more", path), 0);
	path_in(path, admin, "zero.conf");
	assert_int_equal(symlink("/dev/zero", path), 0);

	/* nobody writes to the FIFO: this would block */
	alarm(60);
	ASSERT_LOADS("f.conf=main", "fifo.conf!not a regular file: allowed is a regular file",
		     "folder.conf!not a regular file", "link.conf!symbolic link: allowed is",
		     "longer.conf!symbolic link", "zero.conf!link to /dev/null");
	alarm(0);

	assert_int_equal(unlink(main_file), 0);
	assert_int_equal(mkfifo(main_file, 0600), 0);
	paths.admin = vendor;
	ASSERT_LOADS("f.conf!not a regular file");
}

static void test_modes(void **state)
{
	static const struct {
		mode_t mode;
		const char *expected;
	} rows[] = {
		{ 0644, "f.conf=x" },
		{ 0600, "f.conf=x" },
		{ 0755, "f.conf=x" },
		{ 0666, "f.conf!everybody can write to it (owner" },
		{ 0646, "f.conf!mode 0646): allowed is a file that root owns" },
		{ 0664, "f.conf!its group can write to it" },
	};

	if (geteuid() != 0)
		skip();

	put(etc, "f.conf", "x");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(chmod(main_file, rows[i].mode), 0);
		ASSERT_LOADS(rows[i].expected);
	}

	assert_int_equal(chmod(main_file, 0644), 0);
	assert_int_equal(chown(main_file, STRANGER, 0), 0);
	ASSERT_LOADS("f.conf!it is not owned by root (owner 65534, mode 0644)");
}

static void test_folders(void **state)
{
	if (geteuid() != 0)
		skip();

	put(vendor, "v.conf", "v");
	put(etc, "f.conf", "x");
	put(admin, "a.conf", "a");
	ASSERT_LOADS("v.conf=v", "f.conf=x", "a.conf=a");

	/* a directory of drop-ins */
	assert_int_equal(chmod(admin, 0777), 0);
	ASSERT_LOADS("f.conf.d!everybody can write to it", "v.conf=v", "f.conf=x");
	assert_int_equal(chmod(admin, 0755), 0);
	assert_int_equal(chown(vendor, STRANGER, 0), 0);
	ASSERT_LOADS("vendor.d!allowed is a directory that root owns", "f.conf=x", "a.conf=a");
	assert_int_equal(chown(vendor, 0, 0), 0);

	/* the parent of the file and of its drop-ins: told once, and sticky excuses nothing */
	assert_int_equal(chmod(etc, 01777), 0);
	ASSERT_LOADS("etc!everybody can write to it (owner 0, mode 1777)", "v.conf=v");
	paths.required = true;
	ASSERT_LOADS("etc!everybody can write to it", "v.conf=v");
	paths.required = false;
	assert_int_equal(chmod(etc, 0775), 0);
	ASSERT_LOADS("etc!its group can write to it", "v.conf=v");
	assert_int_equal(chmod(etc, 0755), 0);
	assert_int_equal(chown(etc, STRANGER, 0), 0);
	ASSERT_LOADS("etc!it is not owned by root", "v.conf=v");
}

static void test_folder_kinds(void **state)
{
	char other[160];

	put(etc, "f.conf", "x");
	snprintf(other, sizeof(other), "%s/other", root);
	assert_int_equal(rename(admin, other), 0);
	assert_int_equal(symlink(other, admin), 0);
	ASSERT_LOADS("f.conf.d!it is not a directory: allowed is a directory, no link", "f.conf=x");
	assert_int_equal(unlink(admin), 0);
	put(etc, "f.conf.d", "a file");
	ASSERT_LOADS("f.conf.d!it is not a directory", "f.conf=x");
	assert_int_equal(unlink(admin), 0);
	assert_int_equal(mkfifo(admin, 0600), 0);
	alarm(60);
	ASSERT_LOADS("f.conf.d!it is not a directory", "f.conf=x");
	alarm(0);
}

/* A user's draft, as check-config by that user sees it. */
static void test_not_root(void **state)
{
	char path[256];

	if (geteuid() != 0)
		skip();

	paths.uid = STRANGER;
	put(etc, "f.conf", "x");
	put(admin, "a.conf", "a");
	assert_int_equal(chown(etc, STRANGER, STRANGER), 0);
	assert_int_equal(chown(main_file, STRANGER, STRANGER), 0);
	assert_int_equal(chmod(main_file, 0664), 0);
	ASSERT_LOADS("f.conf=x", "a.conf=a");
	assert_int_equal(chmod(main_file, 0666), 0);
	ASSERT_LOADS("f.conf!everybody can write", "a.conf=a");
	assert_int_equal(unlink(main_file), 0);
	/* a third person's */
	path_in(path, admin, "a.conf");
	assert_int_equal(chown(path, STRANGER - 1, 0), 0);
	ASSERT_LOADS("a.conf!it is not owned by root");
}

static void grow(const char *path, off_t size)
{
	assert_int_equal(truncate(path, size), 0);
}

static void test_sizes(void **state)
{
	_cleanup_(conffile_set_deinit) struct conffile_set set = {};
	char path[256], base[32];

	put(etc, "f.conf", "");
	grow(main_file, CONFIG_FILE_MAX);
	load(&set);
	assert_int_equal(set.n_texts, 1);
	assert_int_equal(set.texts[0].n_text, CONFIG_FILE_MAX);
	conffile_set_deinit(&set);

	grow(main_file, (off_t)1 << 40);
	ASSERT_LOADS("f.conf!it is too large: allowed is at most 1 MiB");
	grow(main_file, CONFIG_FILE_MAX + 1);
	ASSERT_LOADS("f.conf!it is too large: allowed is at most 1 MiB");
	assert_int_equal(unlink(main_file), 0);

	/* seventeen of 1 MiB are more than 16 */
	for (int i = 0; i < 17; i++) {
		snprintf(base, sizeof(base), "%02d.conf", i);
		put(admin, base, "");
		path_in(path, admin, base);
		grow(path, CONFIG_FILE_MAX);
	}
	load(&set);
	assert_int_equal(set.n_texts, 17);
	assert_null(set.texts[15].error);
	assert_non_null(strstr(set.texts[16].error, "allowed is at most 16 MiB"));
}

static void test_too_many(void **state)
{
	_cleanup_(conffile_set_deinit) struct conffile_set set = {};
	char base[32];

	for (int i = 0; i < CONFFILE_DROPINS_MAX; i++) {
		snprintf(base, sizeof(base), "%03d.conf", i);
		put(admin, base, "");
	}
	load(&set);
	assert_int_equal(set.n_texts, CONFFILE_DROPINS_MAX);
	put(admin, "more.conf", "");
	ASSERT_LOADS("f.conf.d!at most 256 that end in .conf");
}

static void assert_sets_equal(const struct conffile_set *a, const struct conffile_set *b)
{
	assert_int_equal(a->n_texts, b->n_texts);
	for (size_t i = 0; i < a->n_texts; i++) {
		assert_string_equal(a->texts[i].name, b->texts[i].name);
		assert_int_equal(a->texts[i].n_text, b->texts[i].n_text);
		assert_int_equal(!a->texts[i].text, !b->texts[i].text);
		if (a->texts[i].text)
			assert_memory_equal(a->texts[i].text, b->texts[i].text, a->texts[i].n_text);
		assert_int_equal(!a->texts[i].error, !b->texts[i].error);
		if (a->texts[i].error)
			assert_string_equal(a->texts[i].error, b->texts[i].error);
	}
}

static void test_wire(void **state)
{
	const struct config_text texts[] = {
		{ .name = "a", .text = "x\0y", .n_text = 3 },
		{ .name = "", .text = "", .n_text = 0 },
		{ .name = "b\n", .error = "no" },
	};
	const struct conffile_set set = { (struct config_text *)texts, 3 };
	struct conffile_set back = {};
	_cleanup_free_ void *data = NULL;
	size_t n;

	assert_int_equal(conffile_set_encode(&set, &data, &n), 0);
	assert_int_equal(conffile_set_decode(data, n, &back), 0);
	assert_sets_equal(&set, &back);
	conffile_set_deinit(&back);

	/* cut anywhere, or with more behind it, it is refused and nothing is left over */
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ void *cut = malloc(i ? i : 1);

		memcpy(cut, data, i);
		assert_int_equal(conffile_set_decode(cut, i, &back), -EBADMSG);
		assert_null(back.texts);
	}
	data = realloc(data, n + 1);
	((char *)data)[n] = 0;
	assert_int_equal(conffile_set_decode(data, n + 1, &back), -EBADMSG);
	assert_int_equal(conffile_set_decode(NULL, 0, &back), -EBADMSG);
}

/* Every byte of a message set to every value: refused or decoded, never more. */
static void test_wire_hostile(void **state)
{
	const struct config_text texts[] = { { .name = "a", .text = "x", .n_text = 1 },
					     { .name = "b", .error = "e" } };
	const struct conffile_set set = { (struct config_text *)texts, 2 };
	_cleanup_free_ uint8_t *data = NULL;
	unsigned int n_decoded = 0;
	size_t n;

	assert_int_equal(conffile_set_encode(&set, (void **)&data, &n), 0);
	for (size_t i = 0; i < n; i++) {
		uint8_t saved = data[i];

		for (unsigned int value = 0; value < 256; value++) {
			struct conffile_set back = {};
			int r;

			data[i] = (uint8_t)value;
			r = conffile_set_decode(data, n, &back);
			assert_true(r == 0 || r == -EBADMSG);
			n_decoded += r == 0;
			conffile_set_deinit(&back);
		}
		data[i] = saved;
	}
	/* at least those in which only a byte of text differs */
	assert_true(n_decoded > 255);
}

static void test_job(void **state)
{
	_cleanup_(conffile_set_deinit) struct conffile_set set = {};
	_cleanup_free_ void *reply = NULL;
	size_t n;

	put(etc, "f.conf", "x");
	assert_int_equal(conffile_job(main_file, strlen(main_file), &reply, &n), 0);
	assert_int_equal(conffile_set_decode(reply, n, &set), 0);
	assert_int_equal(set.n_texts, 1);
	assert_string_equal(set.texts[0].name, main_file);
	assert_string_equal(set.texts[0].text, "x");
	assert_int_equal(conffile_job("/etc\0x", 6, &reply, &n), -EBADMSG);
}

#define TEST(_test) cmocka_unit_test_setup_teardown(_test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_order_and_masks),
		TEST(test_nothing_there),
		TEST(test_own_file),
		TEST(test_kinds),
		TEST(test_modes),
		TEST(test_folders),
		TEST(test_folder_kinds),
		TEST(test_not_root),
		TEST(test_sizes),
		TEST(test_too_many),
		TEST(test_wire),
		TEST(test_wire_hostile),
		TEST(test_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
