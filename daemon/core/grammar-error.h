/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How a parser of the small grammars refuses: one sentence, one errno. For
 * the parsers themselves; who calls them needs grammar.h alone.
 */

#include "daemon/core/grammar.h"

/** grammar_refuse() - fill @error; Return: -EINVAL, to be returned on */
int grammar_refuse(struct grammar_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
