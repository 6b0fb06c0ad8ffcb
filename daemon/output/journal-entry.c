/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/escape.h"
#include "daemon/names.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal-entry.h"
#include "daemon/core/sentence.h"

/* journald refuses longer names of fields. */
#define FIELD_NAME_MAX 64

/* The note that something was left out needs room of its own. */
#define FIELD_CUT JOURNAL_FIELD_CUT "=1\n"
#define ENTRY_ROOM (JOURNAL_ENTRY_MAX - (sizeof(FIELD_CUT) - 1))

struct builder {
	char *data;
	size_t n_data;
	size_t n_allocated;
	bool cut;
	bool failed; /* no memory; the first failure counts */
};

static void builder_deinit(struct builder *builder)
{
	free(builder->data);
}

static bool builder_reserve(struct builder *builder, size_t n)
{
	size_t size = builder->n_allocated ? builder->n_allocated : 512;
	char *data;

	while (size - builder->n_data < n)
		size *= 2;
	if (size == builder->n_allocated)
		return true;

	data = realloc(builder->data, size);
	if (!data) {
		builder->failed = true;
		return false;
	}

	builder->data = data;
	builder->n_allocated = size;
	return true;
}

static void builder_append(struct builder *builder, const void *data, size_t n)
{
	if (builder->failed || n == 0 || !builder_reserve(builder, n))
		return;

	memcpy(builder->data + builder->n_data, data, n);
	builder->n_data += n;
}

/*
 * A field with a line break in it is framed by its length; the others are
 * text, which a person can read in a packet dump.
 */
static void builder_field(struct builder *builder, const char *name, const void *value,
			  size_t n_value)
{
	bool framed = memchr(value, '\n', n_value);
	size_t n_name = strlen(name);
	uint64_t size = htole64(n_value);

	assert(n_name <= FIELD_NAME_MAX);

	if (n_value > ENTRY_ROOM || n_name + n_value + 10 > ENTRY_ROOM - builder->n_data) {
		builder->cut = true;
		return;
	}

	builder_append(builder, name, n_name);
	builder_append(builder, framed ? "\n" : "=", 1);
	if (framed)
		builder_append(builder, &size, sizeof(size));
	builder_append(builder, value, n_value);
	builder_append(builder, "\n", 1);
}

static void builder_format(struct builder *builder, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* For numbers and short names. */
static void builder_format(struct builder *builder, const char *name, const char *format, ...)
{
	char value[256];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(value, sizeof(value), format, ap);
	va_end(ap);

	if (n < 0 || (size_t)n >= sizeof(value)) {
		builder->cut = true;
		return;
	}

	builder_field(builder, name, value, (size_t)n);
}

/* Foreign bytes, made printable. */
static void builder_escaped(struct builder *builder, const char *name, const void *value,
			    size_t n_value)
{
	_cleanup_free_ char *text = NULL;

	text = escape_new(value, n_value, 0);
	if (!text) {
		builder->failed = true;
		return;
	}

	builder_field(builder, name, text, strlen(text));
}

static int builder_finish(struct builder *builder, struct journal_entry *ret)
{
	if (builder->cut)
		builder_append(builder, FIELD_CUT, strlen(FIELD_CUT));
	if (builder->failed)
		return -ENOMEM;

	*ret = (struct journal_entry){
		.data = TAKE_PTR(builder->data),
		.n_data = builder->n_data,
	};
	return 0;
}

/* FSEVENTS_ and the key in capitals; false for a key that is no name of a field. */
static bool field_name(char ret[static FIELD_NAME_MAX + 1], const struct detail *detail)
{
	size_t n = strlen(JOURNAL_FIELD_PREFIX);

	if (detail->n_key == 0 || detail->n_key > FIELD_NAME_MAX - n)
		return false;

	memcpy(ret, JOURNAL_FIELD_PREFIX, n);

	for (size_t i = 0; i < detail->n_key; i++) {
		char c = detail->key[i];

		if (c >= 'a' && c <= 'z')
			ret[n++] = (char)(c - 'a' + 'A');
		else if (c >= '0' && c <= '9')
			ret[n++] = c;
		else if (c == '-')
			ret[n++] = '_';
		else
			return false;
	}

	ret[n] = '\0';
	return true;
}

/* One field per writer: journald keeps several values of one name. */
static void builder_writers(struct builder *builder, const char *name, const struct detail *detail)
{
	struct detail_writer writer;
	size_t offset = 0;

	while (detail_writer_next(detail, &offset, &writer) == 1)
		builder_format(builder, name, "%u %" PRIu64 " %s", writer.pid, writer.bytes,
			       writer.comm);
}

static void builder_detail(struct builder *builder, const struct detail *detail)
{
	char name[FIELD_NAME_MAX + 1];
	int32_t number;

	if (!field_name(name, detail))
		return;

	switch (detail->type) {
	case DETAIL_STRING:
		builder_field(builder, name, detail->value, detail->n_value);
		break;
	case DETAIL_BYTES:
		builder_escaped(builder, name, detail->value, detail->n_value);
		break;
	case DETAIL_U32:
		builder_format(builder, name, "%" PRIu32, detail_u32(detail));
		break;
	case DETAIL_U64:
		builder_format(builder, name, "%" PRIu64, detail_u64(detail));
		break;
	case DETAIL_I32:
		if (detail->n_value != sizeof(number))
			break;
		memcpy(&number, detail->value, sizeof(number));
		builder_format(builder, name, "%" PRIi32, number);
		break;
	case DETAIL_BOOL:
		builder_format(builder, name, "%u", detail->n_value == 1 && detail->value[0]);
		break;
	case DETAIL_WRITERS:
		builder_writers(builder, name, detail);
		break;
	}
}

static void builder_details(struct builder *builder, const struct details *details)
{
	struct detail detail;
	size_t offset = 0;

	/* That is told with the head: of several events it is the sum. */
	while (details_next(details->data, details->n_data, &offset, &detail) == 1)
		if (!detail_is(&detail, "count"))
			builder_detail(builder, &detail);
}

static void builder_head(struct builder *builder, int priority, const char *message_id,
			 const char *text)
{
	builder_format(builder, "PRIORITY", "%d", priority);
	builder_field(builder, "SYSLOG_IDENTIFIER", JOURNAL_IDENTIFIER, strlen(JOURNAL_IDENTIFIER));
	if (message_id)
		builder_field(builder, "MESSAGE_ID", message_id, strlen(message_id));
	builder_field(builder, "MESSAGE", text, strlen(text));
}

static void builder_event(struct builder *builder, const struct event *event)
{
	struct detail test;

	builder_format(builder, JOURNAL_FIELD_CODE, "%s", event_code_name(event->code));
	builder_format(builder, JOURNAL_FIELD_SEVERITY, "%s", event_severity_name(event->severity));
	builder_format(builder, JOURNAL_FIELD_DEVICE, "%" PRIu32 ":%" PRIu32, event->fs.major,
		       event->fs.minor);
	builder_format(builder, JOURNAL_FIELD_ID, "%" PRIu64, event->id);
	builder_format(builder, JOURNAL_FIELD_PID, "%" PRIu32, event->pid);
	builder_format(builder, JOURNAL_FIELD_DATA, "%" PRIu64, event->data);
	/* Whoever makes a test event may have said so in its details too. */
	if (event->test && !details_find(&event->details, "test", &test))
		builder_format(builder, JOURNAL_FIELD_TEST, "1");
}

static int entry_line(struct journal_entry *ret, enum journal_form form, int priority,
		      const char *text)
{
	_cleanup_free_ char *line = NULL;
	int n;

	line = malloc(JOURNAL_LINE_MAX);
	if (!line)
		return -ENOMEM;

	if (form == JOURNAL_FORM_PREFIXED)
		n = snprintf(line, JOURNAL_LINE_MAX, "<%d>%s", priority, text);
	else
		n = snprintf(line, JOURNAL_LINE_MAX, "%s", text);
	if (n < 0)
		return -ENOMEM;

	if (n > JOURNAL_LINE_MAX - 1)
		n = JOURNAL_LINE_MAX - 1;
	for (int i = 0; i < n; i++)
		if (iscntrl((unsigned char)line[i]))
			line[i] = ' ';
	line[n] = '\n';

	*ret = (struct journal_entry){
		.data = TAKE_PTR(line),
		.n_data = (size_t)n + 1,
	};
	return 0;
}

void journal_entry_deinit(struct journal_entry *entry)
{
	free(entry->data);
	*entry = (struct journal_entry){};
}

int journal_entry_log(struct journal_entry *ret, enum journal_form form, int priority,
		      const char *message_id, const char *text)
{
	return journal_entry_fields(ret, form, priority, message_id, text, NULL);
}

int journal_entry_fields(struct journal_entry *ret, enum journal_form form, int priority,
			 const char *message_id, const char *text,
			 const struct journal_field *fields)
{
	_cleanup_(builder_deinit) struct builder builder = {};

	assert(ret);
	assert(text);

	if (form != JOURNAL_FORM_NATIVE)
		return entry_line(ret, form, priority, text);

	builder_head(&builder, priority, message_id, text);
	for (; fields && fields->name; fields++)
		builder_field(&builder, fields->name, fields->value, strlen(fields->value));
	return builder_finish(&builder, ret);
}

int journal_entry_event(struct journal_entry *ret, enum journal_form form,
			const struct event *event, uint64_t count)
{
	_cleanup_(builder_deinit) struct builder builder = {};
	int priority = catalog_priority(event->severity);
	char text[SENTENCE_MAX];

	assert(ret);
	assert(event);

	sentence_event(text, event, count);

	if (form != JOURNAL_FORM_NATIVE)
		return entry_line(ret, form, priority, text);

	builder_head(&builder, priority, catalog_event_id(event->code), text);
	builder_event(&builder, event);
	if (count > 1)
		builder_format(&builder, JOURNAL_FIELD_COUNT, "%" PRIu64, count);
	builder_details(&builder, &event->details);
	return builder_finish(&builder, ret);
}

int journal_entry_amend(struct journal_entry *ret, enum journal_form form,
			const struct event *event, const struct details *more)
{
	_cleanup_(builder_deinit) struct builder builder = {};
	const char *message_id = CATALOG_WRITERS;
	char text[SENTENCE_MAX];
	struct detail where;

	assert(ret);
	assert(event);
	assert(more);

	sentence_writers(text, event, more);
	if (text[0] == '\0') {
		sentence_object(text, event, more);
		message_id = CATALOG_OBJECT;
	}
	if (text[0] == '\0')
		return JOURNAL_ENTRY_E_NOTHING;

	if (form != JOURNAL_FORM_NATIVE)
		return entry_line(ret, form, catalog_priority(SEVERITY_NOTICE), text);

	builder_head(&builder, catalog_priority(SEVERITY_NOTICE), message_id, text);
	builder_event(&builder, event);
	if (details_find(&event->details, "where", &where))
		builder_detail(&builder, &where);
	builder_details(&builder, more);
	return builder_finish(&builder, ret);
}
