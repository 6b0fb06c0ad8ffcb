/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A superblock table under test: feeds readings from string literals and
 * writes down what was told, as "+0:5#1" (added), "~" (changed), "-" (removed).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/superblock.h"

struct fixture {
	struct superblock_table *table;
	char told[4096];
	uint64_t now_us;
	size_t skipped;
	/* unique id = mnt_id + offset; 0 offset: the kernel has none */
	uint64_t unique_offset;
};

static inline void fixture_note(struct fixture *fixture, char what, const struct superblock *sb)
{
	size_t n = strlen(fixture->told);

	/* The table agrees already with what is being told. */
	assert_true((superblock_table_find(fixture->table, &sb->key) == sb) == (what != '-'));
	assert_true(sb->n_mounts > 0);

	snprintf(fixture->told + n, sizeof(fixture->told) - n, "%s%c%u:%u#%u", n ? " " : "", what,
		 sb->key.major, sb->key.minor, sb->key.n);
}

static void fixture_added(struct superblock *sb, void *userdata)
{
	fixture_note(userdata, '+', sb);
}

static void fixture_changed(struct superblock *sb, void *userdata)
{
	fixture_note(userdata, '~', sb);
}

static void fixture_removed(struct superblock *sb, void *userdata)
{
	fixture_note(userdata, '-', sb);
}

static const struct superblock_ops fixture_ops = {
	.added = fixture_added,
	.changed = fixture_changed,
	.removed = fixture_removed,
};

static inline uint64_t fixture_unique_id(uint32_t mnt_id, void *userdata)
{
	struct fixture *fixture = userdata;

	return fixture->unique_offset ? fixture->unique_offset + mnt_id : 0;
}

static inline int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;

	*state = fixture;
	return superblock_table_new(&fixture->table, &fixture_ops, fixture);
}

static inline int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	superblock_table_free(fixture->table);
	free(fixture);
	return 0;
}

static inline int fixture_try(struct fixture *fixture, const char *text)
{
	size_t n = strlen(text);
	char *copy = malloc(n ? n : 1);
	struct superblock_reading reading = {
		.text = copy,
		.n_text = n,
		.now_us = fixture->now_us,
		.unique_id = fixture_unique_id,
		.userdata = fixture,
	};
	int r;

	if (!copy)
		abort();
	memcpy(copy, text, n);
	fixture->told[0] = '\0';
	r = superblock_table_update(fixture->table, &reading, &fixture->skipped);
	free(copy);
	return r;
}

/* Feeds @text and compares what was told. */
#define fixture_expect(_fixture, _text, _told)                                                     \
	do {                                                                                       \
		assert_int_equal(fixture_try(_fixture, _text), 0);                                 \
		assert_string_equal((_fixture)->told, _told);                                      \
	} while (0)

/* "major:minor" a path is on, "-" for none. */
static inline const char *fixture_resolve(struct fixture *fixture, const char *path)
{
	static char text[32];
	const struct superblock *sb = superblock_table_resolve(fixture->table, path);

	if (!sb)
		return "-";

	snprintf(text, sizeof(text), "%u:%u", sb->key.major, sb->key.minor);
	return text;
}
