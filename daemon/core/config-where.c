/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/config-where.h"
#include "daemon/core/escape.h"
#include "daemon/core/grammar-error.h"

#define ALLOWED_WHERE "WHERE is /mount/point, uuid:X, label:X, device:/dev/X, type:X or *"

#define WHERE_PATH_MAX 4095 /* PATH_MAX less the NUL */
#define WHERE_NAME_MAX 64 /* of a uuid or a type */
#define WHERE_LABEL_MAX 256 /* bytes; btrfs has the longest */

void where_deinit(struct where *where)
{
	free(where->text);
	*where = (struct where){};
}

static void where_deinitp(struct where *where)
{
	where_deinit(where);
}

bool where_is_printable(struct span span)
{
	size_t n_backslashes = 0;

	for (size_t i = 0; i < span.n; i++)
		n_backslashes += span.p[i] == '\\';

	/* escape() lengthens a backslash by three and all else only where it must not stay */
	return escape_length(span.p, span.n, 0) == span.n + 3 * n_backslashes;
}

/* The word as bytes; a new string. */
static int word_unescape(struct span word, char **ret, struct grammar_error *error)
{
	_cleanup_free_ char *text = NULL;
	char quoted[GRAMMAR_QUOTE_MAX];

	grammar_quote(quoted, word.p, word.n);
	if (memchr(word.p, ';', word.n) || memchr(word.p, '#', word.n))
		return grammar_refuse(
			error, "';' and '#' in the name '%s' are written \\073 and \\043", quoted);
	if (!where_is_printable(word))
		return grammar_refuse(
			error,
			"what does not print in the name '%s' is written \\ooo, three "
			"octal digits a byte",
			quoted);

	text = malloc(word.n + 1);
	if (!text)
		return -ENOMEM;
	if (unescape(text, word.p, word.n) < 0)
		return grammar_refuse(
			error,
			"a backslash in the name '%s' starts nothing: allowed is \\ooo "
			"with three octal digits, \\001 to \\377",
			quoted);

	*ret = TAKE_PTR(text);
	return 0;
}

/* In place: one slash between components and none at the end. */
static void path_fold(char *path)
{
	char *to = path;

	for (const char *from = path; *from; from++)
		if (*from != '/' || to == path || to[-1] != '/')
			*to++ = *from;
	if (to > path + 1 && to[-1] == '/')
		to--;
	*to = '\0';
}

static bool path_has_dots(const char *path)
{
	const char *p = path;

	while ((p = strchr(p, '/'))) {
		size_t n;

		p++;
		n = strcspn(p, "/");
		if ((n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return true;
	}

	return false;
}

/* Checks and folds an unescaped path. */
static int path_check(char *path, struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];

	grammar_quote(quoted, path, strlen(path));
	if (*path != '/')
		return grammar_refuse(error,
				      "the path '%s' does not begin with '/': only absolute "
				      "paths are allowed",
				      quoted);
	if (strlen(path) > WHERE_PATH_MAX)
		return grammar_refuse(error, "the path '%s' is too long: at most %d bytes", quoted,
				      WHERE_PATH_MAX);
	path_fold(path);
	if (path_has_dots(path))
		return grammar_refuse(
			error,
			"the path '%s' has a component '.' or '..': write the path as "
			"/proc/self/mountinfo shows it",
			quoted);

	return 0;
}

int where_parse_path(struct span word, char **ret, struct grammar_error *error)
{
	_cleanup_free_ char *path = NULL;
	int r;

	assert(ret && error);

	r = word_unescape(word, &path, error);
	if (r < 0)
		return r;
	r = path_check(path, error);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(path);
	return 0;
}

/* A uuid or a type: what no tool makes with other characters. */
static int name_check(const char *what, const char *name, struct grammar_error *error)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	char quoted[GRAMMAR_QUOTE_MAX];
	size_t n = strlen(name);

	if (n > 0 && n <= WHERE_NAME_MAX && strspn(name, allowed) == n)
		return 0;

	grammar_quote(quoted, name, n);
	return grammar_refuse(error,
			      "'%s' is not a %s: allowed are 1 to %d letters, digits, '.', '_' "
			      "and '-'",
			      quoted, what, WHERE_NAME_MAX);
}

static int label_check(const char *label, struct grammar_error *error)
{
	size_t n = strlen(label);

	if (n > 0 && n <= WHERE_LABEL_MAX)
		return 0;

	return grammar_refuse(error, "the label is %s: allowed are 1 to %d bytes",
			      n == 0 ? "empty" : "too long", WHERE_LABEL_MAX);
}

static int device_check(char *path, struct grammar_error *error)
{
	char quoted[GRAMMAR_QUOTE_MAX];
	int r;

	r = path_check(path, error);
	if (r < 0)
		return r;
	if (strncmp(path, "/dev/", 5) == 0)
		return 0;

	grammar_quote(quoted, path, strlen(path));
	return grammar_refuse(error, "'%s' is not a device: allowed is a path below /dev", quoted);
}

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static int where_check(struct where *where, struct grammar_error *error)
{
	switch (where->kind) {
	case WHERE_MOUNT:
		return path_check(where->text, error);
	case WHERE_UUID:
		lower(where->text);
		return name_check("uuid", where->text, error);
	case WHERE_LABEL:
		return label_check(where->text, error);
	case WHERE_DEVICE:
		return device_check(where->text, error);
	case WHERE_TYPE:
		return name_check("type of filesystems", where->text, error);
	case WHERE_ALL:
		return 0;
	}

	return 0;
}

static bool take_prefix(struct span *word, const char *prefix)
{
	size_t n = strlen(prefix);

	if (word->n < n || memcmp(word->p, prefix, n) != 0)
		return false;

	word->p += n;
	word->n -= n;
	return true;
}

int where_parse(struct span word, struct where *ret, struct grammar_error *error)
{
	_cleanup_(where_deinitp) struct where where = {};
	struct span text = word;
	int r;

	assert(ret && error);

	if (word.n > 0 && *word.p == '/') {
		where.kind = WHERE_MOUNT;
	} else if (take_prefix(&text, "uuid:")) {
		where.kind = WHERE_UUID;
	} else if (take_prefix(&text, "label:")) {
		where.kind = WHERE_LABEL;
	} else if (take_prefix(&text, "device:")) {
		where.kind = WHERE_DEVICE;
	} else if (take_prefix(&text, "type:")) {
		where.kind = WHERE_TYPE;
	} else if (span_equal(word, "*")) {
		where.kind = WHERE_ALL;
		text.n = 0;
	} else {
		char quoted[GRAMMAR_QUOTE_MAX];

		grammar_quote(quoted, word.p, word.n);
		return grammar_refuse(error, "'%s' names no filesystem: %s", quoted, ALLOWED_WHERE);
	}

	r = word_unescape(text, &where.text, error);
	if (r < 0)
		return r;
	r = where_check(&where, error);
	if (r < 0)
		return r;

	*ret = where;
	where = (struct where){};
	return 0;
}

int where_compare(const struct where *a, const struct where *b)
{
	size_t n_a, n_b;

	assert(a && b);

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	n_a = strlen(a->text);
	n_b = strlen(b->text);
	if (n_a != n_b)
		return n_a > n_b ? -1 : 1;

	return strcmp(a->text, b->text);
}
