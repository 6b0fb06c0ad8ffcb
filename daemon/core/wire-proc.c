/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/wire-proc.h"

/* What all events have before that which is their own. */
#define EVENT_HEAD offsetof(struct proc_event, event_data)

static bool is_pid(uint32_t pid)
{
	return pid > 0 && pid <= INT32_MAX;
}

static bool has(size_t n, size_t n_data)
{
	return n >= EVENT_HEAD + n_data;
}

static bool decode_fork(const struct proc_event *event, size_t n, struct wire_proc_event *ret)
{
	if (!has(n, sizeof(event->event_data.fork)))
		return false;

	ret->tid = (uint32_t)event->event_data.fork.child_pid;
	ret->tgid = (uint32_t)event->event_data.fork.child_tgid;
	ret->parent_tid = (uint32_t)event->event_data.fork.parent_pid;
	ret->parent_tgid = (uint32_t)event->event_data.fork.parent_tgid;
	if (is_pid(ret->tid) && is_pid(ret->tgid) && is_pid(ret->parent_tgid))
		ret->kind = WIRE_PROC_FORK;
	return true;
}

static bool decode_exec(const struct proc_event *event, size_t n, struct wire_proc_event *ret)
{
	if (!has(n, sizeof(event->event_data.exec)))
		return false;

	ret->tid = (uint32_t)event->event_data.exec.process_pid;
	ret->tgid = (uint32_t)event->event_data.exec.process_tgid;
	if (is_pid(ret->tid) && is_pid(ret->tgid))
		ret->kind = WIRE_PROC_EXEC;
	return true;
}

static bool decode_uid(const struct proc_event *event, size_t n, struct wire_proc_event *ret)
{
	if (!has(n, sizeof(event->event_data.id)))
		return false;

	ret->tid = (uint32_t)event->event_data.id.process_pid;
	ret->tgid = (uint32_t)event->event_data.id.process_tgid;
	ret->ruid = event->event_data.id.r.ruid;
	ret->euid = event->event_data.id.e.euid;
	if (is_pid(ret->tid) && is_pid(ret->tgid))
		ret->kind = WIRE_PROC_UID;
	return true;
}

static bool decode_exit(const struct proc_event *event, size_t n, struct wire_proc_event *ret)
{
	/* Kernels before 3.17 have no parent here. */
	if (!has(n, offsetof(struct exit_proc_event, parent_pid)))
		return false;

	ret->tid = (uint32_t)event->event_data.exit.process_pid;
	ret->tgid = (uint32_t)event->event_data.exit.process_tgid;
	ret->status = event->event_data.exit.exit_code;
	if (has(n, sizeof(event->event_data.exit))) {
		ret->parent_tid = (uint32_t)event->event_data.exit.parent_pid;
		ret->parent_tgid = (uint32_t)event->event_data.exit.parent_tgid;
	}
	if (is_pid(ret->tid) && is_pid(ret->tgid))
		ret->kind = WIRE_PROC_EXIT;
	return true;
}

static bool decode_ack(const struct proc_event *event, size_t n, const struct cn_msg *message,
		       struct wire_proc_event *ret)
{
	if (!has(n, sizeof(event->event_data.ack)))
		return false;

	ret->kind = WIRE_PROC_ACK;
	ret->ack = message->ack;
	ret->error = event->event_data.ack.err;
	return true;
}

/* Return: false where it is shorter than its kind needs. */
static bool decode_event(const struct cn_msg *message, const void *data,
			 struct wire_proc_event *ret)
{
	struct wire_proc_event event = { .kind = WIRE_PROC_OTHER, .seq = message->seq };
	struct proc_event raw = {};
	size_t n = message->len;
	bool good = true;

	if (n < EVENT_HEAD)
		return false;
	memcpy(&raw, data, n < sizeof(raw) ? n : sizeof(raw));
	event.cpu = raw.cpu;
	event.monotonic_ns = raw.timestamp_ns;

	/* New kinds may come: a number of the kernel's, not an enum of ours. */
	switch ((uint32_t)raw.what) {
	case PROC_EVENT_NONE:
		good = decode_ack(&raw, n, message, &event);
		break;
	case PROC_EVENT_FORK:
		good = decode_fork(&raw, n, &event);
		break;
	case PROC_EVENT_EXEC:
		good = decode_exec(&raw, n, &event);
		break;
	case PROC_EVENT_UID:
		good = decode_uid(&raw, n, &event);
		break;
	case (uint32_t)PROC_EVENT_EXIT:
		good = decode_exit(&raw, n, &event);
		break;
	}
	if (good)
		*ret = event;
	return good;
}

int wire_proc_next(const void *data, size_t n_data, size_t *offset, struct wire_proc_event *ret)
{
	assert(data || n_data == 0);
	assert(offset && ret);

	while (*offset < n_data && n_data - *offset >= sizeof(struct nlmsghdr)) {
		const uint8_t *at = (const uint8_t *)data + *offset;
		size_t n_left = n_data - *offset, n_payload;
		struct nlmsghdr header;
		struct cn_msg message;

		memcpy(&header, at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > n_left)
			return -EBADMSG;

		/* The last one need not be padded. */
		*offset = NLMSG_ALIGN(header.nlmsg_len) < n_left
				  ? *offset + NLMSG_ALIGN(header.nlmsg_len)
				  : n_data;
		n_payload = header.nlmsg_len - sizeof(header);
		/* The connector's messages are NLMSG_DONE; errors and the like are below. */
		if (header.nlmsg_type < NLMSG_DONE || n_payload < sizeof(message))
			continue;
		memcpy(&message, at + sizeof(header), sizeof(message));
		if (message.id.idx != CN_IDX_PROC || message.id.val != CN_VAL_PROC)
			continue;
		if (message.len > n_payload - sizeof(message) ||
		    !decode_event(&message, at + sizeof(header) + sizeof(message), ret))
			return -EBADMSG;

		return 1;
	}

	return *offset < n_data ? -EBADMSG : 0;
}

static int sequence_reserve(struct wire_proc_sequence *sequence, uint32_t cpu)
{
	size_t n = sequence->n_cpus ? sequence->n_cpus : 8;
	struct wire_proc_cpu *cpus;

	while (n <= cpu)
		n *= 2;
	cpus = reallocarray(sequence->cpus, n, sizeof(*cpus));
	if (!cpus)
		return -ENOMEM;

	memset(cpus + sequence->n_cpus, 0, (n - sequence->n_cpus) * sizeof(*cpus));
	sequence->cpus = cpus;
	sequence->n_cpus = n;
	return 0;
}

int wire_proc_sequence_note(struct wire_proc_sequence *sequence,
			    const struct wire_proc_event *event, uint64_t *ret_lost)
{
	struct wire_proc_cpu *cpu;
	uint32_t gap;

	assert(sequence && event && ret_lost);

	if (event->kind == WIRE_PROC_ACK && event->cpu == UINT32_MAX) {
		*ret_lost = 0;
		return 0;
	}
	if (event->cpu >= WIRE_PROC_CPUS_MAX)
		return -ERANGE;
	if (event->cpu >= sequence->n_cpus) {
		int r = sequence_reserve(sequence, event->cpu);

		if (r < 0)
			return r;
	}

	cpu = &sequence->cpus[event->cpu];
	gap = cpu->seen ? event->seq - cpu->next : 0;
	/* Backwards is no loss: the numbers wrap, and may begin anew. */
	*ret_lost = gap <= INT32_MAX ? gap : 0;
	cpu->seen = true;
	cpu->next = event->seq + 1;
	return 0;
}

void wire_proc_sequence_deinit(struct wire_proc_sequence *sequence)
{
	assert(sequence);

	free(sequence->cpus);
	*sequence = (struct wire_proc_sequence){};
}
