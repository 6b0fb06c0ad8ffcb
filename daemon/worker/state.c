/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/history.h"
#include "daemon/worker/state-codec.h"
#include "daemon/worker/state-file.h"
#include "daemon/worker/state-replay.h"
#include "daemon/worker/state.h"

#define STATE_VERSION 1

#define HISTORY_NAME "history"
#define HISTORY_MAGIC "FSEVHIST"
#define IDS_NAME "ids"
#define IDS_MAGIC "FSEV-IDS"

/* What one event takes at most on average: history.h counts longer ones several times. */
#define FRAME_AVERAGE_MAX (HISTORY_UNIT + 256)

/* Begins both files; the checksum is over the whole head with ->checksum 0. */
struct head {
	char magic[8];
	uint32_t checksum;
	uint16_t version;
	uint16_t size;
};

/* Frames follow, and begin at multiples of 8 like these heads. */
struct history_head {
	struct head head;
	uint64_t compact_at; /* bytes from which on it is written anew */
};

struct ids {
	struct head head;
	char epoch[STATE_EPOCH_LENGTH];
	uint64_t epoch_first_id;
	uint64_t reserved;
	uint64_t next_id; /* the mark of an orderly end, 0: none */
	uint64_t n_gaps;
	struct history_gap gaps[HISTORY_GAPS];
};

/* @data: at least @n bytes, which begin with a struct head */
static bool head_is_valid(const void *data, size_t n, const char *magic)
{
	uint8_t bytes[sizeof(struct ids)];
	struct head head;

	assert(n <= sizeof(bytes));

	memcpy(bytes, data, n);
	memcpy(&head, bytes, sizeof(head));
	memset(bytes + offsetof(struct head, checksum), 0, sizeof(head.checksum));

	return memcmp(head.magic, magic, sizeof(head.magic)) == 0 &&
	       head.version == STATE_VERSION && head.size == n &&
	       head.checksum == state_file_checksum(bytes, n);
}

/* @data: a struct that begins with a struct head, all zeroes so far there */
static void head_fill(void *data, size_t n, const char *magic)
{
	struct head head = { .version = STATE_VERSION, .size = (uint16_t)n };

	memcpy(head.magic, magic, sizeof(head.magic));
	memcpy(data, &head, sizeof(head));
	head.checksum = state_file_checksum(data, n);
	memcpy(data, &head, sizeof(head));
}

static struct history_head history_head_make(uint64_t n_frames)
{
	struct history_head head = { .compact_at = STATE_COMPACT_MIN };

	/* Twice what is kept, so that the cost of writing it anew is shared by as many new events. */
	if (n_frames > head.compact_at / 2)
		head.compact_at = n_frames * 2;

	head_fill(&head, sizeof(head), HISTORY_MAGIC);
	return head;
}

/* The history file as read. */
struct past {
	uint8_t *data;
	size_t n_data;
	bool damaged; /* more than a cut at the end */
	bool kept_aside;
	struct state_replay replay;
};

static void past_deinit(struct past *past)
{
	free(past->data);
	state_replay_deinit(&past->replay);
}

static size_t history_read_max(uint64_t history_size)
{
	uint64_t size = history_size;

	if (size > HISTORY_SIZE_MAX)
		size = HISTORY_SIZE_MAX;

	/* Twice what is kept, as above, and as much again for what was told twice. */
	return 2 * STATE_COMPACT_MIN + (size_t)size * FRAME_AVERAGE_MAX * 4;
}

static int past_read(struct past *past, int directory, const struct state_job *job,
		     const uint8_t *more, size_t n_more)
{
	_cleanup_close_ int fd = -1;
	size_t skip = 0;
	int r;

	fd = state_file_open(directory, HISTORY_NAME, O_RDONLY);
	if (fd < 0 && fd != -ENOENT)
		return fd;
	if (fd >= 0) {
		r = state_file_read(fd, history_read_max(job->head.history_size), &past->data,
				    &past->n_data);
		if (r < 0)
			return r;
	}

	/* With a damaged head the frames behind it may still be good: searched from the start. */
	if (past->n_data >= sizeof(struct history_head) &&
	    head_is_valid(past->data, sizeof(struct history_head), HISTORY_MAGIC))
		skip = sizeof(struct history_head);

	r = state_replay(&past->replay, past->data ? past->data + skip : NULL, past->n_data - skip,
			 more, n_more, job->head.history_size);
	if (r < 0)
		return r;

	/* Less than a head is a write that was cut off, like a cut at the end. */
	past->damaged = past->n_data >= sizeof(struct history_head) &&
			(skip == 0 || (past->replay.n_damaged > 0 && !past->replay.torn));
	return 0;
}

/* Put a clean file in the place of the one that was read. */
static int past_rewrite(struct past *past, int directory)
{
	struct history_head head = history_head_make(past->replay.n_frames);
	const struct state_part parts[] = {
		{ &head, sizeof(head) },
		{ past->replay.frames, past->replay.n_frames },
	};

	if (past->damaged && state_file_keep_aside(directory, HISTORY_NAME) == 0)
		past->kept_aside = true;

	return state_file_replace(directory, HISTORY_NAME, parts, 2);
}

/* Return: true with what was read, false where there is nothing whole. */
static bool ids_read(int directory, struct ids *ret, bool *ret_kept_aside)
{
	_cleanup_free_ uint8_t *data = NULL;
	_cleanup_close_ int fd = -1;
	size_t n;

	fd = state_file_open(directory, IDS_NAME, O_RDONLY);
	if (fd < 0 || state_file_read(fd, sizeof(*ret), &data, &n) < 0)
		return false;

	if (n == sizeof(*ret) && head_is_valid(data, n, IDS_MAGIC)) {
		memcpy(ret, data, n);
		if (state_epoch_is_valid(ret->epoch) && ret->reserved <= STATE_ID_MAX &&
		    ret->next_id <= STATE_ID_MAX && state_gaps_are_valid(ret->gaps, ret->n_gaps))
			return true;
	}

	if (n > 0 && state_file_keep_aside(directory, IDS_NAME) == 0)
		*ret_kept_aside = true;
	/* Else the same damage would be kept again at the next start. */
	(void)unlinkat(directory, IDS_NAME, 0);
	return false;
}

int state_load_job(const void *payload, size_t n_payload, void **ret_reply, size_t *ret_n)
{
	_cleanup_(past_deinit) struct past past = {};
	_cleanup_(state_job_deinit) struct state_job job = {};
	_cleanup_close_ int directory = -1;
	struct state_loaded_head head = {};
	bool kept_aside = false;
	struct ids ids;
	int r;

	assert(ret_reply);
	assert(ret_n);

	r = state_job_decode(payload, n_payload, &job);
	if (r < 0)
		return r;

	directory = state_directory_open(job.directory);
	if (directory < 0)
		return directory;

	if (ids_read(directory, &ids, &kept_aside)) {
		memcpy(head.epoch, ids.epoch, sizeof(head.epoch));
		head.epoch_first_id = ids.epoch_first_id;
		head.reserved = ids.reserved;
		head.next_id = ids.next_id;
		head.n_gaps = (uint32_t)ids.n_gaps;
		memcpy(head.gaps, ids.gaps, sizeof(head.gaps));
	}

	r = past_read(&past, directory, &job, NULL, 0);
	if (r < 0)
		return r;

	/*
	 * Told once: the next start finds a clean file, if the disk lets us. Not
	 * while the writer of a killed daemon still hangs there: what it writes
	 * is read by then.
	 */
	if ((past.damaged || past.replay.n_damaged > 0) &&
	    state_directory_lock(directory, false) == 0)
		(void)past_rewrite(&past, directory);

	head.last_id = past.replay.last_id;
	/* Ids that were given out after the mark was made: it is worth nothing. */
	if (head.next_id <= head.last_id)
		head.next_id = 0;
	head.n_damaged = past.replay.n_damaged;
	head.kept_aside = past.kept_aside || kept_aside;
	return state_loaded_encode(&head, &past.replay, ret_reply, ret_n);
}

static int append_to(int fd, uint64_t size, const struct state_job *job)
{
	uint64_t offset = (size + 7) & ~7ULL;
	struct history_head head;

	if (size >= sizeof(head))
		return state_file_write_at(fd, job->frames, job->head.n_frames, offset);

	/* Empty, or not even a head: begin anew. */
	head = history_head_make(0);
	if (ftruncate(fd, 0) < 0)
		return -errno;
	return state_file_write_at(fd, &head, sizeof(head), 0);
}

/* Return: true when the frames may simply be appended to what is in @fd. */
static bool may_append(int fd, uint64_t size, const struct state_job *job)
{
	struct history_head head;

	if (size < sizeof(head))
		return true;
	if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
	    !head_is_valid(&head, sizeof(head), HISTORY_MAGIC))
		return false;

	return size < head.compact_at && job->head.n_frames <= head.compact_at - size;
}

int state_append_job(const void *payload, size_t n_payload, void **ret_reply, size_t *ret_n)
{
	_cleanup_(past_deinit) struct past past = {};
	_cleanup_(state_job_deinit) struct state_job job = {};
	_cleanup_close_ int directory = -1, fd = -1;
	struct stat st;
	int r;

	assert(ret_reply);
	assert(ret_n);

	*ret_reply = NULL;
	*ret_n = 0;

	r = state_job_decode(payload, n_payload, &job);
	if (r < 0)
		return r;

	directory = state_directory_open(job.directory);
	if (directory < 0)
		return directory;
	r = state_directory_lock(directory, true);
	if (r < 0)
		return r;

	fd = state_file_open(directory, HISTORY_NAME, O_RDWR | O_CREAT);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;

	if (!may_append(fd, (uint64_t)st.st_size, &job)) {
		r = past_read(&past, directory, &job, job.frames, job.head.n_frames);
		return r < 0 ? r : past_rewrite(&past, directory);
	}

	r = append_to(fd, (uint64_t)st.st_size, &job);
	if (r < 0 || st.st_size >= (off_t)sizeof(struct history_head))
		return r;

	/* A new file: its head first, then the frames, then its name. */
	r = append_to(fd, sizeof(struct history_head), &job);
	if (r < 0)
		return r;
	return fsync(directory) < 0 ? -errno : 0;
}

int state_reserve_job(const void *payload, size_t n_payload, void **ret_reply, size_t *ret_n)
{
	_cleanup_(state_job_deinit) struct state_job job = {};
	_cleanup_close_ int directory = -1;
	struct ids ids = {}, old;
	struct state_part part = { &ids, sizeof(ids) };
	bool kept_aside;
	int r;

	assert(ret_reply);
	assert(ret_n);

	*ret_reply = NULL;
	*ret_n = 0;

	r = state_job_decode(payload, n_payload, &job);
	if (r < 0)
		return r;
	if (!state_epoch_is_valid(job.head.epoch) || job.head.reserved > STATE_ID_MAX ||
	    job.head.next_id > STATE_ID_MAX ||
	    !state_gaps_are_valid(job.head.gaps, job.head.n_gaps))
		return -EINVAL;

	directory = state_directory_open(job.directory);
	if (directory < 0)
		return directory;
	r = state_directory_lock(directory, true);
	if (r < 0)
		return r;

	memcpy(ids.epoch, job.head.epoch, sizeof(ids.epoch));
	ids.epoch_first_id = job.head.epoch_first_id;
	ids.reserved = job.head.reserved;
	ids.next_id = job.head.next_id;
	ids.n_gaps = job.head.n_gaps;
	memcpy(ids.gaps, job.head.gaps, sizeof(ids.gaps));
	if (ids_read(directory, &old, &kept_aside) && old.reserved > ids.reserved)
		ids.reserved = old.reserved;

	head_fill(&ids, sizeof(ids), IDS_MAGIC);
	return state_file_replace(directory, IDS_NAME, &part, 1);
}
