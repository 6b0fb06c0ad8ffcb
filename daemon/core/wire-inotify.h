/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * File events of inotify
 *
 * Decodes what inotify(7) gives into the events that fanotify has, for filesystems that
 * have no handles for files. Lengths are checked by own arithmetic; all that is given back
 * lies in the buffer. Pure.
 *
 * In place of a handle stands the number that the watch has: what happened in a watched
 * directory or to a watched file has it in ->at.dir, and the name in the directory. There
 * is never a target or a pid. The two halves of a rename are one event where one follows the
 * other; else each is a rename of one side, as fanotify tells what came from or went
 * to where nobody watches. That what is watched is gone does not say whether it was a
 * directory.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/wire-file.h"

/* No type of the kernel's: those are not negative. */
#define INOTIFY_HANDLE_TYPE (-1)

/**
 * inotify_event_next() - walk what one read() gave
 *
 * As file_event_next(). What says nothing of files (the watch is gone) is passed over.
 */
int inotify_event_next(const void *buffer, size_t n_buffer, size_t *offset, struct file_event *ret);

/** inotify_handle() - what the events of a watch have in place of a handle */
struct handle inotify_handle(int32_t watch);

/** inotify_watch() - Return: the number of the watch, or -1 where @handle is none */
int32_t inotify_watch(const struct handle_view *handle);

/** inotify_mask() - what is to be asked for instead of a mask of fanotify */
uint32_t inotify_mask(uint64_t mask);
