/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/record.h"
#include "daemon/worker/state-codec.h"

bool state_epoch_is_valid(const char *epoch)
{
	assert(epoch);

	for (size_t i = 0; i < STATE_EPOCH_LENGTH; i++) {
		char c = epoch[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}

	return true;
}

bool state_gaps_are_valid(const struct history_gap *gaps, size_t n_gaps)
{
	uint64_t after = 0;

	assert(gaps);

	if (n_gaps > HISTORY_GAPS)
		return false;

	for (size_t i = 0; i < n_gaps; i++) {
		if (!history_gap_is_valid(&gaps[i], after) || gaps[i].last_id >= STATE_ID_MAX)
			return false;
		after = gaps[i].last_id;
	}

	return true;
}

int state_request_encode(const struct state_request *request, void **ret, size_t *ret_n)
{
	struct state_request_head head = {
		.history_size = request->history_size,
		.epoch_first_id = request->epoch_first_id,
		.reserved = request->reserved,
		.next_id = request->next_id,
		.n_frames = request->n_frames,
		.n_gaps = (uint32_t)request->n_gaps,
	};
	size_t n_directory, n;
	uint8_t *payload;

	assert(request->directory);
	assert(request->frames || request->n_frames == 0);
	assert(request->n_gaps <= HISTORY_GAPS);
	assert(request->gaps || request->n_gaps == 0);
	assert(ret);
	assert(ret_n);

	n_directory = strlen(request->directory);
	head.n_directory = (uint32_t)n_directory;
	if (request->epoch)
		memcpy(head.epoch, request->epoch, strnlen(request->epoch, sizeof(head.epoch)));

	if (request->n_gaps > 0)
		memcpy(head.gaps, request->gaps, request->n_gaps * sizeof(head.gaps[0]));

	if (__builtin_add_overflow(sizeof(head) + n_directory, request->n_frames, &n))
		return -ENOMEM;

	payload = malloc(n);
	if (!payload)
		return -ENOMEM;

	memcpy(payload, &head, sizeof(head));
	memcpy(payload + sizeof(head), request->directory, n_directory);
	if (request->n_frames > 0)
		memcpy(payload + sizeof(head) + n_directory, request->frames, request->n_frames);

	*ret = payload;
	*ret_n = n;
	return 0;
}

void state_job_deinit(struct state_job *job)
{
	assert(job);

	free(job->directory);
}

int state_job_decode(const void *payload, size_t n_payload, struct state_job *ret)
{
	const uint8_t *bytes = payload;
	struct state_request_head head;
	size_t left;

	assert(payload || n_payload == 0);
	assert(ret);

	if (n_payload < sizeof(head))
		return -EBADMSG;

	memcpy(&head, bytes, sizeof(head));
	left = n_payload - sizeof(head);
	if (head.n_directory > left || head.n_frames != left - head.n_directory)
		return -EBADMSG;

	ret->directory = strndup((const char *)bytes + sizeof(head), head.n_directory);
	if (!ret->directory)
		return -ENOMEM;

	ret->head = head;
	ret->frames = bytes + sizeof(head) + head.n_directory;
	return 0;
}

int state_loaded_decode(const void *reply, size_t n_reply, struct state_loaded *ret)
{
	const uint8_t *bytes = reply;
	struct state_loaded_head head;

	assert(reply || n_reply == 0);
	assert(ret);

	if (n_reply < sizeof(head))
		return -EBADMSG;

	memcpy(&head, bytes, sizeof(head));
	if (head.n_frames != n_reply - sizeof(head) || head.last_id >= STATE_ID_MAX ||
	    head.reserved > STATE_ID_MAX || head.next_id > STATE_ID_MAX ||
	    !state_gaps_are_valid(head.gaps, head.n_gaps) ||
	    (head.epoch[0] && !state_epoch_is_valid(head.epoch)))
		return -EBADMSG;

	*ret = (struct state_loaded){
		.epoch_first_id = head.epoch_first_id,
		.reserved = head.reserved,
		.next_id = head.next_id,
		.last_id = head.last_id,
		.n_gaps = head.n_gaps,
		.n_damaged = head.n_damaged,
		.kept_aside = head.kept_aside != 0,
		.frames = bytes + sizeof(head),
		.n_frames = head.n_frames,
	};
	memcpy(ret->epoch, head.epoch, sizeof(head.epoch));
	memcpy(ret->gaps, head.gaps, sizeof(head.gaps));
	return 0;
}

/* Where the newest events begin that fit into one reply. */
static size_t first_to_tell(const struct state_replay *replay)
{
	struct record_reader reader = {
		.data = replay->frames,
		.n_data = replay->n_frames,
	};
	struct record record;

	while (replay->n_frames - reader.offset > STATE_LOAD_MAX)
		if (!record_reader_next(&reader, &record))
			break;

	return reader.offset;
}

int state_loaded_encode(struct state_loaded_head *head, const struct state_replay *replay,
			void **ret, size_t *ret_n)
{
	size_t skip = first_to_tell(replay), n;
	uint8_t *reply;

	assert(head);
	assert(ret);
	assert(ret_n);

	head->n_frames = replay->n_frames - skip;
	n = sizeof(*head) + head->n_frames;

	reply = malloc(n);
	if (!reply)
		return -ENOMEM;

	memcpy(reply, head, sizeof(*head));
	if (head->n_frames > 0)
		memcpy(reply + sizeof(*head), replay->frames + skip, head->n_frames);

	*ret = reply;
	*ret_n = n;
	return 0;
}
