/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The agent's own files
 *
 * Small texts, in the user's state directory what outlives a session, in the
 * runtime directory what is of this one. They are read at the start and when a
 * person asks for it. Writing is left to a child, since the disk with the home
 * of the user may be the one that does not answer; a file is replaced as a
 * whole or not at all. Without a runtime directory nothing is kept there.
 */

#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"

/* Longer files are not ours. */
#define PLACE_TEXT_MAX 262144

struct place;

/** place_new() - @loop: NULL where nothing is to be written in the background */
int place_new(struct place **ret, sd_event *loop);

/* Waits, for a moment and no longer, until what is being written is written. */
struct place *place_free(struct place *place);
DEFINE_FREEP(place, place_free);

enum place_file {
	PLACE_SEEN,
	PLACE_MUTED,
	PLACE_SHOWN, /* of the session */
	PLACE_FOLDERS, /* of the session */

	_PLACE_FILE_N,
};

/** place_read() - a file as text; Return: 0, -ENOENT, -EFBIG, or another negative errno */
int place_read(struct place *place, enum place_file file, char **ret);

/** place_write() - replace a file, now; Return: 0 or a negative errno */
int place_write(struct place *place, enum place_file file, const char *text);

/**
 * place_write_later() - replace a file in the background
 *
 * One child for each file: while it writes, the last text that came is kept,
 * and written after. Failures are told on stderr, once.
 */
void place_write_later(struct place *place, enum place_file file, const char *text);
