/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "daemon/processes-internal.h"

/*
 * When members started
 *
 * A fork tells of a child, not of field 22 of its "stat". That is read when
 * somebody asks, once for each process, a slice in each turn of the loop:
 * thousands of files would keep everything else waiting.
 */

/* While so many slices are read new ones come: they go without. */
#define SLICES_MAX 1024

/* The clock is looked at after so many files. */
#define FILES 16

struct members_question {
	struct tracked *tracked;
	struct bus_reply *reply;
	unsigned int n_slices;
	STAILQ_ENTRY(members_question) next;
};

static uint64_t now_us(void)
{
	struct timespec now = {};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Return: whether all are known. */
static bool read_slice(const struct group *group)
{
	uint64_t end_us = now_us() + PROCESS_SCANNER_SLICE_US;
	struct process *process = NULL;
	unsigned int n = 0;

	while ((process = group_member_unread(group, process))) {
		struct procfile_stat stat;
		bool is_read = process_read_stat(process->pid, &stat) == 0;

		process_set_start(process, is_read ? stat.start_ticks : 0);
		if (++n % FILES == 0 && now_us() >= end_us)
			return false;
	}
	return true;
}

static void question_free(struct processes *processes, struct members_question *question)
{
	STAILQ_REMOVE(&processes->questions, question, members_question, next);
	free(question);
}

static void ask_first(struct processes *processes)
{
	struct members_question *question = STAILQ_FIRST(&processes->questions);
	struct bus_reply *reply = question->reply;
	uint64_t id = question->tracked->id;

	if (!read_slice(question->tracked->group) && ++question->n_slices < SLICES_MAX) {
		/* Those of others have their turn. */
		STAILQ_REMOVE_HEAD(&processes->questions, next);
		STAILQ_INSERT_TAIL(&processes->questions, question, next);
		return;
	}
	question_free(processes, question);
	bus_reply_members(reply, id);
}

void processes_read_members(struct processes *processes)
{
	if (STAILQ_EMPTY(&processes->questions))
		return;
	ask_first(processes);
	if (!STAILQ_EMPTY(&processes->questions))
		processes_arm_members(processes);
}

void tracked_ask_members(struct tracked *tracked, struct bus_reply *reply)
{
	static const struct bus_refusal no_memory = {
		.name = SD_BUS_ERROR_NO_MEMORY,
		.text = "Out of memory",
	};
	struct processes *processes = tracked->processes;
	struct members_question *question;

	question = calloc(1, sizeof(*question));
	if (!question) {
		bus_reply_refuse(reply, &no_memory);
		return;
	}
	question->tracked = tracked;
	question->reply = reply;
	STAILQ_INSERT_TAIL(&processes->questions, question, next);
	processes_arm_members(processes);
}

void tracked_forget_members(struct tracked *tracked)
{
	static const struct bus_refusal released = {
		.name = SD_BUS_ERROR_UNKNOWN_OBJECT,
		.text = "The group was released",
	};
	struct processes *processes = tracked->processes;
	struct members_question *question, *next;

	for (question = STAILQ_FIRST(&processes->questions); question; question = next) {
		struct bus_reply *reply = question->reply;

		next = STAILQ_NEXT(question, next);
		if (question->tracked != tracked)
			continue;
		question_free(processes, question);
		bus_reply_refuse(reply, &released);
	}
}
