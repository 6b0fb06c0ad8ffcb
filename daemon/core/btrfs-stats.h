/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Numbers that btrfs shows
 *
 * Lines of "NAME NUMBER", as in error_stats and commit_stats of sysfs. The
 * counters of errors are kept on the disk, and so are whatever who made the
 * disk wanted: the kernel shows large ones as negative. Pure.
 */

#include <stdint.h>

#include "daemon/core/fusion.h"

/**
 * btrfs_stats_number() - the number of a name
 * @text:	NUL-terminated
 *
 * Return: 0 where there is no such line, or no number of nothing but digits in
 * it; UINT64_MAX where it is larger than that.
 */
uint64_t btrfs_stats_number(const char *text, const char *name);

/**
 * btrfs_stats_add() - add the error_stats of one device
 * @counters:	none of them passes UINT64_MAX
 */
void btrfs_stats_add(struct fusion_counters *counters, const char *text);
