/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A reader of the process connector that takes each event at once
 *
 * eager [BUFFER-BYTES]
 *
 * Prints "listening" once the kernel has acknowledged, and at SIGTERM
 * "EVENTS FORKS EXECS EXITS LOST": what came, and how many numbers were missing.
 * What most programs do; also the witness of a test, with a large buffer.
 */

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
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

static int open_connector(int buffer)
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

static void count(struct counts *counts, const void *data, size_t n)
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

static void read_all(int fd, struct counts *counts)
{
	char buffer[MESSAGE_MAX];
	ssize_t n;

	for (;;) {
		n = recv(fd, buffer, sizeof(buffer), 0);
		if (n < 0 && (errno == ENOBUFS || errno == EINTR))
			continue;
		if (n < 0)
			return;
		count(counts, buffer, (size_t)n);
	}
}

int main(int argc, char **argv)
{
	struct pollfd wait[2] = { { .events = POLLIN }, { .events = POLLIN } };
	static struct counts counts;
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &term, NULL) < 0)
		err(1, "sigprocmask");
	wait[0].fd = open_connector(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0);
	wait[1].fd = signalfd(-1, &term, SFD_CLOEXEC);
	if (wait[1].fd < 0)
		err(1, "signalfd");

	do {
		if (poll(wait, 2, -1) < 0)
			err(1, "poll");
		read_all(wait[0].fd, &counts);
	} while (!(wait[1].revents & POLLIN));

	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts.events,
	       counts.forks, counts.execs, counts.exits, counts.lost);
	return 0;
}
