/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_CULPRIT_H
#define FSEVENTS_CULPRIT_H

/*
 * Whose doing it is, in a hook that runs where something has failed
 */

#include <linux/types.h>

struct filesystem;

/* The tgid of the process that the hook interrupted; 0: none, or the kernel itself. */
u32 culprit_pid(void);

/*
 * What it is at is names or attributes and not data, by the calls that led
 * here. Takes some microseconds: for what has failed alone.
 */
bool culprit_changes_names(void);
/* The same of ext4, by which of its functions failed: a probe cannot look past its own caller. */
bool culprit_ext4_changes_names(unsigned long caller);

/* tell_full() because of it; nothing where @fs is NULL. */
void culprit_tell_full(struct filesystem *fs, u32 id);

#endif
