# SPDX-License-Identifier: GPL-2.0-or-later
"""
A wall clock that a test sets, for the daemon alone: a library laid before the
C library's, which moves CLOCK_REALTIME by what stands in a shared file.
"""

import os
import struct
import subprocess

SOURCE = r"""
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static const volatile long *offset;

__attribute__((constructor)) static void map(void)
{
	int fd = open(getenv("TEST_CLOCK"), O_RDONLY | O_CLOEXEC);

	offset = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	r = real(id, ret);
	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ret->tv_sec += *offset;
	return r;
}
"""


class Clock:
    """`env` for the daemon; set(seconds) moves its wall clock from the true one."""

    def __init__(self, directory):
        library = os.path.join(directory, "clock.so")
        source = os.path.join(directory, "clock.c")
        self.path = os.path.join(directory, "clock")
        with open(source, "w", encoding="ascii") as file:
            file.write("#define _GNU_SOURCE\n" + SOURCE)
        with open(self.path, "wb") as file:
            file.write(bytes(8))
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.env = {"LD_PRELOAD": library, "TEST_CLOCK": self.path,
                    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def set(self, seconds):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=q", int(seconds)))
