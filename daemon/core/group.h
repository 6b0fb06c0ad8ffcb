/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Process groups
 *
 * A process and all its descendants, through double forks, setsid and
 * reparenting: a child belongs to the groups of the one who forked it, for its
 * life. A group counts, and tells what it was asked to tell, numbered without
 * a gap: the number counts only what this group tells. It holds no queue.
 *
 * Of a member that has other uids than the owner of the group (setuid
 * programs) only pid, fork and exit are told, and its figures are in no total:
 * ->incomplete says that something is missing. For root nothing is left out, nor for
 * whom ->all is set. After a loss a member may have any uids until a scan has told
 * them: it is taken for another's.
 *
 * Not known, and told by ->incomplete: descendants that were reparented
 * before the group began or while events were lost, exits without a record,
 * members past GROUP_MEMBERS_MAX. Where the source does not know who forked it (the
 * proc connector), a CLONE_PARENT child is taken for a child of the forker's parent: where
 * that is no member, it is not seen at all.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/process.h"
#include "daemon/core/wire-taskstats.h"

#define GROUPS_MAX 1024 /* of all users together */
#define GROUP_MEMBERS_MAX                                                                          \
	16384 /* of the groups of one user together, each process counted once a group */

/* The numbers on the bus and in streams, and bits (1 << kind) of ->events. */
enum group_event_kind {
	GROUP_FORK = 1,
	GROUP_EXEC = 2,
	GROUP_EXIT = 3,
};

#define GROUP_EVENTS_ALL (1U << GROUP_FORK | 1U << GROUP_EXEC | 1U << GROUP_EXIT)

struct group_event {
	enum group_event_kind kind;
	uint32_t pid; /* who forked, executed, ended */
	uint32_t other; /* fork: the child; else the parent as far as known, 0 */
	uint64_t monotonic_us;
	uint32_t status; /* exit: as of waitpid(2); else 0 */
	uint64_t name; /* exec: as what it was executed, where the source knows: core/wire-proc.h */
};

struct group_totals {
	uint32_t leader;
	uint32_t live;
	uint64_t forks, execs, exits; /* of processes, not of threads; as far as seen */
	uint64_t user_us, system_us, read_bytes, write_bytes; /* of processes that have ended */
	uint64_t peak_rss_kib; /* the largest single process, as ru_maxrss */
	uint64_t
		lost; /* where nothing is left out: events that the source lost while it followed, whosever they were */
	bool incomplete;
	bool accounting;
};

struct groups;
struct group;

struct group_options {
	uint32_t leader; /* pid */
	uint64_t start_ticks; /* of the leader, so that its pid reused is not taken for it */
	uid_t owner; /* 0: nothing is left out */
	bool all; /* nor for this owner, who may know what others' processes do */
	uint32_t events; /* bits 1 << enum group_event_kind; 0: none is told */
	bool accounting;
	bool patient; /* the scan that it waits for is not caused by it: group_hurry() */
};

struct group_ops {
	/*
	 * The scan is done and the members are known: what happens from here on is
	 * counted and told. @found: false where the leader was gone, or its pid was
	 * another's: ->empty() does not follow, the group is of no use.
	 */
	void (*ready)(struct group *group, bool found, void *userdata);
	/* @seq: 1, 2, 3 ... without a gap */
	void (*event)(struct group *group, uint64_t seq, const struct group_event *event,
		      void *userdata);
	/*
	 * @count: events, of all users and so only where nothing is left out; 0: unknown how many. Members are right again by the time of the next ->event().
	 */
	void (*lost)(struct group *group, uint64_t count, void *userdata);
	/*
	 * The last member has ended, and with accounting its record is in the
	 * totals. Once; nothing follows.
	 */
	void (*empty)(struct group *group, void *userdata);
};

int groups_new(struct groups **ret, struct process_table *table, const struct group_ops *ops,
	       void *userdata); /* @table, @ops: borrowed; 0 or -ENOMEM */
struct groups *groups_free(struct groups *groups); /* all groups must be freed before */
DEFINE_FREEP(groups, groups_free)

/**
 * group_new() - a group without members, until the next scan has ended
 * @userdata:	of this group, for group_userdata()
 *
 * None of the callbacks may free a group.
 *
 * Return: 0, -ENOSPC (GROUPS_MAX), -ENOMEM.
 */
int group_new(struct group **ret, struct groups *groups, const struct group_options *options,
	      void *userdata);
struct group *group_free(struct group *group);
/** group_hurry() - it may cause its scan; Return: whether it was ->patient, and waits */
bool group_hurry(struct group *group);
DEFINE_FREEP(group, group_free)

void *group_userdata(const struct group *group);
const struct group_options *group_options(const struct group *group);
bool group_is_ready(const struct group *group);
bool group_is_empty(const struct group *group); /* ->empty() was told */
bool group_is_over(const struct group *group); /* it is empty, or its leader was not found */
void group_totals(const struct group *group, struct group_totals *ret);
/** group_next_seq() - the number of the next event: members as of now are those before it */
uint64_t group_next_seq(const struct group *group);
struct group *groups_next(const struct groups *groups, const struct group *group); /* NULL: first */
bool groups_want_accounting(const struct groups *groups);
bool groups_want_events(const struct groups *groups); /* one is not over */
bool groups_want_scan(
	const struct groups *groups); /* a group waits for its members, and is not patient */

/** group_member_next() - members that live, in no order; NULL at the start and at the end. Not from within ->event() */
const struct process *group_member_next(const struct group *group, const struct process *process);

/** group_member_unread() - likewise those whose start is not known and was not looked for: process_set_start() */
struct process *group_member_unread(const struct group *group, const struct process *process);

/* The rest is for feed.c. */

/** groups_note() - after process_table_apply(), for each change but an end without records */
void groups_note(struct groups *groups, const struct process_change *change, uint64_t monotonic_us);
/** groups_note_lost() - @count 0: unknown */
void groups_note_lost(struct groups *groups, uint64_t count);
/** groups_scan_begun() - before it reads anything */
void groups_scan_begun(struct groups *groups);
/** groups_wanted() - a group waits for this process, its leader */
bool groups_wanted(const struct groups *groups, uint32_t pid, uint64_t start_ticks);
/** groups_found() - from process_scan_ops; @parent may be NULL */
void groups_found(struct groups *groups, struct process *process, struct process *parent);
/** groups_vanished() - its end was lost; takes back its groups */
void groups_vanished(struct groups *groups, struct process *process);
/** groups_full() - something that @parent forked, or the leader @pid, has no room */
void groups_full(struct groups *groups, const struct process *parent, uint32_t pid);
/**
 * groups_ready() - the scan has ended: groups that waited for it begin
 * @complete:	it could read all
 * @doubtful:	it may have missed a member: process_scan_is_doubtful()
 *
 * Who is younger than the scan was perhaps not there when it was read: where its
 * leader was not found, it waits for the next one. After a doubtful one it does too,
 * GROUP_DOUBTFUL_MAX times; then it begins all the same, incomplete.
 */
void groups_ready(struct groups *groups, bool complete, bool doubtful);
/** groups_record() - an exit record of one of @process's threads */
void groups_record(struct process *process, const struct wire_taskstats *record);
/** groups_account() - some group of this process waits for its records */
bool groups_account(const struct process *process);
/** groups_settle() - it has ended and its records came, or, @missing, some never will; takes back its groups */
void groups_settle(struct groups *groups, struct process *process, bool missing);
/** groups_drop_empty() - a process of none but groups that were freed is of none */
void groups_drop_empty(struct process *process);
bool groups_have_freed(const struct groups *groups); /* groups_take_freed() would say so */
/** groups_take_freed() - a group was freed since the last call: processes may be in the table for nothing */
bool groups_take_freed(struct groups *groups);
/** groups_note_records_lost() - some exits have no record: groups with accounting are incomplete */
void groups_note_records_lost(struct groups *groups);
