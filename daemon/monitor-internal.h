/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inside the monitor: what its files offer each other, and nobody else.
 */

#include "daemon/monitor.h"

/* monitor.c */

/** monitor_announce() - that properties changed (enum bus_property), and State if it is not @state any more */
void monitor_announce(struct monitor *monitor, enum fs_state state, unsigned int properties);
/** monitor_begin() - the timer came for the first time */
void monitor_begin(struct monitor *monitor);
/** monitor_identify_again() - at the tick, if its devices could not be found out before */
void monitor_identify_again(struct monitor *monitor);
/** monitor_reveal() - there is a first answer: show it, unless that was done */
void monitor_reveal(struct monitor *monitor);
/** monitor_evaluate() - compare the usage with the thresholds and tell what was crossed */
void monitor_evaluate(struct monitor *monitor);

/* monitor-check.c */

/** monitor_check_init() - timer, schedule and gate; Return: 0 or a negative errno */
int monitor_check_init(struct monitor *monitor);
void monitor_check_deinit(struct monitor *monitor);
/** monitor_check() - ask for the figures now, unless that is under way */
void monitor_check(struct monitor *monitor);
/** monitor_check_soon() - ask at @due_us at the latest */
void monitor_check_soon(struct monitor *monitor, uint64_t due_us);
/** monitor_wait() - check next at the time that the schedule says */
void monitor_wait(struct monitor *monitor);
/** monitor_mount() - the mount to reach it by: that shown, unless it is too young; NULL: none */
const struct mount *monitor_mount(const struct monitor *monitor);
bool monitor_is_foreign(const struct monitor *monitor);
enum pool_lane monitor_lane(const struct monitor *monitor);

/* monitor-gate.c */

int monitor_gate_init(struct monitor *monitor);
/** monitor_gate_configure() - whether a write gate is wanted may have changed */
void monitor_gate_configure(struct monitor *monitor);
/** monitor_arm() - as the schedule said; a check or a timer follows in any case */
void monitor_arm(struct monitor *monitor);

/* monitor-usage.c */

/** monitor_answer() - to all who asked: the figures of now */
void monitor_answer(struct monitor *monitor);
void monitor_refuse(struct monitor *monitor, const char *name, const char *text);

/* monitor-health.c */

/** monitor_health_init() - Return: 0 or -ENOMEM */
int monitor_health_init(struct monitor *monitor);
void monitor_health_deinit(struct monitor *monitor);
/** monitor_health_begin() - it is old enough to be touched: follow its errors */
void monitor_health_begin(struct monitor *monitor);
/** monitor_health_retry() - it just answered: what could not be had or asked may be now */
void monitor_health_retry(struct monitor *monitor);
/** monitor_health_tick() - the shared backstop */
void monitor_health_tick(struct monitor *monitor);
/** monitor_health_root() - what looking at the root gave; nothing new unless @known */
void monitor_health_root(struct monitor *monitor, bool known, int error);
/** monitor_health_flag() - the superblock's read-only flag, for kernels without statmount() */
void monitor_health_flag(struct monitor *monitor, bool read_only, enum fusion_source source);
/** monitor_look() - look now; @with_usage: the figures are of this moment */
void monitor_look(struct monitor *monitor, bool with_usage);
/** monitor_health_capabilities() - a source came to this filesystem or went */
void monitor_health_capabilities(struct monitor *monitor);

/* monitor-module.c */

/** monitor_module_begin() - ask the companion module, now or when it comes */
void monitor_module_begin(struct monitor *monitor);
void monitor_module_deinit(struct monitor *monitor);
/** monitor_module_retry() - what it refused for now it may grant by this time */
void monitor_module_retry(struct monitor *monitor);
