/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Health
 *
 * Owns the sources that say when something went wrong and brings what they say
 * to the monitor of the filesystem concerned: by device number (kernel
 * messages, uevents) or by member (fanotify, ext4's counter). Each source is used
 * where it is present and not switched off, and its absence is a state that
 * the property Sources shows. What cannot be attributed is dropped; what was lost
 * makes every monitor look again. One timer serves all that fusion holds back.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/fusion.h"
#include "daemon/source/errors.h"

struct health;
struct manager;
struct monitor;

/** health_new() - only builds; Return: 0 or a negative errno */
int health_new(struct health **ret, struct manager *manager);

/** health_start() - open the sources; one that is missing is no error; Return: 0 or a negative errno */
int health_start(struct health *health);
struct health *health_free(struct health *health);
DEFINE_FREEP(health, health_free)

/** health_errors() - the group of error marks; NULL: this kernel has none */
struct errors *health_errors(struct health *health);

/** health_has_kmsg() - kernel messages can be read */
bool health_has_kmsg(const struct health *health);

/** health_wait() - fusion of this monitor holds something back until @due_us */
void health_wait(struct health *health, struct monitor *monitor, uint64_t due_us);
