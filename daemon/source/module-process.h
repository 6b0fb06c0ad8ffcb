/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Processes as the companion module tells them
 *
 * Forks, execs, changes of uid and exits from the group "proc" of the module's
 * family, as a source like the proc connector (process-events.h). Asked for only between
 * module_process_start() and module_process_stop(), by a worker: the module may
 * wait for another request.
 *
 * Records come in batches, some milliseconds late; each batch begins with a
 * barrier, so that it has all that had happened by then. A storm is read with pauses.
 * The parent of a fork is the one who called, also with CLONE_PARENT. An exec has the
 * name that was given to execve(2), for a while.
 *
 * Losses are exact by the numbers of records; an overrun of which nothing shows
 * (core/overrun.h) is told as 0, unknown. What does not come from the kernel is dropped
 * and counted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/process-events.h"
#include "daemon/worker/pool.h"

#define MODULE_PROCESS_PAUSE_US 5000
#define MODULE_PROCESS_BUFFER (16U << 20)
#define MODULE_PROCESS_BATCH 4096 /* events in one turn of the loop */
#define MODULE_PROCESS_NAMES (1U << 20) /* bytes: of some ten thousand execs */

struct module_process;

/** module_process_new() - only builds; @ops: borrowed; @n_buffer: 0: as above; Return: 0 or a negative errno */
int module_process_new(struct module_process **ret, sd_event *loop, struct pool *pool,
		       uint32_t n_buffer, const struct process_events_ops *ops, void *userdata);
struct module_process *module_process_free(struct module_process *process);
DEFINE_FREEP(module_process, module_process_free)

/** module_process_start() - asks; ->started() follows from the loop; Return: 0, -EALREADY, -ENOENT, or a negative errno */
int module_process_start(struct module_process *process);
/** module_process_stop() - withdraws the request and closes; what is not read is dropped. Not from within a batch */
void module_process_stop(struct module_process *process);
/** module_process_kick() - a batch, though it be empty, from the loop soon */
void module_process_kick(struct module_process *process);
bool module_process_is_started(const struct module_process *process); /* acknowledged */

/** module_process_name() - of an exec, as name_ring_find() */
size_t module_process_name(const struct module_process *process, uint64_t id, char *ret);

void module_process_statistics(const struct module_process *process,
			       struct process_events_statistics *ret);
