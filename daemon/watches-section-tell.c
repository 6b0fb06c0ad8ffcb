/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "daemon/names.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal-entry.h"
#include "daemon/output/journal.h"
#include "daemon/watches-section.h"
#include "include/fsevents_stream.h"

/* Of a path in a text. */
#define SHOWN_MAX 900

static int priority(const struct section *section)
{
	switch (section->level) {
	case CONFIG_LOG_ERROR:
		return LOG_ERR;
	case CONFIG_LOG_WARNING:
		return LOG_WARNING;
	case CONFIG_LOG_NOTICE:
		return LOG_NOTICE;
	case CONFIG_LOG_INFO:
		return LOG_INFO;
	case CONFIG_LOG_DEBUG:
		return LOG_DEBUG;
	}

	assert(!"no such level");
	return LOG_INFO;
}

/* One of a section: what it says begins with a path. */
static void write_entry(const struct section *section, int level, const char *id, const char *path,
			const char *text)
{
	const struct journal_field fields[] = {
		{ JOURNAL_FIELD_PATH, path },
		{},
	};
	char shown[SHOWN_MAX];

	watch_entry_path(shown, sizeof(shown), section->path, NULL, 0);
	journal_log_fields(level, id, fields, "%s: %s", shown, text);
}

void section_tell_left_out(struct section *section)
{
	uint64_t n = entry_rate_take(&section->rate, watches_now());
	char count[24], path[WATCH_ENTRY_PATH_MAX], shown[SHOWN_MAX];
	const struct journal_field fields[] = {
		{ JOURNAL_FIELD_PATH, path },
		{ JOURNAL_FIELD_COUNT, count },
		{},
	};

	if (n == 0)
		return;
	(void)snprintf(count, sizeof(count), "%" PRIu64, n);
	watch_entry_path(path, sizeof(path), section->path, NULL, 0);
	watch_entry_path(shown, sizeof(shown), section->path, NULL, 0);
	journal_log_fields(priority(section), CATALOG_WATCH_LEFT_OUT, fields,
			   "%s: ... and %" PRIu64 " more", shown, n);
}

/* Return: whether one more may be written. */
static bool pass(struct section *section)
{
	uint64_t now = watches_now();

	section_tell_left_out(section);
	if (entry_rate_pass(&section->rate, now))
		return true;
	watches_arm_unless(section->window,
			   section->rate.until_us > now ? section->rate.until_us - now : 0);
	return false;
}

static void tell_change(struct section *section, const struct change *change)
{
	struct watch_entry entry;
	struct journal_field fields[5] = {};
	size_t n = 0;

	if (!pass(section))
		return;

	watch_entry_change(&entry, section->path, change);
	fields[n++] = (struct journal_field){ JOURNAL_FIELD_PATH, entry.path };
	fields[n++] = (struct journal_field){ JOURNAL_FIELD_EVENTS, entry.events };
	if (*entry.former)
		fields[n++] = (struct journal_field){ JOURNAL_FIELD_FORMER, entry.former };
	if (*entry.pid)
		fields[n++] = (struct journal_field){ JOURNAL_FIELD_PID, entry.pid };
	journal_log_fields(priority(section), CATALOG_WATCH_CHANGED, fields, "%s", entry.text);
}

static void tell_lost(struct section *section, const struct watch_record *record)
{
	char count[24] = "", path[WATCH_ENTRY_PATH_MAX], shown[SHOWN_MAX];
	const struct journal_field fields[] = {
		{ JOURNAL_FIELD_PATH, path },
		{ record->count > 0 ? JOURNAL_FIELD_COUNT : NULL, count },
		{},
	};

	if (!pass(section))
		return;

	watch_entry_path(path, sizeof(path), section->path, record->under, record->n_under);
	watch_entry_path(shown, sizeof(shown), section->path, record->under, record->n_under);
	if (record->count > 0)
		(void)snprintf(count, sizeof(count), "%" PRIu64, record->count);
	journal_log_fields(priority(section), CATALOG_WATCH_LOST, fields,
			   "%s: %s changes there or below were lost", shown,
			   *count ? count : "an unknown number of");
}

void section_take(struct section *section, const void *packet, size_t n)
{
	struct watch_record record;
	size_t offset = 0;

	while (watch_record_next(packet, n, &offset, &record)) {
		if (record.is_lost)
			tell_lost(section, &record);
		else
			tell_change(section, &record.change);
	}
}

void section_tell_present(struct section *section, bool back)
{
	char path[WATCH_ENTRY_PATH_MAX];
	const struct change mount = {
		.mask = FSEVENTS_MOUNT | FSEVENTS_DIRECTORY,
		.name = "",
		.former = "",
	};

	if (back && section->mask & FSEVENTS_MOUNT)
		tell_change(section, &mount);
	if (!pass(section))
		return;
	watch_entry_path(path, sizeof(path), section->path, NULL, 0);
	if (!section->stood)
		write_entry(section, section->absent ? LOG_NOTICE : LOG_INFO, CATALOG_WATCH_PRESENT,
			    path, "is watched");
	else
		write_entry(section, section->absent ? LOG_NOTICE : priority(section),
			    CATALOG_WATCH_PRESENT, path,
			    "is another one, and watched; what changed in between is not known");
}

void section_tell_absent(struct section *section, const char *why)
{
	char path[WATCH_ENTRY_PATH_MAX], text[512];

	if (!pass(section))
		return;
	watch_entry_path(path, sizeof(path), section->path, NULL, 0);
	(void)snprintf(text, sizeof(text), "is not watched until it can be: %.400s", why);
	write_entry(section, LOG_NOTICE, CATALOG_WATCH_ABSENT, path, text);
}
