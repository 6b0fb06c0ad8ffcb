/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The decoder of uevents: the input is one datagram. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/wire-uevent.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct uevent untouched = { UEVENT_CHANGED, 77, 78 };
	struct uevent event = untouched;
	char *copy = input_copy(data, size);
	int r;

	r = uevent_decode(copy, size, &event);
	assert(r == 0 || r == UEVENT_OTHER || r == -EBADMSG);
	if (r == 0)
		assert(event.kind <= UEVENT_REMOVED);
	else
		assert(memcmp(&event, &untouched, sizeof(event)) == 0);

	free(copy);
	return 0;
}
