/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Health
 *
 * Owns the sources that say when something went wrong and brings what they say
 * to the monitor of the filesystem concerned: by device number (kernel
 * messages, uevents) or by member (fanotify, ext4's counter, the companion module). Each source is used
 * where it is present and not switched off, and its absence is a state that
 * the property Sources shows. What cannot be attributed is dropped; what was lost
 * makes every monitor look again. One timer serves all that fusion holds back,
 * and all looks: a bounded number in each wake-up, so that a thousand
 * filesystems that fail at once keep nobody waiting.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/capability.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/waiter.h"

struct errors;
struct health;
struct manager;
struct module;
struct monitor;

/* Embedded in a monitor: its place among those that wait. Zeroed: it does not. */
struct health_waiter {
	struct waiter waiter; /* first: what the queue knows */
	struct monitor *monitor;
};

/** health_new() - only builds; Return: 0 or a negative errno */
int health_new(struct health **ret, struct manager *manager);

/** health_start() - open the sources; one that is missing is no error; Return: 0 or a negative errno */
int health_start(struct health *health);
struct health *health_free(struct health *health);
DEFINE_FREEP(health, health_free)

/** health_errors() - the group of error marks; NULL: this kernel has none, or they are not wanted */
struct errors *health_errors(struct health *health);

/** health_module() - the companion module, there or not; NULL: it is not wanted */
struct module *health_module(struct health *health);

/** health_capability() - the sources that serve all filesystems alike */
void health_capability(const struct health *health, struct capability_sources *ret);

/** health_hears() - messages of the kernel are read, and none was lost for FUSION_CAUSE_US */
bool health_hears(const struct health *health);

/**
 * health_wait() - monitor_health_due() at @due_us
 * @waiter:	replaces what it waited for before; UINT64_MAX: nothing
 */
void health_wait(struct health *health, struct health_waiter *waiter, uint64_t due_us);

/** health_sources() - which ones are in use, for the property Sources */
void health_sources(const struct health *health,
		    void (*add)(const char *capability, const char *source, void *ctx), void *ctx);

/** health_statistics() - counters of the sources, for root */
void health_statistics(const struct health *health,
		       void (*add)(const char *key, uint64_t value, void *ctx), void *ctx);
