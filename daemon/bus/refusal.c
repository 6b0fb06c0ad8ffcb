/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "daemon/bus/bus.h"

int bus_refusal_set(struct bus_refusal *refusal, const char *name, const char *format, ...)
{
	va_list arguments;

	assert(refusal && name && format);

	va_start(arguments, format);
	(void)vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
	va_end(arguments);
	refusal->name = name;
	return -1;
}
