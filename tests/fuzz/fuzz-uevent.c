/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The decoder of uevents: the input is one datagram. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/wire-uevent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct uevent untouched = { UEVENT_CHANGED, 77, 78 };
	struct uevent event = untouched;
	char *copy = malloc(size ?: 1);
	int r;

	/* An exact-size copy, so that a read one byte too far is seen. */
	assert(copy);
	memcpy(copy, data, size);

	r = uevent_decode(copy, size, &event);
	assert(r == 0 || r == UEVENT_OTHER || r == -EBADMSG);
	if (r == 0)
		assert(event.kind <= UEVENT_REMOVED);
	else
		assert(memcmp(&event, &untouched, sizeof(event)) == 0);

	free(copy);
	return 0;
}
