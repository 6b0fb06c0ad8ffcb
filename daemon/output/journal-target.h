/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where journal entries go
 *
 * A descriptor of our own that never blocks: a datagram socket connected to
 * journald, or stderr opened once more. Knows no queue and no loop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/un.h>

#include "daemon/output/journal-entry.h"

struct journal_target {
	enum journal_form form; /* what is to be written here */
	int fd; /* owned; -1: nowhere */
	bool is_socket;
	struct sockaddr_un address; /* JOURNAL_FORM_NATIVE */
};

/**
 * journal_target_open() - find out where entries go
 * @socket_path: a native socket, else NULL for what the service manager gave us
 *
 * Cannot fail: where nothing can be opened ->fd is -1.
 */
void journal_target_open(struct journal_target *ret, const char *socket_path);
void journal_target_close(struct journal_target *target);

/** journal_target_reconnect() - after journald's socket was made anew; Return: true on success */
bool journal_target_reconnect(struct journal_target *target);

enum {
	_JOURNAL_TARGET_E_SUCCESS,

	JOURNAL_TARGET_E_FULL, /* the reader does not read just now */
};

/**
 * journal_target_write() - write what is left of an entry
 * @offset:	bytes written before; advanced, since a stream may take a part
 *
 * Return: 0 when all is written, JOURNAL_TARGET_E_FULL, or a negative errno.
 */
int journal_target_write(struct journal_target *target, const struct journal_entry *entry,
			 size_t *offset);
