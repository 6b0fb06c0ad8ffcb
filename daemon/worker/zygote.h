/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The zygote
 *
 * A small child of the daemon, forked before anything else was opened, that
 * forks the workers: whatever a worker inherits, it inherits from here. It
 * ends, with all its workers, when the daemon's end of its socket is closed,
 * however that came about. zygote_start() is in pool.h; the daemon's side of
 * the socket is the spawner.
 */

#include "daemon/worker/pool.h"

/* More than the pool ever has at a time. */
#define ZYGOTE_WORKERS_MAX 256
