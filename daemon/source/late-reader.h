/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A descriptor that is read late
 *
 * Two sources of the loop, of which one is on as a rule: the descriptor's, until
 * it can be read, or a timer, so that what comes meanwhile wakes nobody and is
 * read at once. Both are below the bus, which stays responsive in a storm. Does
 * not read itself, and knows no bounds of how much is.
 *
 * When the loop cannot be told what to wait for, that ends it, as the failure of
 * a handler would.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/* Either may stop the reader, and free what it is in. */
struct late_reader_ops {
	/* It can be read. Nobody is woken again before this calls one of those below. */
	void (*sign)(void *userdata);
	/* The time is over that late_reader_wait() was given. */
	void (*due)(void *userdata);
};

/* All zero: stopped. */
struct late_reader {
	const struct late_reader_ops *ops;
	void *userdata;
	sd_event_source *io;
	sd_event_source *timer;
};

struct late_reader_options {
	int fd;
	bool owns_fd; /* closed when the reader is stopped */
	const char *name; /* of the sources */
	const struct late_reader_ops *ops;
	void *userdata;
};

/**
 * late_reader_start() - begin with neither source on
 * @options:	the descriptor is given away only on success, and only where it is to be owned
 *
 * Return: 0 or a negative errno, -EPERM: it cannot be waited for.
 */
int late_reader_start(struct late_reader *reader, sd_event *loop,
		      const struct late_reader_options *options);
void late_reader_stop(struct late_reader *reader);

/** late_reader_fd() - the descriptor */
int late_reader_fd(const struct late_reader *reader);

/** late_reader_wait() - due in @us, and no sign until then */
void late_reader_wait(struct late_reader *reader, uint64_t us);

/** late_reader_is_waiting() - something is due */
bool late_reader_is_waiting(const struct late_reader *reader);

/** late_reader_listen() - the next sign, and nothing is due */
void late_reader_listen(struct late_reader *reader);

/** late_reader_hear() - the next sign too: what is due stays so */
void late_reader_hear(struct late_reader *reader);
