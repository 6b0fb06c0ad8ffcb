/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Datagrams of the proc connector
 *
 * Bytes that came from netlink (linux/connector.h, linux/cn_proc.h) become
 * plain values. All lengths are checked here by own arithmetic. Who sent the
 * datagram is for the reader of the socket to check.
 *
 * The kernel numbers what each CPU reports, from the first listener on; a gap
 * is the exact number of events that this listener lost. That holds only
 * without the connector's filter, whose victims are numbered too.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"

enum wire_proc_kind {
	WIRE_PROC_ACK, /* of some listener's request: compare ->ack with one's own + 1 */
	WIRE_PROC_FORK, /* a process (tid == tgid) or a thread was made */
	WIRE_PROC_EXEC,
	WIRE_PROC_UID, /* real and effective uid of one thread, after a change of any */
	WIRE_PROC_EXIT, /* of one thread */
	WIRE_PROC_OTHER, /* numbered like all, but of no interest: gid, sid, comm, ptrace, core dump */
};

/* Pids are those of the initial namespace, larger than 0 but where said. */
struct wire_proc_event {
	enum wire_proc_kind kind;
	uint32_t cpu;
	uint32_t seq; /* per CPU */
	uint32_t ack; /* of an acknowledgement; else 0 */
	uint64_t monotonic_ns;

	uint32_t tid, tgid; /* whom it is about: with a fork the new one */
	uint32_t parent_tid, parent_tgid; /* of fork; of exit, 0 where it has none */
	union {
		uint32_t status; /* of exit, as of waitpid(2) */
		struct {
			uint32_t ruid, euid;
		};
		uint32_t error; /* of an acknowledgement: errno or 0 */
		/* Of exec, as what it was executed, where a source knows that: core/name-ring.h. 0: not known. */
		uint64_t name;
	};
};

/**
 * wire_proc_next() - the next event of a datagram
 * @data:	what one recvmsg() gave, @n_data bytes
 * @offset:	0 at the start; moved on
 *
 * Messages that are no events of the proc connector are passed over. An event
 * whose pids are none (an idle task is made with pid 0) is WIRE_PROC_OTHER.
 *
 * Return: 1 with @ret, 0 at the end, or -EBADMSG where lengths cannot be;
 * what came before is good, the rest of the datagram is to be dropped.
 */
int wire_proc_next(const void *data, size_t n_data, size_t *offset, struct wire_proc_event *ret);

/* CPUs that are followed; the kernel's largest configuration has as many. */
#define WIRE_PROC_CPUS_MAX 8192

/* The numbers seen so far. Zeroed at first. */
struct wire_proc_sequence {
	struct wire_proc_cpu {
		uint32_t next;
		uint32_t seen; /* bool: ->next is known */
	} * cpus; /* owned */
	size_t n_cpus;
};

/**
 * wire_proc_sequence_note() - compare the number of an event with what was expected
 * @ret_lost:	events of this CPU missing right before it, mostly 0; the first of
 *		a CPU begins its numbers
 *
 * Acknowledgements, to whomever, are numbered with the events (send_msg() in
 * drivers/connector/cn_proc.c); one without a CPU is passed over.
 *
 * Return: 0, -ENOMEM, or -ERANGE for a CPU that cannot be; @ret_lost is untouched then.
 */
int wire_proc_sequence_note(struct wire_proc_sequence *sequence,
			    const struct wire_proc_event *event, uint64_t *ret_lost);

/** wire_proc_sequence_deinit() - forget all numbers: for a new subscription too, the kernel goes on meanwhile */
void wire_proc_sequence_deinit(struct wire_proc_sequence *sequence);
