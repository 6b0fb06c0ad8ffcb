/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Aligned columns
 *
 * Collects cells of printable UTF-8 text and prints them with columns as wide
 * as their widest cell on the terminal, within reason: nothing is ever cut.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "daemon/core/cleanup.h"

enum table_colour {
	TABLE_PLAIN,
	TABLE_GREEN,
	TABLE_YELLOW,
	TABLE_RED,
	TABLE_BOLD,
};

struct table;

/** table_new() - @align: a character per column, 'l' or 'r'; static */
int table_new(struct table **ret, const char *align, bool colour);
struct table *table_free(struct table *table);
DEFINE_FREEP(table, table_free)

/** table_add() - the next cell; rows fill up by themselves; NULL: an empty cell */
void table_add(struct table *table, const char *text, enum table_colour colour);

/** table_print() - Return: 0, or -ENOMEM where there was no memory for a cell, then nothing was printed */
int table_print(const struct table *table, FILE *file);

#define TABLE_BAR_MAX 128

/** table_bar() - "[########------------]  42%": @share from 0 to 1 */
void table_bar(char ret[static TABLE_BAR_MAX], double share);

/** table_colour_start(), table_colour_end() - for text outside a table; "" without colour */
const char *table_colour_start(bool colour, enum table_colour which);
const char *table_colour_end(bool colour);
