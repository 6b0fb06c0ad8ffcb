/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * WHERE
 *
 * What a section [filesystem WHERE] is about: a mount point, a uuid, a label,
 * a device, a type, or everything. Knows the written form and the order of
 * precedence; whether a filesystem is meant is config-resolve's matter.
 */

#include "daemon/core/grammar.h"
#include "daemon/core/span.h"

/* In the order of precedence, the most specific first. */
enum where_kind {
	WHERE_MOUNT,
	WHERE_UUID,
	WHERE_LABEL,
	WHERE_DEVICE,
	WHERE_TYPE,
	WHERE_ALL,
};

struct where {
	enum where_kind kind;
	char *text; /* unescaped bytes without "uuid:" and the like; "" for WHERE_ALL */
};

void where_deinit(struct where *where);

/**
 * where_parse() - read the WHERE of a section's header
 * @word:	one word as it stands in the file; a backslash starts \ooo
 * @ret:	to be given to where_deinit(); paths have no doubled or final
 *		slash, a uuid is in lower case
 *
 * Return: 0, -EINVAL with @error, or -ENOMEM.
 */
int where_parse(struct span word, struct where *ret, struct grammar_error *error);

/** where_parse_path() - the PATH of [watch PATH], in the same form; as where_parse() */
int where_parse_path(struct span word, char **ret, struct grammar_error *error);

/**
 * where_compare() - the order in which sections are looked at
 *
 * By kind, then the longer text first, then in byte order.
 *
 * Return: less than, equal to or more than 0, as strcmp().
 */
int where_compare(const struct where *a, const struct where *b);

/** where_is_printable() - valid text without control characters; a backslash is fine */
bool where_is_printable(struct span span);
