/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <syslog.h>

#include "daemon/core/fusion.h"
#include "daemon/health-device.h"
#include "daemon/health.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/settings.h"
#include "daemon/source/errors.h"
#include "daemon/source/kmsg.h"
#include "daemon/source/module.h"
#include "daemon/source/uevent.h"

/* Monitors served in one wake-up: a few milliseconds if all of them look and tell. */
#define HEALTH_BATCH 32
/* Below the sources, so that what they have in hand comes first. */
#define HEALTH_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 12)
#define HEALTH_ACCURACY_US 1000
/* Since then all disk filesystems report errors by fanotify. */
#define HEALTH_COMMON_MAJOR 7

struct health {
	struct manager *manager;
	struct errors *errors;
	struct kmsg *kmsg;
	struct uevents *uevents;
	struct module *module;
	struct health_device *devices;
	sd_event_source *timer;
	uint64_t timer_us; /* when it is set to; UINT64_MAX: it is off */
	bool common;
	uint64_t lost_us; /* when messages of the kernel were lost last; 0: never */
	struct waiter_queue waiters;
};

static void health_set_timer(struct health *health, uint64_t due_us)
{
	health->timer_us = due_us;
	if (due_us == UINT64_MAX) {
		(void)sd_event_source_set_enabled(health->timer, SD_EVENT_OFF);
		return;
	}
	(void)sd_event_source_set_time(health->timer, due_us);
	(void)sd_event_source_set_enabled(health->timer, SD_EVENT_ONESHOT);
}

void health_wait(struct health *health, struct health_waiter *waiter, uint64_t due_us)
{
	assert(health);
	assert(waiter);

	waiter_queue_set(&health->waiters, &waiter->waiter, due_us);

	/* A timer that comes too early finds nothing to do and is set anew. */
	if (due_us < health->timer_us)
		health_set_timer(health, due_us);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct health *health = userdata;
	uint64_t now_us = manager_now(health->manager);
	struct waiter *ready[HEALTH_BATCH];
	size_t n;

	/* What the kernel said until now belongs to what is told or looked at. */
	if (health->kmsg)
		kmsg_catch_up(health->kmsg);

	n = waiter_queue_pop(&health->waiters, now_us, ready, HEALTH_BATCH);
	/* None of them ends another one's life. */
	for (size_t i = 0; i < n; i++)
		monitor_health_due(((struct health_waiter *)ready[i])->monitor);

	health_set_timer(health, waiter_queue_due(&health->waiters));
	return 0;
}

static void on_message(const struct kernel_message *message, void *userdata)
{
	struct health *health = userdata;

	health_device_message(health->devices, message);
}

static void on_messages_lost(uint64_t n, void *userdata)
{
	struct health *health = userdata;

	health->lost_us = manager_now(health->manager);
	health_device_look_at_all(health->devices);
}

static const struct kmsg_ops health_kmsg_ops = {
	.message = on_message,
	.lost = on_messages_lost,
};

static void on_uevent(const struct uevent *event, void *userdata)
{
	struct health *health = userdata;

	switch (event->kind) {
	case UEVENT_CHANGED:
	case UEVENT_REMOVED:
	case UEVENT_READ_ONLY:
	case UEVENT_WRITABLE:
		health_device_changed(health->devices,
				      (struct device_number){ event->major, event->minor });
		break;
	}
}

static void on_uevents_lost(void *userdata)
{
	struct health *health = userdata;

	health_device_look_at_all(health->devices);
}

static const struct uevents_ops health_uevents_ops = {
	.event = on_uevent,
	.lost = on_uevents_lost,
};

static void on_module_changed(bool present, void *userdata)
{
	struct health *health = userdata;

	processes_set_module(health->manager->processes, present);
	watches_set_module(health->manager->watches, present);
	journal_log(LOG_NOTICE, CATALOG_SOURCE_CHANGED,
		    present ? "The companion module is there and used from now on"
			    : "The companion module is gone: the kernel's own interfaces serve");
}

static void on_module_lost(uint64_t n, void *userdata)
{
	struct health *health = userdata;

	health_device_look_at_all(health->devices);
}

static const struct module_ops health_module_ops = {
	.changed = on_module_changed,
	.lost = on_module_lost,
};

static int health_start_module(struct health *health)
{
	int r;

	r = module_new(&health->module, health->manager->loop, health->manager->pool,
		       &health_module_ops, health);
	if (r < 0)
		return r;
	r = module_start(health->module);
	if (r < 0)
		health->module = module_free(health->module);
	return r;
}

/* Return: 0 where the source is there or can be done without. */
static int health_missing(int error, const char *what)
{
	if (error >= 0 || error == -ENOMEM)
		return error < 0 ? error : 0;

	journal_log(LOG_NOTICE, CATALOG_SOURCE_CHANGED, "%s cannot be followed: %s", what,
		    strerror(-error));
	return 0;
}

int health_start(struct health *health)
{
	const struct config_daemon *config;
	sd_event *loop;
	int r = 0;

	assert(health);

	if (health->manager->options.safe_mode)
		return 0;
	config = settings_daemon(health->manager->settings);
	loop = health->manager->loop;

	if (config->source_fs_errors)
		r = health_missing(errors_new(&health->errors, loop, health->manager->pool),
				   "Errors of filesystems");
	if (r == 0 && config->source_kmsg)
		r = health_missing(kmsg_new(&health->kmsg, loop, &health_kmsg_ops, health),
				   "Messages of the kernel");
	if (r == 0 && config->source_uevents)
		r = health_missing(uevents_new(&health->uevents, loop, &health_uevents_ops, health),
				   "Changes of block devices");
	if (r == 0 && config->source_module)
		r = health_missing(health_start_module(health), "The companion module");
	return r;
}

static bool kernel_has_common_errors(void)
{
	unsigned int major = 0;
	struct utsname name;

	return uname(&name) == 0 && sscanf(name.release, "%u", &major) == 1 &&
	       major >= HEALTH_COMMON_MAJOR;
}

int health_new(struct health **ret, struct manager *manager)
{
	_cleanup_(health_freep) struct health *health = NULL;
	int r;

	assert(ret);
	assert(manager);

	health = calloc(1, sizeof(*health));
	if (!health)
		return -ENOMEM;
	health->manager = manager;
	health->timer_us = UINT64_MAX;
	waiter_queue_init(&health->waiters);
	health->common = kernel_has_common_errors();

	r = health_device_new(&health->devices, manager);
	if (r < 0)
		return r;
	r = sd_event_add_time(manager->loop, &health->timer, CLOCK_MONOTONIC, 0, HEALTH_ACCURACY_US,
			      on_timer, health);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(health->timer, "health");
	r = sd_event_source_set_priority(health->timer, HEALTH_PRIORITY);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(health->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_source_set_exit_on_failure(health->timer, true);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(health);
	return 0;
}

struct health *health_free(struct health *health)
{
	if (!health)
		return NULL;

	assert(waiter_queue_due(&health->waiters) == UINT64_MAX);

	errors_free(health->errors);
	kmsg_free(health->kmsg);
	uevents_free(health->uevents);
	module_free(health->module);
	health_device_free(health->devices);
	sd_event_source_disable_unref(health->timer);
	free(health);
	return NULL;
}

struct errors *health_errors(struct health *health)
{
	assert(health);

	return health->errors;
}

struct module *health_module(struct health *health)
{
	assert(health);

	return health->module;
}

static bool health_has_module(const struct health *health)
{
	return health->module && module_is_present(health->module);
}

void health_capability(const struct health *health, struct capability_sources *ret)
{
	assert(health);
	assert(ret);

	*ret = (struct capability_sources){
		.fs_errors_common = health->common,
		.kmsg = health->kmsg,
	};
}

bool health_hears(const struct health *health)
{
	assert(health);

	return health->kmsg && (health->lost_us == 0 ||
				manager_now(health->manager) > health->lost_us + FUSION_CAUSE_US);
}

void health_sources(const struct health *health,
		    void (*add)(const char *capability, const char *source, void *ctx), void *ctx)
{
	assert(health);

	add("errors",
	    health_has_module(health) ? "module"
	    : health->errors	      ? "fanotify"
				      : "none",
	    ctx);
	add("freezes", health_has_module(health) ? "module" : "none", ctx);
	add("kernel-messages", health->kmsg ? "kmsg" : "none", ctx);
	add("block", health->uevents ? "uevent" : "none", ctx);
}

void health_statistics(const struct health *health,
		       void (*add)(const char *key, uint64_t value, void *ctx), void *ctx)
{
	struct uevents_statistics uevents;
	struct module_statistics module;
	struct errors_statistics errors;
	struct kmsg_statistics kmsg;

	assert(health);

	if (health->errors) {
		errors_statistics(health->errors, &errors);
		add("errors-read", errors.events, ctx);
		add("errors-overflows", errors.overflows, ctx);
		add("errors-own", errors.own, ctx);
		add("errors-unknown", errors.unknown, ctx);
	}
	if (health->kmsg) {
		kmsg_statistics(health->kmsg, &kmsg);
		add("kmsg-records", kmsg.records, ctx);
		add("kmsg-messages", kmsg.messages, ctx);
		add("kmsg-foreign", kmsg.foreign, ctx);
		add("kmsg-unknown-device", kmsg.unknown_device, ctx);
		add("kmsg-lost", kmsg.lost, ctx);
	}
	if (health->uevents) {
		uevents_statistics(health->uevents, &uevents);
		add("uevents-read", uevents.messages, ctx);
		add("uevents-foreign", uevents.foreign, ctx);
		add("uevents-malformed", uevents.malformed, ctx);
		add("uevents-overruns", uevents.overruns, ctx);
	}
	if (health->module) {
		module_statistics(health->module, &module);
		add("module-events", module.events, ctx);
		add("module-lost", module.lost, ctx);
		add("module-overruns", module.overruns, ctx);
		add("module-foreign", module.foreign, ctx);
		add("module-malformed", module.malformed, ctx);
		add("module-unknown", module.unknown, ctx);
		add("module-tests", module.tests, ctx);
	}
}
