/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a process table is made of. For process.c and process-event.c alone. */

#include "daemon/core/process-owner.h"
#include "daemon/core/process-thread.h"
#include "daemon/core/process.h"

LIST_HEAD(process_list, process);

struct process_table {
	struct process_list all;
	struct process_list *buckets; /* by pid */
	size_t n_buckets; /* a power of two, or 0 */
	size_t n_processes;
	struct process_list spares; /* entries in no other list */
	size_t n_spares;
	LIST_HEAD(, process_walk) walks;
	bool stale;
	struct thread_index threads;
	struct process_owners owners;
};
