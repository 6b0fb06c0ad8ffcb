/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Files of one process below /proc
 *
 * Read through a descriptor of its directory, so that a pid that is reused
 * meanwhile mixes no two processes. Only files that do not wait for the lock of the
 * process's memory, which it holds while a page of its comes from a disk. That
 * is not to say that they never sleep: "cgroup" waits for whoever changes a
 * hierarchy, and who looks last at a process that ends gives back its memory.
 */

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/process-scan.h"

/* Of one process; one that has more is entered without them. */
#define PROCFS_THREADS_MAX 65536U

/* Zeroed, then by procfs_begin_entry(). */
struct procfs_threads {
	DIR *task; /* being read; NULL: not */
	uint32_t *tids; /* owned */
	size_t n_allocated, n;
};

void procfs_threads_deinit(struct procfs_threads *threads);

/** procfs_parse_pid() - whether a name in /proc is one */
bool procfs_parse_pid(const char *name, uint32_t *ret);

enum {
	_PROCFS_E_SUCCESS,

	PROCFS_E_MORE, /* threads: procfs_continue_entry() */
};

/**
 * procfs_begin_entry() - what a scan wants to know of a process
 * @threads:	room for its threads; @ret borrows them until the next call
 *
 * Return: 0, PROCFS_E_MORE, -ESRCH where it is gone, or a negative errno.
 */
int procfs_begin_entry(uint32_t pid, struct procfs_threads *threads,
		       struct process_scan_entry *ret);

/** procfs_continue_entry() - some more of its threads, into the same @ret; Return: 0 or PROCFS_E_MORE */
int procfs_continue_entry(struct procfs_threads *threads, struct process_scan_entry *ret);
