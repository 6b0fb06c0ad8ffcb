/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Questions to the job that looks things up, and its answers: what goes to a
 * worker and comes from there, without one; include <cmocka.h> before.
 */

#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/job-lookup.h"

/* A batch that is being put together, and its answers. */
struct batch {
	struct lookup_request request;
	struct lookup_question questions[LOOKUP_QUESTIONS_MAX];
	struct handle handles[LOOKUP_QUESTIONS_MAX];
	struct lookup_credential credentials[LOOKUP_CREDENTIALS_MAX];
	void *bytes;
	struct lookup_reply reply;
};

static struct batch batch;

static void batch_deinit(void)
{
	free(batch.bytes);
	lookup_reply_deinit(&batch.reply);
}

/* For nobody so far, and not of a btrfs. */
static void batch_init(const struct mount *mount)
{
	batch_deinit();
	batch = (struct batch){};
	batch.request = (struct lookup_request){
		.where = mount->where,
		.mount_id = mount_number(mount),
		.mount_id_is_unique = mount->unique_id != 0,
		.credentials = batch.credentials,
		.questions = batch.questions,
	};
}

static struct lookup_question *batch_add(enum lookup_kind kind)
{
	struct lookup_question *question = &batch.questions[batch.request.n_questions];

	assert_true(batch.request.n_questions < LOOKUP_QUESTIONS_MAX);
	batch.request.n_questions++;
	question->kind = kind;
	return question;
}

/* Return: the error of all. */
static int batch_run(void)
{
	_cleanup_free_ void *payload = NULL;
	size_t n;

	assert_return_code(lookup_request_encode(&batch.request, &payload, &n), 0);
	assert_return_code(lookup_job(payload, n, &batch.bytes, &n), 0);
	assert_true(n <= LOOKUP_REPLY_MAX);
	assert_return_code(
		lookup_reply_decode(batch.bytes, n, batch.request.n_questions, &batch.reply), 0);
	return batch.reply.error;
}
