/* SPDX-License-Identifier: GPL-2.0-or-later OR MIT */

/*
 * Reads a stream of OpenEvents, of a watch or of a process group, and prints a line per record
 *
 *	stream-reader [FD]
 *
 * FD (standard input by default) is the descriptor that
 * org.fsevents1.Manager.OpenEvents(), org.fsevents1.Watch.OpenStream() or
 * org.fsevents1.ProcessGroup.OpenStream() gave. The format is written down in fsevents_stream.h. Of use as it is, and to copy from.
 */

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifdef FSEVENTS_STREAM_LOCAL
#include "include/fsevents_stream.h"
#else
#include <fsevents_stream.h>
#endif

static const char *code_name(uint32_t code)
{
	static const char *const names[] = {
		[FSEVENTS_CODE_ENOSPC] = "enospc",
		[FSEVENTS_CODE_ENOSPC_METADATA] = "enospc-metadata",
		[FSEVENTS_CODE_ENOSPC_INODES] = "enospc-inodes",
		[FSEVENTS_CODE_THRESHOLD_BELOW] = "threshold-below",
		[FSEVENTS_CODE_THRESHOLD_ABOVE] = "threshold-above",
		[FSEVENTS_CODE_READ_ONLY] = "read-only",
		[FSEVENTS_CODE_READ_WRITE] = "read-write",
		[FSEVENTS_CODE_CORRUPTED] = "corrupted",
		[FSEVENTS_CODE_IO_ERROR] = "io-error",
		[FSEVENTS_CODE_WRITEBACK_ERROR] = "writeback-error",
		[FSEVENTS_CODE_SHUTDOWN] = "shutdown",
		[FSEVENTS_CODE_FROZEN] = "frozen",
		[FSEVENTS_CODE_THAWED] = "thawed",
		[FSEVENTS_CODE_MOUNTED] = "mounted",
		[FSEVENTS_CODE_UNMOUNTED] = "unmounted",
		[FSEVENTS_CODE_STALLED] = "stalled",
		[FSEVENTS_CODE_RESPONDING] = "responding",
	};

	return code < sizeof(names) / sizeof(names[0]) ? names[code] : "unknown";
}

static const char *severity_name(uint32_t severity)
{
	static const char *const names[] = { "info", "notice", "warning", "critical" };

	return severity < sizeof(names) / sizeof(names[0]) ? names[severity] : "unknown";
}

/* File names are any bytes: what a terminal could take for a command is escaped. */
static void print_bytes(const uint8_t *p, size_t n)
{
	for (; n > 0; p++, n--) {
		if (isgraph(*p) && *p != '\\')
			putchar(*p);
		else
			printf("\\%03o", *p);
	}
}

static void print_writers(const uint8_t *p, size_t n)
{
	uint64_t bytes;
	uint32_t pid;
	uint16_t n_name;

	while (n >= 14) {
		memcpy(&pid, p, 4);
		memcpy(&bytes, p + 4, 8);
		memcpy(&n_name, p + 12, 2);
		if (n_name > n - 14)
			return;
		printf("%" PRIu32 ":%" PRIu64 ":", pid, bytes);
		print_bytes(p + 14, n_name);
		p += 14 + n_name;
		n -= 14 + n_name;
		if (n > 0)
			putchar(',');
	}
}

static void print_value(uint8_t type, const uint8_t *p, size_t n)
{
	uint64_t u64;
	uint32_t u32;
	int32_t i32;

	if (type == 'u' && n == sizeof(u32)) {
		memcpy(&u32, p, n);
		printf("%" PRIu32, u32);
	} else if (type == 't' && n == sizeof(u64)) {
		memcpy(&u64, p, n);
		printf("%" PRIu64, u64);
	} else if (type == 'i' && n == sizeof(i32)) {
		memcpy(&i32, p, n);
		printf("%" PRId32, i32);
	} else if (type == 'b' && n == 1) {
		printf("%s", *p ? "true" : "false");
	} else if (type == 'w') {
		print_writers(p, n);
	} else if (type == 's' || type == 'y') {
		print_bytes(p, n);
	} else {
		printf("?");
	}
}

static void print_details(const uint8_t *p, size_t n)
{
	struct fsevents_detail detail;

	while (n >= sizeof(detail)) {
		/* Not aligned. */
		memcpy(&detail, p, sizeof(detail));
		p += sizeof(detail);
		n -= sizeof(detail);
		if (detail.n_key > n || detail.n_value > n - detail.n_key)
			return;

		putchar(' ');
		print_bytes(p, detail.n_key);
		putchar('=');
		print_value(detail.type, p + detail.n_key, detail.n_value);
		p += detail.n_key + detail.n_value;
		n -= detail.n_key + detail.n_value;
	}
}

/* The variable part begins where the header says, whatever this program was built with. */
static void print_variable(const struct fsevents_record *record, uint32_t n)
{
	if (n <= record->size - record->header_size)
		print_details((const uint8_t *)record + record->header_size, n);
}

static void print_event(const struct fsevents_event *event)
{
	printf("event id=%" PRIu64 " code=%s severity=%s", (uint64_t)event->id,
	       code_name(event->code), severity_name(event->severity));
	printf(" filesystem=%u_%u_%u realtime-usec=%" PRIu64 " pid=%u data=%" PRIu64,
	       event->dev_major, event->dev_minor, event->dev_n, (uint64_t)event->realtime_usec,
	       event->pid, (uint64_t)event->data);
	if (event->flags & FSEVENTS_EVENT_TEST)
		printf(" test");
	print_variable(&event->record, event->n_details);
	putchar('\n');
}

static void print_hello(const struct fsevents_hello *hello)
{
	printf("hello epoch=%.40s oldest=%" PRIu64 " newest=%" PRIu64 " since=%" PRIu64 "%s\n",
	       hello->epoch, (uint64_t)hello->oldest_id, (uint64_t)hello->newest_id,
	       (uint64_t)hello->since_id, hello->flags & FSEVENTS_HELLO_RESET ? " reset" : "");
}

static void print_amend(const struct fsevents_amend *amend)
{
	printf("amend id=%" PRIu64, (uint64_t)amend->id);
	print_variable(&amend->record, amend->n_details);
	putchar('\n');
}

static void print_lost(const struct fsevents_lost *lost)
{
	printf("lost first=%" PRIu64 " last=%" PRIu64 "%s\n", (uint64_t)lost->first_id,
	       (uint64_t)lost->last_id,
	       lost->flags & FSEVENTS_LOST_AMENDS    ? " amendments"
	       : lost->flags & FSEVENTS_LOST_UNKNOWN ? " unknown"
						     : "");
}

static void print_group_event(const struct fsevents_group_event *event)
{
	static const char *const names[] = { "unknown", "fork", "exec", "exit" };
	uint32_t n = event->event < sizeof(names) / sizeof(names[0]) ? event->event : 0;

	printf("process seq=%" PRIu64 " event=%s realtime-usec=%" PRIu64 " pid=%u %s=%u",
	       (uint64_t)event->seq, names[n], (uint64_t)event->realtime_usec, event->pid,
	       event->event == FSEVENTS_GROUP_FORK ? "child" : "parent", event->other);
	if (event->event == FSEVENTS_GROUP_EXIT)
		printf(" status=%d", event->status);
	if (event->n_file > 0 && event->n_file <= event->record.size - event->record.header_size) {
		printf(" file=");
		print_bytes((const uint8_t *)event + event->record.header_size, event->n_file);
	}
	putchar('\n');
}

static void print_group_lost(const struct fsevents_group_lost *lost)
{
	if (lost->count > 0)
		printf("lost count=%" PRIu64 "\n", (uint64_t)lost->count);
	else
		printf("lost count=unknown\n");
}

static void print_group_empty(const struct fsevents_group_empty *empty)
{
	printf("empty leader=%u forks=%" PRIu64 " execs=%" PRIu64 " exits=%" PRIu64
	       " lost=%" PRIu64,
	       empty->leader, (uint64_t)empty->forks, (uint64_t)empty->execs,
	       (uint64_t)empty->exits, (uint64_t)empty->lost);
	if (empty->flags & FSEVENTS_GROUP_ACCOUNTING)
		printf(" user-usec=%" PRIu64 " system-usec=%" PRIu64 " read-bytes=%" PRIu64
		       " write-bytes=%" PRIu64 " peak-rss=%" PRIu64,
		       (uint64_t)empty->user_usec, (uint64_t)empty->system_usec,
		       (uint64_t)empty->read_bytes, (uint64_t)empty->write_bytes,
		       (uint64_t)empty->peak_rss);
	printf("%s\n", empty->flags & FSEVENTS_GROUP_INCOMPLETE ? " incomplete" : "");
}

/* Return: whether it is one of these. */
static int print_group_record(const struct fsevents_record *record)
{
	switch (record->kind) {
	case FSEVENTS_KIND_GROUP:
		if (record->header_size >= sizeof(struct fsevents_group_event))
			print_group_event((const struct fsevents_group_event *)record);
		return 1;
	case FSEVENTS_KIND_GROUP_LOST:
		if (record->header_size >= sizeof(struct fsevents_group_lost))
			print_group_lost((const struct fsevents_group_lost *)record);
		return 1;
	case FSEVENTS_KIND_GROUP_EMPTY:
		if (record->header_size >= sizeof(struct fsevents_group_empty))
			print_group_empty((const struct fsevents_group_empty *)record);
		return 1;
	default:
		return 0;
	}
}

static void print_mask(uint32_t mask)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{ FSEVENTS_ACCESS, "access" },	     { FSEVENTS_MODIFY, "modify" },
		{ FSEVENTS_ATTRIB, "attrib" },	     { FSEVENTS_CLOSE_WRITE, "close-write" },
		{ FSEVENTS_OPEN, "open" },	     { FSEVENTS_CREATE, "create" },
		{ FSEVENTS_DELETE, "delete" },	     { FSEVENTS_DELETE_SELF, "delete-self" },
		{ FSEVENTS_MOVE_SELF, "move-self" }, { FSEVENTS_MOUNT, "mount" },
		{ FSEVENTS_UNMOUNT, "unmount" },     { FSEVENTS_MOVE, "move" },
		{ FSEVENTS_MERGED, "merged" },	     { FSEVENTS_DIRECTORY, "directory" },
	};
	const char *comma = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(mask & names[i].bit))
			continue;
		printf("%s%s", comma, names[i].name);
		comma = ",";
	}
}

static void print_change(const struct fsevents_change *change)
{
	const uint8_t *names = (const uint8_t *)change + change->record.header_size;

	if ((size_t)change->n_name + change->n_former >
	    change->record.size - change->record.header_size)
		return;
	printf("change seq=%" PRIu64 " events=", (uint64_t)change->seq);
	print_mask(change->mask);
	printf(" realtime-usec=%" PRIu64 " inode=%" PRIu64 " pid=%u",
	       (uint64_t)change->realtime_usec, (uint64_t)change->inode, change->pid);
	if (change->cookie)
		printf(" cookie=%" PRIu64, (uint64_t)change->cookie);
	printf(" name=");
	print_bytes(names, change->n_name);
	if (change->n_former > 0) {
		printf(" former=");
		print_bytes(names + change->n_name, change->n_former);
	}
	putchar('\n');
}

static void print_watch_lost(const struct fsevents_watch_lost *lost)
{
	if (lost->n_under > lost->record.size - lost->record.header_size)
		return;
	if (lost->count > 0)
		printf("lost count=%" PRIu64 " under=", (uint64_t)lost->count);
	else
		printf("lost count=unknown under=");
	print_bytes((const uint8_t *)lost + lost->record.header_size, lost->n_under);
	putchar('\n');
}

/* Return: whether it is one of these. */
static int print_watch_record(const struct fsevents_record *record)
{
	switch (record->kind) {
	case FSEVENTS_KIND_WATCH:
		if (record->header_size >= sizeof(struct fsevents_change))
			print_change((const struct fsevents_change *)record);
		return 1;
	case FSEVENTS_KIND_WATCH_LOST:
		if (record->header_size >= sizeof(struct fsevents_watch_lost))
			print_watch_lost((const struct fsevents_watch_lost *)record);
		return 1;
	default:
		return 0;
	}
}

static void print_record(const struct fsevents_record *record)
{
	if (print_group_record(record) || print_watch_record(record))
		return;

	/* Shorter than this program knows it: from another format. */
	switch (record->kind) {
	case FSEVENTS_KIND_HELLO:
		if (record->header_size >= sizeof(struct fsevents_hello))
			print_hello((const struct fsevents_hello *)record);
		break;
	case FSEVENTS_KIND_EVENT:
		if (record->header_size >= sizeof(struct fsevents_event))
			print_event((const struct fsevents_event *)record);
		break;
	case FSEVENTS_KIND_AMEND:
		if (record->header_size >= sizeof(struct fsevents_amend))
			print_amend((const struct fsevents_amend *)record);
		break;
	case FSEVENTS_KIND_LOST:
		if (record->header_size >= sizeof(struct fsevents_lost))
			print_lost((const struct fsevents_lost *)record);
		break;
	default:
		break; /* of a later version: skipped by its size */
	}
}

static int print_packet(const uint8_t *p, size_t n)
{
	while (n > 0) {
		const struct fsevents_record *record = (const struct fsevents_record *)p;

		if (n < sizeof(*record) || record->size > n || record->size % 8 != 0 ||
		    record->header_size < sizeof(*record) || record->header_size > record->size) {
			fprintf(stderr, "stream-reader: this is no stream of fseventsd\n");
			return -1;
		}

		print_record(record);
		p += record->size;
		n -= record->size;
	}

	fflush(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	static _Alignas(8) uint8_t packet[FSEVENTS_PACKET_MAX];
	int fd = argc > 1 ? atoi(argv[1]) : 0;

	for (;;) {
		ssize_t n = recv(fd, packet, sizeof(packet), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			perror("stream-reader: recv");
			return 1;
		}
		if (n == 0)
			break;
		if (print_packet(packet, (size_t)n) < 0)
			return 1;
	}

	printf("end\n");
	return 0;
}
