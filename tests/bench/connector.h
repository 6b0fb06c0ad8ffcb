/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The process connector for the bench programs: a socket that listens, and
 * what came from it, counted. Programs, not a library: a failure ends the program.
 */

#include <err.h>
#include <inttypes.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CPUS_MAX 1024
#define MESSAGE_MAX 512

struct counts {
	uint64_t events, forks, execs, exits, lost;
	bool listening;
	bool known[CPUS_MAX];
	uint32_t last[CPUS_MAX];
};

/* @buffer: bytes; 0: the default */
static inline int open_connector(int buffer)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	struct {
		struct nlmsghdr head;
		struct cn_msg message;
		enum proc_cn_mcast_op op;
	} __attribute__((packed)) request = {
		.head = { .nlmsg_len = sizeof(request), .nlmsg_type = NLMSG_DONE },
		.message = { .id = { CN_IDX_PROC, CN_VAL_PROC }, .len = sizeof(request.op) },
		.op = PROC_CN_MCAST_LISTEN,
	};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		err(1, "process connector");
	if (buffer > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0)
		err(1, "SO_RCVBUFFORCE");
	if (send(fd, &request, sizeof(request), 0) < 0)
		err(1, "PROC_CN_MCAST_LISTEN");
	return fd;
}

/* One datagram; the first acknowledgement is told: "listening". */
static inline void count(struct counts *counts, const void *data, size_t n)
{
	struct nlmsghdr head;
	struct cn_msg message;
	struct proc_event event = {};
	uint32_t gap;

	if (n < NLMSG_HDRLEN + sizeof(message))
		return;
	memcpy(&head, data, sizeof(head));
	memcpy(&message, (const char *)data + NLMSG_HDRLEN, sizeof(message));
	n -= NLMSG_HDRLEN + sizeof(message);
	memcpy(&event, (const char *)data + NLMSG_HDRLEN + sizeof(message),
	       n < sizeof(event) ? n : sizeof(event));

	/* An acknowledgement, ours or another's: numbered as any. */
	if ((uint32_t)event.what == PROC_EVENT_NONE && !counts->listening) {
		printf("listening\n");
		fflush(stdout);
		counts->listening = true;
	}
	counts->events += (uint32_t)event.what != PROC_EVENT_NONE;
	counts->forks += (uint32_t)event.what == PROC_EVENT_FORK;
	counts->execs += (uint32_t)event.what == PROC_EVENT_EXEC;
	counts->exits += (uint32_t)event.what == PROC_EVENT_EXIT;
	if (event.cpu >= CPUS_MAX)
		return;
	gap = message.seq - counts->last[event.cpu] - 1;
	if (counts->known[event.cpu])
		counts->lost += gap;
	counts->known[event.cpu] = true;
	counts->last[event.cpu] = message.seq;
}

static inline void print_counts(const struct counts *counts)
{
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts->events,
	       counts->forks, counts->execs, counts->exits, counts->lost);
}
