// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "family.h"
#include "ring.h"

/* A batch that begins a second record is closed when it would pass this. */
#define BATCH_BYTES 7168

static unsigned int ring_kib = 64;
module_param(ring_kib, uint, 0444);
MODULE_PARM_DESC(
	ring_kib,
	"Buffer of one processor and group in KiB, 16 to 4096, rounded up to a power of two (64)");

static unsigned int delay_ms = 10;
module_param(delay_ms, uint, 0644);
MODULE_PARM_DESC(delay_ms, "How long records may be collected before they are sent, in ms (10)");

/*
 * Written by its processor with interrupts off, read by the worker: one writer,
 * one reader. Positions run freely; a record never wraps, a filler (kind 0)
 * takes what is left at the end of the buffer.
 */
struct ring_cpu {
	u8 *buffer;
	u32 next; /* the writer's: where the record begins that is being written */
	u32 head; /* published with release by the writer */
	u32 tail; /* given back with release by the worker */
	u64 lost; /* the writer's */

	u32 until; /* the worker's: head as it was when the merge began */
};

struct ring ring_inode = { .name = FS_EVENTS_GRP_INODE, .group = FAMILY_GROUP_INODE };
struct ring ring_proc = { .name = FS_EVENTS_GRP_PROC, .group = FAMILY_GROUP_PROC };

static struct workqueue_struct *ring_workqueue;
static u32 ring_size;

static void ring_free_cpus(struct ring_cpu __percpu *cpus)
{
	int cpu;

	if (!cpus)
		return;
	for_each_possible_cpu(cpu)
		vfree(per_cpu_ptr(cpus, cpu)->buffer);
	free_percpu(cpus);
}

int ring_start(struct ring *ring)
{
	struct ring_cpu __percpu *cpus;
	int cpu;

	if (ring->cpus)
		return 0;

	cpus = alloc_percpu(struct ring_cpu);
	if (!cpus)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		per_cpu_ptr(cpus, cpu)->buffer = vzalloc_node(ring_size, cpu_to_node(cpu));
		if (!per_cpu_ptr(cpus, cpu)->buffer) {
			ring_free_cpus(cpus);
			return -ENOMEM;
		}
	}
	smp_store_release(&ring->cpus, cpus);
	return 0;
}

/* With interrupts off. */
static void ring_lose_here(struct ring *ring)
{
	struct ring_cpu *cpu = this_cpu_ptr(ring->cpus);

	WRITE_ONCE(cpu->lost, cpu->lost + 1);
	/* The worker may have emptied the ring since: it still has to tell the loss. */
	queue_delayed_work(ring_workqueue, &ring->drain, msecs_to_jiffies(READ_ONCE(delay_ms)));
}

void ring_lose(struct ring *ring)
{
	unsigned long flags;

	local_irq_save(flags);
	ring_lose_here(ring);
	local_irq_restore(flags);
}

void *ring_reserve(struct ring *ring, u32 size, unsigned long *flags)
{
	struct ring_cpu *cpu;
	struct fs_event_record *record;
	u32 used, left;

	local_irq_save(*flags);
	cpu = this_cpu_ptr(ring->cpus);
	used = cpu->head - smp_load_acquire(&cpu->tail);
	left = ring_size - (cpu->head & (ring_size - 1));
	size = ALIGN(size, 8);
	if (used + size + (left < size ? left : 0) > ring_size) {
		ring_lose_here(ring);
		local_irq_restore(*flags);
		return NULL;
	}

	cpu->next = cpu->head;
	record = (void *)(cpu->buffer + (cpu->next & (ring_size - 1)));
	if (left < size) {
		record->size = left;
		record->kind = 0;
		cpu->next += left;
		record = (void *)cpu->buffer;
	}
	memset(record, 0, size);
	record->size = size;
	record->time_ns = ktime_get_mono_fast_ns();
	return record;
}

void ring_commit(struct ring *ring, struct fs_event_record *record, unsigned long flags)
{
	struct ring_cpu *cpu = this_cpu_ptr(ring->cpus);
	u32 old = cpu->head, new = cpu->next + record->size, tail;

	smp_store_release(&cpu->head, new);
	/*
	 * Pairs with the barrier in ring_drain(): either the worker sees the new
	 * head before it goes to sleep, or its last tail is seen here.
	 */
	smp_mb();
	tail = READ_ONCE(cpu->tail);
	/* For the first record and when half of the buffer is full, not for each. */
	if (old == tail)
		queue_delayed_work(ring_workqueue, &ring->drain,
				   msecs_to_jiffies(READ_ONCE(delay_ms)));
	if (old - tail <= ring_size / 2 && new - tail > ring_size / 2)
		mod_delayed_work(ring_workqueue, &ring->drain, 0);
	local_irq_restore(flags);
}

/* The next record of a processor, NULL: none that the merge may take. */
static struct fs_event_record *ring_peek(struct ring_cpu *cpu)
{
	struct fs_event_record *record;

	while (cpu->tail != cpu->until) {
		record = (void *)(cpu->buffer + (cpu->tail & (ring_size - 1)));
		if (record->kind)
			return record;
		smp_store_release(&cpu->tail, cpu->tail + record->size);
	}
	return NULL;
}

/* The processor whose next record is the oldest; NULL: none, or only younger ones than @until. */
static struct ring_cpu *ring_oldest(struct ring *ring, u64 until)
{
	struct ring_cpu *oldest = NULL, *cpu;
	struct fs_event_record *record;
	u64 time = until;
	int i;

	for_each_possible_cpu(i) {
		cpu = per_cpu_ptr(ring->cpus, i);
		record = ring_peek(cpu);
		if (record && record->time_ns <= time) {
			time = record->time_ns;
			oldest = cpu;
		}
	}
	return oldest;
}

static void ring_take(struct ring *ring, struct ring_cpu *cpu, struct fs_event_record *record)
{
	smp_store_release(&cpu->tail, cpu->tail + record->size);
	ring->seq++;
}

/* One message; false: no memory, and nothing was taken. */
static bool ring_send_batch(struct ring *ring, u64 until)
{
	struct family_batch batch;
	struct fs_event_record *record;
	struct ring_cpu *cpu;

	if (family_batch_begin(&batch, ring->group, ring->seq + 1, ring->lost_accounted) < 0)
		return false;
	while ((cpu = ring_oldest(ring, until))) {
		record = ring_peek(cpu);
		if (batch.n_records && batch.n_bytes + record->size > BATCH_BYTES)
			break;
		family_batch_add(&batch, record);
		ring_take(ring, cpu, record);
		cond_resched();
	}
	if (family_batch_end(&batch) == -ENOBUFS)
		ring->lost_send += batch.n_records;
	return true;
}

static u64 ring_snapshot(struct ring *ring)
{
	u64 lost = 0;
	int i;

	for_each_possible_cpu(i) {
		struct ring_cpu *cpu = per_cpu_ptr(ring->cpus, i);

		/* Before the head: what is lost comes after all that stands in the ring now. */
		lost += READ_ONCE(cpu->lost);
		cpu->until = smp_load_acquire(&cpu->head);
	}
	return lost;
}

static void ring_drain(struct work_struct *work)
{
	struct ring *ring = container_of(to_delayed_work(work), struct ring, drain);
	/*
	 * Before the heads are read: of two records of which one caused the other,
	 * either both are seen here or the second is younger than this.
	 */
	u64 until = ktime_get_mono_fast_ns();
	u64 lost = ring_snapshot(ring);
	bool no_memory = false, again;
	struct ring_cpu *cpu;
	int i;

	while ((cpu = ring_oldest(ring, until))) {
		if (!family_has_listeners(ring->group)) {
			ring_take(ring, cpu, ring_peek(cpu));
			continue;
		}
		if (!ring_send_batch(ring, until)) {
			no_memory = true;
			break;
		}
	}
	if (!no_memory && lost != ring->lost_accounted) {
		ring->seq += lost - ring->lost_accounted;
		ring->lost_accounted = lost;
		/* Without a record behind it, nobody would see the gap. */
		if (family_has_listeners(ring->group))
			no_memory = !ring_send_batch(ring, 0);
	}
	WRITE_ONCE(ring->is_stuck, no_memory);
	again = no_memory;
	smp_mb(); /* see ring_commit() */
	for_each_possible_cpu(i) {
		cpu = per_cpu_ptr(ring->cpus, i);
		again |= cpu->tail != smp_load_acquire(&cpu->head);
	}
	if (again)
		queue_delayed_work(ring_workqueue, &ring->drain, msecs_to_jiffies(delay_ms) + 1);
}

int ring_flush(struct ring *ring)
{
	if (!ring->cpus)
		return 0;
	mod_delayed_work(ring_workqueue, &ring->drain, 0);
	flush_delayed_work(&ring->drain);
	return READ_ONCE(ring->is_stuck) ? -ENOMEM : 0;
}

u64 ring_lost(const struct ring *ring)
{
	u64 lost = 0;
	int i;

	if (!ring->cpus)
		return 0;
	for_each_possible_cpu(i)
		lost += READ_ONCE(per_cpu_ptr(ring->cpus, i)->lost);
	return lost;
}

int ring_init(void)
{
	ring_size = roundup_pow_of_two(clamp(ring_kib, 16U, 4096U) * 1024);
	ring_workqueue = alloc_workqueue("fsevents_ring", WQ_UNBOUND, 0);
	if (!ring_workqueue)
		return -ENOMEM;
	INIT_DELAYED_WORK(&ring_inode.drain, ring_drain);
	INIT_DELAYED_WORK(&ring_proc.drain, ring_drain);
	return 0;
}

void ring_exit(void)
{
	cancel_delayed_work_sync(&ring_inode.drain);
	cancel_delayed_work_sync(&ring_proc.drain);
	destroy_workqueue(ring_workqueue);
	ring_free_cpus(ring_inode.cpus);
	ring_free_cpus(ring_proc.cpus);
}
