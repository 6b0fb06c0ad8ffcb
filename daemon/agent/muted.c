/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/muted.h"
#include "daemon/core/escape.h"

static void item_deinit(struct muted_item *item)
{
	free(item->identity);
	free(item->where);
}

void muted_deinit(struct muted *muted)
{
	for (size_t i = 0; i < muted->n_items; i++)
		item_deinit(&muted->items[i]);
	muted->n_items = 0;
}

static void muted_drop(struct muted *muted, size_t i)
{
	item_deinit(&muted->items[i]);
	muted->n_items--;
	memmove(muted->items + i, muted->items + i + 1,
		(muted->n_items - i) * sizeof(*muted->items));
}

static int muted_append(struct muted *muted, const char *identity, size_t n_identity,
			const char *where, size_t n_where)
{
	struct muted_item item = {
		.identity = strndup(identity, n_identity),
		.where = strndup(where, n_where),
	};

	if (!item.identity || !item.where) {
		item_deinit(&item);
		return -ENOMEM;
	}
	if (muted->n_items == MUTED_MAX)
		muted_drop(muted, 0);
	muted->items[muted->n_items++] = item;
	return 0;
}

bool muted_has(const struct muted *muted, const char *identity)
{
	for (size_t i = 0; i < muted->n_items; i++)
		if (strcmp(muted->items[i].identity, identity) == 0)
			return true;
	return false;
}

int muted_add(struct muted *muted, const char *identity, const char *where)
{
	if (muted_has(muted, identity))
		return 0;
	return muted_append(muted, identity, strlen(identity), where, strlen(where));
}

int muted_parse(struct muted *ret, const char *text)
{
	struct muted muted = {};

	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n"), n_identity = strcspn(line, "\t\n");
		bool is_good = n_identity < n && n_identity > 2 && memchr(line, ' ', n_identity) &&
			       escape_is_utf8(line, n);

		if (is_good && muted_append(&muted, line, n_identity, line + n_identity + 1,
					    n - n_identity - 1) < 0) {
			muted_deinit(&muted);
			return -ENOMEM;
		}
		line += n;
		line += *line == '\n';
	}
	*ret = muted;
	return 0;
}

char *muted_print(const struct muted *muted)
{
	char *text = NULL;
	size_t n = 0;
	FILE *file = open_memstream(&text, &n);

	if (!file)
		return NULL;
	for (size_t i = 0; i < muted->n_items; i++)
		fprintf(file, "%s\t%s\n", muted->items[i].identity, muted->items[i].where);
	if (fclose(file) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* By the place, or by a word of the identity but "-". */
static bool item_is(const struct muted_item *item, const char *what)
{
	size_t n_what = strlen(what);

	if (strcmp(item->where, what) == 0)
		return true;
	if (strcmp(what, "-") == 0)
		return false;
	for (const char *word = item->identity; word; word = strchr(word, ' ')) {
		word += *word == ' ';
		if (strcspn(word, " ") == n_what && strncmp(word, what, n_what) == 0)
			return true;
	}
	return false;
}

size_t muted_remove(struct muted *muted, const char *what)
{
	size_t n = 0;

	for (size_t i = muted->n_items; i-- > 0;) {
		if (what && !item_is(&muted->items[i], what))
			continue;
		muted_drop(muted, i);
		n++;
	}
	return n;
}
