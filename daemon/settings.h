/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Settings
 *
 * The configuration in force: loads the files through a worker, keeps the
 * old one when the new one has a fault, and answers for each filesystem which settings hold.
 */

#include <stdbool.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/config.h"

struct bus_refusal;
struct manager;
struct monitor;
struct settings;
struct superblock;

int settings_new(struct settings **ret, struct manager *manager);
struct settings *settings_free(struct settings *settings);
DEFINE_FREEP(settings, settings_free)

/**
 * settings_load() - read the files and put them in force
 * @first:	none was read before: sections with a fault fall back to the defaults,
 *		each told in the log; else a fault leaves the old configuration in force
 * @done:	called once, with @refusal NULL when the new one is in force
 *
 * Return: 0, -EBUSY while another load is under way, -ENOMEM.
 */
int settings_load(struct settings *settings, bool first,
		  void (*done)(const struct bus_refusal *refusal, void *userdata), void *userdata);

/**
 * settings_wants() - whether a filesystem is to have a monitor
 *
 * Also while it is not identified yet and a section might name its uuid,
 * label or device.
 */
bool settings_wants(struct settings *settings, const struct superblock *sb);

/** settings_resolve() - what holds for a filesystem; Return: 0 or -ENOMEM */
int settings_resolve(struct settings *settings, const struct monitor *monitor,
		     struct config_settings *ret);

/** settings_needs_identity() - some section matches by uuid:, label: or device: */
bool settings_needs_identity(const struct settings *settings);

/**
 * settings_device_paths() - which devices the sections name
 * @ret:	to be freed; the paths are borrowed until the next load; NULL for none
 *
 * Return: 0 or -ENOMEM.
 */
int settings_device_paths(const struct settings *settings, const char ***ret, size_t *ret_n);

/** settings_take_devices() - the numbers of those of them that a reply of JOB_DEVICES has */
void settings_take_devices(struct settings *settings, const void *reply, size_t n_reply);

/** settings_is_unread() - the files could not be read so far: load them again, as at the start */
bool settings_is_unread(const struct settings *settings);
/** settings_use_gate() - whether write gates are wanted; never in safe mode */
bool settings_use_gate(const struct settings *settings);
/** settings_config() - all of it; until the next load */
const struct config *settings_config(const struct settings *settings);
const struct config_daemon *settings_daemon(const struct settings *settings);
const struct config_limits *settings_limits(const struct settings *settings);
