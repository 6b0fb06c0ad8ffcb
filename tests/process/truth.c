/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <err.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/process/truth.h"

struct truth *truth_map(int fd, uint32_t n_records_max)
{
	struct truth *truth;
	struct stat st;
	size_t size = sizeof(*truth) + n_records_max * sizeof(truth->records[0]);

	if (n_records_max > 0 && ftruncate(fd, (off_t)size) < 0)
		err(1, "ftruncate");
	if (fstat(fd, &st) < 0)
		err(1, "fstat");

	truth = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (truth == MAP_FAILED)
		err(1, "mmap");
	if (n_records_max > 0)
		truth->n_records_max = n_records_max;
	return truth;
}

void truth_add(struct truth *truth, const struct truth_record *record)
{
	uint32_t i = atomic_fetch_add(&truth->n_records, 1);

	/* Also called between vfork() and exec: nothing but this may change. */
	if (i < truth->n_records_max)
		truth->records[i] = *record;
}
