/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
#ifndef FS_EVENT_H
#define FS_EVENT_H

/*
 * The generic netlink family of the module fsevents.ko
 *
 * This file is the specification of the family; fs_event(7) tells the same as
 * prose. Commands and attributes 1 to 5, the events 1 to 8 and the names of the
 * family and of its first group are those of the interface proposed in 2015:
 * what was written against that one receives its events unchanged.
 *
 * Messages
 *	FS_NL_C_EVENT is exactly one event of a filesystem. It always has
 *	EVENT_ID, DEV_MAJOR, DEV_MINOR, CAUSED_ID, DATA and SEQ; the other
 *	attributes stand there when they are known. FS_NL_C_RECORDS is a batch:
 *	RECORDS holds N_RECORDS structures, each at a multiple of 8 bytes, and
 *	SEQ is the number of the first. Integers are in the byte order of the
 *	machine and of the same width for 32-bit and 64-bit programs. A reader
 *	skips attributes, events and kinds of records that it does not know.
 *	A message has at most FS_EVENT_MESSAGE_MAX bytes.
 *
 * Groups
 *	FS_EVENTS_MCAST_GRP_NAME carries events of filesystems, one a message.
 *	FS_EVENTS_GRP_INODE carries struct fs_event_file, FS_EVENTS_GRP_PROC
 *	struct fs_event_process, in batches. A flood in one costs the others
 *	nothing; whoever wants that on the reading side too opens a socket for
 *	each.
 *
 * Permissions
 *	The family exists in the initial network namespace alone. Joining a group
 *	needs CAP_SYS_ADMIN (CAP_NET_ADMIN with kernels that cannot ask for the
 *	former), a request needs CAP_NET_ADMIN, both in the initial user
 *	namespace. Process ids are those of the initial pid namespace. Groups are
 *	empty when the module has been loaded: who joined one by its number before
 *	is no longer in it.
 *
 * Requests and owners
 *	Nothing is produced until somebody asks. A request belongs to the port id
 *	that sent it, and all requests of a port are withdrawn when its socket is
 *	closed: soon, since close(2) waits for nothing, and before a later request
 *	for anything is granted. What is produced is the union of all requests, and
 *	everybody in the group receives it: a listener that requests nothing
 *	receives what others asked for. An event or a record is produced once,
 *	however many requests on a filesystem cover it; only in the moment in which
 *	requests change can a record come twice. A watch has records of its own.
 *	A refused request changes nothing, and its answer has an error text
 *	(NLMSGERR_ATTR_MSG, with the option NETLINK_EXT_ACK). ENOSPC: there are
 *	too many requests, watches or ports with any.
 *
 * Numbers and loss
 *	Each event and each record has a number in its group, counted from 1 when
 *	the module is loaded and given before anything can fail: to a reader who
 *	was in the group all the time, numbers that are missing are exactly what
 *	was lost, wherever that was. A batch covers SEQ to SEQ + N_RECORDS - 1.
 *	LOST counts what was lost before the message left the kernel, since the
 *	module was loaded; what a full socket lost is not in it. The gap of
 *	records that found no room stands at most one batch late.
 *
 * Order
 *	Messages of one group are in the order of their numbers. Events are in
 *	the order in which they were produced. Records are ordered by time as far
 *	as one could have caused the other; unrelated ones of different
 *	processors may be some microseconds out of order. Groups have no order
 *	among each other but FS_NL_A_TIME and time_ns.
 *
 * Merging
 *	Repetitions of one event on one filesystem within a second (for the
 *	events with a culprit: of one process) are one event, and what followed
 *	the first is told when the second is over, with COUNT, which no other event
 *	has: what it tells may be over.
 *
 * Identity
 *	FS_ID names a filesystem from its first request until it is unmounted or
 *	nobody requests it, and is not used again while the module is loaded. A
 *	device number may name another filesystem later, and on btrfs it is not
 *	what stat(2) tells.
 */

#include <linux/types.h>

#define FS_EVENTS_FAMILY_NAME "fs_event"
#define FS_EVENTS_FAMILY_VERSION 1
#define FS_EVENTS_MCAST_GRP_NAME "fs_event_mc_grp"
#define FS_EVENTS_GRP_INODE "inode"
#define FS_EVENTS_GRP_PROC "proc"

#define FS_EVENT_MESSAGE_MAX 8192
#define FS_EVENT_LEVELS_MAX 64 /* of one request */
#define FS_EVENT_LEVEL_NAME_MAX 32 /* bytes of [a-z0-9-] */
#define FS_EVENT_TYPE_MAX 31 /* bytes of a filesystem type */
#define FS_EVENT_NAME_MAX 1024 /* bytes of a name in a struct fs_event_file */

enum fs_nl_command {
	FS_NL_C_UNSPEC = 0,
	FS_NL_C_EVENT = 1, /* to user: one event */
	FS_NL_C_RECORDS = 2, /* to user: a batch of records */

	/*
	 * Requests. "FS" is one of: FD, a descriptor of anything on the
	 * filesystem (O_PATH will do); FS_TYPE, DEV_MAJOR and DEV_MINOR, which
	 * touch no mount (for ext2, ext3, ext4, xfs, btrfs, f2fs, tmpfs, vfat and
	 * exfat); FS_ID. EBUSY: it, or another of its type, is just being mounted
	 * or unmounted. ENOENT: none is found so, which before Linux 6.8 is always
	 * the answer for the type btrfs: it takes a descriptor.
	 */

	/* -> VERSION, EVENTS (all that exist), GROUP_STATS of each group */
	FS_NL_C_GET_INFO = 16,
	/*
	 * FS, EVENTS, FILE_EVENTS -> FS_ID, DEV_MAJOR, DEV_MINOR, CAPABLE, HOLDS
	 * Replaces what this port requested on that filesystem, but for its
	 * levels. EVENTS alone may be given, or FILE_EVENTS alone: the other is
	 * taken for 0. FS_EVENT_UNMOUNTED is always told to whoever requests
	 * anything.
	 */
	FS_NL_C_FS_SET = 17,
	/* FS: withdraws this port's request, levels and all */
	FS_NL_C_FS_DEL = 18,
	/*
	 * FS, LEVELS: replaces this port's levels; needs a request (FS_SET), whose
	 * EVENTS say which of their events are told. An empty list removes them.
	 * Refused with EOPNOTSUPP where a check could wait for a server or a
	 * daemon.
	 */
	FS_NL_C_LEVELS_SET = 19,
	/*
	 * FD, FILE_EVENTS -> WATCH_ID: watches one inode, and with
	 * FS_FILE_ON_CHILD what is directly in a directory. In place of FD: FS
	 * and INODE, for filesystems that keep their inodes by number (ENOENT:
	 * not in memory, or another kind of filesystem).
	 */
	FS_NL_C_WATCH_ADD = 20,
	FS_NL_C_WATCH_DEL = 21, /* WATCH_ID */
	/* PROC_EVENTS: replaces this port's; 0 withdraws */
	FS_NL_C_PROC_SET = 22,
	/*
	 * The answer comes when all that was produced before has been given to
	 * the sockets. ENOMEM: there was no memory for some of it, which is tried
	 * again.
	 */
	FS_NL_C_SYNC = 23,
	/* FS, EVENT_ID, DATA: one event with TEST, if somebody requests it */
	FS_NL_C_TEST = 24,
	/* File events that this process causes are not told while the port lives */
	FS_NL_C_IGNORE_SELF = 25,
	__FS_NL_C_MAX,
};
#define FS_NL_C_MAX (__FS_NL_C_MAX - 1)

enum fs_nl_attribute {
	FS_NL_A_UNSPEC = 0,
	FS_NL_A_EVENT_ID = 1, /* u32, enum fs_event_id */
	FS_NL_A_DEV_MAJOR = 2, /* u32, as in mountinfo */
	FS_NL_A_DEV_MINOR = 3, /* u32 */
	FS_NL_A_CAUSED_ID = 4, /* u64, the process (tgid) whose action led to it; 0: none */
	FS_NL_A_DATA = 5, /* u64, thresholds: available blocks or inodes; else ERRNO or 0 */
	FS_NL_A_PAD = 6, /* empty, aligns what follows to 8 bytes */
	FS_NL_A_SEQ = 7, /* u64, number in the group */
	FS_NL_A_LOST = 8, /* u64, lost in the kernel so far */
	FS_NL_A_LEVEL = 9, /* string, the level's name */
	FS_NL_A_TEST = 10, /* flag: made by FS_NL_C_TEST */
	FS_NL_A_FS_ID = 11, /* u32 */
	FS_NL_A_TIME = 12, /* u64, ns, CLOCK_MONOTONIC */
	FS_NL_A_ERRNO = 13, /* u32, positive */
	FS_NL_A_INODE = 14, /* u64 */
	FS_NL_A_COUNT = 15, /* u32, how many repetitions this one stands for; none: see "Merging" */
	FS_NL_A_RECORDS = 16, /* binary */
	FS_NL_A_N_RECORDS = 17, /* u32 */
	FS_NL_A_FD = 18, /* u32 */
	FS_NL_A_FS_TYPE = 19, /* string */
	FS_NL_A_EVENTS = 20, /* u64, bit FS_EVENT_BIT(id) */
	FS_NL_A_FILE_EVENTS = 21, /* u32, enum fs_file_event */
	FS_NL_A_WATCH_ID = 22, /* u32 */
	FS_NL_A_PROC_EVENTS = 23, /* u32, bit (1 << kind) */
	FS_NL_A_LEVELS = 24, /* nested: an array of nested enum fs_nl_level */
	FS_NL_A_VERSION = 25, /* u32, FS_EVENTS_FAMILY_VERSION */
	FS_NL_A_CAPABLE = 26, /* u64, as EVENTS: those that can come on this filesystem */
	FS_NL_A_GROUP_STATS = 27, /* nested enum fs_nl_stat, once for each group */
	FS_NL_A_HOLDS = 28, /* u64, as EVENTS: FROZEN and REMOUNT_RO where it is so already */
	__FS_NL_A_MAX,
};
#define FS_NL_A_MAX (__FS_NL_A_MAX - 1)

/* One level. At most BELOW is below; more than ABOVE is above again. */
enum fs_nl_level {
	FS_NL_LEVEL_UNSPEC = 0,
	FS_NL_LEVEL_NAME = 1, /* string */
	FS_NL_LEVEL_RESOURCE = 2, /* u32, enum fs_level_resource */
	FS_NL_LEVEL_BELOW = 3, /* u64 */
	FS_NL_LEVEL_ABOVE = 4, /* u64, at least BELOW */
	FS_NL_LEVEL_PAD = 5,
	__FS_NL_LEVEL_MAX,
};
#define FS_NL_LEVEL_MAX (__FS_NL_LEVEL_MAX - 1)

enum fs_level_resource {
	FS_LEVEL_BLOCKS = 0, /* blocks of f_frsize bytes that an ordinary user can take */
	FS_LEVEL_INODES = 1, /* free inodes */
};

enum fs_nl_stat {
	FS_NL_STAT_UNSPEC = 0,
	FS_NL_STAT_GROUP = 1, /* string */
	FS_NL_STAT_SEQ = 2, /* u64, numbers given so far */
	FS_NL_STAT_LOST_BUFFER = 3, /* u64, found the buffer full */
	FS_NL_STAT_LOST_MEMORY = 4, /* u64, found no memory for a message */
	FS_NL_STAT_LOST_SEND = 5, /* u64, refused by a socket with NETLINK_BROADCAST_ERROR */
	FS_NL_STAT_PAD = 6,
	__FS_NL_STAT_MAX,
};
#define FS_NL_STAT_MAX (__FS_NL_STAT_MAX - 1)

/*
 * Events. Of one request's levels for blocks, in the order given, the first has
 * the LR events, the second the UR events, further ones and all for inodes have
 * THR_BELOW and THR_ABOVE. A level that is reached already when it is set is
 * told at once.
 */
enum fs_event_id {
	FS_EVENT_NONE = 0,
	FS_WARN_ENOSPC = 1, /* a process found no space for data */
	FS_WARN_ENOSPC_META = 2, /* ... for metadata: a name, an attribute, a tree */
	FS_THR_LRBELOW = 3,
	FS_THR_LRABOVE = 4,
	FS_THR_URBELOW = 5,
	FS_THR_URABOVE = 6,
	FS_ERR_REMOUNT_RO = 7, /* became read-only */
	FS_ERR_CORRUPTED = 8,
	FS_EVENT_THR_BELOW = 9,
	FS_EVENT_THR_ABOVE = 10,
	FS_EVENT_ENOSPC_INODES = 11, /* ... for an inode, while there is space */
	FS_EVENT_IO_ERROR = 12,
	FS_EVENT_WRITEBACK_ERROR = 13, /* what was written is lost */
	FS_EVENT_SHUTDOWN = 14, /* takes no more requests until unmounted */
	FS_EVENT_FROZEN = 15,
	FS_EVENT_THAWED = 16,
	FS_EVENT_UNMOUNTED = 17, /* the last event of this FS_ID */
	FS_EVENT_READ_WRITE = 18, /* became writable again */
	__FS_EVENT_ID_MAX,
};
#define FS_EVENT_ID_MAX (__FS_EVENT_ID_MAX - 1)
#define FS_EVENT_BIT(id) (1ULL << (id))

/* Kinds of records. Those of processes are the bits of PROC_EVENTS as well. */
enum fs_record_kind {
	FS_RECORD_FILE = 1,
	FS_RECORD_FORK = 2,
	FS_RECORD_EXEC = 3,
	FS_RECORD_EXIT = 4,
	/* A thread is about to change one of its user ids, by itself or by what it executes. */
	FS_RECORD_UID = 5,
};

/* File events, with the numbers of inotify(7) and fanotify(7) where these have one. */
enum fs_file_event {
	FS_FILE_ACCESS = 0x00000001,
	FS_FILE_MODIFY = 0x00000002,
	FS_FILE_ATTRIB = 0x00000004,
	FS_FILE_CLOSE_WRITE = 0x00000008,
	FS_FILE_OPEN = 0x00000020,
	FS_FILE_CREATE = 0x00000100,
	FS_FILE_DELETE = 0x00000200,
	FS_FILE_DELETE_SELF = 0x00000400,
	FS_FILE_MOVE_SELF = 0x00000800,
	FS_FILE_IGNORED = 0x00008000, /* records only: the watch is gone */
	FS_FILE_HANDLES = 0x04000000, /* requests only: records have struct fs_event_handle */
	FS_FILE_ON_CHILD = 0x08000000, /* requests only: of what is in the directory, too */
	FS_FILE_RENAME = 0x10000000, /* one record with both names */
	FS_FILE_DIRECTORY = 0x40000000, /* requests: of directories, too; records: is one */
};

/*
 * The head of each record. The fixed part has header_size bytes and may grow:
 * what is variable is found by header_size, never by sizeof.
 */
struct fs_event_record {
	__u32 size; /* of all of it, a multiple of 8 */
	__u16 header_size;
	__u16 kind; /* enum fs_record_kind */
	__u64 time_ns; /* CLOCK_MONOTONIC */
};

/*
 * name, then new_name, follow; bytes without a NUL, and more of them than NAME_MAX where a
 * filesystem counts characters. A record of a name longer than FS_EVENT_NAME_MAX is lost.
 * Then, from the next multiple of 8 bytes of the record on, handles_size bytes of struct
 * fs_event_handle.
 */
struct fs_event_file {
	struct fs_event_record record;
	__u64 inode; /* what it happened to; 0: not known */
	__u64 dir_inode; /* where name is; 0: there is no name */
	__u64 new_dir_inode; /* RENAME: where new_name is */
	__u32 fs_id; /* 0: the filesystem itself is not requested */
	__u32 watch_id; /* 0: by the request on the filesystem */
	__u32 dev_major;
	__u32 dev_minor;
	__u32 events; /* enum fs_file_event */
	__u32 generation; /* of the inode */
	__u32 pid; /* who did it: tgid */
	__u32 tid;
	__u16 name_size;
	__u16 new_name_size;
	__u32 handles_size; /* 0: none; where somebody asks for them */
};

enum fs_event_handle_of {
	FS_HANDLE_INODE = 1,
	FS_HANDLE_DIR = 2,
	FS_HANDLE_NEW_DIR = 3,
};

#define FS_EVENT_HANDLE_MAX 64 /* bytes; of a longer one nothing is told */

/*
 * What name_to_handle_at(2) gives for an inode; bytes follow. There is none of a
 * filesystem that has no handles.
 */
struct fs_event_handle {
	__u16 size; /* of all of it, a multiple of 8 */
	__u8 of; /* enum fs_event_handle_of */
	__u8 n_bytes;
	__s32 type;
};

enum fs_process_flag {
	FS_PROCESS_LEADER = 1, /* EXIT: it is the first thread */
	/*
	 * EXIT: no thread of the process is left, and status is final. Threads
	 * that end at the same time may all have it, with the same status.
	 */
	FS_PROCESS_LAST = 2,
};

/* Of an EXEC, the file's name as given to execve(2) follows; bytes without a NUL. */
struct fs_event_process {
	struct fs_event_record record;
	__u64 pid_namespace; /* inode number of the process's own */
	__u64 inode; /* EXEC: of the file */
	__u32 pid; /* of the thread: FORK: the new one */
	__u32 tgid; /* of the process: FORK: the new one's */
	__u32 by_pid; /* FORK: the thread that called; EXEC: its pid before */
	__u32 by_tgid; /* FORK: its process, also with CLONE_PARENT */
	__u32 parent; /* tgid of the parent */
	__u32 inner_pid; /* pid in the process's own namespace */
	__u32 uid; /* the real one, in the initial user namespace; UID: the new one */
	__u32 status; /* EXIT: as wait(2) gives it; UID: the new effective uid */
	__u32 flags; /* enum fs_process_flag */
	__u32 dev_major; /* EXEC: of the file's filesystem */
	__u32 dev_minor;
	__u16 name_size;
	__u16 reserved;
};

#endif
