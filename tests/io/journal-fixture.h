/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the tests of the journal share. All of it asserts success itself.
 */

#include "daemon/output/journal-entry.h"

/** event_make() - with the details that each event has */
void event_make(struct event *ret, enum event_code code, const char *where, size_t n_where);

/**
 * field_find() - the value of a field in a native entry
 *
 * The form of the whole entry is checked on the way. Return: how many there
 * are; the last one is in @ret, NUL-terminated.
 */
size_t field_find(const struct journal_entry *entry, const char *name, char *ret, size_t n_ret);
