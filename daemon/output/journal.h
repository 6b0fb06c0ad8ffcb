/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Journal
 *
 * Structured entries to journald over an own non-blocking descriptor, or
 * plain lines to stderr where journald does not listen there; never waits.
 * Behind a bounded queue; what was dropped is counted and told once there is
 * room. The only way in which the daemon logs: lines about itself go through
 * it as well. One per process, since logging is one thing that every layer
 * above the core does.
 *
 * The one target that could make it wait is a regular file as stderr, which
 * Linux cannot write without waiting: let the service manager have stderr.
 */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/config.h"
#include "daemon/core/details.h"
#include "daemon/core/event.h"

/* What waits for a reader at most; what comes above it is dropped and counted. */
#define JOURNAL_QUEUE_ENTRIES 256
#define JOURNAL_QUEUE_BYTES (512U << 10)

/**
 * journal_open() - begin to log; once per process, before the loop runs
 * @socket_path: native journal socket to write to whatever stderr is; NULL:
 *		 journald's where $JOURNAL_STREAM names stderr, else stderr
 *
 * A missing or unusable stderr is no failure: entries are counted as dropped.
 * SIGPIPE is ignored from here on, since nobody may read stderr any more.
 *
 * Return: 0, -EALREADY, -ENOMEM, or what sd-event says.
 */
int journal_open(sd_event *loop, const char *socket_path);

/** journal_close() - one last try to write, without waiting */
void journal_close(void);

/** journal_set_level() - entries of lesser priority are not written, events neither */
void journal_set_level(enum config_log_level level);

/**
 * journal_log() - an entry about the daemon itself
 * @priority:	LOG_ERR: act; LOG_WARNING: degraded; LOG_NOTICE: a state
 *		changed; LOG_INFO: start and stop; LOG_DEBUG
 * @message_id:	one of catalog.h, or NULL
 *
 * Foreign text in it has passed escape() before. Does nothing before
 * journal_open(); errno is kept.
 */
void journal_log(int priority, const char *message_id, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct journal_field;

/** journal_log_fields() - the same with fields of its own: journal-entry.h */
void journal_log_fields(int priority, const char *message_id, const struct journal_field *fields,
			const char *format, ...) __attribute__((format(printf, 4, 5)));

/**
 * journal_log_limited() - the same for what a peer, a file or a disk can trigger
 * @key:	whose doing it is, such as a uid or a mount point; bytes
 *
 * At most ten entries in 30 s for one id and key; how many more there were is
 * told afterwards.
 */
void journal_log_limited(int priority, const char *message_id, const char *key, const char *format,
			 ...) __attribute__((format(printf, 4, 5)));

/** journal_event() - the entry of an event, with its fields and private details */
void journal_event(const struct event *event, uint64_t count);

/** journal_amend() - private details of an event told before, as an entry of their own */
void journal_amend(const struct event *event, const struct details *more);

/** journal_dropped() - entries that were never written, since journal_open() */
uint64_t journal_dropped(void);
