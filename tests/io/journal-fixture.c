/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/io/journal-fixture.h"

void event_make(struct event *ret, enum event_code code, const char *where, size_t n_where)
{
	*ret = (struct event){
		.id = 42,
		.realtime_us = 1000,
		.code = code,
		.severity = event_code_severity(code),
		.fs = { 259, 3, 1 },
	};
	assert_int_equal(details_add_bytes(&ret->details, "where", where, n_where, 0), 0);
	assert_int_equal(details_add_string(&ret->details, "source", "statfs", 0), 0);
	assert_int_equal(details_add_string(&ret->details, "type", "ext4", 0), 0);
}

size_t field_find(const struct journal_entry *entry, const char *name, char *ret, size_t n_ret)
{
	const char *p = entry->data, *end = entry->data + entry->n_data;
	size_t n_found = 0;

	while (p < end) {
		const char *line_end = memchr(p, '\n', (size_t)(end - p));
		const char *equal, *value;
		size_t n_name, n_value;
		uint64_t size;

		assert_non_null(line_end);
		equal = memchr(p, '=', (size_t)(line_end - p));

		if (equal) {
			n_name = (size_t)(equal - p);
			value = equal + 1;
			n_value = (size_t)(line_end - value);
			line_end++;
		} else {
			n_name = (size_t)(line_end - p);
			assert_true(end - line_end > 9);
			memcpy(&size, line_end + 1, sizeof(size));
			n_value = le64toh(size);
			value = line_end + 9;
			assert_true(n_value < (size_t)(end - value));
			assert_int_equal(value[n_value], '\n');
			line_end = value + n_value + 1;
		}

		assert_true(n_name > 0 && n_name <= 64);
		for (size_t i = 0; i < n_name; i++)
			assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", p[i]));

		if (n_name == strlen(name) && memcmp(p, name, n_name) == 0) {
			assert_true(n_value < n_ret);
			memcpy(ret, value, n_value);
			ret[n_value] = '\0';
			n_found++;
		}
		p = line_end;
	}

	return n_found;
}
