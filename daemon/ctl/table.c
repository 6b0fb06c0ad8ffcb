/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <langinfo.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "daemon/ctl/table.h"

#define TABLE_COLUMNS_MAX 16
#define TABLE_BAR_CELLS 20
#define TABLE_GAP 2

/* A wider cell pushes its own line aside, and not all others. */
#define TABLE_WIDTH_MAX 64

struct cell {
	char *text;
	enum table_colour colour;
};

struct table {
	const char *align;
	size_t n_columns;
	bool colour;
	struct cell *cells;
	size_t n_cells;
	bool failed; /* a cell is missing */
};

int table_new(struct table **ret, const char *align, bool colour)
{
	struct table *table;

	assert(ret);
	assert(align && strlen(align) <= TABLE_COLUMNS_MAX);

	table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	table->align = align;
	table->n_columns = strlen(align);
	table->colour = colour;
	*ret = table;
	return 0;
}

struct table *table_free(struct table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
	return NULL;
}

void table_add(struct table *table, const char *text, enum table_colour colour)
{
	struct cell *grown;

	grown = realloc(table->cells, (table->n_cells + 1) * sizeof(*grown));
	if (!grown) {
		table->failed = true;
		return;
	}
	table->cells = grown;
	grown[table->n_cells] = (struct cell){ strdup(text ?: ""), colour };
	if (grown[table->n_cells].text)
		table->n_cells++;
	else
		table->failed = true;
}

/* Cells on the terminal; bytes where the locale is not UTF-8. */
static size_t text_width(const char *text)
{
	mbstate_t state = {};
	size_t width = 0, n = strlen(text);

	while (n > 0) {
		wchar_t c;
		size_t used = mbrtowc(&c, text, n, &state);

		if (used == 0 || used > n)
			return width + n;
		width += wcwidth(c) > 0 ? (size_t)wcwidth(c) : 0;
		text += used;
		n -= used;
	}
	return width;
}

const char *table_colour_start(bool colour, enum table_colour which)
{
	static const char *const codes[] = {
		[TABLE_PLAIN] = "",	    [TABLE_GREEN] = "\033[32m", [TABLE_YELLOW] = "\033[33m",
		[TABLE_RED] = "\033[1;31m", [TABLE_BOLD] = "\033[1m",
	};

	return colour ? codes[which] : "";
}

const char *table_colour_end(bool colour)
{
	return colour ? "\033[0m" : "";
}

static void pad(FILE *file, size_t n)
{
	while (n-- > 0)
		fputc(' ', file);
}

/* *pending: spaces that belong before the next text; none stand at the end of a line. */
static void print_cell(const struct table *table, size_t column, const struct cell *cell,
		       size_t width, size_t *pending, FILE *file)
{
	bool coloured = table->colour && cell->colour != TABLE_PLAIN;
	size_t have = text_width(cell->text);
	size_t space = width > have ? width - have : 0;

	if (column > 0)
		*pending += TABLE_GAP;
	if (table->align[column] == 'r')
		*pending += space;
	if (cell->text[0]) {
		pad(file, *pending);
		*pending = 0;
	}
	fprintf(file, "%s%s%s", table_colour_start(coloured, cell->colour), cell->text,
		table_colour_end(coloured));
	if (table->align[column] == 'l')
		*pending += space;
}

int table_print(const struct table *table, FILE *file)
{
	size_t widths[TABLE_COLUMNS_MAX] = {}, pending = 0;

	if (table->failed)
		return -ENOMEM;

	for (size_t i = 0; i < table->n_cells; i++) {
		size_t width = text_width(table->cells[i].text);
		size_t column = i % table->n_columns;

		if (width > widths[column] && width <= TABLE_WIDTH_MAX)
			widths[column] = width;
	}

	for (size_t i = 0; i < table->n_cells; i++) {
		size_t column = i % table->n_columns;

		print_cell(table, column, &table->cells[i], widths[column], &pending, file);
		if (column + 1 == table->n_columns) {
			fputc('\n', file);
			pending = 0;
		}
	}
	return 0;
}

void table_bar(char ret[static TABLE_BAR_MAX], double share)
{
	bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	char *at = ret;
	int filled;

	if (!(share >= 0))
		share = 0;
	if (share > 1)
		share = 1;
	filled = (int)(share * TABLE_BAR_CELLS + 0.5);

	*at++ = '[';
	for (int i = 0; i < TABLE_BAR_CELLS; i++)
		at = stpcpy(at, utf8 ? (i < filled ? "█" : "░") : (i < filled ? "#" : "-"));
	snprintf(at, TABLE_BAR_MAX - (size_t)(at - ret), "] %3d%%", (int)(share * 100 + 0.5));
}
