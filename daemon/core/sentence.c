/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/escape.h"
#include "daemon/core/sentence.h"

/* What of a mount point is shown: the rest of the sentence needs room too. */
#define SENTENCE_WHERE_MAX 512
#define SENTENCE_NAME_MAX 128

/* Writers named in one sentence. */
#define SENTENCE_WRITERS 5

struct text {
	char *data;
	size_t n;
};

static void text_add(struct text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void text_add(struct text *text, const char *format, ...)
{
	size_t room = SENTENCE_MAX - text->n;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text->data + text->n, room, format, ap);
	va_end(ap);

	if (n < 0)
		return;

	/* What does not fit as a whole is left out: a cut would split characters. */
	if ((size_t)n >= room) {
		text->data[text->n] = '\0';
		return;
	}

	text->n += (size_t)n;
}

void sentence_size(char ret[static SENTENCE_SIZE_MAX], uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	unsigned int shift = 0, unit = 0;
	uint64_t tenths;

	if (bytes < 1024) {
		(void)snprintf(ret, SENTENCE_SIZE_MAX, "%" PRIu64 " B", bytes);
		return;
	}

	for (shift = 10; shift < 60 && bytes >> shift >= 1024; shift += 10)
		unit++;

	tenths = (bytes >> (shift - 10)) % 1024 * 10 / 1024;
	(void)snprintf(ret, SENTENCE_SIZE_MAX, "%" PRIu64 ".%" PRIu64 " %ciB", bytes >> shift,
		       tenths, units[unit]);
}

static bool find(const struct event *event, const char *key, enum detail_type type,
		 struct detail *ret)
{
	struct detail detail;

	if (!details_find(&event->details, key, &detail) || detail.type != type)
		return false;

	*ret = detail;
	return true;
}

static bool is_set(const struct event *event, const char *key)
{
	struct detail detail;

	return find(event, key, DETAIL_BOOL, &detail) && detail.n_value == 1 && detail.value[0];
}

static void add_where(struct text *text, const struct event *event)
{
	char name[SENTENCE_WHERE_MAX];
	struct detail where;

	if (find(event, "where", DETAIL_BYTES, &where) && where.n_value > 0) {
		escape(name, sizeof(name), where.value, where.n_value, 0);
		text_add(text, "%s: ", name);
		return;
	}

	text_add(text, "filesystem %u:%u: ", event->fs.major, event->fs.minor);
}

/* A string detail was escaped when it was made: once is enough. */
static void add_string(struct text *text, const struct event *event, const char *key,
		       const char *before, const char *after)
{
	struct detail detail;

	if (!find(event, key, DETAIL_STRING, &detail) || detail.n_value == 0 ||
	    detail.n_value > SENTENCE_NAME_MAX)
		return;

	text_add(text, "%s%.*s%s", before, (int)detail.n_value, (const char *)detail.value, after);
}

static void add_amount(struct text *text, uint64_t amount, bool inodes)
{
	char size[SENTENCE_SIZE_MAX];

	if (inodes) {
		text_add(text, "%" PRIu64, amount);
		return;
	}

	sentence_size(size, amount);
	text_add(text, "%s", size);
}

static bool is_about_inodes(const struct event *event)
{
	struct detail resource;

	return find(event, "resource", DETAIL_STRING, &resource) &&
	       resource.n_value == strlen("inodes") &&
	       memcmp(resource.value, "inodes", resource.n_value) == 0;
}

static void add_threshold(struct text *text, const struct event *event, bool below)
{
	bool inodes = is_about_inodes(event);
	struct detail level;

	add_amount(text, event->data, inodes);
	text_add(text, "%s, %s threshold", inodes ? " inodes available" : " available",
		 below ? "below" : "above");
	add_string(text, event, "name", " ", "");

	if (find(event, "level", DETAIL_U64, &level)) {
		text_add(text, " (");
		add_amount(text, detail_u64(&level), inodes);
		text_add(text, ")");
	}
}

static bool is_error(const struct event *event)
{
	return event->code == EVENT_CORRUPTED || event->code == EVENT_IO_ERROR ||
	       event->code == EVENT_WRITEBACK_ERROR;
}

static void add_errno(struct text *text, const struct event *event)
{
	const char *name = NULL;

	/* data is whatever a source read: no index into a table of ours. */
	if (event->data > 0 && event->data < 4096)
		name = strerrorname_np((int)event->data);
	if (name)
		text_add(text, " (%s)", name);
}

static void add_read_only(struct text *text, const struct event *event)
{
	static const struct {
		const char *reason, *sentence;
	} sentences[] = {
		{ "admin", "was remounted read-only" },
		{ "device", "cannot be written to, its disk is read-only" },
		{ "error", "became read-only after an error" },
		{ "emergency", "became read-only after an error, though no flag shows it" },
		{ "shutdown", "cannot be used any more, it was shut down" },
	};
	struct detail reason;

	if (find(event, "reason", DETAIL_STRING, &reason))
		for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
			if (reason.n_value == strlen(sentences[i].reason) &&
			    memcmp(reason.value, sentences[i].reason, reason.n_value) == 0) {
				text_add(text, "%s", sentences[i].sentence);
				return;
			}
	text_add(text, "became read-only");
}

static void add_what(struct text *text, const struct event *event)
{
	switch (event->code) {
	case EVENT_ENOSPC:
		text_add(text, "no space left");
		return;
	case EVENT_ENOSPC_METADATA:
		text_add(text, "no space left for metadata");
		return;
	case EVENT_ENOSPC_INODES:
		text_add(text, "no inodes left, nothing new can be created");
		return;
	case EVENT_THRESHOLD_BELOW:
		add_threshold(text, event, true);
		return;
	case EVENT_THRESHOLD_ABOVE:
		add_threshold(text, event, false);
		return;
	case EVENT_READ_ONLY:
		add_read_only(text, event);
		return;
	case EVENT_READ_WRITE:
		text_add(text, "became writable again");
		return;
	case EVENT_CORRUPTED:
		text_add(text, "is damaged, what is on the disk contradicts itself");
		add_errno(text, event);
		return;
	case EVENT_IO_ERROR:
		text_add(text, "an input or output error occurred");
		add_errno(text, event);
		return;
	case EVENT_WRITEBACK_ERROR:
		text_add(text, "data that programs had written could not be stored");
		add_errno(text, event);
		return;
	case EVENT_SHUTDOWN:
		text_add(text, "the filesystem shut itself down");
		return;
	case EVENT_FROZEN:
		text_add(text, "was frozen, writers wait");
		return;
	case EVENT_THAWED:
		text_add(text, "was thawed");
		return;
	case EVENT_MOUNTED:
		text_add(text, "was mounted");
		add_string(text, event, "type", " (", ")");
		return;
	case EVENT_UNMOUNTED:
		text_add(text, "was unmounted");
		add_string(text, event, "type", " (", ")");
		return;
	case EVENT_STALLED:
		text_add(text, "does not answer");
		add_string(text, event, "operation", " (", ")");
		return;
	case EVENT_RESPONDING:
		text_add(text, "answers again");
		return;
	case _EVENT_CODE_N:
		break;
	}

	assert(!"no such code");
}

void sentence_event(char ret[static SENTENCE_MAX], const struct event *event, uint64_t count)
{
	struct text text = { .data = ret };

	assert(event);

	ret[0] = '\0';

	if (event->test)
		text_add(&text, "Test: ");

	add_where(&text, event);
	add_what(&text, event);
	/* Of a threshold it goes without saying unless it is crossed. */
	if (event->code != EVENT_THRESHOLD_ABOVE && is_set(event, "initial"))
		text_add(&text, ", found at start");

	if (event->pid > 0)
		text_add(&text, ", by process %u", event->pid);
	if (count > 1)
		text_add(&text, is_error(event) ? ", %" PRIu64 " errors" : ", %" PRIu64 " times",
			 count);
}

static void add_writers(struct text *text, const struct detail *detail)
{
	struct detail_writer writer;
	size_t offset = 0;

	for (unsigned int i = 0; i < SENTENCE_WRITERS; i++) {
		char size[SENTENCE_SIZE_MAX];

		if (detail_writer_next(detail, &offset, &writer) != 1)
			return;

		sentence_size(size, writer.bytes);
		text_add(text, "%s%s[%u] %s", i == 0 ? "" : ", ", writer.comm, writer.pid, size);
	}
}

void sentence_writers(char ret[static SENTENCE_MAX], const struct event *event,
		      const struct details *details)
{
	struct text text = { .data = ret };
	struct detail detail;

	assert(event);
	assert(details);

	ret[0] = '\0';

	if (!details_find(details, "writers", &detail) || detail.type != DETAIL_WRITERS ||
	    detail.n_value == 0)
		return;

	add_where(&text, event);
	text_add(&text, "wrote most in the moments before: ");
	add_writers(&text, &detail);
}

void sentence_object(char ret[static SENTENCE_MAX], const struct event *event,
		     const struct details *details)
{
	struct text text = { .data = ret };
	char name[SENTENCE_WHERE_MAX];
	struct detail path, inode;

	assert(event);
	assert(details);

	ret[0] = '\0';

	if (!details_find(details, "path", &path) || path.type != DETAIL_BYTES || path.n_value == 0)
		return;

	escape(name, sizeof(name), path.value, path.n_value, 0);
	add_where(&text, event);
	text_add(&text, "the file concerned is %s", name);
	if (find(event, "inode", DETAIL_U64, &inode))
		text_add(&text, " (inode %" PRIu64 ")", detail_u64(&inode));
}
