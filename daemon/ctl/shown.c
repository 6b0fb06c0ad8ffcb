/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <string.h>

#include "daemon/ctl/json.h"
#include "daemon/ctl/shown.h"

const char *shown_where(const struct client_filesystem *fs)
{
	return fs->where[0] ? fs->where : "(not reachable)";
}

enum table_colour shown_state_colour(const char *state)
{
	if (strcmp(state, "ok") == 0)
		return TABLE_GREEN;
	if (strcmp(state, "unknown") == 0)
		return TABLE_PLAIN;
	if (strcmp(state, "warning") == 0 || strcmp(state, "frozen") == 0)
		return TABLE_YELLOW;
	return TABLE_RED;
}

uint64_t shown_bytes(const struct client_filesystem *fs, uint64_t blocks)
{
	uint64_t product;

	return __builtin_mul_overflow(blocks, fs->block_size, &product) ? UINT64_MAX : product;
}

double shown_used(uint64_t total, uint64_t free, uint64_t available)
{
	double used = total > free ? (double)(total - free) : 0;
	double base = used + (double)available;

	return base > 0 ? used / base : 0;
}

static void json_thresholds(struct json *json, const struct client_filesystem *fs)
{
	json_open(json, "thresholds", '[');
	for (size_t i = 0; i < fs->n_thresholds; i++) {
		const struct client_threshold *threshold = &fs->thresholds[i];

		json_open(json, NULL, '{');
		json_string(json, "name", threshold->name);
		json_string(json, "resource", threshold->resource);
		json_u64(json, "level", threshold->level);
		json_u64(json, "hysteresis", threshold->hysteresis);
		json_string(json, "severity", threshold->severity);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_usage(struct json *json, const struct client_filesystem *fs)
{
	if (fs->usage_error)
		json_string(json, "usage-error", fs->usage_error);
	if (!fs->has_usage)
		return;

	json_open(json, "usage", '{');
	json_u64(json, "blocks", fs->blocks);
	json_u64(json, "available", fs->available);
	json_u64(json, "free", fs->free);
	json_u64(json, "files", fs->files);
	json_u64(json, "files-available", fs->files_available);
	if (fs->has_fill_rate)
		json_u64(json, "fill-rate", fs->fill_rate);
	if (fs->has_seconds_to_full)
		json_u64(json, "seconds-to-full", fs->seconds_to_full);
	json_close(json, '}');
}

void shown_json(const struct client_filesystem *fs)
{
	struct json json = { .file = stdout };

	json_open(&json, NULL, '{');
	json_string(&json, "filesystem", fs->path);
	json_u32(&json, "major", fs->major);
	json_u32(&json, "minor", fs->minor);
	json_string(&json, "type", fs->type);
	json_u64(&json, "generation", fs->generation);
	json_u64(&json, "block-size", fs->block_size);
	json_string(&json, "source", fs->source);
	json_string(&json, "where", fs->where);
	json_open(&json, "mount-points", '[');
	for (size_t i = 0; i < fs->n_mount_points; i++) {
		json_open(&json, NULL, '{');
		json_bytes(&json, "name", fs->mount_points[i], strlen(fs->mount_points[i]));
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_bool(&json, "read-only", fs->read_only);
	json_string(&json, "read-only-reason", fs->read_only_reason);
	json_string(&json, "state", fs->state);
	json_thresholds(&json, fs);
	json_strv(&json, "crossed", fs->crossed);
	json_strv(&json, "events", fs->events);
	json_strv(&json, "capabilities", fs->capabilities);
	json_u64(&json, "error-count", fs->error_count);
	if (fs->last_event.event.id) {
		json_open(&json, "last-event", '{');
		feed_json(&json, &fs->last_event);
		json_close(&json, '}');
	}
	json_usage(&json, fs);
	json_close(&json, '}');
	json_end_line(&json);
}
