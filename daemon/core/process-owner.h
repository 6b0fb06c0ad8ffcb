/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Owners of followed processes
 *
 * What one user can fill the process table with, where nothing else bounds
 * it: the threads of its processes, and those that are here for a relay. For the
 * process table alone. A process is charged to its real uid as of the first
 * charge; being relayed anew takes all to the one that it has then.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define PROCESS_OWNER_MAX                                                                          \
	16384U /* threads besides leaders, and relayed processes, of one user each */
#define PROCESS_OWNER_BUCKETS 256

struct process;

struct process_owner {
	uint32_t uid; /* UINT32_MAX: not known */
	size_t n_threads, n_relayed;
	LIST_ENTRY(process_owner) bucket;
};

/* Zeroed at first; embedded in the table. Empty when no process is charged. */
struct process_owners {
	LIST_HEAD(process_owner_bucket, process_owner) buckets[PROCESS_OWNER_BUCKETS];
};

/** process_charge_thread() - one more in ->n_threads; Return: 0, -ENOSPC, -ENOMEM */
int process_charge_thread(struct process_owners *owners, struct process *process);
void process_release_thread(struct process *process);

/** process_charge_relayed() - sets ->relayed; Return: 0 (also where it was), -ENOSPC, -ENOMEM with it cleared */
int process_charge_relayed(struct process_owners *owners, struct process *process);
/** process_release_relayed() - clears it */
void process_release_relayed(struct process *process);
