/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/source/connector.h"
#include "daemon/source/module-process.h"
#include "daemon/source/process-source.h"

/* What both can do. */
struct kind {
	const char *name;
	int (*start)(struct process_source *source);
	void (*stop)(struct process_source *source);
	void (*kick)(struct process_source *source);
	bool (*is_started)(const struct process_source *source);
};

struct process_source {
	const struct process_events_ops *ops;
	void *userdata;
	struct connector *connector;
	struct module_process *module; /* NULL: never */
	bool present; /* the module is there */
	bool refused; /* and has refused: not asked again before it comes anew */
	const struct kind *kind; /* what was started; NULL: stopped */
	bool told; /* that it is started */
	bool broken; /* after that, and not told yet */
};

static int start_connector(struct process_source *source)
{
	return connector_start(source->connector);
}

static void stop_connector(struct process_source *source)
{
	connector_stop(source->connector);
}

static void kick_connector(struct process_source *source)
{
	connector_kick(source->connector);
}

static bool connector_stands(const struct process_source *source)
{
	return connector_is_started(source->connector);
}

static const struct kind kind_connector = {
	.name = "proc-connector",
	.start = start_connector,
	.stop = stop_connector,
	.kick = kick_connector,
	.is_started = connector_stands,
};

static int start_module(struct process_source *source)
{
	return module_process_start(source->module);
}

static void stop_module(struct process_source *source)
{
	module_process_stop(source->module);
}

static void kick_module(struct process_source *source)
{
	module_process_kick(source->module);
}

static bool module_stands(const struct process_source *source)
{
	return module_process_is_started(source->module);
}

static const struct kind kind_module = {
	.name = "module",
	.start = start_module,
	.stop = stop_module,
	.kick = kick_module,
	.is_started = module_stands,
};

static const struct kind *kind_best(const struct process_source *source)
{
	return source->module && source->present && !source->refused ? &kind_module
								     : &kind_connector;
}

/* The best that can be had. */
static int source_begin(struct process_source *source)
{
	int r;

	source->kind = kind_best(source);
	r = source->kind->start(source);
	if (r < 0 && source->kind == &kind_module) {
		source->refused = true;
		source->kind = &kind_connector;
		r = source->kind->start(source);
	}
	if (r < 0)
		source->kind = NULL;
	return r;
}

static void source_fail(struct process_source *source, int error)
{
	source->kind = NULL;
	source->told = false;
	source->ops->started(error, source->userdata);
}

/* What is in use has ended, or is to. */
static void source_change(struct process_source *source)
{
	int r;

	source->broken |= source->told;
	r = source_begin(source);
	if (r < 0)
		source_fail(source, r);
}

static void on_started(int error, void *userdata)
{
	struct process_source *source = userdata;

	if (error < 0) {
		source->broken |= source->told;
		if (source->kind != &kind_module) {
			source_fail(source, error);
			return;
		}
		source->refused = true;
		source_change(source);
		return;
	}

	if (!source->told) {
		source->told = true;
		source->ops->started(0, source->userdata);
	}
	if (source->broken) {
		source->broken = false;
		source->ops->begin(source->userdata);
		source->ops->lost(0, source->userdata);
		(void)source->ops->end(false, source->userdata);
	}
}

static void on_begin(void *userdata)
{
	struct process_source *source = userdata;

	source->ops->begin(source->userdata);
}

static void on_event(const struct wire_proc_event *event, void *userdata)
{
	struct process_source *source = userdata;

	source->ops->event(event, source->userdata);
}

static void on_lost(uint64_t count, void *userdata)
{
	struct process_source *source = userdata;

	source->ops->lost(count, source->userdata);
}

static bool on_end(bool empty, void *userdata)
{
	struct process_source *source = userdata;

	return source->ops->end(empty, source->userdata);
}

static bool on_prompt(void *userdata)
{
	struct process_source *source = userdata;

	return source->ops->prompt(source->userdata);
}

static const struct process_events_ops source_ops = {
	.started = on_started,
	.begin = on_begin,
	.event = on_event,
	.lost = on_lost,
	.end = on_end,
	.prompt = on_prompt,
};

int process_source_new(struct process_source **ret, sd_event *loop,
		       const struct process_source_options *options,
		       const struct process_events_ops *ops, void *userdata)
{
	_cleanup_(process_source_freep) struct process_source *source = NULL;
	const struct connector_options connector = { .buffer = options->buffer };
	int r;

	assert(ret);
	assert(ops && ops->started && ops->begin && ops->event && ops->lost && ops->end &&
	       ops->prompt);

	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	source->ops = ops;
	source->userdata = userdata;
	r = connector_new(&source->connector, loop, &connector, &source_ops, source);
	if (r >= 0 && options->pool)
		r = module_process_new(&source->module, loop, options->pool, options->buffer,
				       &source_ops, source);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(source);
	return 0;
}

struct process_source *process_source_free(struct process_source *source)
{
	if (!source)
		return NULL;

	module_process_free(source->module);
	connector_free(source->connector);
	free(source);
	return NULL;
}

void process_source_set_module(struct process_source *source, bool present)
{
	assert(source);

	source->present = present;
	source->refused = false;
	if (present || source->kind != &kind_module)
		return;

	source->kind->stop(source);
	source_change(source);
}

int process_source_start(struct process_source *source)
{
	assert(source);

	if (source->kind)
		return -EALREADY;
	return source_begin(source);
}

void process_source_stop(struct process_source *source)
{
	assert(source);

	if (source->kind)
		source->kind->stop(source);
	source->kind = NULL;
	source->told = source->broken = false;
}

bool process_source_is_started(const struct process_source *source)
{
	assert(source);

	return source->kind && source->kind->is_started(source);
}

void process_source_improve(struct process_source *source)
{
	assert(source);

	if (!process_source_is_started(source) || source->kind == kind_best(source))
		return;

	source->kind->stop(source);
	source_change(source);
}

void process_source_kick(struct process_source *source)
{
	assert(source);

	if (source->kind)
		source->kind->kick(source);
}

void process_source_set_prompt(struct process_source *source, bool prompt)
{
	assert(source);

	/* The module has the names. */
	connector_set_prompt(source->connector, prompt);
}

const char *process_source_name(const struct process_source *source)
{
	assert(source);

	return (source->kind ? source->kind : kind_best(source))->name;
}

size_t process_source_find_name(const struct process_source *source, uint64_t id, char *ret)
{
	assert(source);

	return source->module ? module_process_name(source->module, id, ret) : 0;
}

void process_source_statistics(const struct process_source *source,
			       struct process_events_statistics *ret)
{
	struct process_events_statistics module = {};

	assert(source);
	assert(ret);

	connector_statistics(source->connector, ret);
	if (source->module)
		module_process_statistics(source->module, &module);
	ret->batches += module.batches;
	ret->events += module.events;
	ret->lost += module.lost;
	ret->overruns += module.overruns;
	ret->foreign += module.foreign;
	ret->malformed += module.malformed;
}
