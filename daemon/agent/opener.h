/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Opening a folder without waiting
 *
 * A path may lead to a server that does not answer. A child opens it, with the
 * rights of the user and O_PATH alone, and hands the descriptor over; one that
 * hangs is killed after a while, and no more than a few are there at a time.
 */

#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"

#define OPENER_CHILDREN_MAX 4

struct opener_pool {
	sd_event *loop; /* borrowed */
	unsigned int n_children;
	/* A child has ended: another one may start. */
	void (*room)(void *userdata);
	void *userdata;
};

struct opener;

/* @fd: taken by the callee; or a negative errno. The opener may be freed from here, and has to be. */
typedef void (*opener_fn)(int fd, void *userdata);

/** opener_start() - Return: 0, -EAGAIN (as many as there may be), or another negative errno */
int opener_start(struct opener **ret, struct opener_pool *pool, const char *path, opener_fn done,
		 void *userdata);

/** opener_free() - before it is done: never mind */
struct opener *opener_free(struct opener *opener);
DEFINE_FREEP(opener, opener_free);
