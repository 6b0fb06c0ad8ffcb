/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the tests of workers and gate share
 *
 * A mount namespace of their own with a fresh /mnt, filesystems in it, a
 * filesystem that hangs, and a meter of how late the event loop is. All of it
 * asserts success itself.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/core/superblock.h"

/** harness_enter() - exits with 77, saying so, where the test cannot run */
void harness_enter(void);

/** harness_require_fanotify() - skip all where a filter of system calls forbids it, as in some containers */
void harness_require_fanotify(void);

uint64_t now_us(void);

/* What has not come after this will not come, on the slowest machine that there is. */
#define PATIENCE_US 30000000ULL

void make_directory(const char *path);
void mount_tmpfs(const char *path, const char *options);

/** mount_image() - a new filesystem of @size on a loop device; false: no such mkfs */
bool mount_image(const char *path, const char *type, const char *size);

/** mount_of() - what the table of mounts would know of this one; borrows @path */
struct mount mount_of(const char *path);

pid_t fuse_start(const char *path, const char *mode);
void fuse_abort(const char *path);
void child_end(pid_t pid); /* SIGKILL, and reap */
bool process_exists(pid_t pid);

struct meter {
	sd_event_source *timer;
	uint64_t due_us;
	uint64_t worst_us; /* late by its own doing, not for want of a processor */
	uint64_t run_delay_us;
};

void meter_start(struct meter *meter, sd_event *loop);
void meter_stop(struct meter *meter);

/** loop_until() - run until @done, at most @timeout_us; Return: *done */
bool loop_until(sd_event *loop, const bool *done, uint64_t timeout_us);
void loop_for(sd_event *loop, uint64_t us);
