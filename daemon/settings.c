/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-bus.h>

#include "daemon/bus/bus.h"
#include "daemon/identify.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/names.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/settings.h"
#include "daemon/worker/conffile.h"
#include "daemon/worker/devices.h"

/* The files lie on a disk that may not answer; a start does not wait for it. */
#define SETTINGS_DEADLINE_US 2000000ULL

struct settings {
	struct manager *manager;
	struct config *config;
	struct config *next; /* parsed, its devices are being looked up */

	struct pool_ticket *ticket;
	bool loading;
	bool first;
	bool unread; /* the built-in defaults serve since the files could not be had */
	void (*done)(const struct bus_refusal *refusal, void *userdata);
	void *userdata;
};

const struct config_daemon *settings_daemon(const struct settings *settings)
{
	return config_daemon(settings->config);
}

const struct config *settings_config(const struct settings *settings)
{
	return settings->config;
}

const struct config_limits *settings_limits(const struct settings *settings)
{
	return config_limits(settings->config);
}

bool settings_use_gate(const struct settings *settings)
{
	return config_daemon(settings->config)->source_gate &&
	       !settings->manager->options.safe_mode;
}

bool settings_needs_identity(const struct settings *settings)
{
	size_t index = 0;

	return config_needs_identity(settings->config) ||
	       config_device_next(settings->config, &index);
}

static int settings_resolve_superblock(struct settings *settings, const struct superblock *sb,
				       const struct monitor *monitor, struct config_settings *ret)
{
	_cleanup_free_ const char **where = NULL;
	struct device_number own = { sb->key.major, sb->key.minor };
	struct config_match match = {
		.n_where = sb->n_mounts,
		.type = sb->type,
		.devices = &own,
		.n_devices = 1,
		.is_default = superblock_is_default(sb),
	};

	where = calloc(sb->n_mounts ?: 1, sizeof(*where));
	if (!where)
		return -ENOMEM;
	for (size_t i = 0; i < sb->n_mounts; i++)
		where[i] = sb->mounts[i]->where;
	match.where = where;

	if (monitor) {
		match.uuid = monitor->uuid;
		match.label = monitor->label;
	}
	if (monitor && monitor->n_devices > 0) {
		match.devices = monitor->devices;
		match.n_devices = monitor->n_devices;
	}

	config_resolve(settings->config, &match, ret);
	return 0;
}

bool settings_wants(struct settings *settings, const struct superblock *sb)
{
	const struct monitor *monitor = sb->userdata;
	struct config_settings resolved;

	if (settings_resolve_superblock(settings, sb, monitor, &resolved) < 0)
		return monitor != NULL;
	if (!resolved.ignored)
		return true;

	return superblock_class(sb) != SUPERBLOCK_PSEUDO && !(monitor && monitor->settled) &&
	       settings_needs_identity(settings);
}

int settings_resolve(struct settings *settings, const struct monitor *monitor,
		     struct config_settings *ret)
{
	return settings_resolve_superblock(settings, monitor->fs.sb, monitor, ret);
}

static void settings_finish(struct settings *settings, const struct bus_refusal *refusal)
{
	settings->ticket = NULL;
	settings->loading = false;
	settings->next = config_free(settings->next);
	settings->done(refusal, settings->userdata);
	manager_settings_loaded(settings->manager);
}

static void settings_put_in_force(struct settings *settings)
{
	config_free(settings->config);
	settings->config = TAKE_PTR(settings->next);
	settings->unread = false;

	/* At the start it is the caller who goes on from here. */
	if (settings->manager->configured) {
		journal_log(LOG_NOTICE, CATALOG_CONFIG_LOADED, "The configuration was read again");
		manager_apply_settings(settings->manager);
	}
	settings_finish(settings, NULL);
}

/* A device that is not there any more leaves its number to others. */
static void config_take_devices(struct config *config, const void *reply, size_t n_reply)
{
	size_t index = 0;
	const char *path;

	while ((path = config_device_next(config, &index))) {
		struct device_number number;
		int r = devices_reply_find_path(reply, n_reply, path, &number);

		if (r == 0)
			config_device_set(config, path, number.major, number.minor);
		else if (r != -EBADMSG && r != -ENODATA)
			config_device_forget(config, path);
	}
}

static int config_device_paths(const struct config *config, const char ***ret, size_t *ret_n)
{
	const char **paths = NULL;
	size_t index = 0, n = 0;

	while (config_device_next(config, &index))
		n++;

	if (n > 0) {
		paths = calloc(n, sizeof(*paths));
		if (!paths)
			return -ENOMEM;
	}
	index = 0;
	for (size_t i = 0; i < n; i++)
		paths[i] = config_device_next(config, &index);

	*ret = paths;
	*ret_n = n;
	return 0;
}

int settings_device_paths(const struct settings *settings, const char ***ret, size_t *ret_n)
{
	return config_device_paths(settings->config, ret, ret_n);
}

void settings_take_devices(struct settings *settings, const void *reply, size_t n_reply)
{
	config_take_devices(settings->config, reply, n_reply);
}

bool settings_is_unread(const struct settings *settings)
{
	return settings->unread;
}

static void on_devices(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct settings *settings = userdata;

	settings->ticket = NULL;
	if (result == POOL_DONE)
		config_take_devices(settings->next, reply, n_reply);
	settings_put_in_force(settings);
}

/* device:/dev/X is matched by number: which one is it now? */
static int settings_ask_devices(struct settings *settings)
{
	struct pool_submission submission = {
		.lane = POOL_LANE_TASKS,
		.job = JOB_DEVICES,
		.fd = -1,
		.deadline_us = SETTINGS_DEADLINE_US,
		.reply = on_devices,
		.userdata = settings,
	};
	_cleanup_free_ const char **paths = NULL;
	_cleanup_free_ void *payload = NULL;
	size_t n;
	int r;

	r = config_device_paths(settings->next, &paths, &n);
	if (r < 0 || n == 0)
		return r;

	r = device_request_encode(paths, n, NULL, 0, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	r = pool_submit(settings->manager->pool, &submission, &settings->ticket);
	return r < 0 ? r : 1;
}

/* "FILE:LINE: KEY: what is wrong"; a problem of the file as a whole has neither line nor key. */
static void problem_format(const struct config_problem *problem, char *ret, size_t n_ret)
{
	char line[16] = "";

	if (problem->line)
		snprintf(line, sizeof(line), "%u:", problem->line);
	snprintf(ret, n_ret, "%.200s:%s %s%s%s", problem->file, line, problem->key ?: "",
		 problem->key ? ": " : "", problem->message);
}

static void settings_log_problems(const struct config_problems *problems, const char *message_id)
{
	char text[1024];

	for (size_t i = 0; i < problems->n_items; i++) {
		problem_format(&problems->items[i], text, sizeof(text));
		journal_log(LOG_ERR, message_id, "%s", text);
	}
	if (problems->n_more)
		journal_log(LOG_ERR, message_id, "and %zu more problems in the configuration",
			    problems->n_more);
}

static void settings_reject(struct settings *settings, const struct config_problems *problems)
{
	struct bus_refusal refusal = { .name = BUS_ERROR_BAD_CONFIG };
	size_t n_more = problems->n_items - 1 + problems->n_more;
	size_t n;

	settings_log_problems(problems, CATALOG_CONFIG_REJECTED);
	problem_format(&problems->items[0], refusal.text, sizeof(refusal.text) - 32);
	n = strlen(refusal.text);
	if (n_more)
		snprintf(refusal.text + n, sizeof(refusal.text) - n, " (and %zu more)", n_more);
	settings_finish(settings, &refusal);
}

static void settings_refuse(struct settings *settings, const char *name, const char *text)
{
	struct bus_refusal refusal = { .name = name };

	snprintf(refusal.text, sizeof(refusal.text), "%s", text);
	settings_finish(settings, &refusal);
}

static void settings_take(struct settings *settings, const struct conffile_set *set)
{
	_cleanup_(config_problems_deinit) struct config_problems problems = {};
	int r;

	r = config_parse(&settings->next, set->texts, set->n_texts, &problems);
	if (r < 0) {
		settings_refuse(settings, SD_BUS_ERROR_NO_MEMORY, "Out of memory");
		return;
	}

	if (problems.n_items > 0 && !settings->first) {
		settings_reject(settings, &problems);
		return;
	}
	settings_log_problems(&problems, CATALOG_CONFIG_PROBLEM);

	r = settings_ask_devices(settings);
	if (r < 0)
		journal_log(LOG_WARNING, NULL, "Sections named by device do not match: %s",
			    strerror(-r));
	if (r <= 0)
		settings_put_in_force(settings);
}

static void on_files(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	_cleanup_(conffile_set_deinit) struct conffile_set set = {};
	struct settings *settings = userdata;

	settings->ticket = NULL;
	if (result == POOL_DONE && conffile_set_decode(reply, n_reply, &set) == 0) {
		settings_take(settings, &set);
		return;
	}

	settings->unread = settings->first;
	journal_log(LOG_ERR, CATALOG_CONFIG_PROBLEM,
		    "The configuration files cannot be read: their disk does not answer; the %s "
		    "stays in force",
		    settings->first ? "built-in default" : "former configuration");
	settings_refuse(settings, BUS_ERROR_BAD_CONFIG,
			"The configuration files cannot be read: their disk does not answer");
}

int settings_load(struct settings *settings, bool first,
		  void (*done)(const struct bus_refusal *refusal, void *userdata), void *userdata)
{
	const char *file = settings->manager->config_file;
	struct pool_submission submission = {
		.lane = POOL_LANE_TASKS,
		.job = JOB_CONFIG,
		.payload = file,
		.n_payload = file ? strlen(file) : 0,
		.fd = -1,
		.deadline_us = SETTINGS_DEADLINE_US,
		.reply = on_files,
		.userdata = settings,
	};
	int r;

	assert(settings);
	assert(done);

	if (settings->loading)
		return -EBUSY;

	r = pool_submit(settings->manager->pool, &submission, &settings->ticket);
	if (r < 0)
		return r;

	settings->loading = true;
	settings->first = first;
	settings->done = done;
	settings->userdata = userdata;
	return 0;
}

int settings_new(struct settings **ret, struct manager *manager)
{
	_cleanup_(config_problems_deinit) struct config_problems problems = {};
	_cleanup_(settings_freep) struct settings *settings = NULL;
	int r;

	assert(ret);
	assert(manager);

	settings = calloc(1, sizeof(*settings));
	if (!settings)
		return -ENOMEM;
	settings->manager = manager;

	/* The built-in defaults, until the files are read. */
	r = config_parse(&settings->config, NULL, 0, &problems);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(settings);
	return 0;
}

struct settings *settings_free(struct settings *settings)
{
	if (!settings)
		return NULL;

	pool_cancel(settings->ticket);
	if (settings->loading && !settings->first)
		settings->done(
			&(struct bus_refusal){
				.name = SD_BUS_ERROR_NO_REPLY,
				.text = "The daemon is ending",
			},
			settings->userdata);
	config_free(settings->next);
	config_free(settings->config);
	free(settings);
	return NULL;
}
