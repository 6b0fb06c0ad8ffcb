/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/job-lookup-wire.h"

/* Bytes of the smallest one, for flat_get_count(). */
#define CREDENTIAL_MIN 8
#define QUESTION_MIN 32
#define LINK_MIN 16
#define ANSWER_MIN 28

void lookup_put_handle(struct flat_writer *writer, const struct handle_view *handle)
{
	flat_put_u32(writer, (uint32_t)handle->type);
	flat_put_bytes(writer, handle->n > 0 ? handle->bytes : NULL, handle->n);
}

struct handle_view lookup_get_handle(struct flat_reader *reader)
{
	struct handle_view handle = { .type = (int32_t)flat_get_u32(reader) };
	size_t n;

	handle.bytes = flat_get_bytes(reader, &n);
	if (n > HANDLE_MAX) {
		reader->failed = true;
		return (struct handle_view){};
	}
	handle.n = (uint32_t)n;
	return handle;
}

static bool name_is_valid(const char *name, size_t n)
{
	if (n == 0 || n > LOOKUP_NAME_MAX || memchr(name, '/', n) || memchr(name, '\0', n))
		return false;
	return name[0] != '.' || (n > 1 && (n > 2 || name[1] != '.'));
}

/* A name, or none where it may be so; anything else is a fault. */
static const char *name_get(struct flat_reader *reader, bool optional, size_t *ret_n)
{
	const char *name = (const char *)flat_get_bytes(reader, ret_n);

	if (!name && optional)
		return NULL;
	if (!name || !name_is_valid(name, *ret_n)) {
		reader->failed = true;
		*ret_n = 0;
		return NULL;
	}
	return name;
}

/* Return: 0, -E2BIG or -EINVAL. */
static int request_check(const struct lookup_request *request)
{
	if (request->n_questions > LOOKUP_QUESTIONS_MAX ||
	    request->n_credentials > LOOKUP_CREDENTIALS_MAX || strlen(request->where) >= PATH_MAX)
		return -E2BIG;

	for (size_t i = 0; i < request->n_credentials; i++)
		if (request->credentials[i].n_groups > LOOKUP_GROUPS_MAX)
			return -E2BIG;

	for (size_t i = 0; i < request->n_questions; i++) {
		const struct lookup_question *question = &request->questions[i];

		assert(question->handle.n <= HANDLE_MAX);
		assert(question->path || question->handle.n > 0);
		if (question->path && strlen(question->path) >= PATH_MAX)
			return -E2BIG;
		assert(question->kind != LOOKUP_ACCESS ||
		       question->credential < request->n_credentials);
		if (question->kind == LOOKUP_ENTRY &&
		    !name_is_valid(question->name, question->n_name))
			return -EINVAL;
	}

	return 0;
}

int lookup_request_encode(const struct lookup_request *request, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};
	int r;

	assert(request && request->where);

	r = request_check(request);
	if (r < 0)
		return r;

	flat_put_u64(&writer, request->mount_id);
	flat_put_u32(&writer, request->mount_id_is_unique);
	flat_put_u32(&writer, request->btrfs);
	flat_put_string(&writer, request->where);

	flat_put_u32(&writer, (uint32_t)request->n_credentials);
	for (size_t i = 0; i < request->n_credentials; i++) {
		const struct lookup_credential *credential = &request->credentials[i];

		flat_put_u32(&writer, credential->uid);
		flat_put_bytes(&writer, credential->groups,
			       credential->n_groups * sizeof(*credential->groups));
	}

	flat_put_u32(&writer, (uint32_t)request->n_questions);
	for (size_t i = 0; i < request->n_questions; i++) {
		const struct lookup_question *question = &request->questions[i];

		flat_put_u32(&writer, question->kind);
		lookup_put_handle(&writer, &question->handle);
		flat_put_string(&writer, question->path);
		flat_put_u64(&writer, question->inode);
		flat_put_u32(&writer, question->credential);
		flat_put_bytes(&writer, question->kind == LOOKUP_ENTRY ? question->name : NULL,
			       question->n_name);
	}

	return flat_writer_finish(&writer, ret, ret_n);
}

void lookup_request_deinit(struct lookup_request *request)
{
	struct lookup_credential *credentials = (struct lookup_credential *)request->credentials;

	for (size_t i = 0; credentials && i < request->n_credentials; i++)
		free((gid_t *)credentials[i].groups);
	free(credentials);
	for (size_t i = 0; request->questions && i < request->n_questions; i++)
		free((char *)request->questions[i].path);
	free((struct lookup_question *)request->questions);
	free((char *)request->where);
	*request = (struct lookup_request){};
}

static int credentials_decode(struct flat_reader *reader, struct lookup_request *request)
{
	size_t n_credentials = flat_get_count(reader, CREDENTIAL_MIN);
	struct lookup_credential *credentials;

	if (n_credentials > LOOKUP_CREDENTIALS_MAX)
		return -EBADMSG;
	credentials = calloc(n_credentials + 1, sizeof(*credentials));
	if (!credentials)
		return -ENOMEM;
	request->credentials = credentials;

	for (size_t i = 0; i < n_credentials; i++) {
		const uint8_t *bytes;
		gid_t *groups;
		size_t n;

		credentials[i].uid = flat_get_u32(reader);
		bytes = flat_get_bytes(reader, &n);
		if (n % sizeof(*groups) != 0 || n / sizeof(*groups) > LOOKUP_GROUPS_MAX)
			return -EBADMSG;
		/* A copy, since the bytes are not aligned. */
		groups = malloc(n + 1);
		if (!groups)
			return -ENOMEM;
		if (n > 0)
			memcpy(groups, bytes, n);
		credentials[i].groups = groups;
		credentials[i].n_groups = n / sizeof(*groups);
		request->n_credentials++;
	}

	return 0;
}

static int question_decode(struct flat_reader *reader, size_t n_credentials,
			   struct lookup_question *question)
{
	uint32_t kind = flat_get_u32(reader);
	char *path;
	int r;

	question->kind = (enum lookup_kind)kind;
	question->handle = lookup_get_handle(reader);
	r = flat_get_string(reader, &path);
	if (r < 0)
		return r;
	question->path = path;
	question->inode = flat_get_u64(reader);
	question->credential = flat_get_u32(reader);
	question->name = name_get(reader, kind != LOOKUP_ENTRY, &question->n_name);
	if (kind > LOOKUP_ENTRY || (!path && question->handle.n == 0) ||
	    (kind == LOOKUP_ACCESS && question->credential >= n_credentials))
		return -EBADMSG;
	return 0;
}

static int questions_decode(struct flat_reader *reader, struct lookup_request *request)
{
	size_t n_questions = flat_get_count(reader, QUESTION_MIN);
	struct lookup_question *questions;

	if (n_questions > LOOKUP_QUESTIONS_MAX)
		return -EBADMSG;
	questions = calloc(n_questions + 1, sizeof(*questions));
	if (!questions)
		return -ENOMEM;
	request->questions = questions;
	request->n_questions = n_questions;

	for (size_t i = 0; i < n_questions; i++) {
		int r = question_decode(reader, request->n_credentials, &questions[i]);

		if (r < 0)
			return r;
	}

	return 0;
}

int lookup_request_decode(const void *payload, size_t n_payload, struct lookup_request *ret)
{
	_cleanup_(lookup_request_deinit) struct lookup_request request = {};
	struct flat_reader reader = { .p = payload, .n = n_payload };
	char *where;
	int r;

	assert(ret);

	request.mount_id = flat_get_u64(&reader);
	request.mount_id_is_unique = flat_get_u32(&reader) != 0;
	request.btrfs = flat_get_u32(&reader) != 0;
	r = flat_get_string(&reader, &where);
	if (r < 0)
		return r;
	request.where = where;
	if (!where)
		return -EBADMSG;
	r = credentials_decode(&reader, &request);
	if (r == 0)
		r = questions_decode(&reader, &request);
	if (r == 0 && !flat_reader_done(&reader))
		r = -EBADMSG;
	if (r < 0)
		return r;

	*ret = request;
	request = (struct lookup_request){};
	return 0;
}

void lookup_node_put(struct flat_writer *writer, const struct lookup_node *node)
{
	const struct handle_view handle = handle_view(&node->handle);

	lookup_put_handle(writer, &handle);
	flat_put_bytes(writer, node->n_name > 0 ? node->name : NULL, node->n_name);
	flat_put_u32(writer, node->next);
}

void lookup_result_put(struct flat_writer *writer, const struct lookup_result *result)
{
	const struct handle_view target = handle_view(&result->target);
	const struct lookup_answer *answer = &result->answer;

	flat_put_u32(writer, (uint32_t)answer->error);
	flat_put_u32(writer, (answer->may_read ? LOOKUP_MAY_READ : 0) |
				     (answer->may_search ? LOOKUP_MAY_SEARCH : 0) |
				     (answer->is_directory ? LOOKUP_DIRECTORY : 0));
	flat_put_u64(writer, answer->inode);
	lookup_put_handle(writer, &target);
	flat_put_u32(writer, result->first);
}

/* The links as they travel. */
struct links {
	struct lookup_link *items;
	uint32_t *next;
	size_t n;
};

static void links_deinit(struct links *links)
{
	free(links->items);
	free(links->next);
}

static int links_decode(struct flat_reader *reader, struct links *ret)
{
	ret->n = flat_get_count(reader, LINK_MIN);
	if (ret->n > LOOKUP_LINKS_MAX)
		return -EBADMSG;
	ret->items = calloc(ret->n + 1, sizeof(*ret->items));
	ret->next = calloc(ret->n + 1, sizeof(*ret->next));
	if (!ret->items || !ret->next)
		return -ENOMEM;

	for (size_t i = 0; i < ret->n; i++) {
		struct lookup_link *link = &ret->items[i];

		link->handle = lookup_get_handle(reader);
		link->name = name_get(reader, true, &link->n_name);
		ret->next[i] = flat_get_u32(reader);
		/* The last one, and no other, is without a name. */
		if (link->handle.n == 0 || ret->next[i] > ret->n || !link->name != !ret->next[i])
			return -EBADMSG;
	}

	return 0;
}

/* Return: how many are in the chain, or -EBADMSG where that has no end. */
static int chain_count(const struct links *links, uint32_t first)
{
	int n = 0;

	for (uint32_t i = first; i > 0; i = links->next[i - 1])
		if (++n > LOOKUP_DEPTH_MAX)
			return -EBADMSG;
	return n;
}

static int answers_decode(struct flat_reader *reader, size_t n_questions, const struct links *links,
			  uint32_t *first, struct lookup_reply *reply)
{
	size_t n_answers = flat_get_count(reader, ANSWER_MIN);

	if (n_answers != (reply->error ? 0 : n_questions))
		return -EBADMSG;
	reply->answers = calloc(n_answers + 1, sizeof(*reply->answers));
	if (!reply->answers)
		return -ENOMEM;
	reply->n_answers = n_answers;

	for (size_t i = 0; i < n_answers; i++) {
		struct lookup_answer *answer = &reply->answers[i];
		uint32_t flags;
		int n;

		answer->error = (int32_t)flat_get_u32(reader);
		flags = flat_get_u32(reader);
		answer->may_read = flags & LOOKUP_MAY_READ;
		answer->may_search = flags & LOOKUP_MAY_SEARCH;
		answer->is_directory = flags & LOOKUP_DIRECTORY;
		answer->inode = flat_get_u64(reader);
		answer->target = lookup_get_handle(reader);
		first[i] = flat_get_u32(reader);
		if (answer->error > 0 || first[i] > links->n || (answer->error < 0 && first[i] > 0))
			return -EBADMSG;
		n = chain_count(links, first[i]);
		if (n < 0)
			return n;
		answer->n_links = (size_t)n;
	}

	return 0;
}

/* Each answer gets its own chain, one link behind the other. */
static int chains_spread(const struct links *links, const uint32_t *first,
			 struct lookup_reply *reply)
{
	struct lookup_link *link;
	size_t n = 0;

	for (size_t i = 0; i < reply->n_answers; i++)
		n += reply->answers[i].n_links;
	reply->links = calloc(n + 1, sizeof(*reply->links));
	if (!reply->links)
		return -ENOMEM;

	link = reply->links;
	for (size_t i = 0; i < reply->n_answers; i++) {
		if (first[i] > 0)
			reply->answers[i].links = link;
		for (uint32_t k = first[i]; k > 0; k = links->next[k - 1])
			*link++ = links->items[k - 1];
	}

	return 0;
}

void lookup_reply_deinit(struct lookup_reply *reply)
{
	assert(reply);

	free(reply->answers);
	free(reply->links);
	*reply = (struct lookup_reply){};
}

int lookup_reply_decode(const void *reply, size_t n_reply, size_t n_questions,
			struct lookup_reply *ret)
{
	_cleanup_(lookup_reply_deinit) struct lookup_reply decoded = {};
	_cleanup_(links_deinit) struct links links = {};
	struct flat_reader reader = { .p = reply, .n = reply ? n_reply : 0 };
	uint32_t first[LOOKUP_QUESTIONS_MAX];
	int r;

	assert(n_questions <= LOOKUP_QUESTIONS_MAX);
	assert(ret);

	decoded.error = (int32_t)flat_get_u32(&reader);
	if (decoded.error > 0)
		return -EBADMSG;
	r = links_decode(&reader, &links);
	if (r == 0)
		r = answers_decode(&reader, n_questions, &links, first, &decoded);
	decoded.identity = flat_get_u64(&reader);
	if (r == 0 && !flat_reader_done(&reader))
		r = -EBADMSG;
	if (r == 0)
		r = chains_spread(&links, first, &decoded);
	if (r < 0)
		return r;

	*ret = decoded;
	decoded = (struct lookup_reply){};
	return 0;
}
