/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/record.h"
#include "daemon/output/succession.h"

/* Names an epoch that nobody had before. */
static void epoch_make(char ret[static STATE_EPOCH_LENGTH + 1])
{
	uint8_t bytes[STATE_EPOCH_LENGTH / 2];
	struct timespec now;

	/* Insecure only as long as the kernel has no entropy: it must not wait for it, and nobody can gain by guessing. */
	if (getrandom(bytes, sizeof(bytes), GRND_INSECURE) != (ssize_t)sizeof(bytes)) {
		(void)clock_gettime(CLOCK_REALTIME, &now);
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, &now.tv_sec, 8);
		memcpy(bytes + 8, &now.tv_nsec, 4);
		bytes[15] = (uint8_t)getpid();
	}

	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

static bool ended_in_order(const struct state_loaded *loaded)
{
	return loaded && loaded->epoch[0] && loaded->next_id > loaded->last_id;
}

/*
 * Above all that may have been given out. The clock serves where ids could
 * not be reserved: nobody gives out a million ids in a second.
 */
static uint64_t first_id(const struct state_loaded *loaded)
{
	struct timespec now;
	uint64_t id;

	if (ended_in_order(loaded))
		return loaded->next_id;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	id = 1 + (uint64_t)now.tv_nsec / 1000;
	/* A clock that is this far off is no help. */
	if (now.tv_sec > 0 && (uint64_t)now.tv_sec < STATE_ID_MAX / 2000000)
		id += (uint64_t)now.tv_sec * 1000000;
	if (loaded && loaded->reserved > id)
		id = loaded->reserved;
	if (loaded && loaded->last_id + 1 > id)
		id = loaded->last_id + 1;

	return id;
}

static void restore_events(struct history *history, const struct state_loaded *loaded)
{
	struct record_reader reader = {
		.data = loaded->frames,
		.n_data = loaded->n_frames,
	};
	struct record record;

	while (record_reader_next(&reader, &record)) {
		if (record.kind != RECORD_EVENT)
			continue;
		/* Counted by the run that stored it: in this one it would name another filesystem. */
		record.event.fs.n = 0;
		(void)history_restore(history, &record.event);
	}
}

/* The last event below @id that is stored, 0: none. */
static uint64_t last_below(const struct state_loaded *loaded, uint64_t id)
{
	struct record_reader reader = {
		.data = loaded->frames,
		.n_data = loaded->n_frames,
	};
	struct record record;
	uint64_t last = 0;

	while (record_reader_next(&reader, &record))
		if (record.id < id)
			last = record.id;

	return last;
}

static void restore_gaps(struct history *history, const struct state_loaded *loaded)
{
	struct history_gap gap = { .last_id = loaded->epoch_first_id - 1 };
	bool known = false;

	for (size_t i = 0; i < loaded->n_gaps; i++)
		known |= loaded->gaps[i].last_id >= gap.last_id;

	/* A run that could not read the past began the epoch, and did not see this one. */
	if (loaded->epoch[0] && loaded->epoch_first_id > 0 && !known) {
		gap.first_id = last_below(loaded, loaded->epoch_first_id) + 1;
		if (gap.first_id > 1)
			history_add_gap(history, &gap);
	}

	for (size_t i = 0; i < loaded->n_gaps; i++)
		history_add_gap(history, &loaded->gaps[i]);
}

/* From the last id that is known of the former run to the first one of this. */
static void add_gap(struct history *history, const struct state_loaded *loaded)
{
	struct history_gap gap = {
		.first_id = loaded->last_id + 1,
		.last_id = history_newest(history),
	};

	if (loaded->epoch[0] && loaded->epoch_first_id > gap.first_id)
		gap.first_id = loaded->epoch_first_id;
	if (loaded->n_gaps > 0 && loaded->gaps[loaded->n_gaps - 1].last_id >= gap.first_id)
		gap.first_id = loaded->gaps[loaded->n_gaps - 1].last_id + 1;

	/* Ids that nobody ever heard of need no gap. */
	if (loaded->epoch[0] || loaded->last_id > 0)
		history_add_gap(history, &gap);
}

int succession_begin(struct succession *ret, const struct state_loaded *loaded,
		     const struct succession_options *options)
{
	_cleanup_(history_freep) struct history *history = NULL;
	struct succession succession = { .epoch_first_id = first_id(loaded) };
	int r;

	assert(ret);
	assert(options);

	r = history_new(&history, options->history_size, succession.epoch_first_id);
	if (r < 0)
		return r;

	if (loaded && !options->skip_past)
		restore_events(history, loaded);
	if (loaded) {
		restore_gaps(history, loaded);
		if (!ended_in_order(loaded))
			add_gap(history, loaded);
	}

	if (loaded && loaded->epoch[0]) {
		memcpy(succession.epoch, loaded->epoch, sizeof(succession.epoch));
		succession.epoch_first_id = loaded->epoch_first_id;
	} else {
		epoch_make(succession.epoch);
	}

	succession.history = TAKE_PTR(history);
	*ret = succession;
	return 0;
}
