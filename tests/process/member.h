/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One process of a random tree: what it does, and what it records of it
 *
 * It acts, then ends or parks until the next round. Whoever ends leaves its
 * children to the leader, or to the first process of its namespace. member.c
 * has its life, action.c what it does meanwhile.
 */

#include <stdbool.h>
#include <stdint.h>

#include "tests/process/truth.h"

#define MEMBER_TRUTH_FD 9 /* where every process has the truth, over exec too */
#define MEMBER_RESUME "--resume"

struct member {
	struct truth *truth;
	const char
		*path; /* of the program: that of a process without its first thread has no link */
	const char *directory; /* for reads and writes; "": none */
	uint32_t pid; /* in the initial namespace */
	uint32_t space; /* of processes, 0: the initial one */
	uint32_t order; /* of the last thing that it did */
	uint32_t round;
	uint32_t burn_ms;
	uint64_t random;
	bool leader;
	bool first_of_space; /* adopts its orphans */
	bool raw; /* made past the C library: makes no threads */
	bool may_make_spaces;
};

/* How an exec is to go on: the text is an argument of it. */
struct member_resumption {
	char text[160];
	char *argv[5];
};

/** member_random() - 0 to @n - 1 */
uint32_t member_random(struct member *self, uint32_t n);
/** member_claim() - to make one process; false: there are enough */
bool member_claim(struct member *self);
/** member_global_pid() - in the namespace of /proc, which is the initial one */
uint32_t member_global_pid(void);
/** member_record_fork() - by the child; its own pid in the initial namespace is the result. Fit for vfork() */
uint32_t member_record_fork(struct truth *truth, uint32_t parent, uint32_t order, uint32_t space,
			    uint32_t flags);
/** member_born() - in a child after fork() */
void member_born(struct member *self, uint32_t parent, uint32_t order, uint64_t random);
/** member_live() - act and park until it ends */
_Noreturn void member_live(struct member *self);
/** member_leave() - by a random status or signal */
_Noreturn void member_leave(struct member *self);
/**
 * member_prepare_exec() - what is executed goes on as this process
 * @order:	of the exec in what the process that executes does
 * @birth:	not 0: it is a new one that has not recorded its fork, this process' @birth'th doing
 */
void member_prepare_exec(struct member_resumption *ret, struct member *self, uint32_t order,
			 uint32_t birth);
_Noreturn void member_resume(int argc, char **argv);

/** member_reap() - those who have ended by now */
void member_reap(struct member *self);
void member_reap_all(struct member *self); /* waits */
void member_pause(void);
void member_record_bytes(const struct member *self); /* its own, and of whom it waited for */

/** member_act() - a few random things; exec among them does not return */
void member_act(struct member *self);
/** member_fork_beside() - one child with CLONE_PARENT, as of @parent */
void member_fork_beside(struct member *self, uint32_t parent);
