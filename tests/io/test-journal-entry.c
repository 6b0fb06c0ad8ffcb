/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

#include "daemon/output/catalog.h"
#include "daemon/output/limiter.h"
#include "daemon/core/sentence.h"
#include "tests/io/journal-fixture.h"

/* Events of one flood. */
#define FLOOD 10000

static void assert_field(const struct journal_entry *entry, const char *name, const char *expected)
{
	char value[JOURNAL_ENTRY_MAX];

	if (field_find(entry, name, value, sizeof(value)) != 1)
		fail_msg("field %s is not there once", name);
	assert_string_equal(value, expected);
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1024 * 1024 - 1, "1023.9 KiB" },
		{ 1 << 20, "1.0 MiB" },
		{ 5ULL << 30, "5.0 GiB" },
		{ (5ULL << 30) - 1, "4.9 GiB" },
		{ 3ULL << 40, "3.0 TiB" },
		{ 1ULL << 60, "1.0 EiB" },
		{ UINT64_MAX, "15.9 EiB" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[SENTENCE_SIZE_MAX];

		sentence_size(text, cases[i].bytes);
		assert_string_equal(text, cases[i].text);
	}
}

static void test_sentences(void **state)
{
	char text[SENTENCE_MAX];
	struct event event;

	event_make(&event, EVENT_THRESHOLD_BELOW, "/srv", 4);
	event.data = (5ULL << 30) - (50 << 20);
	assert_int_equal(details_add_string(&event.details, "name", "critical", 0), 0);
	assert_int_equal(details_add_u64(&event.details, "level", 5ULL << 30, 0), 0);
	sentence_event(text, &event, 1);
	assert_string_equal(text, "/srv: 4.9 GiB available, below threshold critical (5.0 GiB)");

	assert_int_equal(details_add_bool(&event.details, "initial", true, 0), 0);
	event.test = true;
	event.pid = 17;
	sentence_event(text, &event, 3);
	assert_string_equal(text, "Test: /srv: 4.9 GiB available, below threshold critical (5.0 "
				  "GiB), found at start, by process 17, 3 times");
	event_deinit(&event);

	event_make(&event, EVENT_THRESHOLD_ABOVE, "/srv", 4);
	event.data = 1200;
	assert_int_equal(details_add_string(&event.details, "resource", "inodes", 0), 0);
	assert_int_equal(details_add_string(&event.details, "name", "few", 0), 0);
	assert_int_equal(details_add_u64(&event.details, "level", 1000, 0), 0);
	sentence_event(text, &event, 1);
	assert_string_equal(text, "/srv: 1200 inodes available, above threshold few (1000)");
	event_deinit(&event);

	event_make(&event, EVENT_IO_ERROR, "", 0);
	event.data = EIO;
	sentence_event(text, &event, 0);
	assert_string_equal(text, "filesystem 259:3: an input or output error occurred (EIO)");
	event.data = UINT64_MAX;
	sentence_event(text, &event, 0);
	assert_string_equal(text, "filesystem 259:3: an input or output error occurred");
	event_deinit(&event);

	/* Many errors, found at the start. */
	event_make(&event, EVENT_CORRUPTED, "/srv", 4);
	event.data = EUCLEAN;
	assert_int_equal(details_add_bool(&event.details, "initial", true, 0), 0);
	sentence_event(text, &event, 3);
	assert_string_equal(text, "/srv: is damaged, what is on the disk contradicts itself "
				  "(EUCLEAN), found at start, 3 errors");
	event_deinit(&event);

	event_make(&event, EVENT_READ_ONLY, "/srv", 4);
	assert_int_equal(details_add_string(&event.details, "reason", "emergency", 0), 0);
	sentence_event(text, &event, 1);
	assert_string_equal(text, "/srv: became read-only after an error, though no flag shows it");
	event_deinit(&event);
	event_make(&event, EVENT_READ_ONLY, "/srv", 4);
	assert_int_equal(details_add_string(&event.details, "reason", "of a later version", 0), 0);
	sentence_event(text, &event, 1);
	assert_string_equal(text, "/srv: became read-only");
	event_deinit(&event);

	/* Whatever a mount point is called: one line, printable, bounded. */
	event_make(&event, EVENT_CORRUPTED, "/a\n\033[31m\"\xff\\", 11);
	sentence_event(text, &event, 1);
	assert_string_equal(
		text,
		"/a\\012\\033[31m\"\\377\\134: is damaged, what is on the disk contradicts itself");
	event_deinit(&event);

	for (enum event_code code = 0; code < _EVENT_CODE_N; code++) {
		char where[4095];

		memset(where, '\n', sizeof(where));
		event_make(&event, code, where, sizeof(where));
		sentence_event(text, &event, 1);
		assert_true(strlen(text) > 500 && strlen(text) < SENTENCE_MAX);
		assert_null(strchr(text, '\n'));
		assert_non_null(strstr(text, "\\012: "));
		event_deinit(&event);
	}
}

/* Which file it was stands in no sentence but its own. */
static void test_object(void **state)
{
	struct details details = {};
	char text[SENTENCE_MAX];
	struct event event;

	event_make(&event, EVENT_CORRUPTED, "/srv", 4);
	sentence_object(text, &event, &details);
	assert_string_equal(text, "");
	assert_int_equal(details_add_u64(&event.details, "inode", 12, DETAIL_PRIVATE), 0);
	sentence_object(text, &event, &details);
	assert_string_equal(text, "");
	assert_int_equal(details_add_bytes(&details, "path", "etc/pass\nwd", 11, DETAIL_PRIVATE),
			 0);
	sentence_object(text, &event, &details);
	assert_string_equal(text, "/srv: the file concerned is etc/pass\\012wd (inode 12)");
	sentence_event(text, &event, 1);
	assert_null(strstr(text, "12"));
	details_deinit(&details);
	event_deinit(&event);
}

/* An event that stands for several already: the sum is told, and once. */
static void test_count(void **state)
{
	struct journal_entry entry;
	struct event event;

	event_make(&event, EVENT_CORRUPTED, "/srv", 4);
	assert_int_equal(details_add_u64(&event.details, "count", 5, 0), 0);
	assert_int_equal(journal_entry_event(&entry, JOURNAL_FORM_NATIVE, &event, 12), 0);
	assert_field(&entry, "FSEVENTS_COUNT", "12");
	journal_entry_deinit(&entry);
	event_deinit(&event);
}

static void test_entry(void **state)
{
	const struct detail_writer writers[] = {
		{ 10, 5ULL << 30, "dd" },
		{ 11, 77, "a\\012b" },
	};
	struct journal_entry entry;
	char value[256];
	struct event event;

	event_make(&event, EVENT_THRESHOLD_BELOW, "/s\nv", 4);
	event.severity = SEVERITY_CRITICAL;
	event.pid = 9;
	event.test = true;
	assert_int_equal(details_add_u64(&event.details, "fill-rate", 123, 0), 0);
	assert_int_equal(details_add_i32(&event.details, "number", -3, 0), 0);
	assert_int_equal(details_add_bool(&event.details, "initial", true, 0), 0);
	assert_int_equal(details_add_writers(&event.details, "writers", writers, 2, DETAIL_PRIVATE),
			 0);

	assert_int_equal(journal_entry_event(&entry, JOURNAL_FORM_NATIVE, &event, 4), 0);
	assert_field(&entry, "PRIORITY", "2");
	assert_field(&entry, "SYSLOG_IDENTIFIER", "fseventsd");
	assert_field(&entry, "MESSAGE_ID", CATALOG_EVENT_THRESHOLD_BELOW);
	assert_field(&entry, "FSEVENTS_CODE", "threshold-below");
	assert_field(&entry, "FSEVENTS_SEVERITY", "critical");
	assert_field(&entry, "FSEVENTS_WHERE", "/s\\012v");
	assert_field(&entry, "FSEVENTS_DEVICE", "259:3");
	assert_field(&entry, "FSEVENTS_ID", "42");
	assert_field(&entry, "FSEVENTS_PID", "9");
	assert_field(&entry, "FSEVENTS_COUNT", "4");
	assert_field(&entry, "FSEVENTS_TEST", "1");
	assert_field(&entry, "FSEVENTS_FILL_RATE", "123");
	assert_field(&entry, "FSEVENTS_NUMBER", "-3");
	assert_field(&entry, "FSEVENTS_INITIAL", "1");
	assert_field(&entry, "FSEVENTS_SOURCE", "statfs");
	assert_int_equal(field_find(&entry, "FSEVENTS_WRITERS", value, sizeof(value)), 2);
	assert_string_equal(value, "11 77 a\\012b");
	assert_int_equal(field_find(&entry, "FSEVENTS_CUT", value, sizeof(value)), 0);
	journal_entry_deinit(&entry);

	/* Said already in its details: once is enough. */
	assert_int_equal(details_add_bool(&event.details, "test", true, 0), 0);
	assert_int_equal(journal_entry_event(&entry, JOURNAL_FORM_NATIVE, &event, 1), 0);
	assert_field(&entry, "FSEVENTS_TEST", "1");
	assert_int_equal(field_find(&entry, "FSEVENTS_COUNT", value, sizeof(value)), 0);
	journal_entry_deinit(&entry);

	assert_int_equal(journal_entry_event(&entry, JOURNAL_FORM_PREFIXED, &event, 1), 0);
	assert_memory_equal(entry.data, "<2>Test: /s\\012v: ", 17);
	assert_int_equal(entry.data[entry.n_data - 1], '\n');
	journal_entry_deinit(&entry);

	assert_int_equal(journal_entry_amend(&entry, JOURNAL_FORM_NATIVE, &event, &event.details),
			 0);
	assert_field(&entry, "MESSAGE_ID", CATALOG_WRITERS);
	assert_field(
		&entry, "MESSAGE",
		"/s\\012v: wrote most in the moments before: dd[10] 5.0 GiB, a\\012b[11] 77 B");
	journal_entry_deinit(&entry);
	event_deinit(&event);
}

static void test_entry_bounds(void **state)
{
	const struct journal_field fields[] = {
		{ "FSEVENTS_CODE", "fork-rate" },
		{ "FSEVENTS_RULE", "a\nFSEVENTS_CODE=b" },
		{},
	};
	static char bytes[DETAILS_MAX - 256];
	struct details more = {};
	struct journal_entry entry;
	struct event event;
	char value[JOURNAL_ENTRY_MAX];

	/* Every byte becomes four: more than one entry holds. */
	memset(bytes, 1, sizeof(bytes));
	event_make(&event, EVENT_CORRUPTED, "/", 1);
	assert_int_equal(
		details_add_bytes(&event.details, "path", bytes, sizeof(bytes), DETAIL_PRIVATE), 0);
	assert_int_equal(journal_entry_event(&entry, JOURNAL_FORM_NATIVE, &event, 1), 0);
	assert_true(entry.n_data <= JOURNAL_ENTRY_MAX);
	assert_true(field_find(&entry, "FSEVENTS_PATH", value, sizeof(value)) +
			    field_find(&entry, "FSEVENTS_CUT", value, sizeof(value)) ==
		    1);
	assert_int_equal(journal_entry_amend(&entry, JOURNAL_FORM_NATIVE, &event, &more),
			 JOURNAL_ENTRY_E_NOTHING);
	journal_entry_deinit(&entry);
	event_deinit(&event);

	/* Lines in a line of the daemon are framed natively and joined else. */
	assert_int_equal(journal_entry_log(&entry, JOURNAL_FORM_NATIVE, LOG_ERR, NULL,
					   "a\nPRIORITY=0\nb"),
			 0);
	assert_field(&entry, "MESSAGE", "a\nPRIORITY=0\nb");
	assert_field(&entry, "PRIORITY", "3");
	journal_entry_deinit(&entry);
	assert_int_equal(journal_entry_log(&entry, JOURNAL_FORM_LINE, LOG_ERR, NULL, "a\n\033b"),
			 0);
	assert_int_equal(entry.n_data, 5);
	assert_memory_equal(entry.data, "a  b\n", 5);
	journal_entry_deinit(&entry);

	assert_int_equal(journal_entry_fields(&entry, JOURNAL_FORM_NATIVE, LOG_ERR, "id", "text",
					      fields),
			 0);
	assert_field(&entry, "MESSAGE_ID", "id");
	assert_field(&entry, "FSEVENTS_CODE", "fork-rate");
	assert_field(&entry, "FSEVENTS_RULE", "a\nFSEVENTS_CODE=b");
	journal_entry_deinit(&entry);

	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(journal_entry_log(&entry, JOURNAL_FORM_LINE, LOG_ERR, NULL, value), 0);
	assert_int_equal(entry.n_data, JOURNAL_LINE_MAX);
	assert_int_equal(entry.data[JOURNAL_LINE_MAX - 1], '\n');
	journal_entry_deinit(&entry);
}

static void test_limiter(void **state)
{
	struct limiter *limiter = calloc(1, sizeof(*limiter));
	char label[LIMITER_LABEL_MAX];
	uint64_t now = 1000, key = limiter_key("id", "uid 7"), n_passed = 0, n = 0, k;

	assert_non_null(limiter);
	assert_int_equal(limiter_due_us(limiter), UINT64_MAX);

	for (unsigned int i = 0; i < 25; i++)
		n_passed += limiter_pass(limiter, key, "uid 7", now + i);
	assert_int_equal(n_passed, LIMITER_BURST);
	assert_true(limiter_pass(limiter, limiter_key("id", "uid 8"), "uid 8", now));

	assert_int_equal(limiter_next(limiter, now + LIMITER_WINDOW_US - 1, label), 0);
	assert_int_equal(limiter_due_us(limiter), now + LIMITER_WINDOW_US);
	now += LIMITER_WINDOW_US;
	/* Not before the count is told. */
	assert_false(limiter_pass(limiter, key, "uid 7", now));
	assert_int_equal(limiter_next(limiter, now, label), 16);
	assert_string_equal(label, "uid 7");
	assert_int_equal(limiter_next(limiter, now, label), 0);
	assert_true(limiter_pass(limiter, key, "uid 7", now));

	/* A key for every entry: bounded, and all of it counted. */
	n_passed = 0;
	for (unsigned int i = 0; i < FLOOD; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "key %u", i);
		n_passed += limiter_pass(limiter, limiter_key("id", name), name, now);
	}
	assert_true(n_passed <= LIMITER_PLACES + LIMITER_BURST);
	now += 2 * LIMITER_WINDOW_US;
	while ((k = limiter_next(limiter, now, label)) > 0)
		n += k;
	assert_int_equal(n + n_passed, FLOOD);
	assert_string_equal(label, "others");

	assert_int_not_equal(limiter_key("a", "b"), limiter_key("ab", ""));
	assert_int_not_equal(limiter_key(NULL, "b"), limiter_key("b", NULL));
	free(limiter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_object),	cmocka_unit_test(test_count),
		cmocka_unit_test(test_entry),	cmocka_unit_test(test_entry_bounds),
		cmocka_unit_test(test_limiter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
