/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Attributes of exit records. What is accepted names a thread; what is not leaves the result alone. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/wire-taskstats.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_taskstats record, before;
	uint8_t *copy = input_copy(data, size);
	int r;

	memset(&record, 0x5a, sizeof(record));
	before = record;
	r = wire_taskstats_decode(copy, size, &record);
	if (r == 1)
		assert(record.tid > 0);
	else
		assert((r == 0 || r == -EBADMSG) && memcmp(&record, &before, sizeof(record)) == 0);
	free(copy);
	return 0;
}
