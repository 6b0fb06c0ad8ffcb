/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Processes on the bus
 *
 * What org.fsevents1.Manager (TrackProcess, TrackPidfd, RelayForks,
 * RelayForksPidfd, StopRelay, ListRelays, SubscribeProcessWarnings) and
 * org.fsevents1.ProcessGroup ask of who follows processes, and what that one
 * tells the bus. The names, the objects, authorization and who sees which
 * object are the bus's; queues, streams and everything behind them are not.
 *
 * How a method with a pid goes, for a sender that is not root:
 *
 *	->target()	the pid becomes a process held by its pidfd
 *	->target_is_of() all its four uids are the sender's: go on at once
 *	else polkit is asked, with the target kept if there is one; refused is
 *		AccessDenied, whether there was such a process or not
 *	authorized:	only now "no such process" may be said; start time and
 *		uids are those of now
 *
 * A pidfd of a peer is never used by itself: its number is read from
 * /proc/self/fdinfo, ->target() makes one of our own, and the peer's must
 * still be of a living process after that (the fdinfo again).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bus;
struct bus_refusal;
struct bus_reply;
struct bus_sender;
struct process_target; /* opaque here */

struct bus_track {
	uint32_t events; /* bits 1 << enum group_event_kind (core/group.h) */
	bool accounting;
	bool hold;
};

struct bus_relay { /* one of ListRelays */
	uint32_t pid;
	int32_t signal;
	uint32_t uid;
	uint64_t lost;
};

struct bus_group_member {
	uint32_t pid;
	uint64_t
		start_ticks; /* field 22 of proc_pid_stat(5): clock ticks after boot; 0: it ended meanwhile */
};

/* One of Changed: (uuutiay) */
struct bus_group_event {
	uint32_t kind; /* enum group_event_kind */
	uint32_t pid; /* who forked, executed, ended */
	uint32_t other; /* fork: the child; else the parent, 0: not known */
	uint64_t realtime_usec;
	int32_t status; /* exit: as of waitpid(2) */
	const char *file; /* of an exec, bytes; "": not known, or not to be told */
};

/* Properties, and the totals of Empty. */
struct bus_group_totals {
	uint32_t leader, live;
	uint64_t forks, execs, exits;
	uint64_t user_usec, system_usec, read_bytes, write_bytes, peak_rss; /* KiB, as ru_maxrss */
	uint64_t lost;
	bool incomplete, accounting;
};

struct bus_process_warning {
	uint64_t id; /* of its own row of numbers; rises */
	uint64_t realtime_usec;
	const char *code; /* fork-rate, exit-signal, exit-status */
	const char *severity;
	uint32_t pid;
	uint32_t uid; /* (uint32_t)-1: not known */
	const char *rule; /* the NAME of [process NAME] */
	const char *comm; /* escaped; NULL: not known */
	const char *unit; /* NULL: not known */
	uint64_t rate, limit, culprit_forks; /* of fork-rate, else 0 */
	int32_t status; /* of exits, as of waitpid(2), else 0 */
	uint64_t suppressed; /* further ones that were not told */
};

/* All int: 0, or -1 with @refusal filled. */
struct bus_process_ops {
	/* Hold a process. Refused where there is none, with ERROR_INVALID_ARGS. */
	int (*target)(uint32_t pid, struct process_target **ret, struct bus_refusal *refusal,
		      void *userdata);
	void (*target_free)(struct process_target *target, void *userdata); /* NULL is fine */
	bool (*target_is_of)(const struct process_target *target, uid_t uid, void *userdata);

	/*
	 * @target: taken over, refused or not. Answers once the members are
	 * known: bus_reply_group() or bus_reply_refuse(). The group is owned by the sender's
	 * unique name; its limits are those of its uid.
	 * @all: what members of any user do is told (root, or authorized for "track-others").
	 */
	void (*track)(struct process_target *target, const struct bus_track *track, bool all,
		      const struct bus_sender *sender, struct bus_reply *reply, void *userdata);
	/*
	 * @all: forks of all users (root, or authorized for "relay"); else those of the sender.
	 * Answers with bus_reply_done() once the subscription stands.
	 */
	void (*relay)(struct process_target *target, int32_t signal, bool all,
		      const struct bus_sender *sender, struct bus_reply *reply, void *userdata);
	/* Root stops any, others their own; none is refused as another's is. */
	int (*stop_relay)(uint32_t pid, const struct bus_sender *sender,
			  struct bus_refusal *refusal, void *userdata);
	/* Own ones, root all. */
	void (*relays)(const struct bus_sender *sender,
		       void (*add)(const struct bus_relay *relay, void *ctx), void *ctx,
		       void *userdata);

	/* Groups by id. The bus has checked that the caller is the owner. */
	int (*group_start)(uint64_t id, struct bus_refusal *refusal, void *userdata);
	/*
	 * Finds out when the members started, which may take turns of the loop:
	 * bus_reply_members() then, or bus_reply_refuse(). @reply is taken over where 0 is returned.
	 */
	int (*group_ask_members)(uint64_t id, struct bus_reply *reply, struct bus_refusal *refusal,
				 void *userdata);
	/* As of now; a start that is not known is 0. */
	int (*group_members)(uint64_t id, uint64_t *ret_next_seq,
			     void (*add)(const struct bus_group_member *member, void *ctx),
			     void *ctx, struct bus_refusal *refusal, void *userdata);
	int (*group_stream)(uint64_t id, int *ret_fd, struct bus_refusal *refusal,
			    void *userdata); /* StreamOpen, LimitsExceeded */
	void (*group_totals)(uint64_t id, struct bus_group_totals *ret, void *userdata);
	void (*group_release)(uint64_t id,
			      void *userdata); /* by Release(), or its owner left: gone after */
	/* Some peer has read what it was sent: what had no room may have some. From the loop; may be NULL. */
	void (*room)(void *userdata);
};

/** bus_reply_group() - the answer to ->track(): the object org/fsevents1/group/ID is there from now on, for @owner's eyes */
void bus_reply_group(struct bus_reply *reply, uint64_t id);
/** bus_reply_members() - the answer to ->group_ask_members(): those that ->group_members() has now */
void bus_reply_members(struct bus_reply *reply, uint64_t id);

/*
 * Unicast to the owner of a group. Return: 0, or -EAGAIN: the owner has not
 * read what was sent (64 KiB); keep it and try again, or drop and count.
 */
int bus_group_changed(struct bus *bus, uint64_t id, uint64_t first_seq,
		      const struct bus_group_event *events, size_t n_events);
int bus_group_lost(struct bus *bus, uint64_t id, uint64_t count);
int bus_group_empty(struct bus *bus, uint64_t id, const struct bus_group_totals *totals);

/** bus_process_warning() - ProcessWarning to each subscriber that may see it: the user's own, root all */
void bus_process_warning(struct bus *bus, const struct bus_process_warning *warning);
