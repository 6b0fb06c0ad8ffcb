/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Closing descriptors of strangers
 *
 * close() is not harmless: of a file on FUSE it sends FLUSH to the program
 * behind it and waits for an answer that may never come (also where the
 * descriptor is one of many for the file); of a socket or a terminal it may
 * wait for data to leave. Such a wait on the event loop would be the end of
 * the daemon, and its process would linger as long, with the bus name.
 *
 * So each is closed by a thread of its own, made for it. One that does not
 * come back within STRANGER_DEADLINE_US is freed: the FUSE connection behind
 * the file is aborted (fusectl; its number is the minor device number) and
 * the thread gets a signal, which ends the waits that can be interrupted.
 * Threads and waiting descriptors are bounded; past that strangers_full() asks
 * to take in no more until some are closed. They must not be left to the kernel
 * to drop instead: the last one of a socket that lingers waits there too. Only
 * where none has been closed for STRANGER_LOST_US, strangers_lost() says that
 * waiting leads to nothing.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"

#define STRANGER_DEADLINE_US (500 * 1000)
#define STRANGER_LOST_US (5 * 1000 * 1000)
#define STRANGER_THREADS 4
#define STRANGER_WAITING 64

struct strangers;

/* What the process behind a descriptor did; for the log. */
struct stranger_report {
	const char *sender; /* as given to strangers_close(), borrowed */
	bool aborted; /* the FUSE connection was aborted */
	uint32_t major, minor; /* of the file's filesystem, 0:0 where unknown */
};

struct strangers_ops {
	/* The device number of a mount, to know whom to abort; Return: 0 or negative errno. */
	int (*find_device)(uint32_t mnt_id, uint32_t *ret_major, uint32_t *ret_minor,
			   void *userdata);
	/* The deadline passed, and what was done about it. Once a descriptor. */
	void (*stuck)(const struct stranger_report *report, void *userdata);
	/* What strangers_full() and strangers_lost() say may have changed. */
	void (*changed)(void *userdata);
};

int strangers_new(struct strangers **ret, sd_event *loop, const struct strangers_ops *ops,
		  void *userdata);

/** strangers_free() - does not wait: threads that hang keep what they need and free it themselves */
struct strangers *strangers_free(struct strangers *strangers);
DEFINE_FREEP(strangers, strangers_free)

/**
 * strangers_close() - have a descriptor closed; never waits
 * @fd:		owned by this from now on, whatever happens
 * @sender:	bus name for the report, copied; NULL: unknown
 */
void strangers_close(struct strangers *strangers, int fd, const char *sender);

/** strangers_full() - no more should be received now */
bool strangers_full(const struct strangers *strangers);

/** strangers_lost() - full, and likely to remain so */
bool strangers_lost(const struct strangers *strangers);
