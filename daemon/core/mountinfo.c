/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/core/mountinfo.h"

/* A decimal number and the byte after it; moves @text past both. */
static bool take_number(char **text, const char *end, char stop, uint32_t *ret)
{
	uint64_t number = 0;
	char *p = *text;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		number = number * 10 + (uint64_t)(*p - '0');
		if (number > UINT32_MAX)
			return false;
	}

	if (p == *text || p >= end || *p != stop)
		return false;

	*text = p + 1;
	*ret = (uint32_t)number;
	return true;
}

static bool is_octal(const char *p)
{
	return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
	       p[2] <= '7';
}

/*
 * Undo \ooo. A backslash that starts nothing stays: some filesystems print
 * their source themselves and do not escape it. A NUL cannot be told from
 * the end of the string: false.
 */
static bool unescape_field(char *field)
{
	char *out = field;

	for (const char *in = field; *in; out++) {
		if (*in != '\\' || !is_octal(in + 1)) {
			*out = *in++;
			continue;
		}

		*out = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
		if (*out == '\0')
			return false;
		in += 4;
	}

	*out = '\0';
	return true;
}

/* Fields may be empty (a source may be), so that two spaces are two ends. */
static bool decode_fields(char *rest, struct mountinfo_entry *entry)
{
	char *root, *where, *type, *source;
	const char *field;

	root = strsep(&rest, " ");
	where = strsep(&rest, " ");
	entry->options = strsep(&rest, " ");

	/* Optional fields ("shared:7"), any number, until a lone hyphen. */
	do {
		field = strsep(&rest, " ");
	} while (field && strcmp(field, "-") != 0);

	type = strsep(&rest, " ");
	source = strsep(&rest, " ");
	if (!rest)
		return false;

	if (*root == '\0' || *where != '/' || *type == '\0')
		return false;

	if (!unescape_field(root) || !unescape_field(where) || !unescape_field(type) ||
	    !unescape_field(source))
		return false;

	entry->root = root;
	entry->where = where;
	entry->type = type;
	entry->source = source;

	/*
	 * The options of the superblock stay as printed: a comma inside of a
	 * value is \054 there and would split it after unescaping.
	 */
	entry->super_options = rest;
	return true;
}

/*
 * @room: there is a byte after the line (its newline) that may be overwritten
 */
static bool decode_line(char *line, size_t n, bool room, struct mountinfo_entry *entry)
{
	char *end = line + n;

	if (memchr(line, '\0', n))
		return false;

	if (!take_number(&line, end, ' ', &entry->id) ||
	    !take_number(&line, end, ' ', &entry->parent) ||
	    !take_number(&line, end, ':', &entry->major) ||
	    !take_number(&line, end, ' ', &entry->minor))
		return false;

	/* The numbers are not needed any more: their place gives the byte for the NUL. */
	if (!room) {
		memmove(line - 1, line, (size_t)(end - line));
		line--;
		end--;
	}

	*end = '\0';
	return decode_fields(line, entry);
}

int mountinfo_parse(char *text, size_t n,
		    int (*entry)(const struct mountinfo_entry *entry, void *userdata),
		    void *userdata, size_t *ret_skipped)
{
	const char *end = text + n;
	size_t skipped = 0;

	assert(text || n == 0);
	assert(entry);

	while (n > 0 && text < end) {
		char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n_line = newline ? (size_t)(newline - text) : (size_t)(end - text);
		struct mountinfo_entry decoded;
		int r;

		if (!decode_line(text, n_line, newline, &decoded)) {
			skipped++;
		} else {
			r = entry(&decoded, userdata);
			if (r < 0)
				return r;
		}

		if (!newline)
			break;
		text = newline + 1;
	}

	if (ret_skipped)
		*ret_skipped = skipped;
	return 0;
}
