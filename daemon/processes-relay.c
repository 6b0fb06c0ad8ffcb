/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "daemon/processes-internal.h"

/*
 * One that was taken off its processor while it waits shows neither that nor what it
 * blocks: after a few looks it has had it again.
 */
#define LOOKS_MAX 10
#define LOOK_US 5000

static uint64_t now_ns(void)
{
	struct timespec now = {};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool uids_equal(const struct relay_uids *a, const struct relay_uids *b)
{
	return a->real == b->real && a->effective == b->effective && a->saved == b->saved &&
	       a->filesystem == b->filesystem;
}

static bool on_check(struct relay *relay, enum relay_end *ret_why, void *userdata)
{
	const struct relayed *relayed = relay_userdata(relay);
	struct relay_uids uids;

	if (process_target_uids(relayed->target, &uids) < 0) {
		*ret_why = RELAY_EXITED;
		return false;
	}
	if (!uids_equal(&uids, &relay_options(relay)->uids)) {
		*ret_why = RELAY_UIDS_CHANGED;
		return false;
	}
	if (!process_target_executes_same(relayed->target)) {
		*ret_why = RELAY_EXECED;
		return false;
	}

	return true;
}

static int on_send(struct relay *relay, uint32_t parent, uint32_t child, void *userdata)
{
	const struct relayed *relayed = relay_userdata(relay);

	return process_target_send(relayed->target, relay_options(relay)->signal, parent, child);
}

static uint64_t on_now(void *userdata)
{
	return now_ns();
}

static void relayed_answer(struct relayed *relayed, const struct bus_refusal *refusal)
{
	struct bus_reply *reply = TAKE_PTR(relayed->reply);

	if (!reply)
		return;
	if (refusal)
		bus_reply_refuse(reply, refusal);
	else
		bus_reply_done(reply);
}

static void on_ready(struct relay *relay, void *userdata)
{
	relayed_answer(relay_userdata(relay), NULL);
}

static void relayed_free(struct relayed *relayed)
{
	process_target_free(relayed->target);
	quota_release(&relayed->charge);
	free(relayed);
}

static void on_ended(struct relay *relay, enum relay_end why, void *userdata)
{
	struct relayed *relayed = relay_userdata(relay);
	struct processes *processes = relayed->processes;
	struct bus_refusal refusal;

	(void)bus_refusal_set(&refusal, SD_BUS_ERROR_INVALID_ARGS,
			      why == RELAY_STOPPED ? "It was stopped meanwhile"
						   : "The process is not what it was");
	relayed_answer(relayed, &refusal);

	LIST_REMOVE(relayed, all);
	relayed_free(relayed);
	processes_review_later(processes);
}

const struct relay_ops processes_relay_ops = {
	.ready = on_ready,
	.check = on_check,
	.send = on_send,
	.now_ns = on_now,
	.ended = on_ended,
};

static bool is_of(const struct process_target *target, uid_t uid)
{
	const struct relay_uids wanted = { uid, uid, uid, uid };
	struct relay_uids uids;

	return process_target_uids(target, &uids) == 0 && uids_equal(&uids, &wanted);
}

/* A right to relay is none to kill: who has no other is held to what the kernel shows. */
static bool may_kill(const struct process_target *target, uid_t uid)
{
	return uid == 0 || is_of(target, uid);
}

static int refuse_signal(const struct process_target *target, int32_t signal,
			 struct bus_refusal *refusal)
{
	return bus_refusal_set(refusal, SD_BUS_ERROR_INVALID_ARGS,
			       "Process %u neither catches nor blocks signal %d",
			       process_target_pid(target), signal);
}

static int check_signal(int32_t signal, struct bus_refusal *refusal)
{
	if (signal == 32 || signal == 33)
		return bus_refusal_set(refusal, SD_BUS_ERROR_INVALID_ARGS,
				       "Signal %d belongs to the C library; there are %d to %d",
				       signal, RELAY_SIGNAL_MIN, RELAY_SIGNAL_MAX);
	if (signal < RELAY_SIGNAL_MIN || signal > RELAY_SIGNAL_MAX)
		return bus_refusal_set(refusal, SD_BUS_ERROR_INVALID_ARGS,
				       "Signal %d is none of %d to %d", signal, RELAY_SIGNAL_MIN,
				       RELAY_SIGNAL_MAX);
	return 0;
}

static int relayed_add(struct relayed *relayed, int32_t signal, bool all,
		       const struct bus_sender *sender)
{
	struct relay_options options = {
		.pid = process_target_pid(relayed->target),
		.signal = signal,
		.owner = sender->uid,
		.all = all,
		.since_ns = now_ns(),
	};
	int r;

	r = process_target_uids(relayed->target, &options.uids);
	if (r < 0)
		return r;
	/* Whoever asked was told to be its owner, a moment before. */
	if (!all && !uids_equal(&options.uids, &(struct relay_uids){ sender->uid, sender->uid,
								     sender->uid, sender->uid }))
		return -EPERM;
	options.patient = !all && processes_be_patient(relayed->processes, sender->uid);
	return relay_add(feed_relays(relayed->processes->feed), &options, relayed, &relayed->relay);
}

static int relayed_charge(struct relayed *relayed, uid_t uid)
{
	return quota_charge(relayed->processes->quota, &relayed->charge, uid, QUOTA_RELAYS, 1);
}

static int refuse_relay(int error, struct bus_refusal *refusal)
{
	switch (error) {
	case QUOTA_E_EXCEEDED:
		return bus_refusal_set(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED,
				       "You have too many relays; stop one first");
	case -ENOSPC:
		return bus_refusal_set(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED,
				       "There are too many relays of all users together");
	case -EPERM:
		return bus_refusal_set(refusal, SD_BUS_ERROR_ACCESS_DENIED,
				       "The process is not what it was");
	case -ESRCH:
		return bus_refusal_set(refusal, SD_BUS_ERROR_INVALID_ARGS, "The process has ended");
	default:
		return bus_refusal_set(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
	}
}

static int relayed_begin(struct processes *processes, struct process_target *target,
			 const struct relayed_request *request, struct bus_refusal *refusal)
{
	const struct bus_sender *sender = request->sender;
	_cleanup_(process_target_freep) struct process_target *owned = target;
	struct relayed *relayed;
	struct relay *former;
	bool replaces;
	int r;

	former = relays_find(feed_relays(processes->feed), process_target_pid(target));
	/* It gives back what this one takes. */
	replaces = former && relay_options(former)->owner == sender->uid;

	relayed = calloc(1, sizeof(*relayed));
	if (!relayed)
		return refuse_relay(-ENOMEM, refusal);
	relayed->processes = processes;
	relayed->target = TAKE_PTR(owned);
	r = replaces ? 0 : relayed_charge(relayed, sender->uid);
	if (r == 0)
		r = relayed_add(relayed, request->signal, request->all, sender);
	if (r != 0) {
		relayed_free(relayed);
		return refuse_relay(r, refusal);
	}

	LIST_INSERT_HEAD(&processes->relayed, relayed, all);
	if (replaces && relayed_charge(relayed, sender->uid) != 0) {
		relay_stop(relayed->relay);
		return refuse_relay(-ENOMEM, refusal);
	}
	relayed->reply = request->reply;
	if (process_source_is_started(processes->source))
		processes_settle_relays(processes);
	processes_review_later(processes);
	return 0;
}

static void question_free(struct relay_question *question)
{
	LIST_REMOVE(question, questions);
	process_target_free(question->target);
	quota_release(&question->charge);
	free(question);
}

/* Takes @target over. */
static int question_new(struct processes *processes, struct process_target *target,
			const struct relayed_request *request, struct bus_refusal *refusal)
{
	struct relay_question *question = calloc(1, sizeof(*question));
	int r;

	if (!question) {
		process_target_free(target);
		return refuse_relay(-ENOMEM, refusal);
	}
	question->processes = processes;
	question->target = target;
	question->signal = request->signal;
	question->all = request->all;
	question->uid = request->sender->uid;
	LIST_INSERT_HEAD(&processes->relay_questions, question, questions);
	r = quota_charge(processes->quota, &question->charge, question->uid, QUOTA_RELAYS, 1);
	if (r != 0) {
		question_free(question);
		return refuse_relay(r, refusal);
	}

	question->reply = request->reply;
	processes_arm(processes->look, LOOK_US);
	return 0;
}

/* Not where the signal would end the process, and never those for whom it has no meaning. */
int relayed_new(struct processes *processes, struct process_target *target,
		const struct relayed_request *request, struct bus_refusal *refusal)
{
	_cleanup_(process_target_freep) struct process_target *owned = target;
	bool may_wait = may_kill(target, request->sender->uid);

	if (check_signal(request->signal, refusal) < 0)
		return -1;
	if (process_target_pid(target) == 1)
		return refuse_signal(target, request->signal, refusal);
	if (process_target_takes(target, request->signal, may_wait))
		return relayed_begin(processes, TAKE_PTR(owned), request, refusal);
	if (!may_wait)
		return refuse_signal(target, request->signal, refusal);
	return question_new(processes, TAKE_PTR(owned), request, refusal);
}

/* It is answered, and gone, or waits for the next look. */
static void question_settle(struct relay_question *question)
{
	struct processes *processes = question->processes;
	const struct bus_sender sender = { .uid = question->uid };
	const struct relayed_request request = {
		.signal = question->signal,
		.all = question->all,
		.sender = &sender,
		.reply = question->reply,
	};
	struct process_target *target = question->target;
	struct bus_refusal refusal;
	bool takes;
	int r;

	takes = process_target_takes(target, question->signal, may_kill(target, question->uid));
	if (!takes && ++question->n_looks < LOOKS_MAX)
		return;

	question->target = NULL;
	question_free(question);
	if (takes) {
		r = relayed_begin(processes, target, &request, &refusal);
	} else {
		r = refuse_signal(target, request.signal, &refusal);
		process_target_free(target);
	}
	if (r < 0)
		bus_reply_refuse(request.reply, &refusal);
}

void processes_look_again(struct processes *processes)
{
	struct relay_question *question, *next;

	for (question = LIST_FIRST(&processes->relay_questions); question; question = next) {
		next = LIST_NEXT(question, questions);
		question_settle(question);
	}
	if (!LIST_EMPTY(&processes->relay_questions))
		processes_arm(processes->look, LOOK_US);
}

void processes_settle_relays(struct processes *processes)
{
	struct relayed *relayed, *next;
	enum relay_end why;

	for (relayed = LIST_FIRST(&processes->relayed); relayed; relayed = next) {
		next = LIST_NEXT(relayed, all);
		if (!relayed->reply)
			continue;
		/* Before the subscription nobody would have told of its exec. */
		if (!on_check(relayed->relay, &why, processes))
			relay_stop(relayed->relay);
		else if (relay_options(relayed->relay)->all)
			relayed_answer(relayed, NULL);
	}
}

void processes_fail_relays(struct processes *processes, const struct bus_refusal *refusal)
{
	struct relay_question *question;
	struct relayed *relayed;

	while ((question = LIST_FIRST(&processes->relay_questions))) {
		bus_reply_refuse(question->reply, refusal);
		question_free(question);
	}
	while ((relayed = LIST_FIRST(&processes->relayed))) {
		relayed_answer(relayed, refusal);
		relay_stop(relayed->relay);
	}
}
