/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the tests of processes share
 *
 * Children that are told what to do and when, and that are waited for by
 * pid. All of it asserts success itself.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

/* What has not come after this will not come, on the slowest machine that there is. */
#define PATIENCE_US 30000000ULL

/** process_fixture_enter() - exits with 77, saying so, where the kernel tells us nothing of processes */
void process_fixture_enter(void);

uint64_t now_us(void);

/* A child that waits for orders. */
struct child {
	pid_t pid;
	int orders; /* closed by child_go() */
	int answers; /* what it writes */
};

/** child_start() - it runs @run after child_go(), and exits with what that returns */
void child_start(struct child *child, int (*run)(int answers, void *ctx), void *ctx);
void child_go(struct child *child);
/** child_wait() - Return: its status as of waitpid(2) */
int child_wait(struct child *child);

/** vfork_many() - so many processes that end at once */
void vfork_many(unsigned int n);

/** touch_cpus() - one process on each CPU, so that each has told its number; Return: how many */
unsigned int touch_cpus(void);

/** loop_until() - run until @done says so; asserts that it does within PATIENCE_US */
void loop_until(sd_event *loop, bool (*done)(void *ctx), void *ctx);
