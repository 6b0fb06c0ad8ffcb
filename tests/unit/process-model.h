/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A model of the kernel's processes
 *
 * Random trees of processes and threads with few pids, so that they are soon
 * used again, and the events and exit records that the kernel would send.
 * It knows the truth: who descends from the leader, and what happened to whom.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/group.h"
#include "daemon/core/process-scan.h"
#include "daemon/core/wire-proc.h"
#include "daemon/core/wire-taskstats.h"

#define MODEL_PIDS 160
#define MODEL_LEADER 10
#define MODEL_INIT 1
#define MODEL_USER 1000
#define MODEL_THREADS 6
#define MODEL_QUEUE 65536
#define MODEL_TICK_NS 10000000ULL

enum model_state {
	MODEL_NONE,
	MODEL_LIVES,
	MODEL_ZOMBIE,
};

struct model_process {
	enum model_state state;
	uint32_t parent;
	uint64_t start_ticks;
	uint32_t uid;
	uint32_t tids[MODEL_THREADS]; /* that live, the leader's too */
	size_t n_tids;
	bool member;
	bool unknown; /* its fork was lost, or that of an ancestor, and no scan has found it */
	bool was_other;
	bool reuser; /* within a loss it got the pid of one whose end is lost as well */
	bool stray; /* one that did forked it, or an ancestor: whoever had the pid before is taken for that */
	bool uid_lost; /* that it has another one, or an ancestor had */
	bool thread_lost; /* that of a thread was, and no scan has found it */
	uint64_t user_us;
};

/* What a group ought to tell; and what its user's other processes executed. */
struct model_told {
	struct group_event event;
	bool lost; /* the event was */
	bool stranger; /* it is no member */
};

struct model {
	struct model_process processes[MODEL_PIDS];
	uint32_t last_pid;
	uint64_t now_ns;
	uint32_t seq;
	uint64_t random;

	struct model_event {
		struct wire_proc_event event;
		bool lost;
	} events[MODEL_QUEUE];
	size_t n_events, n_read;
	struct wire_taskstats records[MODEL_QUEUE];
	size_t n_records, n_records_read;
	struct model_told told[MODEL_QUEUE];
	size_t n_told;
	bool losing; /* events are lost now */
	bool late; /* ends of threads that an exec ended are told after it */
	struct wire_proc_event late_events[MODEL_PIDS];
	size_t n_late;
	/* none ends whose descendants only a scan could find, nor a leader before threads
	 * that only it could; and no pid is used again before it */
	bool careful;
	bool ended[MODEL_PIDS]; /* since the last scan */
	uint64_t user_us; /* of all members that ended */
	uint64_t user_forks; /* by processes of MODEL_USER, that were not lost */
	bool set_uid; /* somebody did */
	bool end_lost[MODEL_PIDS]; /* the end of its last process was */
	/* And so was the fork of the next one, or what a process did after it lost an
	 * event of a thread or of a uid: told of another, for another, or twice. */
	bool muddled[MODEL_PIDS];
};

void model_init(struct model *model, uint64_t seed);
uint32_t model_random(struct model *model, uint32_t n); /* 0 to n - 1 */

/** model_step() - something happens to somebody */
void model_step(struct model *model);

/** model_noise() - an event that changes nothing, after which a loss shows */
void model_noise(struct model *model);

/** model_hurry() - what is late is told now */
void model_hurry(struct model *model);

/** model_scanned() - all that is there is known */
void model_scanned(struct model *model);

/** model_scan_one() - what a look at one pid shows; Return: false where there is none */
bool model_scan_one(struct model *model, uint32_t pid, struct process_scan_entry *ret);
