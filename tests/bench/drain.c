/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * drain FD - read a stream and count
 *
 * Prints, at the end of the stream or of its input:
 *	records N names M losses N
 * where names are the bits of create, delete and move in the records.
 */

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "include/fsevents_stream.h"

#define NAMES (FSEVENTS_CREATE | FSEVENTS_DELETE | FSEVENTS_MOVE)

struct counts {
	unsigned long records, names, losses;
};

static void packet_count(struct counts *counts, const char *packet, size_t n)
{
	struct fsevents_change change;
	struct fsevents_record record;

	for (size_t at = 0; at + sizeof(record) <= n; at += record.size) {
		memcpy(&record, packet + at, sizeof(record));
		if (record.size < sizeof(record) || record.size > n - at)
			return;
		if (record.kind == FSEVENTS_KIND_WATCH_LOST)
			counts->losses++;
		if (record.kind != FSEVENTS_KIND_WATCH || record.size < sizeof(change))
			continue;
		memcpy(&change, packet + at, sizeof(change));
		counts->records++;
		counts->names += (unsigned long)__builtin_popcount(change.mask & NAMES);
	}
}

int main(int argc, char *argv[])
{
	static char packet[FSEVENTS_PACKET_MAX];
	struct pollfd fds[2] = { { .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	struct counts counts = {};
	ssize_t n = 1;

	if (argc != 2)
		return 2;
	fds[0].fd = atoi(argv[1]);
	while (n > 0 && poll(fds, 2, -1) > 0) {
		/* What is there comes first. */
		if (fds[0].revents) {
			n = recv(fds[0].fd, packet, sizeof(packet), 0);
			packet_count(&counts, packet, n > 0 ? (size_t)n : 0);
		} else if (fds[1].revents) {
			break;
		}
	}
	printf("records %lu names %lu losses %lu\n", counts.records, counts.names, counts.losses);
	return 0;
}
