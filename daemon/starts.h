/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Crash loops
 *
 * Remembers in the runtime directory when the daemon was started and not
 * ended in order. After STARTS_MAX such starts within STARTS_WINDOW_US the
 * next one is in safe mode: what most likely ends it again (an event source,
 * the events in the stored history) is left alone, and the space of the
 * filesystems is watched by mountinfo and statfs only, which is better than
 * nothing. Ids go on, and what happens is stored.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STARTS_MAX 3
#define STARTS_WINDOW_US 60000000ULL

/**
 * starts_begin() - note this start
 * @directory:	the runtime directory (a tmpfs); NULL: nothing is remembered
 * @now_us:	CLOCK_BOOTTIME
 * @ret_abruptly: a start before did not end in order, as far as that is remembered
 *
 * Return: true for safe mode. What cannot be read or written counts as no crash.
 */
bool starts_begin(const char *directory, uint64_t now_us, bool *ret_abruptly);

/** starts_end() - this start ends in order: forget all */
void starts_end(const char *directory);
