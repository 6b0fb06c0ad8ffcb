/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/worker/pool.h"
#include "tests/io/process-world.h"

/* There are no workers here, and no module. */
int pool_submit(struct pool *pool, const struct pool_submission *submission,
		struct pool_ticket **ret_ticket)
{
	return -ENOMEM;
}

void pool_cancel(struct pool_ticket *ticket)
{
}

/* The world is what the bus is to the layer above. */
static struct world *the_world;

void bus_reply_group(struct bus_reply *reply, uint64_t id)
{
	assert_ptr_equal(reply, the_world);
	the_world->n_answers++;
	the_world->group.id = id;
	the_world->group.next_seq = 1;
}

void bus_reply_members(struct bus_reply *reply, uint64_t id)
{
	assert_ptr_equal(reply, the_world);
	assert_int_equal(id, the_world->group.id);
	the_world->n_answers++;
}

void bus_reply_done(struct bus_reply *reply)
{
	assert_ptr_equal(reply, the_world);
	the_world->n_answers++;
	the_world->n_done++;
}

void bus_reply_refuse(struct bus_reply *reply, const struct bus_refusal *refusal)
{
	assert_ptr_equal(reply, the_world);
	the_world->n_answers++;
	the_world->n_refused++;
	the_world->refusal = *refusal;
}

int bus_group_changed(struct bus *bus, uint64_t id, uint64_t first_seq,
		      const struct bus_group_event *events, size_t n_events)
{
	struct told_group *group = &the_world->group;

	assert_ptr_equal(bus, the_world);
	assert_true(n_events > 0);
	if (the_world->deaf)
		return -EAGAIN;
	if (id != group->id)
		return 0;

	assert_true(first_seq >= group->next_seq);
	group->next_seq = first_seq + n_events;
	for (size_t i = 0; i < n_events; i++) {
		if (group->n_events < WORLD_EVENTS_MAX)
			group->events[group->n_events] = events[i];
		group->n_events++;
		group->n_forks += events[i].kind == GROUP_FORK;
		group->n_execs += events[i].kind == GROUP_EXEC;
		group->n_exits += events[i].kind == GROUP_EXIT;
		if (events[i].kind == GROUP_EXEC)
			snprintf(group->last_file, sizeof(group->last_file), "%s", events[i].file);
	}
	return 0;
}

int bus_group_lost(struct bus *bus, uint64_t id, uint64_t count)
{
	if (the_world->deaf)
		return -EAGAIN;
	if (id != the_world->group.id)
		return 0;
	the_world->group.n_lost++;
	the_world->group.lost += count;
	the_world->group.n_lost_unknown += count == 0;
	return 0;
}

int bus_group_empty(struct bus *bus, uint64_t id, const struct bus_group_totals *totals)
{
	if (the_world->deaf)
		return -EAGAIN;
	if (id != the_world->group.id)
		return 0;
	the_world->group.n_empty++;
	the_world->group.totals = *totals;
	return 0;
}

static void on_warn(const struct bus_process_warning *warning, void *userdata)
{
	struct world *world = userdata;

	world->n_warnings++;
	world->warning = *warning;
}

static const struct processes_ops processes_ops = { .warn = on_warn };

void world_start(struct world *world, uint32_t buffer, const char *text)
{
	static const struct quota_limit limits[_QUOTA_KIND_N] = {};
	_cleanup_(config_problems_deinit) struct config_problems problems = {};
	_cleanup_(config_freep) struct config *config = NULL;
	const struct config_text file = { .name = "test", .text = text, .n_text = strlen(text) };
	struct processes_options options = { .source_buffer = buffer };

	memset(world, 0, sizeof(*world));
	the_world = world;
	assert_return_code(sd_event_new(&world->loop), 0);
	assert_return_code(quota_new(&world->quota, limits), 0);
	options.quota = world->quota;
	assert_return_code(
		processes_new(&world->processes, world->loop, &options, &processes_ops, world), 0);
	processes_set_bus(world->processes, (struct bus *)world);
	assert_return_code(config_parse(&config, &file, 1, &problems), 0);
	assert_int_equal(problems.n_items, 0);
	assert_return_code(processes_configure(world->processes, config), 0);
}

void world_stop(struct world *world)
{
	world->processes = processes_free(world->processes);
	world->quota = quota_free(world->quota);
	world->loop = sd_event_unref(world->loop);
}

static bool is_answered(void *ctx)
{
	return ((struct world *)ctx)->n_answers > 0;
}

bool world_track(struct world *world, pid_t pid, const struct bus_track *track, uid_t uid)
{
	const struct bus_sender sender = { .uid = uid, .name = ":1.1" };
	struct process_target *target;

	world->n_answers = world->n_refused = 0;
	if (processes_bus_ops.target((uint32_t)pid, &target, &world->refusal, world->processes) < 0)
		return false;
	processes_bus_ops.track(target, track, uid == 0, &sender, (struct bus_reply *)world,
				world->processes);
	loop_until(world->loop, is_answered, world);
	assert_int_equal(world->n_answers, 1);
	return world->n_refused == 0;
}

bool world_relay(struct world *world, pid_t pid, int signal, bool all, uid_t uid)
{
	const struct bus_sender sender = { .uid = uid, .name = ":1.1" };
	struct process_target *target;

	world->n_answers = world->n_refused = 0;
	if (processes_bus_ops.target((uint32_t)pid, &target, &world->refusal, world->processes) < 0)
		return false;
	processes_bus_ops.relay(target, signal, all, &sender, (struct bus_reply *)world,
				world->processes);
	loop_until(world->loop, is_answered, world);
	assert_int_equal(world->n_answers, 1);
	return world->n_refused == 0;
}

static bool is_empty(void *ctx)
{
	return ((struct world *)ctx)->group.n_empty > 0;
}

void world_wait_empty(struct world *world)
{
	loop_until(world->loop, is_empty, world);
	assert_int_equal(world->group.n_empty, 1);
}

bool world_is_idle(void *ctx)
{
	const struct world *world = ctx;

	return !process_source_is_started(world->processes->source) &&
	       !taskstats_is_started(world->processes->taskstats);
}

struct search {
	pid_t pid;
	size_t n;
	bool found;
};

static void on_member(const struct bus_group_member *member, void *ctx)
{
	struct search *search = ctx;

	search->n++;
	search->found |= member->pid == (uint32_t)search->pid;
}

bool world_has_member(struct world *world, pid_t pid, size_t *ret_n)
{
	struct search search = { .pid = pid };
	uint64_t next_seq = 0;

	assert_return_code(processes_bus_ops.group_members(world->group.id, &next_seq, on_member,
							   &search, &world->refusal,
							   world->processes),
			   0);
	assert_true(next_seq >= world->group.next_seq);
	if (ret_n)
		*ret_n = search.n;
	return search.found;
}
