/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a tree of processes records of itself
 *
 * A file that all of them have mapped, read by the test (truth.py). Who is
 * born records that itself, who waits for a child records its end: nothing
 * here comes from what is tested.
 */

#include <stdatomic.h>
#include <stdint.h>

enum truth_kind {
	TRUTH_FORK = 1, /* ->pid made ->other, as the ->order'th of what it did */
	TRUTH_EXEC = 2, /* ->pid, as the ->order'th of what it did */
	TRUTH_EXIT = 3, /* the child ->local of a waiter in ->space ended with ->status */
	TRUTH_BYTES =
		4, /* what ->pid and whom it waited for had read and written, before it ended */
	TRUTH_USAGE = 5, /* of the whole tree, as getrusage(2) tells its leader */
};

/* The kernel tells it as a child of the maker's parent: it has no place in the order of that one. */
#define TRUTH_CLONE_PARENT 1U

struct truth_record {
	uint32_t kind;
	uint32_t pid; /* in the initial namespace */
	uint32_t other;
	uint32_t order;
	int32_t status;
	uint32_t space; /* FORK: where ->other has the pid ->local; 0: the initial one */
	uint32_t local;
	uint32_t flags;
	uint64_t first, second; /* BYTES: read, written; USAGE: user, system time in us */
	uint64_t third; /* USAGE: KiB of the largest */
	uint64_t reserved;
};

struct truth {
	_Atomic uint32_t n_records;
	uint32_t n_records_max;
	_Atomic uint32_t busy; /* processes that are not parked and not waited for */
	_Atomic uint32_t parked;
	_Atomic uint32_t round;
	uint32_t n_rounds;
	_Atomic int32_t forks_left; /* in this round */
	_Atomic uint32_t spaces; /* namespaces of processes made so far */
	_Atomic uint32_t abandoned; /* everybody is to end */
	uint32_t leader; /* its pid */
	uint32_t reserved[6];
	struct truth_record records[];
};

_Static_assert(sizeof(struct truth) == 64, "as truth.py reads it");
_Static_assert(sizeof(struct truth_record) == 64, "as truth.py reads it");

/** truth_map() - @n_records_max 0: of a file that has one already */
struct truth *truth_map(int fd, uint32_t n_records_max);
void truth_add(struct truth *truth, const struct truth_record *record);
