/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/record.h"
#include "daemon/output/batch.h"

/* Events with ids above the last one stored; those that are not there any more are counted. */
static size_t add_events(struct batch *batch, const struct history *history, uint8_t *data,
			 size_t n_room)
{
	const struct event *event;
	size_t n = 0;

	while ((event = history_after(history, batch->stored_id))) {
		size_t n_frame = record_frame_event(data + n, n_room - n, event);

		if (n_frame == 0)
			return n;

		n += n_frame;
		batch->dropped += event->id - batch->stored_id - 1;
		batch->stored_id = event->id;
	}

	batch->dropped += history_newest(history) - batch->stored_id;
	batch->stored_id = history_newest(history);
	return n;
}

/*
 * Amendments of events that were stored without them, up to @stored_id. An
 * event of this batch or of a later one has its amendments in it.
 */
static size_t add_amendments(struct batch *batch, uint64_t stored_id, const struct history *history,
			     uint8_t *data, size_t n_room)
{
	struct history_amendment amendment;
	size_t n = 0;

	while (history_amendment_after(history, batch->amendment, &amendment)) {
		if (amendment.id <= stored_id) {
			size_t n_frame = record_frame_amend(data + n, n_room - n, amendment.id,
							    amendment.data, amendment.n_data);

			if (n_frame == 0)
				return n;
			n += n_frame;
		}
		batch->amendment = amendment.seq;
	}

	batch->amendment = history_amendment_seq(history);
	return n;
}

bool batch_is_due(const struct batch *batch, const struct history *history)
{
	assert(batch);
	assert(history);

	return batch->stored_id < history_newest(history) ||
	       batch->amendment < history_amendment_seq(history);
}

int batch_fill(struct batch *batch, const struct history *history, uint8_t **ret, size_t *ret_n)
{
	_cleanup_free_ uint8_t *data = NULL;
	uint64_t stored_id;
	size_t n;

	assert(batch);
	assert(history);
	assert(ret);
	assert(ret_n);

	data = malloc(BATCH_SIZE);
	if (!data)
		return -ENOMEM;

	stored_id = batch->stored_id;
	n = add_events(batch, history, data, BATCH_SIZE);
	n += add_amendments(batch, stored_id, history, data + n, BATCH_SIZE - n);

	*ret = TAKE_PTR(data);
	*ret_n = n;
	return 0;
}
