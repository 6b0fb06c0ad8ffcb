/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Standard streams
 *
 * What every program must get right about them and few do: one that was
 * closed by the caller is not taken by the bus connection, a reader that has
 * seen enough is no failure, and a full disk is one. Text for people passes
 * here last, so that nothing in an argument or an error can steer a terminal.
 */

#include <stdbool.h>

/** standard_prepare() - once, before anything else is opened */
void standard_prepare(void);

/** standard_restore() - in a child that is to execute another program: signals as they were before */
void standard_restore(void);

/** standard_has_colour() - whether colours may be written to the standard output */
bool standard_has_colour(void);

/** standard_reader_is_gone() - nobody reads the standard output any more; does not wait */
bool standard_reader_is_gone(void);

enum standard_outcome {
	STANDARD_GONE = 1, /* the reader left: stop, and that is all right */
};

/** standard_flush() - Return: 0, enum standard_outcome, or a negative errno, then told on stderr */
int standard_flush(void);

/** standard_error() - "fseventsctl: ..." on a line of its own; what does not print becomes \ooo */
void standard_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
