/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
#ifndef FSEVENTS_STREAM_H
#define FSEVENTS_STREAM_H

/*
 * The format of fseventsd's streams
 *
 * org.fsevents1.Manager.OpenEvents() and the OpenStream() methods give a
 * descriptor of a SOCK_SEQPACKET socket that can only be read. This file is
 * the specification of what comes out of it.
 *
 * Packets
 *	One recv() gives one packet: at most FSEVENTS_PACKET_MAX bytes, whole
 *	records only, at least one. A reader gives a buffer of that size. recv()
 *	returning 0 is the end: the object is gone, or the daemon is; nothing
 *	was lost before the end but what a record said. The descriptor is for
 *	reading alone: sending fails with EPIPE.
 *
 * Records
 *	Each begins at a multiple of 8 bytes with struct fsevents_record, in the
 *	byte order of the machine. ->size counts the whole record with its
 *	padding and is a multiple of 8; ->header_size counts the fixed part,
 *	struct fsevents_record included; what is variable follows it. A later
 *	version may lengthen the fixed part: a reader finds the variable part
 *	by ->header_size, never by sizeof, ignores fixed bytes past those it
 *	knows, and skips a record whose ->kind it does not know by ->size.
 *	Reserved fields and padding are zero and are to be ignored.
 *
 * Loss
 *	The daemon never waits for a reader. What a slow reader missed is a
 *	record in its place (FSEVENTS_KIND_LOST): all before it came before,
 *	all after it came after.
 *
 * Kinds 1 to 63 belong to OpenEvents, 64 to 127 to watches, 128 to 191 to
 * process groups; the rest is reserved.
 */

#include <linux/types.h>

#define FSEVENTS_PACKET_MAX 65536

struct fsevents_record {
	__u32 size;
	__u16 header_size;
	__u16 kind; /* enum fsevents_kind */
};

enum fsevents_kind {
	FSEVENTS_KIND_HELLO = 1, /* struct fsevents_hello, always first */
	FSEVENTS_KIND_EVENT = 2, /* struct fsevents_event and details */
	FSEVENTS_KIND_AMEND = 3, /* struct fsevents_amend and details */
	FSEVENTS_KIND_LOST = 4, /* struct fsevents_lost */

	FSEVENTS_KIND_WATCH = 64, /* struct fsevents_change, a name and a former name */
	FSEVENTS_KIND_WATCH_LOST = 65, /* struct fsevents_watch_lost and a name */
	FSEVENTS_KIND_GROUP = 128, /* struct fsevents_group_event and a file name */
	FSEVENTS_KIND_GROUP_LOST = 129, /* struct fsevents_group_lost */
	FSEVENTS_KIND_GROUP_EMPTY = 130, /* struct fsevents_group_empty */
};

/* The first record of a stream of OpenEvents. */
struct fsevents_hello {
	struct fsevents_record record;
	__u64 since_id; /* the events that follow have ids above this */
	__u64 oldest_id; /* kept in the history, 0: it is empty */
	__u64 newest_id; /* given so far */
	__u32 flags; /* FSEVENTS_HELLO_... */
	__u32 reserved;
	char epoch[40]; /* text, NUL-terminated; ids compare within one epoch */
};

/*
 * The id asked for is above the newest, or of an epoch that is lost: what it
 * was to continue is not known any more, and all of the history follows.
 */
#define FSEVENTS_HELLO_RESET 1

/* fsevents_event.code: as the codes on the bus, in the same words. */
enum fsevents_code {
	FSEVENTS_CODE_ENOSPC = 0,
	FSEVENTS_CODE_ENOSPC_METADATA = 1,
	FSEVENTS_CODE_ENOSPC_INODES = 2,
	FSEVENTS_CODE_THRESHOLD_BELOW = 3,
	FSEVENTS_CODE_THRESHOLD_ABOVE = 4,
	FSEVENTS_CODE_READ_ONLY = 5,
	FSEVENTS_CODE_READ_WRITE = 6,
	FSEVENTS_CODE_CORRUPTED = 7,
	FSEVENTS_CODE_IO_ERROR = 8,
	FSEVENTS_CODE_WRITEBACK_ERROR = 9,
	FSEVENTS_CODE_SHUTDOWN = 10,
	FSEVENTS_CODE_FROZEN = 11,
	FSEVENTS_CODE_THAWED = 12,
	FSEVENTS_CODE_MOUNTED = 13,
	FSEVENTS_CODE_UNMOUNTED = 14,
	FSEVENTS_CODE_STALLED = 15,
	FSEVENTS_CODE_RESPONDING = 16,
};

enum fsevents_severity {
	FSEVENTS_SEVERITY_INFO = 0,
	FSEVENTS_SEVERITY_NOTICE = 1,
	FSEVENTS_SEVERITY_WARNING = 2,
	FSEVENTS_SEVERITY_CRITICAL = 3,
};

/* A synthetic event, made by EmitTestEvent. */
#define FSEVENTS_EVENT_TEST 1

/* One event of a filesystem; ids rise from record to record. */
struct fsevents_event {
	struct fsevents_record record;
	__u64 id;
	__u64 realtime_usec; /* CLOCK_REALTIME when it happened; order is by id */
	__u64 data; /* thresholds: available bytes or inodes; else an errno, or 0 */
	__u32 code; /* enum fsevents_code; unknown ones may come */
	__u32 severity; /* enum fsevents_severity */
	__u32 dev_major; /* the object /org/fsevents1/filesystem/MAJOR_MINOR_N */
	__u32 dev_minor;
	__u32 dev_n;
	__u32 pid; /* whose action led to it, in PID 1's namespace; 0: no one process */
	__u32 flags; /* FSEVENTS_EVENT_...; unknown ones may come */
	__u32 n_details; /* bytes of details after the fixed part */
};

/* Private details that became known after their event; for those who may see them. */
struct fsevents_amend {
	struct fsevents_record record;
	__u64 id; /* of an event that came before */
	__u32 n_details; /* bytes; keys that the event did not have yet */
	__u32 reserved;
};

/* Events that this reader does not get; GetEvents may still have them. */
struct fsevents_lost {
	struct fsevents_record record;
	__u64 first_id;
	__u64 last_id; /* inclusive */
	__u32 flags; /* FSEVENTS_LOST_... */
	__u32 reserved;
};

/* The events themselves came: amendments of some of them are missing. */
#define FSEVENTS_LOST_AMENDS 1

/*
 * The daemon was ended abruptly here: events may be missing, how many is not
 * known; first_id..last_id are the ids that may have been theirs. After an
 * orderly end the ids go on without a gap, and there is no such record.
 */
#define FSEVENTS_LOST_UNKNOWN 2

/*
 * Details: pairs one after the other without padding, each
 *
 *	struct fsevents_detail, then n_key bytes of key, then n_value bytes of value
 *
 * and so not aligned: copy the struct out before looking into it. The key is
 * ASCII without NUL, as in the a{sv} on the bus. By ->type the value is
 *
 *	's'	UTF-8 without NUL, foreign text escaped as \ooo
 *	'y'	bytes without NUL (a file name, a mount point)
 *	'u' 't' 'i'	__u32, __u64, __s32
 *	'b'	one byte, 0 or 1
 *	'w'	writers, each: __u32 pid, __u64 bytes written, __u16 n, n bytes of
 *		name (UTF-8, escaped), without padding
 *
 * A pair of another type is skipped by its lengths.
 */
struct fsevents_detail {
	__u8 type;
	__u8 flags; /* FSEVENTS_DETAIL_... */
	__u16 n_key;
	__u32 n_value;
};

/* Given only to root and to holders of org.fsevents1.read-details. */
#define FSEVENTS_DETAIL_PRIVATE 1

/*
 * fsevents_change.mask, and of Changed on the bus; unknown bits may come.
 *
 * One record may have several bits: they have no order among each other. Of
 * CREATE, DELETE and MOVE at most one is set: where a name was made and removed
 * in a row too quick to tell apart, it is the last state, with MERGED.
 *
 * What a reader that keeps a list of names owes to that: look through again a directory
 * with CREATE (it came from elsewhere, or with MERGED stands where another one did) and
 * what a MOVE brings from a name that is not known, or from within a directory that is
 * still being looked through. A CREATE of what is known and a DELETE of what is not are
 * in order. MERGED may be ahead of the records behind it: what those tell of below that
 * name may be of a directory that stood there before.
 */
#define FSEVENTS_ACCESS 0x00000001U
#define FSEVENTS_MODIFY 0x00000002U
#define FSEVENTS_ATTRIB 0x00000004U /* mode, owner, times, links, attributes */
#define FSEVENTS_CLOSE_WRITE 0x00000008U /* what was open for writing was closed */
#define FSEVENTS_OPEN 0x00000020U
#define FSEVENTS_CREATE 0x00000100U /* also what was moved or linked in */
#define FSEVENTS_DELETE 0x00000200U /* also what was moved out */
#define FSEVENTS_DELETE_SELF 0x00000400U /* what is watched itself; the name is empty */
#define FSEVENTS_MOVE_SELF 0x00000800U
#define FSEVENTS_MOUNT                                                                             \
	0x00001000U /* a filesystem was mounted here; empty name: the watched one is back */
#define FSEVENTS_UNMOUNT 0x00002000U /* likewise */
#define FSEVENTS_MOVE 0x00010000U /* from the former name to the name */
#define FSEVENTS_MERGED 0x20000000U /* more happened than the bits can say */
#define FSEVENTS_DIRECTORY 0x40000000U /* it is one */

/*
 * A change below a watch. Numbers rise by one from record to record; after a
 * loss of a known count they have a gap of that count.
 */
struct fsevents_change {
	struct fsevents_record record;
	__u64 seq;
	__u64 realtime_usec; /* CLOCK_REALTIME when it was read from the kernel; order is by seq */
	__u64 inode; /* 0: not known */
	__u64 cookie; /* not 0: equal in the two records of an exchange */
	__u32 mask; /* FSEVENTS_... */
	__u32 pid; /* whose process did it, for its own user and root; 0: not known or not to be told */
	__u16 n_name; /* bytes after the fixed part, no NUL: relative to what is watched, empty: that itself */
	__u16 n_former; /* bytes right after these: the name before a MOVE */
	__u32 reserved;
};

/* Changes that are missing here. Look through the directory named and all below it. */
struct fsevents_watch_lost {
	struct fsevents_record record;
	__u64 count; /* 0: it is not known how many */
	__u32 n_under; /* bytes after the fixed part: relative to what is watched, none: all of it */
	__u32 reserved;
};

/* fsevents_group_event.event; unknown ones may come */
#define FSEVENTS_GROUP_FORK 1
#define FSEVENTS_GROUP_EXEC 2
#define FSEVENTS_GROUP_EXIT 3

/* What a process of a group did; numbers rise by one from record to record, but after a loss. */
struct fsevents_group_event {
	struct fsevents_record record;
	__u64 seq;
	__u64 realtime_usec; /* CLOCK_REALTIME; order is by seq */
	__u32 event; /* FSEVENTS_GROUP_... */
	__u32 pid; /* who forked, executed, ended */
	__u32 other; /* of a fork the child, else the parent, 0 where it is not known */
	__s32 status; /* of an exit, as of waitpid(2) */
	__u32 n_file; /* bytes of the name of what was executed, after the fixed part, no NUL */
	__u32 reserved;
};

/* Events that are missing here. */
struct fsevents_group_lost {
	struct fsevents_record record;
	__u64 count; /* 0: it is not known how many, or not to be told */
};

/* The last process has ended; the last record. */
struct fsevents_group_empty {
	struct fsevents_record record;
	__u64 forks;
	__u64 execs;
	__u64 exits;
	__u64 lost;
	__u64 user_usec; /* these with FSEVENTS_GROUP_ACCOUNTING, else 0 */
	__u64 system_usec;
	__u64 read_bytes;
	__u64 write_bytes;
	__u64 peak_rss; /* KiB, of the largest single process */
	__u32 leader;
	__u32 flags; /* FSEVENTS_GROUP_... */
};

#define FSEVENTS_GROUP_INCOMPLETE 1 /* members or figures leave something out */
#define FSEVENTS_GROUP_ACCOUNTING 2 /* it was asked for */

#endif
