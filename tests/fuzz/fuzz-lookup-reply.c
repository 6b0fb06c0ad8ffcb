/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Answers of a worker about a filesystem, and the questions: the first byte is
 * how many were asked, the rest is the reply, and a request as well.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/job-lookup-wire.h"
#include "tests/fuzz/input.h"

static volatile uint64_t sink;

static void check_name(const char *name, size_t n_name)
{
	assert(n_name > 0 && n_name <= LOOKUP_NAME_MAX);
	assert(!memchr(name, '/', n_name) && !memchr(name, '\0', n_name));
}

static void check_answer(const struct lookup_answer *answer)
{
	assert(answer->error <= 0);
	assert(answer->n_links <= LOOKUP_DEPTH_MAX);
	assert(!answer->links == !answer->n_links);
	assert(answer->error == 0 || answer->n_links == 0);
	assert(answer->target.n <= HANDLE_MAX);

	for (size_t i = 0; i < answer->n_links; i++) {
		const struct lookup_link *link = &answer->links[i];

		assert(link->handle.n > 0 && link->handle.n <= HANDLE_MAX);
		sink = handle_hash(&link->handle);
		assert(!link->name == (i + 1 == answer->n_links));
		if (link->name)
			check_name(link->name, link->n_name);
	}
}

static void check_reply(const uint8_t *data, size_t size, size_t n_questions)
{
	struct lookup_reply reply;
	int r;

	r = lookup_reply_decode(data, size, n_questions, &reply);
	assert(r == 0 || r == -EBADMSG);
	if (r < 0)
		return;

	assert(reply.error <= 0);
	assert(reply.n_answers == (reply.error ? 0 : n_questions));
	for (size_t i = 0; i < reply.n_answers; i++)
		check_answer(&reply.answers[i]);
	lookup_reply_deinit(&reply);
}

static void check_request(const uint8_t *data, size_t size)
{
	struct lookup_request request;
	void *encoded = NULL;
	size_t n = 0;
	int r;

	r = lookup_request_decode(data, size, &request);
	assert(r == 0 || r == -EBADMSG);
	if (r < 0)
		return;

	assert(request.n_questions <= LOOKUP_QUESTIONS_MAX);
	for (size_t i = 0; i < request.n_questions; i++)
		assert(request.questions[i].kind != LOOKUP_ACCESS ||
		       request.questions[i].credential < request.n_credentials);
	r = lookup_request_encode(&request, &encoded, &n);
	assert(r == 0 || r == -E2BIG);
	free(encoded);
	lookup_request_deinit(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size == 0)
		return 0;

	copy = input_copy(data + 1, size - 1);
	check_reply(copy, size - 1, data[0]);
	check_request(copy, size - 1);
	free(copy);
	return 0;
}
