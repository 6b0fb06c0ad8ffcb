/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/memory.h"

/* linux/mman.h (Linux 5.14) */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* Libraries of whose code an alarm needs more than can be said here. */
static const char *const needed[] = {
	"ld-linux", "ld64", "libc.so", "libinih.so", "libmnl.so", "libsystemd.so",
};

struct population {
	size_t n_bytes;
	int error;
};

int memory_lock(void)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	int flags = MCL_CURRENT | MCL_ONFAULT;

	/* Below a limit memory that is locked in future would be memory that cannot be had. */
	if (setrlimit(RLIMIT_MEMLOCK, &none) == 0)
		flags |= MCL_FUTURE;
	return mlockall(flags) < 0 ? -errno : 0;
}

/* The program itself comes without a name, the kernel's own page with that of no file. */
static bool is_needed(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (path[0] == '\0')
		return true;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (strncmp(name, needed[i], strlen(needed[i])) == 0)
			return true;
	return false;
}

static void populate(struct population *population, uintptr_t begin, uintptr_t end)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	begin &= ~(page - 1);
	end = (end + page - 1) & ~(page - 1);
	if (madvise((void *)begin, end - begin, MADV_POPULATE_READ) < 0)
		population->error = -errno;
	else
		population->n_bytes += end - begin;
}

static int on_object(struct dl_phdr_info *info, size_t n_info, void *userdata)
{
	struct population *population = userdata;

	if (!is_needed(info->dlpi_name))
		return 0;

	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + part->p_vaddr;

		/* Without what the file does not have: that is made of nothing when it is touched. */
		if (part->p_type == PT_LOAD && part->p_filesz > 0)
			populate(population, begin, begin + part->p_filesz);
	}
	return 0;
}

int memory_populate(size_t *ret_bytes)
{
	struct population population = {};

	dl_iterate_phdr(on_object, &population);
	if (ret_bytes)
		*ret_bytes = population.n_bytes;
	return population.error;
}
