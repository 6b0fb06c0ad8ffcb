/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Spawner
 *
 * The daemon's side of the zygote: asks it for workers without ever waiting,
 * and starts another zygote when one died (its workers die with it).
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"

struct spawner;
struct spawn; /* one request under way */

/* A worker process; all is the receiver's. */
struct spawned {
	pid_t pid;
	int fd;
	int pidfd;
};

/** spawned_fn - called once per request, from the loop; @error 0 or negative; the request is gone then */
typedef void (*spawned_fn)(int error, const struct spawned *spawned, void *userdata);

/** spawner_new() - @zygote_fd is owned by the spawner on success */
int spawner_new(struct spawner **ret, sd_event *loop, int zygote_fd);

/** spawner_free() - the zygote ends with all its workers; nothing is called any more */
struct spawner *spawner_free(struct spawner *spawner);
DEFINE_FREEP(spawner, spawner_free)

/** spawner_request() - ask for a worker; Return: 0 or -ENOMEM */
int spawner_request(struct spawner *spawner, spawned_fn fn, void *userdata, struct spawn **ret);

/** spawn_cancel() - the worker is not wanted any more */
void spawn_cancel(struct spawn *spawn);

/** spawner_zygote() - its pid, 0 while there is none */
pid_t spawner_zygote(const struct spawner *spawner);
