/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One journal entry as bytes
 *
 * Either journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) in
 * one datagram, or one line of text. Pure: made here, written elsewhere.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/event.h"

/* The bound of a datagram: above the socket's buffer journald wants a memfd, which this never needs. */
#define JOURNAL_ENTRY_MAX (32U << 10)

/* A line up to PIPE_BUF is written to a pipe as a whole or not at all. */
#define JOURNAL_LINE_MAX 4096

enum journal_form {
	JOURNAL_FORM_NATIVE,
	JOURNAL_FORM_LINE, /* "text\n" */
	JOURNAL_FORM_PREFIXED, /* "<4>text\n", as systemd reads from a service's stderr */
};

struct journal_entry {
	char *data; /* owned */
	size_t n_data;
};

/* One more field of a line about the daemon; names are in names.h. */
struct journal_field {
	const char *name;
	const char *value; /* has passed escape(), if foreign */
};

void journal_entry_deinit(struct journal_entry *entry);

/**
 * journal_entry_log() - an entry of a line about the daemon
 * @message_id:	may be NULL
 * @text:	may span lines; in a line form these become spaces
 *
 * Return: 0 or -ENOMEM.
 */
int journal_entry_log(struct journal_entry *ret, enum journal_form form, int priority,
		      const char *message_id, const char *text);

/** journal_entry_fields() - the same with @fields, where the form has any; the last has no name; NULL: none */
int journal_entry_fields(struct journal_entry *ret, enum journal_form form, int priority,
			 const char *message_id, const char *text,
			 const struct journal_field *fields);

/**
 * journal_entry_event() - the entry of an event
 * @count:	how many events it stands for
 *
 * Details become fields FSEVENTS_<KEY>; one that would pass JOURNAL_ENTRY_MAX
 * is left out, which FSEVENTS_CUT=1 says.
 *
 * Return: 0 or -ENOMEM.
 */
int journal_entry_event(struct journal_entry *ret, enum journal_form form,
			const struct event *event, uint64_t count);

/**
 * journal_entry_amend() - what became known later of an event
 * @more:	the later details
 *
 * Return: 0, JOURNAL_ENTRY_E_NOTHING where @more says nothing to a person, or -ENOMEM.
 */
enum { _JOURNAL_ENTRY_E_SUCCESS, JOURNAL_ENTRY_E_NOTHING };
int journal_entry_amend(struct journal_entry *ret, enum journal_form form,
			const struct event *event, const struct details *more);
