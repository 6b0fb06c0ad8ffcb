/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Files of one process below /proc
 *
 * Read through a descriptor of its directory, so that a pid that is reused
 * meanwhile mixes no two processes. Only files that take no lock of the
 * process's memory: none of these reads can sleep.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/process-scan.h"

/* Of one process; one that has more is entered without them. */
#define PROCFS_THREADS_MAX 65536U

struct procfs_threads {
	uint32_t *tids; /* owned */
	size_t n_allocated;
};

void procfs_threads_deinit(struct procfs_threads *threads);

/** procfs_parse_pid() - whether a name in /proc is one */
bool procfs_parse_pid(const char *name, uint32_t *ret);

/**
 * procfs_read_entry() - what a scan wants to know of a process
 * @threads:	room for its threads; @ret borrows them until the next call
 *
 * Return: 0, -ESRCH where it is gone, or a negative errno.
 */
int procfs_read_entry(uint32_t pid, struct procfs_threads *threads, struct process_scan_entry *ret);
