/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One place that the daemon is asked to watch
 *
 * The call, and the stream on which its changes come. Knows nothing of what
 * is told there.
 */

#include <stdint.h>

#include "daemon/ctl/ctl.h"

struct watch_options {
	uint32_t mask;
	uint64_t latency_us; /* with --latency */
};

/**
 * watch_open() - have a path watched, and its stream
 * @ret_fd:	owned by the caller; what changes from now on is kept until it is read
 * @where:	bytes
 *
 * The watch lives as long as the connection of @ctl.
 *
 * Return: enum ctl_exit; CTL_NOT_RUNNING without a word.
 */
int watch_open(int *ret_fd, const struct ctl *ctl, const struct watch_options *options,
	       const char *where);
