/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/output/store-internal.h"

void store_answer_load(struct store *store, const struct state_loaded *loaded)
{
	if (store->load_answered)
		return;

	store->load_answered = true;
	store->ops->loaded(loaded, store->userdata);
}

/* The past is as it was loaded; its mark counts if it is gone by now. */
void store_answer_past(struct store *store, bool unmarked)
{
	_cleanup_free_ void *past = TAKE_PTR(store->past);
	struct state_loaded loaded;

	assert(past);

	if (state_loaded_decode(past, store->n_past, &loaded) < 0) {
		store_answer_load(store, NULL);
		return;
	}

	if (!unmarked)
		loaded.next_id = 0;
	store_answer_load(store, &loaded);
}

/*
 * Before an id is given out: were this run killed with the mark still there,
 * the next one would give out the same ids.
 */
static void store_unmark(struct store *store, const struct state_loaded *loaded)
{
	const struct state_request request = {
		.directory = store->directory,
		.epoch = loaded->epoch,
		.epoch_first_id = loaded->epoch_first_id,
		.reserved = loaded->next_id + STORE_RESERVE_AHEAD,
		.gaps = loaded->gaps,
		.n_gaps = loaded->n_gaps,
	};
	uint64_t now_us = 0;

	store->reserving = request.reserved;
	store_submit(store, STORE_UNMARK, &request);
	if (store->job == STORE_IDLE) {
		store_answer_past(store, false);
		return;
	}

	/* Within the time of the load. */
	(void)sd_event_now(store->loop, CLOCK_MONOTONIC, &now_us);
	store_set_timer(store, now_us < store->load_until_us ? store->load_until_us - now_us : 0);
}

void store_load_done(struct store *store, const void *reply, size_t n)
{
	struct state_loaded loaded;

	if (state_loaded_decode(reply, n, &loaded) < 0) {
		store_failed(store, POOL_FAILED, "the worker's answer made no sense");
		store_answer_load(store, NULL);
		return;
	}

	if (loaded.next_id > 0 && !store->distrust_mark)
		store->past = malloc(n);
	if (!store->past) {
		loaded.next_id = 0;
		store_answer_load(store, &loaded);
		return;
	}

	memcpy(store->past, reply, n);
	store->n_past = n;
	store_unmark(store, &loaded);
}

int store_start(struct store *store)
{
	struct state_request request;

	assert(store);
	assert(store->job == STORE_IDLE);

	if (!store->directory) {
		store_set_timer(store, 0);
		return 0;
	}

	request = (struct state_request){
		.directory = store->directory,
		.history_size = store->history_size,
	};
	(void)sd_event_now(store->loop, CLOCK_MONOTONIC, &store->load_until_us);
	store->load_until_us += STORE_LOAD_US;
	store_submit(store, STORE_LOAD, &request);
	return 0;
}
