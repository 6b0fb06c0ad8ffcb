/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Memory that stays
 *
 * The disk that dies may be the one that this program lies on, and then no
 * page of it can be read any more: neither by the daemon nor by a worker that
 * is forked from now on. So at the start what an alarm may need is read and
 * kept: the program itself and the libraries whose code it runs. Others that are
 * mapped besides (compression and cryptography, for libsystemd's use)
 * are left where they are. Workers lock nothing: the pages that they share are
 * held by the daemon.
 */

#include <stddef.h>

/**
 * memory_lock() - what is touched from now on stays in memory
 *
 * Return: 0, or a negative errno where that is not allowed; then the kernel
 * may drop pages of files again.
 */
int memory_lock(void);

/**
 * memory_populate() - read the program and its libraries
 * @ret_bytes:	how much; may be NULL
 *
 * Return: 0, or the negative errno of the last part that could not be read.
 */
int memory_populate(size_t *ret_bytes);
