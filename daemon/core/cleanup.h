/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Ownership of locals
 *
 * A local that owns something says so with _cleanup_(); it gives the thing
 * away with TAKE_PTR() or TAKE_FD(), which leave "nothing" behind.
 */

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

#define TAKE_PTR(_ptr)                                                                             \
	({                                                                                         \
		__typeof__(_ptr) _taken = (_ptr);                                                  \
                                                                                                   \
		(_ptr) = NULL;                                                                     \
		_taken;                                                                            \
	})

#define TAKE_FD(_fd)                                                                               \
	({                                                                                         \
		int _taken_fd = (_fd);                                                             \
                                                                                                   \
		(_fd) = -1;                                                                        \
		_taken_fd;                                                                         \
	})

/** DEFINE_FREEP() - the cleanup function of a type whose destructor returns NULL */
#define DEFINE_FREEP(_type, _free)                                                                 \
	static inline void _free##p(struct _type **p)                                              \
	{                                                                                          \
		*p = _free(*p);                                                                    \
	}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
