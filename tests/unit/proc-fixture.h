/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Datagrams of the proc connector, made as the kernel makes them. */

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>

struct datagram {
	uint8_t bytes[1024];
	size_t n;
};

static inline struct proc_event proc_event(uint32_t what, uint32_t cpu)
{
	struct proc_event event = { .cpu = cpu, .timestamp_ns = 123456789 };
	const unsigned int kind = what;

	memcpy(&event.what, &kind, sizeof(kind));
	return event;
}

static inline void datagram_add(struct datagram *datagram, const struct proc_event *event,
				uint32_t seq, uint32_t ack)
{
	struct cn_msg message = {
		.id = { CN_IDX_PROC, CN_VAL_PROC },
		.seq = seq,
		.ack = ack,
		.len = sizeof(*event),
	};
	struct nlmsghdr header = {
		.nlmsg_len = sizeof(header) + sizeof(message) + sizeof(*event),
		.nlmsg_type = NLMSG_DONE,
		.nlmsg_seq = seq,
	};
	uint8_t *at = datagram->bytes + datagram->n;

	memcpy(at, &header, sizeof(header));
	memcpy(at + sizeof(header), &message, sizeof(message));
	memcpy(at + sizeof(header) + sizeof(message), event, sizeof(*event));
	datagram->n += NLMSG_ALIGN(header.nlmsg_len);
}

/* Where in the first message the length of the event, and the event, stand. */
#define AT_LENGTH (sizeof(struct nlmsghdr) + offsetof(struct cn_msg, len))
#define AT_EVENT (sizeof(struct nlmsghdr) + sizeof(struct cn_msg))
