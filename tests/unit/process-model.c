/* SPDX-License-Identifier: GPL-2.0-or-later */

#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "tests/unit/process-model.h"

uint32_t model_random(struct model *model, uint32_t n)
{
	/* xorshift64*: the same row for the same seed everywhere */
	model->random ^= model->random >> 12;
	model->random ^= model->random << 25;
	model->random ^= model->random >> 27;
	return (uint32_t)((model->random * 0x2545f4914f6cdd1dU) >> 33) % n;
}

static struct model_process *at(struct model *model, uint32_t pid)
{
	assert(pid < MODEL_PIDS);
	return &model->processes[pid];
}

void model_init(struct model *model, uint64_t seed)
{
	static const uint32_t first[] = { MODEL_INIT, 2, 3, MODEL_LEADER, 11 };

	memset(model, 0, sizeof(*model));
	model->random = seed * 2 + 1;
	model->last_pid = 20;
	model->now_ns = 1000 * MODEL_TICK_NS;
	for (size_t i = 0; i < sizeof(first) / sizeof(*first); i++)
		*at(model, first[i]) = (struct model_process){
			.state = MODEL_LIVES,
			.parent = first[i] == MODEL_INIT ? 0 : MODEL_INIT,
			.start_ticks = 100 + i,
			.uid = first[i] < MODEL_LEADER ? 0 : MODEL_USER,
			.tids = { first[i] },
			.n_tids = 1,
			.member = first[i] == MODEL_LEADER,
		};
}

static void send(struct model *model, struct wire_proc_event event)
{
	assert(model->n_events < MODEL_QUEUE);
	event.monotonic_ns = model->now_ns;
	event.seq = model->seq++;
	model->events[model->n_events++] =
		(struct model_event){ .event = event, .lost = model->losing };
}

static void tell(struct model *model, enum group_event_kind kind, uint32_t pid, uint32_t other,
		 uint32_t status)
{
	assert(model->n_told < MODEL_QUEUE);
	model->told[model->n_told++] = (struct model_told){
		.event = { .kind = kind, .pid = pid, .other = other, .status = status },
		.lost = model->losing,
		.stranger = !at(model, pid)->member,
	};
}

/* Return: an id that nobody has, 0 where there is none. */
static uint32_t new_id(struct model *model)
{
	for (uint32_t n = 0; n < MODEL_PIDS; n++) {
		uint32_t id = (model->last_pid + n) % (MODEL_PIDS - 20) + 20;
		bool used =
			at(model, id)->state != MODEL_NONE || (model->careful && model->ended[id]);

		for (size_t i = 0; !used && i < model->n_late; i++)
			used = model->late_events[i].tid == id;
		/* a record says nothing of which process of that pid it is */
		for (size_t i = model->n_records_read; !used && i < model->n_records; i++)
			used = model->records[i].tid == id || model->records[i].tgid == id;
		for (uint32_t pid = 1; !used && pid < MODEL_PIDS; pid++)
			for (size_t i = 0; i < at(model, pid)->n_tids; i++)
				used |= at(model, pid)->tids[i] == id;
		if (used)
			continue;
		model->last_pid = id + 1 - 20;
		return id;
	}

	return 0;
}

static void fork_from(struct model *model, uint32_t forker, bool clone_parent)
{
	uint32_t parent = clone_parent ? at(model, forker)->parent : forker;
	const struct model_process *from = at(model, forker), *told = at(model, parent);
	uint32_t pid = new_id(model);

	/* a CLONE_PARENT child has the uid of whom nobody tells */
	if (pid == 0 || parent == 0 || told->state != MODEL_LIVES || told->uid != from->uid)
		return;

	*at(model, pid) = (struct model_process){
		.state = MODEL_LIVES,
		.parent = parent,
		.start_ticks = model->now_ns / MODEL_TICK_NS,
		.uid = from->uid,
		.tids = { pid },
		.n_tids = 1,
		.member = told->member,
		.uid_lost = told->uid_lost,
		.unknown = told->unknown || model->losing,
		.was_other = from->uid != MODEL_USER,
		.reuser = model->end_lost[pid] && model->losing,
		.stray = told->reuser || told->stray,
	};
	model->muddled[pid] |= at(model, pid)->reuser || at(model, pid)->stray;
	model->now_ns += 5000;
	send(model, (struct wire_proc_event){ .kind = WIRE_PROC_FORK,
					      .tid = pid,
					      .tgid = pid,
					      .parent_tid = parent,
					      .parent_tgid = parent });
	if (told->member)
		tell(model, GROUP_FORK, parent, pid, 0);
	if (told->uid == MODEL_USER && !model->losing)
		model->user_forks++;
}

void model_noise(struct model *model)
{
	send(model, (struct wire_proc_event){ .kind = WIRE_PROC_OTHER, .tid = 2, .tgid = 2 });
}

static void thread_from(struct model *model, uint32_t pid)
{
	struct model_process *process = at(model, pid);
	uint32_t tid = new_id(model);

	if (process->n_tids == MODEL_THREADS || tid == 0)
		return;

	process->tids[process->n_tids++] = tid;
	process->thread_lost |= model->losing;
	send(model, (struct wire_proc_event){ .kind = WIRE_PROC_FORK,
					      .tid = tid,
					      .tgid = pid,
					      .parent_tid = pid,
					      .parent_tgid = pid });
}

static bool may_end(struct model *model, uint32_t pid)
{
	if (!model->careful)
		return true;

	for (uint32_t i = 1; i < MODEL_PIDS; i++)
		if (at(model, i)->state == MODEL_LIVES && at(model, i)->parent == pid &&
		    (at(model, i)->unknown || at(model, pid)->unknown))
			return false;

	return true;
}

static void end_process(struct model *model, uint32_t pid, uint32_t status)
{
	struct model_process *process = at(model, pid);

	if (process->member) {
		tell(model, GROUP_EXIT, pid, 0, status);
		if (!process->was_other)
			model->user_us += process->user_us;
	}
	process->state = MODEL_ZOMBIE;
	model->ended[pid] = true;
	model->end_lost[pid] = model->losing;
	for (uint32_t i = 1; i < MODEL_PIDS; i++)
		if (at(model, i)->parent == pid && at(model, i)->state != MODEL_NONE)
			at(model, i)->parent = MODEL_INIT;
}

void model_hurry(struct model *model)
{
	for (size_t i = 0; i < model->n_late; i++)
		send(model, model->late_events[i]);
	model->n_late = 0;
}

static void end_thread(struct model *model, uint32_t pid, size_t i, uint32_t status, bool late)
{
	struct model_process *process = at(model, pid);
	uint32_t tid = process->tids[i], used = model_random(model, 1000);
	const struct wire_proc_event event = {
		.kind = WIRE_PROC_EXIT,
		.tid = tid,
		.tgid = pid,
		.parent_tgid = process->parent,
		.status = status,
	};

	assert(model->n_records < MODEL_QUEUE);
	model->records[model->n_records++] =
		(struct wire_taskstats){ .tid = tid, .tgid = pid, .user_us = used };
	process->user_us += used;
	/* The end of the leader is taken for that of the process. */
	if (tid == pid && process->n_tids > 1 && process->thread_lost)
		model->muddled[pid] = true;
	process->tids[i] = process->tids[--process->n_tids];
	/* An end is not told before those of its threads. */
	if (process->n_tids == 0)
		model_hurry(model);
	assert(model->n_late < MODEL_PIDS);
	if (late)
		model->late_events[model->n_late++] = event;
	else
		send(model, event);
	if (process->n_tids == 0)
		end_process(model, pid, status);
}

/* pthread_exit(), of the leader too; _exit() of all. */
static void end_some(struct model *model, uint32_t pid, bool all)
{
	struct model_process *process = at(model, pid);
	uint32_t status = model_random(model, 2) ? model_random(model, 256) << 8
						 : model_random(model, 15) + 1;

	/* the leader seldom: a tree is to live for a while */
	if (pid <= 3 || (pid == MODEL_LEADER && model_random(model, 16) > 0) ||
	    ((all || process->n_tids == 1) && !may_end(model, pid)))
		return;

	if (model->careful && !all && process->thread_lost && process->n_tids > 1)
		return;

	do
		end_thread(model, pid, model_random(model, (uint32_t)process->n_tids),
			   all || process->n_tids == 1 ? status : 0, false);
	while (all && process->n_tids > 0);
}

/* By any of the threads: the others end, and it becomes the leader without a word. */
static void exec(struct model *model, uint32_t pid)
{
	struct model_process *process = at(model, pid);
	uint32_t who = process->tids[model_random(model, (uint32_t)process->n_tids)];

	if (model->careful && process->thread_lost)
		return;

	while (process->n_tids > 1)
		end_thread(model, pid, process->tids[0] == who ? 1 : 0, 0,
			   model->late && model_random(model, 2) == 0);
	process->tids[0] = pid;
	model->muddled[pid] |= process->uid_lost;
	send(model, (struct wire_proc_event){ .kind = WIRE_PROC_EXEC, .tid = pid, .tgid = pid });
	if (process->uid == MODEL_USER)
		tell(model, GROUP_EXEC, pid, 0, 0);
}

static void set_uid(struct model *model, uint32_t pid)
{
	struct model_process *process = at(model, pid);

	/* with one thread: more would each tell it */
	if (pid <= MODEL_LEADER || process->n_tids != 1 || process->tids[0] != pid)
		return;

	/* The stated limit: who is entered now is taken for ended by the end of a former leader. */
	model_hurry(model);
	process->uid = process->uid ? 0 : MODEL_USER;
	process->was_other = true;
	process->uid_lost |= model->losing;
	model->muddled[pid] |= model->losing;
	model->set_uid |= process->member;
	send(model, (struct wire_proc_event){ .kind = WIRE_PROC_UID,
					      .tid = pid,
					      .tgid = pid,
					      .ruid = process->uid,
					      .euid = process->uid });
}

static uint32_t pick(struct model *model, enum model_state state)
{
	for (unsigned int tries = 0; tries < 64; tries++) {
		uint32_t pid = model_random(model, MODEL_PIDS);

		if (at(model, pid)->state == state)
			return pid;
	}

	return 0;
}

void model_step(struct model *model)
{
	uint32_t what = model_random(model, 100), pid;

	model->now_ns += (1 + model_random(model, 3)) * MODEL_TICK_NS;
	if (model->n_late > 0 && model_random(model, 4) == 0)
		model_hurry(model);
	pid = pick(model, what < 12 ? MODEL_ZOMBIE : MODEL_LIVES);
	if (pid == 0)
		return;

	if (what < 12)
		*at(model, pid) = (struct model_process){}; /* waited for */
	else if (what < 45)
		fork_from(model, pid, false);
	else if (what < 48)
		fork_from(model, pid, true);
	else if (what < 60)
		thread_from(model, pid);
	else if (what < 70)
		end_some(model, pid, false);
	else if (what < 88)
		end_some(model, pid, true);
	else if (what < 97)
		exec(model, pid);
	else
		set_uid(model, pid);
}

void model_scanned(struct model *model)
{
	for (uint32_t pid = 0; pid < MODEL_PIDS; pid++) {
		at(model, pid)->unknown = at(model, pid)->thread_lost = false;
		at(model, pid)->uid_lost = false;
		model->ended[pid] = false;
	}
}

bool model_scan_one(struct model *model, uint32_t pid, struct process_scan_entry *ret)
{
	struct model_process *process = at(model, pid);
	bool leader_lives = false;

	if (process->state == MODEL_NONE)
		return false;

	for (size_t i = 0; i < process->n_tids; i++)
		leader_lives |= process->tids[i] == pid;
	*ret = (struct process_scan_entry){
		.pid = pid,
		.parent = process->parent,
		.start_ticks = process->start_ticks,
		.read_ns = model->now_ns + 7000,
		.uid = process->uid,
		.zombie = !leader_lives,
		.tids = process->tids,
		.n_tids = process->n_tids,
		.n_threads = (uint32_t)process->n_tids + !leader_lives,
	};
	return true;
}
