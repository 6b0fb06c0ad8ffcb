/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One worker process, seen from the daemon
 *
 * Sends it a job, gathers its answer piece by piece, and hears of its death,
 * all from the event loop. Knows no deadline and no queue: that is the
 * pool's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/pool.h"
#include "daemon/worker/spawner.h"

/* Behind the bus, so that control stays responsive in a flood. */
#define REMOTE_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

struct remote;

struct remote_ops {
	/* The job ended: @error 0 with a reply to free(), or its negative errno. */
	void (*answered)(int error, void *reply, size_t n_reply, void *userdata);
	/* The socket ended or what came makes no sense; nothing comes any more but died(). */
	void (*broken)(void *userdata);
	/* The process is gone. */
	void (*died)(void *userdata);
};

/** remote_new() - the descriptors of @spawned are owned by the remote on success */
int remote_new(struct remote **ret, sd_event *loop, const struct spawned *spawned,
	       const struct remote_ops *ops, void *userdata);

/** remote_free() - does not kill; may be called from within died() */
struct remote *remote_free(struct remote *remote);
DEFINE_FREEP(remote, remote_free)

struct remote_job {
	enum job_kind kind;
	const void *payload; /* borrowed until answered() or remote_kill() */
	size_t n_payload;
	int fd; /* -1, or passed along; borrowed during the call */
};

/**
 * remote_send() - give it a job; it must have none
 *
 * Return: 0, or a negative errno: it cannot be used any more.
 */
int remote_send(struct remote *remote, const struct remote_job *job);

/** remote_poll() - take an answer that is there already, without waiting for the loop's turn */
void remote_poll(struct remote *remote);

/** remote_kill() - by SIGKILL; from now on only died() is called, when it could die */
void remote_kill(struct remote *remote);

pid_t remote_pid(const struct remote *remote);
