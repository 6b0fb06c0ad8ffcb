/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Following processes
 *
 * "track": a group of processes as it forks, executes and ends, one line each,
 * and at its end what it took. The lines are here; ctl_track() in track.c
 * asks the daemon for them.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/core/cleanup.h"
#include "daemon/ctl/feed.h"

enum track_kind {
	TRACK_FORK = 1, /* as on the bus */
	TRACK_EXEC = 2,
	TRACK_EXIT = 3,
};

struct track_event {
	uint64_t seq;
	uint32_t kind; /* enum track_kind; unknown ones may come */
	uint32_t pid, other;
	uint64_t realtime_us;
	int32_t status;
	const char *file; /* bytes */
	size_t n_file;
};

struct track_totals {
	uint32_t leader;
	uint64_t forks, execs, exits, lost;
	bool incomplete;
	bool accounting; /* the rest is known */
	uint64_t user_us, system_us, read_bytes, write_bytes, peak_rss_kib;
};

struct tree;

/** tree_new() - @file: where to; @start_us: realtime, the zero of the times shown */
int tree_new(struct tree **ret, FILE *file, const struct feed_style *style, uint64_t start_us);
struct tree *tree_free(struct tree *tree);
DEFINE_FREEP(tree, tree_free)

/** tree_member() - one that was there before; the leader first */
void tree_member(struct tree *tree, uint32_t pid);
void tree_event(struct tree *tree, const struct track_event *event);
void tree_lost(struct tree *tree, uint64_t count); /* 0: nobody knows how many */

/** tree_summary() - like time(1), for all of them; @real_us: how long it was followed; @ended: else they go on */
void tree_summary(struct tree *tree, const struct track_totals *totals, uint64_t real_us,
		  bool ended);

/* A command that waits to be told to begin. */
struct track_child {
	int pid; /* 0: none, or waited for */
	int pidfd; /* -1: none */
	int go_fd; /* writing to it lets it begin; closed without: it ends */
	int error_fd; /* says why it could not be executed */
	int status; /* for exit(), once ->pid is 0 */
};

/** track_child_start() - @mask: signals that it is to begin with blocked; Return: 0 or a negative errno */
int track_child_start(struct track_child *child, char **args, const sigset_t *mask);
/** track_child_go() - let it begin; Return: 0, or the errno that execvp(3) failed with, or a negative errno */
int track_child_go(struct track_child *child);
/** track_child_reap() - once ->pidfd is readable: waits for it, ->status is known after */
void track_child_reap(struct track_child *child);
/** track_child_deinit() - one that has not begun ends and is waited for */
void track_child_deinit(struct track_child *child);
