/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/escape.h"
#include "daemon/core/sentence.h"
#include "daemon/ctl/feed.h"
#include "daemon/ctl/standard.h"
#include "daemon/ctl/table.h"
#include "include/fsevents_stream.h"

void feed_event_deinit(struct feed_event *told)
{
	event_deinit(&told->event);
}

static void set_name(char ret[static FEED_NAME_MAX], const char *name)
{
	escape(ret, FEED_NAME_MAX, name, strlen(name), 0);
}

void feed_event_set_names(struct feed_event *told, const char *code, const char *severity)
{
	set_name(told->code, code);
	set_name(told->severity, severity);
	if (event_code_from_name(code, &told->event.code) < 0)
		told->event.code = _EVENT_CODE_N;
	if (event_severity_from_name(severity, &told->event.severity) < 0)
		told->event.severity = _SEVERITY_N;
}

void feed_event_set_numbers(struct feed_event *told, uint32_t code, uint32_t severity)
{
	char unknown_code[32], unknown_severity[32];

	snprintf(unknown_code, sizeof(unknown_code), "unknown-%" PRIu32, code);
	snprintf(unknown_severity, sizeof(unknown_severity), "unknown-%" PRIu32, severity);
	feed_event_set_names(
		told, code < _EVENT_CODE_N ? event_code_name((enum event_code)code) : unknown_code,
		severity < _SEVERITY_N ? event_severity_name((enum event_severity)severity)
				       : unknown_severity);
}

static enum table_colour severity_colour(enum event_severity severity)
{
	switch (severity) {
	case SEVERITY_INFO:
	case SEVERITY_NOTICE:
	case _SEVERITY_N:
		return TABLE_PLAIN;
	case SEVERITY_WARNING:
		return TABLE_YELLOW;
	case SEVERITY_CRITICAL:
		return TABLE_RED;
	}
	return TABLE_PLAIN;
}

static void make_sentence(char ret[static SENTENCE_MAX], const struct feed_event *told)
{
	char where[SENTENCE_MAX / 2];
	struct detail detail;

	if (told->event.code != _EVENT_CODE_N) {
		sentence_event(ret, &told->event, event_count(&told->event));
		return;
	}

	if (details_find(&told->event.details, "where", &detail) && detail.type == DETAIL_BYTES)
		escape(where, sizeof(where), detail.value, detail.n_value, 0);
	else
		snprintf(where, sizeof(where), "%s", told->path);
	snprintf(ret, SENTENCE_MAX, "%s: %s", where, told->code);
}

static void print_writers(uint64_t id, const struct details *details)
{
	struct detail_writer writer;
	struct detail detail;
	size_t offset = 0;

	if (!details_find(details, "writers", &detail) || detail.type != DETAIL_WRITERS ||
	    detail.n_value == 0)
		return;

	printf("%25swrote most before #%" PRIu64 ":", "", id);
	for (const char *before = " "; detail_writer_next(&detail, &offset, &writer) > 0;
	     before = ", ") {
		char size[SENTENCE_SIZE_MAX];

		sentence_size(size, writer.bytes);
		printf("%s%s[%" PRIu32 "] %s", before, writer.comm, writer.pid, size);
	}
	putchar('\n');
}

/* Of an error: those who may know are told which file it was. */
static void print_object(uint64_t id, const struct details *details)
{
	struct detail inode, path;
	bool has_inode = details_find(details, "inode", &inode) && inode.type == DETAIL_U64;
	bool has_path = details_find(details, "path", &path) && path.type == DETAIL_BYTES;
	char name[SENTENCE_MAX];

	if (!has_inode && !has_path)
		return;

	printf("%25sfile concerned in #%" PRIu64 ":", "", id);
	if (has_path) {
		escape(name, sizeof(name), path.value, path.n_value, 0);
		printf(" %s", name);
	}
	if (has_inode)
		printf("%s inode %" PRIu64, has_path ? "," : "", detail_u64(&inode));
	putchar('\n');
}

void feed_json(struct json *json, const struct feed_event *told)
{
	const struct event *event = &told->event;
	struct detail test;

	json_u64(json, "id", event->id);
	json_u64(json, "realtime-usec", event->realtime_us);
	json_string(json, "filesystem", told->path);
	json_string(json, "code", told->code);
	json_string(json, "severity", told->severity);
	json_u32(json, "pid", event->pid);
	json_u64(json, "data", event->data);
	json_open(json, "details", '{');
	json_pairs(json, &event->details);
	/* A flag in streams is a detail on the bus; here it looks the same from both. */
	if (event->test && !details_find(&event->details, "test", &test))
		json_bool(json, "test", true);
	json_close(json, '}');
}

void feed_print(const struct feed_event *told, const struct feed_style *style)
{
	const struct event *event = &told->event;
	time_t seconds = (time_t)(event->realtime_us / 1000000);
	char when[64] = "", sentence[SENTENCE_MAX];
	struct tm local;

	if (style->json) {
		struct json json = { .file = stdout };

		json_open(&json, NULL, '{');
		feed_json(&json, told);
		json_close(&json, '}');
		json_end_line(&json);
		return;
	}

	if (localtime_r(&seconds, &local))
		strftime(when, sizeof(when), "%F %T", &local);

	make_sentence(sentence, told);
	printf("%s.%03u  %s%-8s%s  %s  #%" PRIu64 "\n", when,
	       (unsigned int)(event->realtime_us / 1000 % 1000),
	       table_colour_start(style->colour, severity_colour(event->severity)), told->severity,
	       table_colour_end(style->colour), sentence, event->id);
	print_writers(event->id, &event->details);
	print_object(event->id, &event->details);
}

void feed_print_amend(uint64_t id, const struct details *details, const struct feed_style *style)
{
	struct json json = { .file = stdout };

	if (!style->json) {
		print_writers(id, details);
		print_object(id, details);
		return;
	}
	json_open(&json, NULL, '{');
	json_u64(&json, "amends", id);
	json_open(&json, "details", '{');
	json_pairs(&json, details);
	json_close(&json, '}');
	json_close(&json, '}');
	json_end_line(&json);
}

void feed_print_lost(uint64_t first_id, uint64_t last_id, uint32_t flags,
		     const struct feed_style *style)
{
	bool amends = flags & FSEVENTS_LOST_AMENDS, unknown = flags & FSEVENTS_LOST_UNKNOWN;
	struct json json = { .file = stdout };

	if (!style->json && unknown) {
		puts("(the daemon was ended abruptly: events may be missing)");
		return;
	}
	if (!style->json) {
		printf("(%s of #%" PRIu64 " to #%" PRIu64 " lost)\n",
		       amends ? "later details" : "events", first_id, last_id);
		return;
	}
	json_open(&json, NULL, '{');
	json_open(&json, "lost", '{');
	json_u64(&json, "first-id", first_id);
	json_u64(&json, "last-id", last_id);
	json_bool(&json, "amends", amends);
	json_bool(&json, "unknown", unknown);
	json_close(&json, '}');
	json_close(&json, '}');
	json_end_line(&json);
}

void feed_print_reset(const char *epoch, const struct feed_style *style)
{
	struct json json = { .file = stdout };

	standard_error("the history began anew; all that it has is told");
	if (!style->json)
		return;
	json_open(&json, NULL, '{');
	json_bool(&json, "reset", true);
	json_string(&json, "epoch", epoch);
	json_close(&json, '}');
	json_end_line(&json);
}
