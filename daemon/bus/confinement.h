/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Whether a process sees the paths that we see
 *
 * One in another mount namespace or below another root means something else by a
 * path, and may have been put there so that it cannot reach ours. The links in
 * /proc say so without touching a filesystem. Another process may have the
 * pid by then: so this adds to what its user may see nothing, it only takes away.
 */

#include <stdint.h>

/**
 * confinement_check() - is its root directory, in its mount namespace, ours?
 *
 * Return: 0, -EXDEV where it is another one, or a negative errno where that
 * cannot be known.
 */
int confinement_check(uint32_t pid);
