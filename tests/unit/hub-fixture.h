/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One hub above a simulated filesystem, and watches that write down what they are told. */

#include <errno.h>
#include <linux/fanotify.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "include/fsevents_stream.h"
#include "tests/unit/hub-sim.h"

#define ALL WATCH_MASK_ALL

/* What one watch was told, as text: "+name", "-name", "former>name", "~name", "!", "lost under". */
struct told {
	char text[4096];
	size_t n;
	struct change last;
	struct hub_watch *watch;
	struct credential *credential;
};

static struct sim sim;
static struct hub *hub;
static struct credentials *credentials;

static inline void put(struct told *told, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	told->n +=
		(size_t)vsnprintf(told->text + told->n, sizeof(told->text) - told->n, format, args);
	va_end(args);
	assert_true(told->n < sizeof(told->text));
}

static inline void on_changed(const struct change *change, void *userdata)
{
	struct told *told = userdata;

	if (told->n > 0)
		put(told, " ");
	if (change->mask & FSEVENTS_MOVE)
		put(told, "%.*s>", (int)change->n_former, change->former);
	else if (change->mask & FSEVENTS_DELETE_SELF)
		put(told, "gone");
	else if (change->mask & FSEVENTS_MOVE_SELF)
		put(told, "moved");
	else
		put(told, "%s",
		    change->mask & FSEVENTS_CREATE   ? "+"
		    : change->mask & FSEVENTS_DELETE ? "-"
						     : "~");
	put(told, "%.*s", (int)change->n_name, change->name);
	if (change->mask & FSEVENTS_DIRECTORY)
		put(told, "/");
	if (change->mask & FSEVENTS_MERGED)
		put(told, "!");
	told->last = *change;
}

static inline void on_lost(uint64_t count, const char *under, size_t n_under, void *userdata)
{
	struct told *told = userdata;

	assert_int_equal(count, 0);
	put(told, "%slost '%.*s'", told->n > 0 ? " " : "", (int)n_under, under ?: "");
}

static inline bool on_owner(int32_t pid, uid_t *ret, void *userdata)
{
	*ret = (uid_t)pid + 1000;
	return pid < 3;
}

static inline void on_heed(void *userdata)
{
	sim_heed(&sim);
}

static const struct hub_ops ops = { on_changed, on_lost, on_owner, on_heed };

static inline int begin(bool tree, size_t n_pending_max)
{
	const struct hub_options options = { .tree = tree,
					     .n_nodes_max = 64,
					     .n_pending_max = n_pending_max };

	sim_init(&sim);
	assert_int_equal(credentials_new(&credentials), 0);
	return hub_new(&hub, &options, &ops, NULL);
}

static inline int setup(void **state)
{
	return begin(true, 0);
}

static inline int setup_short(void **state)
{
	return begin(true, 4);
}

static inline int setup_slices(void **state)
{
	const struct hub_options options = { .tree = true, .n_slice = 1000 };

	sim_init(&sim);
	assert_int_equal(credentials_new(&credentials), 0);
	return hub_new(&hub, &options, &ops, NULL);
}

static inline int setup_spots(void **state)
{
	return begin(false, 0);
}

static inline int teardown(void **state)
{

	/* What a test that failed left behind would hide why. */
	if (hub_n_watches(hub) > 0)
		return 0;
	hub = hub_free(hub);
	credentials = credentials_free(credentials);
	return 0;
}

static inline void watch(struct told *told, uint32_t root, uid_t uid, uint32_t mask)
{
	struct handle handle = sim_handle(root);
	struct hub_watch_options options = {
		.root = handle_view(&handle), .is_directory = true, .mask = mask, .userdata = told
	};

	sim_settle(&sim, hub);
	memset(told, 0, sizeof(*told));
	assert_int_equal(credential_get(credentials, uid, NULL, 0, &told->credential), 0);
	options.credential = told->credential;
	assert_int_equal(hub_watch_new(&told->watch, hub, &options), 0);
}

static inline void unwatch(struct told *told)
{
	told->watch = hub_watch_free(told->watch);
	told->credential = credential_unref(told->credential);
}

static inline void check(struct told *told, const char *text)
{
	sim_settle(&sim, hub);
	assert_string_equal(told->text, text);
	told->n = 0;
	told->text[0] = '\0';
}

static inline uint32_t make(uint32_t dir, const char *name)
{
	uint32_t made = sim_make(&sim, 9, dir, name, true);

	assert_int_not_equal(made, 0);
	return made;
}

static inline void touch(uint32_t dir, const char *name)
{
	assert_int_not_equal(sim_make(&sim, 9, dir, name, false), 0);
}

/* Known, and all that led to it told. */
static inline void forget(void)
{
	sim.n_events = 0;
}

#define HUB_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
