/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The inside of "processes"
 *
 * processes.c builds it; processes-feed.c joins the sources with the feed and
 * knows when each is needed; processes-group.c has one tracked group for each object on the bus,
 * processes-members.c lists members, processes-patience.c bounds scans for each user, processes-relay.c the registrations, processes-policy.c the rules and
 * warnings, processes-bus.c answers the bus.
 */

#include <sys/queue.h>

#include "daemon/core/feed.h"
#include "daemon/core/name-ring.h"
#include "daemon/core/process-prompt.h"
#include "daemon/core/process-scan-rate.h"
#include "daemon/output/packet-stream.h"
#include "daemon/output/unread.h"
#include "daemon/processes-queue.h"
#include "daemon/processes.h"
#include "daemon/source/process-scanner.h"
#include "daemon/source/process-source.h"
#include "daemon/source/relay-sender.h"
#include "daemon/source/taskstats.h"

/* Of all users together. */
#define PROCESSES_QUEUE_BYTES_MAX (64ULL << 20)

/* From the first event of a group to the signal that has it. */
#define PROCESSES_LATENCY_US 50000

struct tracked {
	struct processes *processes;
	uint64_t id;
	uid_t uid;
	struct group *group;
	struct quota_charge charge;
	struct bus_reply *reply; /* until it is answered */
	struct process_queue queue;
	uint64_t dropped; /* events for which the queue had no room */
	struct packet_stream *stream; /* NULL: none */
	struct quota_charge stream_charge;
	bool streamed; /* it has or had one: nothing goes to the bus any more */
	bool held; /* until Start() or OpenStream() */
	bool ready, found; /* as the group said */
	bool announced; /* the object is there */
	bool over, over_told; /* the last member has ended */
	bool released; /* to be freed */
	LIST_ENTRY(tracked) all;
};

struct relayed {
	struct processes *processes;
	struct process_target *target;
	struct quota_charge charge;
	struct relay *relay;
	struct bus_reply *reply; /* until the subscription stands */
	LIST_ENTRY(relayed) all;
};

/* One whose target was not seen to take the signal: it may be about to wait for it. */
struct relay_question {
	struct processes *processes;
	struct process_target *target;
	int32_t signal;
	bool all;
	uid_t uid;
	struct quota_charge charge;
	struct bus_reply *reply;
	unsigned int n_looks;
	LIST_ENTRY(relay_question) questions;
};

enum scan_state {
	SCAN_NONE,
	SCAN_READING, /* the scanner is at it */
	SCAN_READ, /* the next batch is the one to wait for */
	SCAN_CATCHING_UP, /* until the socket is empty */
	SCAN_APPLYING, /* it was, and what waited is applied in slices */
};

struct processes {
	sd_event *loop;
	struct quota *quota;
	const struct processes_ops *ops;
	void *userdata;
	struct bus *bus;

	struct feed_ops feed_ops;
	struct feed *feed;
	struct process_source *source;
	struct process_scanner *scanner;
	struct taskstats_source *taskstats;
	bool subscribed; /* started, or being started */
	int error, accounting_error; /* why it is not, the last time it was tried */
	const char *off; /* why it is never to be; NULL: it is */
	uint64_t realtime_minus_monotonic_us; /* as of this batch */
	struct feed_clock clock; /* likewise */
	char source_text[96], accounting_text[96];

	sd_event_source *review; /* what is needed may have changed */
	sd_event_source *rescan; /* later, after one that failed */
	sd_event_source *retry; /* of the subscription, for the policy */
	sd_event_source *flush; /* queues have something */
	bool flush_blocked; /* and nobody has room for it */

	enum scan_state scan;
	uint64_t scan_pause_us; /* before the next one, where they do not succeed */
	uint64_t scan_began_us; /* the one under way */
	uint64_t scan_next_us; /* none begins before */
	uint64_t scan_took_us; /* the last one */
	struct scan_rate scan_rate;
	sd_event_source *patience; /* who waits may cause one */
	uint64_t put_off; /* times that somebody had to */

	struct wire_taskstats *records; /* of this batch */
	size_t n_records, n_records_allocated;
	bool records_left; /* in the socket: there was no room for more */

	LIST_HEAD(, tracked) tracked;
	struct unread *unread; /* of streams that were closed */
	uint64_t last_group;
	unsigned int busy; /* callbacks are under way: nothing is freed */

	LIST_HEAD(, relayed) relayed;
	LIST_HEAD(, relay_question) relay_questions;
	sd_event_source *look; /* enabled while there are some */

	STAILQ_HEAD(, members_question) questions; /* of ListMembers */
	sd_event_source *members; /* enabled while there are some */

	struct process_program program; /* as read for the last exec that was told */
	uint32_t program_pid; /* whose; 0: nobody's */
	uint64_t program_us; /* when it executed it */
	int program_error; /* it could not be read */
	char given[NAME_RING_NAME_MAX +
		   1]; /* as what one was executed, of the last exec that was told */
	struct process_identity_buffer identity;
	struct process_prompt prompt;
	uint64_t last_warning;
	uint64_t dropped; /* of all groups that are gone, too */
};

/** processes_review_later() - from the loop, see what is needed now */
void processes_review_later(struct processes *processes);
/** processes_flush_later() - some queue has something */
void processes_flush_later(struct processes *processes);

/* CLOCK_MONOTONIC, in the unit of field 22 of proc_pid_stat(5). */
uint64_t processes_ticks(const struct processes *processes, uint64_t monotonic_us);

void processes_arm(sd_event_source *timer, uint64_t us); /* from now */
void processes_disarm(sd_event_source *source);

/* Sources and feed. */
extern const struct process_events_ops processes_events_ops;
extern const struct process_scanner_ops processes_scanner_ops;
void processes_review(struct processes *processes);
void processes_rescan(struct processes *processes);

/* Why there is no source of events. */
void processes_refuse_source(struct processes *processes, struct bus_refusal *refusal);

/* Groups. */
extern const struct group_ops processes_group_ops;
struct tracked *tracked_find(struct processes *processes, uint64_t id);
struct tracked_request {
	const struct bus_track *options;
	bool all; /* what others' processes do is told, too */
	const struct bus_sender *sender;
	struct bus_reply *reply;
};
int tracked_new(struct processes *processes, struct process_target *target,
		const struct tracked_request *request,
		struct bus_refusal *refusal); /* takes @target over; 0, or -1 with @refusal */
void tracked_free(struct tracked *tracked);
void tracked_release(struct tracked *tracked); /* now, or when nothing is under way */
int tracked_open_stream(struct tracked *tracked, int *ret_fd, struct bus_refusal *refusal);
void tracked_close_stream(struct tracked *tracked);
int tracked_flush_stream(struct tracked *tracked); /* one packet; 0 or -EAGAIN */
void tracked_totals(const struct tracked *tracked, struct bus_group_totals *ret);
/* Answers those that are ready; frees those that are released. */
void processes_settle_groups(struct processes *processes);
/* No source of events: who waits for it is refused. */
void processes_fail_groups(struct processes *processes, const struct bus_refusal *refusal);
void processes_flush(struct processes *processes);
/* Some group is told what its members execute. */
bool processes_want_files(const struct processes *processes);
bool processes_take_prompt(void *userdata); /* of struct process_events_ops */

/* When members started: processes-members.c. */
struct members_question;
void tracked_ask_members(struct tracked *tracked, struct bus_reply *reply); /* takes @reply over */
void tracked_forget_members(struct tracked *tracked);
void processes_read_members(struct processes *processes); /* a slice */
void processes_arm_members(struct processes *processes);

/* Who may cause a scan: processes-patience.c. */
bool processes_be_patient(struct processes *processes, uid_t uid); /* else it is charged */
void processes_end_patience(struct processes *processes);

/* Relays. */
extern const struct relay_ops processes_relay_ops;
struct relayed_request {
	int32_t signal;
	bool all;
	const struct bus_sender *sender;
	struct bus_reply *reply;
};
int relayed_new(struct processes *processes, struct process_target *target,
		const struct relayed_request *request,
		struct bus_refusal *refusal); /* as tracked_new() */
void processes_look_again(struct processes *processes); /* at the targets of questions */
/* The subscription stands: those to all begin. */
void processes_settle_relays(struct processes *processes);
void processes_fail_relays(struct processes *processes, const struct bus_refusal *refusal);

/* Policy. */
extern const struct process_policy_ops processes_policy_ops;
bool processes_identify(uint32_t pid, struct process_identity *ret, void *userdata);
bool processes_read_uids(uint32_t pid, uint32_t ret[static 4], void *userdata);
