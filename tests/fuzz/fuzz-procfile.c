/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Texts of /proc/PID: stat, status and cgroup. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/process-policy.h"
#include "daemon/core/procfile.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct procfile_status status;
	struct procfile_stat stat;
	uint32_t uids[4] = {};
	char *copy = input_copy(data, size), unit[256];
	int r;

	r = procfile_decode_stat(copy, size, &stat);
	assert(r == -EBADMSG || (r == 0 && stat.pid > 0));
	r = procfile_decode_status(copy, size, &status);
	assert(r == -EBADMSG || r == 0);
	/* Wherever both have an answer it is the same one. */
	assert(procfile_decode_uids(copy, size, uids) == 0 || r == -EBADMSG);
	assert(r < 0 || memcmp(uids, status.uids, sizeof(uids)) == 0);
	r = process_unit_of(copy, size, unit, sizeof(unit));
	assert(r == -ENOENT || (r == 0 && strlen(unit) > 0 && *unit != '/'));
	free(copy);
	return 0;
}
