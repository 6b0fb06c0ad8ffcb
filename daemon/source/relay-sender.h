/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One process by its pidfd: who it is, and signals to it
 *
 * A pid becomes a pidfd first; what is read of /proc/PID counts only if the
 * pidfd still says that the process lives afterwards. Signals go through
 * pidfd_send_signal() with a siginfo of our own: si_code SI_QUEUE, si_pid the
 * parent, si_uid 0, si_value.sival_int the child. The kernel allows that for
 * negative codes but SI_TKILL, to processes of other uids too; a receiver in
 * another pid namespace gets si_pid 0 and the value as it is.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/relay.h"

struct process_target;

/**
 * process_target_new() - hold a process
 *
 * Return: 0, -ESRCH (none, or it ended meanwhile), -EINVAL (pid 0, a thread), -EMFILE ...
 */
int process_target_new(struct process_target **ret, uint32_t pid);
struct process_target *process_target_free(struct process_target *target);
DEFINE_FREEP(process_target, process_target_free)

uint32_t process_target_pid(const struct process_target *target);
uint64_t process_target_start_ticks(const struct process_target *target);
/** process_target_uids() - as they are now; Return: 0 or -ESRCH */
int process_target_uids(const struct process_target *target, struct relay_uids *ret);
/**
 * process_target_takes() - the signal is caught or blocked: it will not end the process
 *
 * @or_waits:	or its leader waits for signals, which ones the kernel does not tell: a
 *		receiver does so nearly always. For those who may end it anyway.
 *
 * False for kernel threads, and where it is just being taken off its processor while it waits:
 * look again later.
 */
bool process_target_takes(const struct process_target *target, int signal, bool or_waits);
/**
 * process_target_executes_same() - it has executed nothing since process_target_new()
 *
 * By where its program and its stack lie, which an exec chooses anew, of the same file too.
 * Of a leader that has ended nobody can tell: true.
 */
bool process_target_executes_same(const struct process_target *target);
/** process_target_send() - Return: enum of struct relay_ops ->send(): 0, RELAY_E_LOST, RELAY_E_GONE */
int process_target_send(const struct process_target *target, int signal, uint32_t parent,
			uint32_t child);
