/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Two sources as one. Both are of cardboard: what happens to them is said here. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/source/connector.h"
#include "daemon/source/module-process.h"
#include "daemon/source/process-source.h"

struct fake {
	const struct process_events_ops *ops;
	void *userdata;
	int start; /* what starting gives */
	bool asked, started, prompt;
	unsigned int n_starts, n_kicks;
};

/* Each is one of these. */
struct connector {
	struct fake fake;
};

struct module_process {
	struct fake fake;
};

static struct connector connector;
static struct module_process module;

static int fake_start(struct fake *fake)
{
	assert_false(fake->asked);
	fake->n_starts++;
	if (fake->start < 0)
		return fake->start;
	fake->asked = true;
	return 0;
}

static void fake_stop(struct fake *fake)
{
	fake->asked = fake->started = false;
}

/* It answers, or breaks. */
static void fake_answer(struct fake *fake, int error)
{
	assert_true(fake->asked);
	if (error < 0)
		fake_stop(fake);
	else
		fake->started = true;
	fake->ops->started(error, fake->userdata);
}

int connector_new(struct connector **ret, sd_event *loop, const struct connector_options *options,
		  const struct process_events_ops *ops, void *userdata)
{
	connector = (struct connector){ { .ops = ops, .userdata = userdata } };
	*ret = &connector;
	return 0;
}

struct connector *connector_free(struct connector *self)
{
	return NULL;
}

int connector_start(struct connector *self)
{
	assert_false(module.fake.asked);
	return fake_start(&self->fake);
}

void connector_stop(struct connector *self)
{
	fake_stop(&self->fake);
}

void connector_kick(struct connector *self)
{
	self->fake.n_kicks++;
}

void connector_set_prompt(struct connector *self, bool prompt)
{
	self->fake.prompt = prompt;
}

bool connector_is_started(const struct connector *self)
{
	return self->fake.started;
}

void connector_statistics(const struct connector *self, struct process_events_statistics *ret)
{
	*ret = (struct process_events_statistics){ 1, 2, 3, 4, 5, 6 };
}

int module_process_new(struct module_process **ret, sd_event *loop, struct pool *pool,
		       uint32_t n_buffer, const struct process_events_ops *ops, void *userdata)
{
	module = (struct module_process){ { .ops = ops, .userdata = userdata } };
	*ret = &module;
	return 0;
}

struct module_process *module_process_free(struct module_process *self)
{
	return NULL;
}

int module_process_start(struct module_process *self)
{
	assert_false(connector.fake.asked);
	return fake_start(&self->fake);
}

void module_process_stop(struct module_process *self)
{
	fake_stop(&self->fake);
}

void module_process_kick(struct module_process *self)
{
	self->fake.n_kicks++;
}

bool module_process_is_started(const struct module_process *self)
{
	return self->fake.started;
}

size_t module_process_name(const struct module_process *self, uint64_t id, char *ret)
{
	return id == 7 ? (size_t)sprintf(ret, "seven") : 0;
}

void module_process_statistics(const struct module_process *self,
			       struct process_events_statistics *ret)
{
	*ret = (struct process_events_statistics){ 10, 20, 30, 40, 50, 60 };
}

struct world {
	struct process_source *source;
	char said[256]; /* what the owner was told, a letter each */
};

static void say(struct world *world, char what)
{
	size_t n = strlen(world->said);

	assert_true(n + 1 < sizeof(world->said));
	world->said[n] = what;
}

static void on_started(int error, void *userdata)
{
	say(userdata, error == 0 ? 's' : 'f');
}

static void on_begin(void *userdata)
{
	say(userdata, '(');
}

static void on_event(const struct wire_proc_event *event, void *userdata)
{
	say(userdata, 'e');
}

static void on_lost(uint64_t count, void *userdata)
{
	say(userdata, count == 0 ? '?' : 'l');
}

static bool on_end(bool empty, void *userdata)
{
	say(userdata, empty ? ')' : '|');
	return true;
}

static bool on_prompt(void *userdata)
{
	return true;
}

static const struct process_events_ops ops = {
	.started = on_started,
	.begin = on_begin,
	.event = on_event,
	.lost = on_lost,
	.end = on_end,
	.prompt = on_prompt,
};

static void world_init(struct world *world, bool with_module)
{
	const struct process_source_options options = {
		.pool = with_module ? (struct pool *)&module : NULL,
	};

	*world = (struct world){};
	assert_return_code(process_source_new(&world->source, (sd_event *)&connector, &options,
					      &ops, world),
			   0);
}

static void batch(struct fake *fake)
{
	const struct wire_proc_event event = {};

	fake->ops->begin(fake->userdata);
	fake->ops->event(&event, fake->userdata);
	fake->ops->lost(4, fake->userdata);
	assert_true(fake->ops->end(true, fake->userdata));
}

static void assert_said(struct world *world, const char *expected)
{
	assert_string_equal(world->said, expected);
	memset(world->said, 0, sizeof(world->said));
}

static void test_connector_alone(void **state)
{
	struct world world;

	for (int with_module = 0; with_module < 2; with_module++) {
		world_init(&world, with_module);
		assert_string_equal(process_source_name(world.source), "proc-connector");
		assert_return_code(process_source_start(world.source), 0);
		assert_int_equal(process_source_start(world.source), -EALREADY);
		assert_false(process_source_is_started(world.source));
		fake_answer(&connector.fake, 0);
		assert_true(process_source_is_started(world.source));
		batch(&connector.fake);
		assert_said(&world, "s(el)");
		process_source_kick(world.source);
		assert_int_equal(connector.fake.n_kicks, 1);
		process_source_set_prompt(world.source, true);
		assert_true(connector.fake.prompt);
		process_source_stop(world.source);
		assert_false(connector.fake.asked);

		/* Refused, at once and later */
		connector.fake.start = -EPERM;
		assert_int_equal(process_source_start(world.source), -EPERM);
		connector.fake.start = 0;
		assert_return_code(process_source_start(world.source), 0);
		fake_answer(&connector.fake, -ETIMEDOUT);
		assert_false(process_source_is_started(world.source));
		assert_said(&world, "f");
		assert_return_code(process_source_start(world.source), 0);
		process_source_free(world.source);
	}
}

static void test_module_is_better(void **state)
{
	struct process_events_statistics statistics;
	struct world world;
	char name[4097];

	world_init(&world, true);
	process_source_set_module(world.source, true);
	assert_string_equal(process_source_name(world.source), "module");
	assert_return_code(process_source_start(world.source), 0);
	fake_answer(&module.fake, 0);
	batch(&module.fake);
	assert_said(&world, "s(el)");
	assert_int_equal(connector.fake.n_starts, 0);
	process_source_kick(world.source);
	assert_int_equal(module.fake.n_kicks, 1);
	assert_int_equal(process_source_find_name(world.source, 7, name), 5);
	process_source_statistics(world.source, &statistics);
	assert_int_equal(statistics.batches, 11);
	assert_int_equal(statistics.malformed, 66);
	process_source_free(world.source);

	/* Without workers it is never asked. */
	world_init(&world, false);
	process_source_set_module(world.source, true);
	assert_string_equal(process_source_name(world.source), "proc-connector");
	assert_int_equal(process_source_find_name(world.source, 7, name), 0);
	process_source_free(world.source);
}

/* Told once that it stands, and each time something is missing. */
static void test_module_goes(void **state)
{
	struct world world;

	world_init(&world, true);
	process_source_set_module(world.source, true);
	assert_return_code(process_source_start(world.source), 0);
	fake_answer(&module.fake, 0);
	process_source_set_module(world.source, false);
	assert_string_equal(process_source_name(world.source), "proc-connector");
	assert_said(&world, "s");
	fake_answer(&connector.fake, 0);
	assert_said(&world, "(?|");
	batch(&connector.fake);
	assert_said(&world, "(el)");

	/* It comes again: what runs keeps its source until somebody says so. */
	process_source_set_module(world.source, true);
	assert_string_equal(process_source_name(world.source), "proc-connector");
	process_source_improve(world.source);
	assert_string_equal(process_source_name(world.source), "module");
	process_source_improve(world.source);
	assert_int_equal(module.fake.n_starts, 2);
	fake_answer(&module.fake, 0);
	assert_said(&world, "(?|");
	process_source_improve(world.source);
	assert_int_equal(module.fake.n_starts, 2);

	/* It goes while it is asked, and before anything was told. */
	process_source_stop(world.source);
	assert_return_code(process_source_start(world.source), 0);
	process_source_set_module(world.source, false);
	fake_answer(&connector.fake, 0);
	assert_said(&world, "s");
	process_source_free(world.source);
}

static void test_module_refuses(void **state)
{
	struct world world;

	world_init(&world, true);
	process_source_set_module(world.source, true);
	module.fake.start = -ENOENT;
	assert_return_code(process_source_start(world.source), 0);
	fake_answer(&connector.fake, 0);
	assert_said(&world, "s");
	assert_string_equal(process_source_name(world.source), "proc-connector");
	process_source_improve(world.source);
	assert_int_equal(module.fake.n_starts, 1);
	process_source_stop(world.source);

	/* It came anew. */
	module.fake.start = 0;
	process_source_set_module(world.source, true);
	assert_return_code(process_source_start(world.source), 0);
	fake_answer(&module.fake, -EINVAL);
	assert_said(&world, "");
	fake_answer(&connector.fake, 0);
	assert_said(&world, "s");
	process_source_stop(world.source);

	/* Nothing is left: what is tried later has missed something. */
	process_source_set_module(world.source, true);
	assert_return_code(process_source_start(world.source), 0);
	fake_answer(&module.fake, 0);
	connector.fake.start = -EPERM;
	process_source_set_module(world.source, false);
	assert_said(&world, "sf");
	assert_false(process_source_is_started(world.source));
	connector.fake.start = 0;
	assert_return_code(process_source_start(world.source), 0);
	fake_answer(&connector.fake, 0);
	assert_said(&world, "s(?|");
	process_source_free(world.source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connector_alone),
		cmocka_unit_test(test_module_is_better),
		cmocka_unit_test(test_module_goes),
		cmocka_unit_test(test_module_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
