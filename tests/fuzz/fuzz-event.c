/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Datagrams of the module's family. What is accepted keeps its promises; what
 * is not leaves the result alone.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/wire-event.h"
#include "tests/fuzz/input.h"

static void decode_event(const struct wire_message *message)
{
	struct wire_event event, before;
	int r;

	memset(&event, 0x5a, sizeof(event));
	before = event;
	r = wire_event_decode(message->attributes, message->n_attributes, &event);
	if (r != 1) {
		assert((r == 0 || r == -EBADMSG) && memcmp(&event, &before, sizeof(event)) == 0);
		return;
	}
	assert(event.id != FS_EVENT_NONE);
	assert(event.count >= 1);
	assert(event.pid <= INT32_MAX);
	assert(event.error <= 4095);
	assert(strnlen(event.level, sizeof(event.level)) < sizeof(event.level));
}

static void decode_others(const struct wire_message *message)
{
	struct wire_event_answer answer;
	struct wire_family family;
	uint32_t id;

	if (wire_watch_answer_decode(message->attributes, message->n_attributes, &id) == 1)
		assert(id != 0);
	if (wire_event_answer_decode(message->attributes, message->n_attributes, &answer) == 1)
		assert(answer.fs_id != 0);
	if (wire_family_decode(message->attributes, message->n_attributes, &family) == 1)
		assert(family.id != 0 && family.name[0] &&
		       strnlen(family.name, sizeof(family.name)) < sizeof(family.name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = input_copy(data, size);
	struct wire_message message;
	size_t offset = 0, before;
	int r;

	for (;;) {
		before = offset;
		r = wire_message_next(copy, size, &offset, &message);
		assert(offset >= before && offset <= size);
		if (r != 1)
			break;
		assert(offset > before);
		if (message.is_ack) {
			assert(message.error <= 0 && message.error >= -4095);
			continue;
		}
		assert((const uint8_t *)message.attributes >= copy &&
		       (const uint8_t *)message.attributes + message.n_attributes <= copy + size);
		decode_event(&message);
		decode_others(&message);
	}
	assert(r == 0 || r == -EBADMSG);
	free(copy);
	return 0;
}
