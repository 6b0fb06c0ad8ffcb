/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Headers of messages from the bus. What is accepted must have its strings
 * within the header, survive losing descriptors and body, and be refusable.
 */

#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/envelope.h"
#include "tests/fuzz/input.h"

static void check_text(const char *text, const uint8_t *data, const struct envelope *e)
{
	const uint8_t *at = (const uint8_t *)text;

	if (text)
		assert(at >= data && at + strlen(text) < data + e->n_header);
}

static void check_refusal(const struct envelope *call)
{
	struct envelope e;
	uint8_t *answer;
	size_t n;

	assert(envelope_refuse(&answer, &n, call, "x.Error", "why") == 0);
	assert(envelope_decode(&e, answer, n) == 0);
	assert(e.n_total == n && e.reply_serial == call->serial);
	assert(strcmp(e.destination, call->sender) == 0);
	free(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope e, again;
	uint8_t *copy = input_copy(data, size);

	if (envelope_decode(&e, copy, size) == 0) {
		assert(e.n_header <= size && e.n_header <= e.n_total);
		check_text(e.sender, copy, &e);
		check_text(e.destination, copy, &e);
		check_text(e.path, copy, &e);
		check_text(e.interface, copy, &e);
		check_text(e.member, copy, &e);
		if (e.sender)
			check_refusal(&e);

		envelope_drop_fds(&e, copy);
		envelope_drop_body(&e, copy);
		assert(envelope_decode(&again, copy, size) == 0);
		assert(again.n_fds == 0 && again.n_total == again.n_header);
	}
	free(copy);
	return 0;
}
