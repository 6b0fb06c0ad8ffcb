/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Texts of /proc/PID
 *
 * What "stat" and "status" of a process say, as far as it is needed here
 * (proc_pid_stat(5), proc_pid_status(5)). The name of the process is its own
 * choice and may hold parentheses, spaces and digits: fields are counted from the last
 * parenthesis; lines of "status" are found by their beginning, and a name is
 * escaped by the kernel there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Enough for either file whole, but for "status" of a process in hundreds of groups. */
#define PROCFILE_MAX 4096

/* Enough for that as well: it may be in 65536 groups (NGROUPS_MAX), of 11 bytes each. */
#define PROCFILE_STATUS_MAX (1U << 20)

struct procfile_stat {
	uint32_t pid, parent;
	char state; /* 'Z': the leader is a zombie, 'X': it is going */
	uint32_t flags; /* PF_...; PF_KTHREAD is 0x200000 */
	uint32_t n_threads;
	uint64_t start_ticks;
	/* Of its memory: none has a leader that ended; the rest is 0 while it executes. */
	uint64_t memory_bytes, start_code, end_code, start_stack;
};

struct procfile_status {
	uint32_t uids[4]; /* real, effective, saved, filesystem */
	uint64_t blocked, caught; /* bit 1 << (signal - 1) */
};

/** procfile_decode_stat() - Return: 0, or -EBADMSG with @ret untouched */
int procfile_decode_stat(const char *text, size_t n_text, struct procfile_stat *ret);

/** procfile_decode_uids() - of the beginning of "status", where they stand; Return: as the others */
int procfile_decode_uids(const char *text, size_t n_text, uint32_t ret[static 4]);

/** procfile_decode_status() - Return: 0, or -EBADMSG with @ret untouched */
int procfile_decode_status(const char *text, size_t n_text, struct procfile_status *ret);
