/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reading /proc
 *
 * All processes, in two passes, for process_scan_add(), in slices of at most
 * PROCESS_SCANNER_SLICE_US per turn of the loop; and single processes at
 * once. Only files that take no lock of the process's memory are read: stat,
 * status, comm, cgroup, wchan, the link exe, the names in task.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/process-policy.h"
#include "daemon/core/process-scan.h"
#include "daemon/core/procfile.h"

#define PROCESS_SCANNER_SLICE_US 2000

struct process_scanner;

struct process_scanner_ops {
	void (*entry)(const struct process_scan_entry *entry, void *userdata); /* borrowed */
	/* Both passes are done; @complete: nothing failed but for processes that went. */
	void (*done)(bool complete, void *userdata);
};

int process_scanner_new(struct process_scanner **ret, sd_event *loop,
			const struct process_scanner_ops *ops, void *userdata);
/** process_scanner_start() - from the loop on; one under way begins anew; Return: 0 or a negative errno */
int process_scanner_start(struct process_scanner *scanner);
void process_scanner_stop(struct process_scanner *scanner);
struct process_scanner *process_scanner_free(struct process_scanner *scanner);
DEFINE_FREEP(process_scanner, process_scanner_free)

/* One process; each: 0, -ESRCH where it is gone, or a negative errno. */
int process_read_stat(uint32_t pid, struct procfile_stat *ret);
int process_read_status(uint32_t pid, struct procfile_status *ret);

int process_read_uids(uint32_t pid, uint32_t ret[static 4]); /* as procfile_status has them */

/**
 * process_read_waits() - its leader is in sigwaitinfo(2) or the like
 *
 * The kernel unblocks what is waited for meanwhile, and "status" does not say that
 * it is taken. For which signals it waits is not told.
 */
bool process_read_waits(uint32_t pid);

/* Room for the strings of an identity. */
struct process_identity_buffer {
	char comm[64];
	char file[4096];
	char unit[256];
};
/** process_read_identity() - what cannot be read stays NULL; strings are in @buffer */
int process_read_identity(uint32_t pid, struct process_identity_buffer *buffer,
			  struct process_identity *ret);
/* What a process executes, and whose it was right after that. */
struct process_program {
	uint32_t uids[4];
	uint64_t start_ticks;
	size_t n_file;
	char file[4096]; /* bytes */
};
/** process_read_program() - all of one process; @ret is of no use unless 0 */
int process_read_program(uint32_t pid, struct process_program *ret);
