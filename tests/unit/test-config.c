/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config-fixture.h"

static void test_defaults(void **state)
{
	static const char *const empty[] = { "",
					     "\n",
					     "# nothing\n ; more\n\n",
					     "[daemon]\n[limits]\n",
					     "\xef\xbb\xbf",
					     "\xef\xbb\xbf# x\r\n\r\n" };
	struct config *config;

	config = parse_good(NULL, 0);
	assert_defaults(config);
	config_free(config);
	for (size_t i = 0; i < N(empty); i++) {
		config = parse_one(empty[i]);
		assert_defaults(config);
		config_free(config);
	}
}

static void test_values(void **state)
{
	struct config *config = parse_one("\xef\xbb\xbf[daemon]\r\n"
					  "sources = gate\r\n"
					  "  history-size=256 ; inline\r\n"
					  "log-level =\tdebug # inline\r\n"
					  "re-evaluation = 5\r\n"
					  "\r\n"
					  "[limits] ; of a user\n"
					  "watches = 1\n"
					  "groups = 2\n"
					  "\trelays = 0\n"
					  "streams = 4\n"
					  "queue-bytes = 64K");

	assert_true(config_daemon(config)->source_gate);
	assert_false(config_daemon(config)->source_mount_events);
	assert_false(config_daemon(config)->source_kmsg);
	assert_int_equal(config_daemon(config)->re_evaluation, 5);
	assert_int_equal(config_daemon(config)->history_size, 256);
	assert_int_equal(config_daemon(config)->log_level, CONFIG_LOG_DEBUG);
	assert_int_equal(config_limits(config)->watches, 1);
	assert_int_equal(config_limits(config)->groups, 2);
	assert_int_equal(config_limits(config)->relays, 0);
	assert_int_equal(config_limits(config)->streams, 4);
	assert_int_equal(config_limits(config)->queue_bytes, 65536);
	config_free(config);

	config = parse_one("[daemon]\nsources = none\n[daemon]\nlog-level=error\n");
	assert_false(config_daemon(config)->source_gate);
	assert_false(config_daemon(config)->source_mount_events);
	assert_int_equal(config_daemon(config)->log_level, CONFIG_LOG_ERROR);
	config_free(config);

	config = parse_one("[daemon]\nsources = uevents,fs-errors,kmsg\n");
	assert_false(config_daemon(config)->source_gate);
	assert_true(config_daemon(config)->source_fs_errors);
	assert_true(config_daemon(config)->source_kmsg);
	assert_true(config_daemon(config)->source_uevents);
	assert_int_equal(config_daemon(config)->re_evaluation, 60);
	config_free(config);

	config = parse_one("[daemon]\nsources = fs-errors,watches\n");
	assert_true(config_daemon(config)->source_fs_errors);
	assert_true(config_daemon(config)->source_watches);
	assert_false(config_daemon(config)->source_module);
	assert_false(config_daemon(config)->source_processes);
	assert_false(config_daemon(config)->source_kmsg);
	assert_false(config_daemon(config)->source_uevents);
	config_free(config);
}

static void test_watch(void **state)
{
	config_free(parse_one(
		"[watch /home/a\\040b]\n"
		"events = access,modify,create,delete,move,attrib,close-write,open,unmount,mount,"
		"delete-self,move-self\n"
		"recursive = yes\n"
		"log-level = notice\n"
		"[watch /var/spool/]\n"
		"events = all\n"));
}

/* Names longer than inih itself can hold stay whole and distinct. */
static void test_long_names(void **state)
{
	char text[3 * 4096], where[2][1200], events[4100] = "enospc";
	const char *paths[2] = { where[0], where[1] };
	struct config_settings settings;
	struct config *config;

	for (int i = 0; i < 2; i++) {
		memset(where[i], 'a', sizeof(where[i]));
		where[i][0] = '/';
		where[i][sizeof(where[i]) - 2] = (char)('x' + i);
		where[i][sizeof(where[i]) - 1] = '\0';
	}
	while (strlen(events) < 4100 - 20)
		strcat(events, ",io-error");
	snprintf(text, sizeof(text),
		 "[filesystem %s]\nthreshold = one space 1G\n[filesystem %s]\nthreshold = two "
		 "space 2G\n"
		 "events = %s\n",
		 where[0], where[1], events);

	config = parse_one(text);
	resolve(config, paths[0], "ext4", &settings);
	assert_string_equal(settings.thresholds[0].name, "one");
	assert_int_equal(settings.events, EVENT_CODES_ALL);
	resolve(config, paths[1], "ext4", &settings);
	assert_string_equal(settings.thresholds[0].name, "two");
	assert_int_equal(settings.events, 1U << EVENT_ENOSPC | 1U << EVENT_IO_ERROR);
	config_free(config);
}

static void test_where_forms(void **state)
{
	struct config_settings settings;
	struct config *config =
		parse_one("[filesystem //srv//data/]\nevents = enospc\n"
			  "[filesystem /a\\040b\\134\\135\\073\\043\\377]\nevents = io-error\n"
			  "[filesystem /gr\xc3\xb6\xc3\x9f"
			  "er]\nevents = corrupted\n"
			  "[filesystem /]\nevents = none\n");

	resolve(config, "/srv/data", "ext4", &settings);
	assert_int_equal(settings.events, 1U << EVENT_ENOSPC);
	resolve(config, "/a b\\];#\xff", "ext4", &settings);
	assert_int_equal(settings.events, 1U << EVENT_IO_ERROR);
	resolve(config,
		"/gr\xc3\xb6\xc3\x9f"
		"er",
		"ext4", &settings);
	assert_int_equal(settings.events, 1U << EVENT_CORRUPTED);
	resolve(config, "/", "ext4", &settings);
	assert_int_equal(settings.events, 0);
	/* a mount point is matched whole, never as a prefix */
	resolve(config, "/srv", "ext4", &settings);
	assert_int_equal(settings.events, EVENT_CODES_ALL);
	config_free(config);
}

/* One section of each rank, each with an event of its own; the ranks fall away one by one. */
static void test_precedence(void **state)
{
	static const char *const sections[] = {
		"[filesystem *]\nevents = enospc\n",
		"[filesystem type:ext4]\nevents = io-error\n",
		"[filesystem device:/dev/sda1]\nevents = frozen\n",
		"[filesystem label:my\\040disk]\nevents = thawed\n",
		"[filesystem uuid:ABCD-1234]\nevents = mounted\n",
		"[filesystem /srv]\nevents = stalled\n",
	};
	static const enum event_code expected[] = {
		EVENT_ENOSPC, EVENT_IO_ERROR, EVENT_FROZEN,
		EVENT_THAWED, EVENT_MOUNTED,  EVENT_STALLED,
	};
	const char *where = "/srv";
	const struct device_number device = { 8, 1 };
	const struct config_match match = {
		.where = &where,
		.n_where = 1,
		.type = "ext4",
		.uuid = "abcd-1234",
		.label = "my disk",
		.devices = &device,
		.n_devices = 1,
		.is_default = true,
	};
	char text[1024] = "";

	for (size_t n = 1; n <= N(sections); n++) {
		struct config_settings settings;
		struct config *config;

		/* written from the least to the most specific, and the other way round */
		text[0] = '\0';
		for (size_t i = 0; i < n; i++)
			strcat(text, sections[n % 2 ? i : n - 1 - i]);
		config = parse_one(text);
		config_device_set(config, "/dev/sda1", 8, 1);
		config_resolve(config, &match, &settings);
		assert_int_equal(settings.events, 1U << expected[n - 1]);
		assert_builtin_thresholds(&settings);
		config_free(config);
	}
}

static void test_precedence_per_key(void **state)
{
	struct config_settings settings;
	struct config *config = parse_one("[filesystem *]\n"
					  "threshold = a space 1G\n"
					  "threshold = b space 2G critical hysteresis 1M\n"
					  "events = enospc\n"
					  "[filesystem type:xfs]\n"
					  "ignore = yes\n"
					  "[filesystem type:ext4]\n"
					  "threshold = c inodes 5\n"
					  "[filesystem /srv]\n"
					  "events = io-error\n"
					  "[filesystem /none]\n"
					  "threshold = none\n");

	/* events of /srv, thresholds of type:ext4 alone */
	resolve(config, "/srv", "ext4", &settings);
	assert_int_equal(settings.events, 1U << EVENT_IO_ERROR);
	assert_int_equal(settings.n_thresholds, 1);
	assert_string_equal(settings.thresholds[0].name, "c");
	assert_false(settings.ignored);

	resolve(config, "/other", "btrfs", &settings);
	assert_int_equal(settings.events, 1U << EVENT_ENOSPC);
	assert_int_equal(settings.n_thresholds, 2);
	assert_string_equal(settings.thresholds[1].name, "b");
	assert_int_equal(settings.thresholds[1].severity, SEVERITY_CRITICAL);
	assert_int_equal(settings.thresholds[1].hysteresis.value, 1 << 20);

	resolve(config, "/none", "ext4", &settings);
	assert_int_equal(settings.n_thresholds, 0);
	resolve(config, "/x", "xfs", &settings);
	assert_true(settings.ignored);
	config_free(config);
}

static void test_several_mounts(void **state)
{
	const char *forward[] = { "/b", "/a", "/long/er" },
		   *backward[] = { "/long/er", "/a", "/b" };
	struct config_match match = { .where = forward, .n_where = 3, .is_default = true };
	struct config_settings settings;
	struct config *config = parse_one("[filesystem /b]\nevents = enospc\nignore = yes\n"
					  "[filesystem /a]\nevents = io-error\n"
					  "[filesystem /long/er]\nthreshold = none\n");

	for (int i = 0; i < 2; i++) {
		config_resolve(config, &match, &settings);
		/* the longest has thresholds only; of equally long ones /a comes first */
		assert_int_equal(settings.n_thresholds, 0);
		assert_int_equal(settings.events, 1U << EVENT_IO_ERROR);
		assert_true(settings.ignored);
		match.where = backward;
	}
	config_free(config);
}

static void test_ignored(void **state)
{
	const char *where = "/home/u/x";
	struct config_match match = {
		.where = &where,
		.n_where = 1,
		.type = "fuse.sshfs",
		.is_default = false,
	};
	struct config_settings settings;
	static const struct {
		const char *text;
		bool ignored;
	} rows[] = {
		{ "", true },
		/* * names nothing, and a section without the key asks for nothing */
		{ "[filesystem *]\nignore = no\n", true },
		{ "[filesystem /home/u/x]\nevents = all\n", true },
		{ "[filesystem /home/u/x]\nignore = no\n", false },
		{ "[filesystem type:fuse.sshfs]\nignore = no\n", false },
		{ "[filesystem type:fuse]\nignore = no\n", true },
		{ "[filesystem type:fuse.sshfs]\nignore = no\n[filesystem /home/u/x]\nignore = "
		  "yes\n",
		  true },
	};

	for (size_t i = 0; i < N(rows); i++) {
		struct config *config = parse_one(rows[i].text);

		config_resolve(config, &match, &settings);
		if (settings.ignored != rows[i].ignored)
			fail_msg("row %zu", i);
		config_free(config);
	}
}

static void test_identity(void **state)
{
	static const struct config_match nothing = { .is_default = true };
	const struct device_number devices[] = { { 8, 2 }, { 8, 17 } };
	struct config_match match = { .devices = devices, .n_devices = 2, .is_default = true };
	struct config_settings settings;
	struct config *config;
	size_t index = 0;

	config = parse_one("[filesystem /x]\nevents=none\n");
	assert_false(config_needs_identity(config));
	assert_null(config_device_next(config, &index));
	config_resolve(config, &nothing, &settings);
	assert_int_equal(settings.events, EVENT_CODES_ALL);
	config_free(config);

	config = parse_one("[filesystem device:/dev/sdb1]\nevents = enospc\n"
			   "[filesystem device:/dev/disk/by-id/x]\nevents = io-error\n"
			   "[filesystem label:x]\n");
	assert_true(config_needs_identity(config));
	index = 0;
	assert_string_equal(config_device_next(config, &index), "/dev/disk/by-id/x");
	assert_string_equal(config_device_next(config, &index), "/dev/sdb1");
	assert_null(config_device_next(config, &index));
	/* unknown numbers match nothing; not even 0:0 */
	config_resolve(config, &match, &settings);
	assert_int_equal(settings.events, EVENT_CODES_ALL);
	config_device_set(config, "/dev/sdb1", 8, 17);
	config_device_set(config, "/dev/not-configured", 8, 2);
	config_resolve(config, &match, &settings);
	assert_int_equal(settings.events, 1U << EVENT_ENOSPC);

	/* unplugged: its number may become another's */
	config_device_forget(config, "/dev/not-configured");
	config_device_forget(config, "/dev/sdb1");
	config_resolve(config, &match, &settings);
	assert_int_equal(settings.events, EVENT_CODES_ALL);
	config_free(config);
}

static void test_later_files_win(void **state)
{
	const struct config_text texts[] = {
		text_of("a", "[limits]\nwatches = 1\ngroups = 1\n"
			     "[filesystem /srv]\nthreshold = a space 1G\nthreshold = b space 2G\n"
			     "events = enospc\n"),
		text_of("b", "[limits]\nwatches = 2\n"
			     "[filesystem /srv/]\nthreshold = c space 3G\n"),
		text_of("c", "[filesystem uuid:AbC]\nevents = enospc\n"),
		text_of("d", "[filesystem uuid:aBc]\nevents = io-error\n"),
	};
	const struct config_match match = { .uuid = "ABC", .is_default = true };
	struct config *config = parse_good(texts, N(texts));
	struct config_settings settings;

	assert_int_equal(config_limits(config)->watches, 2);
	assert_int_equal(config_limits(config)->groups, 1);
	resolve(config, "/srv", "ext4", &settings);
	assert_int_equal(settings.events, 1U << EVENT_ENOSPC);
	assert_int_equal(settings.n_thresholds, 1);
	assert_string_equal(settings.thresholds[0].name, "c");
	config_resolve(config, &match, &settings);
	assert_int_equal(settings.events, 1U << EVENT_IO_ERROR);
	config_free(config);
}

/* What is wrong drops the section of that file; all else holds. */
static void test_faulty_section(void **state)
{
	const struct config_text texts[] = {
		text_of("a", "[limits]\nwatches = 1\n"),
		text_of("b", "[limits]\nwatches = 2\nrelays = 5\nstreams = many\n"
			     "[filesystem /srv]\nevents = enospc\nthreshold = x\n"
			     "[filesystem /ok]\nevents = io-error\n"
			     "[filesystem /srv]\nevents = io-error\n"
			     "[nonsense]\nwatches = 7\nxyz\n"
			     "[daemon]\nhistory-size = 1000\n"),
	};
	struct config_problems problems = {};
	struct config_settings settings;
	struct config *config;

	assert_int_equal(config_parse(&config, texts, N(texts), &problems), 0);
	assert_int_equal(config_limits(config)->watches, 1);
	assert_int_equal(config_limits(config)->relays, 16);
	assert_int_equal(config_daemon(config)->history_size, 1000);
	resolve(config, "/srv", "ext4", &settings);
	assert_int_equal(settings.events, EVENT_CODES_ALL);
	assert_builtin_thresholds(&settings);
	resolve(config, "/ok", "ext4", &settings);
	assert_int_equal(settings.events, 1U << EVENT_IO_ERROR);

	/* streams, threshold, events given again, nonsense, its line without '=' */
	assert_int_equal(problems.n_items, 5);
	assert_string_equal(problems.items[0].file, "b");
	assert_int_equal(problems.items[0].line, 4);
	assert_string_equal(problems.items[0].key, "[limits] streams");
	assert_int_equal(problems.items[1].line, 7);
	assert_string_equal(problems.items[2].key, "[filesystem /srv] events");
	assert_non_null(strstr(problems.items[2].message, "line 6"));
	assert_int_equal(problems.items[3].line, 12);
	assert_int_equal(problems.items[4].line, 14);
	config_problems_deinit(&problems);
	config_free(config);
}

/* The table of keys, the parser and the defaults agree. */
static void test_keys(void **state)
{
	struct config_key key;
	size_t index = 0, n = 0;

	while (config_key_next(&index, &key)) {
		const char *name = strcmp(key.section, "filesystem") == 0 ? " *"
				   : strcmp(key.section, "watch") == 0	  ? " /x"
				   : strcmp(key.section, "process") == 0  ? " x"
									  : "";
		char text[128];

		n++;
		if (!key.initial)
			continue;
		snprintf(text, sizeof(text), "[%s%s]\n%s = %s\n", key.section, name, key.key,
			 key.initial);
		config_free(parse_one(text));
	}
	assert_int_equal(n, 20);
	assert_false(config_key_next(&index, &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_where_forms),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_precedence_per_key),
		cmocka_unit_test(test_several_mounts),
		cmocka_unit_test(test_ignored),
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_later_files_win),
		cmocka_unit_test(test_faulty_section),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
