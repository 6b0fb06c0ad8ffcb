/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/index.h"
#include "daemon/core/process-owner.h"
#include "daemon/core/process.h"

static uint32_t uid_of(const struct process *process)
{
	return process->uid_known ? process->uid : UINT32_MAX;
}

static struct process_owner *find(struct process_owners *owners, uint32_t uid)
{
	struct process_owner_bucket *bucket =
		&owners->buckets[hash_number(uid) >> 32 & (PROCESS_OWNER_BUCKETS - 1)];
	struct process_owner *owner;

	LIST_FOREACH(owner, bucket, bucket)
		if (owner->uid == uid)
			return owner;

	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return NULL;
	owner->uid = uid;
	LIST_INSERT_HEAD(bucket, owner, bucket);
	return owner;
}

static void drop_unused(struct process_owner *owner)
{
	if (owner->n_threads > 0 || owner->n_relayed > 0)
		return;

	LIST_REMOVE(owner, bucket);
	free(owner);
}

static void settle(struct process *process)
{
	struct process_owner *owner = process->owner;

	if (!process->relayed && process->n_threads == 0)
		process->owner = NULL;
	drop_unused(owner);
}

int process_charge_thread(struct process_owners *owners, struct process *process)
{
	struct process_owner *owner;

	assert(owners && process);

	owner = process->owner ? process->owner : find(owners, uid_of(process));
	if (!owner)
		return -ENOMEM;
	if (owner->n_threads >= PROCESS_OWNER_MAX)
		return -ENOSPC;

	process->owner = owner;
	owner->n_threads++;
	process->n_threads++;
	return 0;
}

void process_release_thread(struct process *process)
{
	assert(process && process->n_threads > 0);

	process->n_threads--;
	process->owner->n_threads--;
	settle(process);
}

int process_charge_relayed(struct process_owners *owners, struct process *process)
{
	struct process_owner *owner;

	assert(owners && process);

	if (process->relayed && process->owner->uid == uid_of(process))
		return 0;

	process_release_relayed(process);
	owner = find(owners, uid_of(process));
	if (!owner)
		return -ENOMEM;
	if (owner->n_relayed >= PROCESS_OWNER_MAX)
		return -ENOSPC;

	owner->n_relayed++;
	process->relayed = true;
	if (process->owner && process->owner != owner) {
		process->owner->n_threads -= process->n_threads;
		owner->n_threads += process->n_threads;
		drop_unused(process->owner);
	}
	process->owner = owner;
	return 0;
}

void process_release_relayed(struct process *process)
{
	assert(process);

	if (!process->relayed)
		return;

	process->relayed = false;
	process->owner->n_relayed--;
	settle(process);
}
