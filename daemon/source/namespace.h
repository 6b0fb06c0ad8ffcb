/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The mount namespace of PID 1
 *
 * Whether the caller is in it. The link in /proc that says so is readable
 * only for whoever may trace PID 1; where it is not, mount ids tell: living
 * mounts of different namespaces never share one.
 */

#include <stdbool.h>

/**
 * namespace_is_shared() - the caller's mount namespace is PID 1's
 *
 * Return: 1, 0, or a negative errno where that cannot be found out.
 */
int namespace_is_shared(void);
