/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <syslog.h>
#include <time.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/escape.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal-entry.h"
#include "daemon/output/journal-target.h"
#include "daemon/output/journal.h"
#include "daemon/output/limiter.h"

/* Entries written per wake-up, so that a reader who catches up is not all we do. */
#define JOURNAL_BATCH 32

#define JOURNAL_TEXT_MAX 2048
#define JOURNAL_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 20)

/* A window of the limiter is half a minute: nobody minds a second. */
#define JOURNAL_TIMER_ACCURACY_US (1000 * 1000)

struct journal {
	struct journal_target target;
	sd_event_source *io; /* NULL for regular files */
	sd_event_source *timer; /* tells what the limiter suppressed */
	sd_event *loop;

	/* A ring; entries[head] may be written in part, only on a stream. */
	struct journal_entry entries[JOURNAL_QUEUE_ENTRIES];
	size_t head, n_entries, n_bytes;
	size_t n_written;

	uint64_t dropped, dropped_untold;
	struct limiter limiter;
};

/* Logging is called from everywhere: the one object without an owner to pass it along. */
static struct journal *journal;
static int journal_level = LOG_INFO;

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int on_writable(sd_event_source *source, int fd, uint32_t revents, void *userdata);

static void journal_attach(struct journal *j)
{
	int r;

	if (j->target.fd < 0)
		return;

	/* -EPERM: a regular file, which is always writable. */
	r = sd_event_add_io(j->loop, &j->io, j->target.fd, EPOLLOUT, on_writable, j);
	if (r < 0)
		return;

	(void)sd_event_source_set_description(j->io, "journal");
	/* Below the bus: what is logged can wait for those who are asked. */
	(void)sd_event_source_set_priority(j->io, JOURNAL_PRIORITY);
	(void)sd_event_source_set_enabled(j->io, SD_EVENT_OFF);
}

/*
 * As journal_target_write() for the entry at the head of the queue, or for one
 * that finds the queue empty. journald may have been restarted, or its socket
 * made anew: then once more, on a new one.
 */
static int journal_try(struct journal *j, const struct journal_entry *entry)
{
	int r;

	r = journal_target_write(&j->target, entry, &j->n_written);
	if (r < 0 && r != -EMSGSIZE) {
		/* The loop holds the descriptor: it lets go before it is closed. */
		j->io = sd_event_source_disable_unref(j->io);

		if (journal_target_reconnect(&j->target)) {
			j->n_written = 0;
			r = journal_target_write(&j->target, entry, &j->n_written);
		}
		journal_attach(j);
	}

	if (r != JOURNAL_TARGET_E_FULL)
		j->n_written = 0;
	return r;
}

static void journal_pop(struct journal *j)
{
	struct journal_entry *entry = &j->entries[j->head];

	j->n_bytes -= entry->n_data;
	journal_entry_deinit(entry);
	j->head = (j->head + 1) % JOURNAL_QUEUE_ENTRIES;
	j->n_entries--;
	j->n_written = 0;
}

static void journal_drop(struct journal *j)
{
	j->dropped++;
	j->dropped_untold++;
}

static void journal_wait(struct journal *j, bool wait)
{
	if (j->io)
		(void)sd_event_source_set_enabled(j->io, wait ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* Takes @entry over; Return: false when it is lost. */
static bool journal_send(struct journal *j, struct journal_entry *entry)
{
	_cleanup_(journal_entry_deinit) struct journal_entry e = *entry;

	*entry = (struct journal_entry){};

	if (j->n_entries == 0) {
		int r = journal_try(j, &e);

		if (r == 0)
			return true;
		if (r < 0 || !j->io) {
			j->n_written = 0;
			return false;
		}
	}

	if (j->n_entries == JOURNAL_QUEUE_ENTRIES || e.n_data > JOURNAL_QUEUE_BYTES - j->n_bytes)
		return false;

	j->entries[(j->head + j->n_entries) % JOURNAL_QUEUE_ENTRIES] = e;
	j->n_entries++;
	j->n_bytes += e.n_data;
	e = (struct journal_entry){};
	journal_wait(j, true);
	return true;
}

/* Say what was lost, once there is room for it. */
static void journal_tell_dropped(struct journal *j)
{
	struct journal_entry entry;
	char text[128];

	if (j->dropped_untold == 0 || j->n_entries > 0)
		return;

	(void)snprintf(text, sizeof(text),
		       "%" PRIu64 " journal %s dropped, since nobody read the journal",
		       j->dropped_untold, j->dropped_untold == 1 ? "entry was" : "entries were");

	if (journal_entry_log(&entry, j->target.form, LOG_WARNING, CATALOG_JOURNAL_DROPPED, text) <
	    0)
		return;
	if (journal_send(j, &entry))
		j->dropped_untold = 0;
}

static void journal_push(struct journal *j, struct journal_entry *entry)
{
	journal_tell_dropped(j);

	if (!journal_send(j, entry))
		journal_drop(j);
}

static void journal_flush(struct journal *j, size_t n_max)
{
	for (size_t i = 0; i < n_max && j->n_entries > 0; i++) {
		int r = journal_try(j, &j->entries[j->head]);

		if (r == JOURNAL_TARGET_E_FULL)
			break;
		if (r < 0)
			journal_drop(j);

		journal_pop(j);
	}

	journal_tell_dropped(j);
	journal_wait(j, j->n_entries > 0);
}

static int on_writable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct journal *j = userdata;

	journal_flush(j, JOURNAL_BATCH);
	return 0;
}

static void journal_write_fields(struct journal *j, int priority, const char *message_id,
				 const char *text, const struct journal_field *fields)
{
	struct journal_entry entry;

	if (journal_entry_fields(&entry, j->target.form, priority, message_id, text, fields) < 0) {
		journal_drop(j);
		return;
	}

	journal_push(j, &entry);
}

static void journal_write(struct journal *j, int priority, const char *message_id, const char *text)
{
	journal_write_fields(j, priority, message_id, text, NULL);
}

/* Cut at a whole character. */
static void format_text(char ret[static JOURNAL_TEXT_MAX], const char *format, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void format_text(char ret[static JOURNAL_TEXT_MAX], const char *format, va_list ap)
{
	size_t n;
	int r;

	ret[0] = '\0';
	r = vsnprintf(ret, JOURNAL_TEXT_MAX, format, ap);
	if (r < JOURNAL_TEXT_MAX)
		return;

	n = JOURNAL_TEXT_MAX - 1;
	while (n > 0 && ((unsigned char)ret[n - 1] & 0xc0) == 0x80)
		n--;
	if (n > 0 && (unsigned char)ret[n - 1] >= 0xc0)
		n--;
	ret[n] = '\0';
}

void journal_log(int priority, const char *message_id, const char *format, ...)
{
	char text[JOURNAL_TEXT_MAX];
	int saved_errno = errno;
	va_list ap;

	if (!journal || priority > journal_level)
		return;

	va_start(ap, format);
	format_text(text, format, ap);
	va_end(ap);

	journal_write(journal, priority, message_id, text);
	errno = saved_errno;
}

void journal_log_fields(int priority, const char *message_id, const struct journal_field *fields,
			const char *format, ...)
{
	char text[JOURNAL_TEXT_MAX];
	int saved_errno = errno;
	va_list ap;

	if (!journal || priority > journal_level)
		return;

	va_start(ap, format);
	format_text(text, format, ap);
	va_end(ap);

	journal_write_fields(journal, priority, message_id, text, fields);
	errno = saved_errno;
}

static int on_suppressed(sd_event_source *source, uint64_t usec, void *userdata);

/* One timer for all keys, which runs only while something is to be told. */
static void journal_set_timer(struct journal *j)
{
	uint64_t due_us = limiter_due_us(&j->limiter);
	int r;

	if (due_us == UINT64_MAX)
		return;

	if (j->timer) {
		(void)sd_event_source_set_time(j->timer, due_us);
		(void)sd_event_source_set_enabled(j->timer, SD_EVENT_ONESHOT);
		return;
	}

	r = sd_event_add_time(j->loop, &j->timer, CLOCK_MONOTONIC, due_us,
			      JOURNAL_TIMER_ACCURACY_US, on_suppressed, j);
	if (r >= 0)
		(void)sd_event_source_set_description(j->timer, "journal-suppressed");
}

static int on_suppressed(sd_event_source *source, uint64_t usec, void *userdata)
{
	char label[LIMITER_LABEL_MAX], text[JOURNAL_TEXT_MAX];
	struct journal *j = userdata;
	uint64_t now = now_us(), n;

	while ((n = limiter_next(&j->limiter, now, label)) > 0) {
		(void)snprintf(text, sizeof(text),
			       "%" PRIu64 " more journal entr%s of this kind %s suppressed: %s", n,
			       n == 1 ? "y" : "ies", n == 1 ? "was" : "were", label);
		journal_write(j, LOG_NOTICE, CATALOG_SUPPRESSED, text);
	}

	journal_set_timer(j);
	return 0;
}

void journal_log_limited(int priority, const char *message_id, const char *key, const char *format,
			 ...)
{
	char text[JOURNAL_TEXT_MAX], label[LIMITER_LABEL_MAX];
	int saved_errno = errno;
	va_list ap;

	assert(key);

	if (!journal || priority > journal_level)
		return;

	(void)escape(label, sizeof(label), key, strlen(key), 0);

	if (!limiter_pass(&journal->limiter, limiter_key(message_id, key), label, now_us())) {
		journal_set_timer(journal);
		errno = saved_errno;
		return;
	}

	va_start(ap, format);
	format_text(text, format, ap);
	va_end(ap);

	journal_write(journal, priority, message_id, text);
	errno = saved_errno;
}

void journal_event(const struct event *event, uint64_t count)
{
	struct journal_entry entry;

	assert(event);

	if (!journal || catalog_priority(event->severity) > journal_level)
		return;

	if (journal_entry_event(&entry, journal->target.form, event, count) < 0) {
		journal_drop(journal);
		return;
	}

	journal_push(journal, &entry);
}

void journal_amend(const struct event *event, const struct details *more)
{
	struct journal_entry entry;
	int r;

	assert(event);
	assert(more);

	if (!journal || LOG_NOTICE > journal_level)
		return;

	r = journal_entry_amend(&entry, journal->target.form, event, more);
	if (r == JOURNAL_ENTRY_E_NOTHING)
		return;
	if (r < 0) {
		journal_drop(journal);
		return;
	}

	journal_push(journal, &entry);
}

uint64_t journal_dropped(void)
{
	return journal ? journal->dropped : 0;
}

void journal_set_level(enum config_log_level level)
{
	static const int priorities[] = {
		[CONFIG_LOG_ERROR] = LOG_ERR,	  [CONFIG_LOG_WARNING] = LOG_WARNING,
		[CONFIG_LOG_NOTICE] = LOG_NOTICE, [CONFIG_LOG_INFO] = LOG_INFO,
		[CONFIG_LOG_DEBUG] = LOG_DEBUG,
	};

	assert(level <= CONFIG_LOG_DEBUG);

	journal_level = priorities[level];
}

int journal_open(sd_event *loop, const char *socket_path)
{
	_cleanup_free_ struct journal *j = NULL;

	assert(loop);

	if (journal)
		return -EALREADY;

	j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;

	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;

	j->loop = sd_event_ref(loop);
	journal_target_open(&j->target, socket_path);
	journal_attach(j);

	journal = TAKE_PTR(j);
	return 0;
}

void journal_close(void)
{
	struct journal *j = journal;

	if (!j)
		return;

	journal_flush(j, JOURNAL_QUEUE_ENTRIES);
	while (j->n_entries > 0)
		journal_pop(j);

	sd_event_source_disable_unref(j->io);
	sd_event_source_disable_unref(j->timer);
	journal_target_close(&j->target);
	sd_event_unref(j->loop);
	free(j);
	journal = NULL;
}
