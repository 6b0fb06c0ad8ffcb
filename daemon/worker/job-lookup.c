/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/caller.h"
#include "daemon/worker/job-lookup-links.h"
#include "daemon/worker/job-lookup-wire.h"
#include "daemon/worker/reach.h"

/* How long a mount is held open, about: whoever unmounts it meanwhile is told that it is busy. */
#define SLICE_QUESTIONS 64
#define SLICE_NS 500000ULL

/* While others rename it. */
#define NAME_TRIES 4

struct lookup {
	const struct lookup_request *request;
	struct lookup_result *results; /* of each question */
	uint32_t *order; /* questions in the order in which they are answered */
	struct lookup_links links; /* found so far */
	uint64_t identity;
};

static void lookup_deinit(struct lookup *lookup)
{
	free(lookup->results);
	free(lookup->order);
	lookup_links_deinit(&lookup->links);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Not into what is mounted at it. Return: an O_PATH descriptor or a negative errno. */
static int open_within(int fd, const char *name, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(O_PATH | O_NOFOLLOW | O_CLOEXEC | flags),
		.resolve = RESOLVE_NO_XDEV,
	};
	long r = syscall(SYS_openat2, fd, name, &how, sizeof(how));

	return r < 0 ? -errno : (int)r;
}

/* The last component of what the descriptor is called. */
static int name_read(int fd, struct lookup_node *node)
{
	char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)], path[PATH_MAX];
	const char *name;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	if (n == sizeof(path) - 1)
		return -ENAMETOOLONG;

	path[n] = '\0';
	name = strrchr(path, '/');
	name = name ? name + 1 : path;
	node->n_name = (size_t)(path + n - name);
	/* What is not below the root of its mount is called "/". */
	if (node->n_name == 0)
		return -EXDEV;
	/* " (deleted)" is behind it. */
	if (node->n_name > LOOKUP_NAME_MAX)
		return -ESTALE;
	memcpy(node->name, name, node->n_name + 1);
	return 0;
}

static int directory_check(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_nlink == 0 ? -ESTALE : 0;
}

/*
 * Name and parent of one moment, as far as its name tells: one that was moved
 * meanwhile without a change of its name was at both places.
 *
 * Return: the parent's descriptor, or a negative errno.
 */
static int parent_open(int fd, struct lookup_node *node)
{
	struct lookup_node after = {};
	int r;

	r = name_read(fd, node);
	if (r < 0)
		return r;

	for (unsigned int i = 0; i < NAME_TRIES; i++) {
		_cleanup_close_ int up = open_within(fd, "..", O_DIRECTORY);

		if (up < 0)
			/* Not below the root of this mount. */
			return up == -ENOENT ? -EXDEV : up;
		r = name_read(fd, &after);
		if (r < 0)
			return r;
		if (after.n_name == node->n_name &&
		    memcmp(after.name, node->name, node->n_name) == 0) {
			/* What was removed has text behind its name. */
			r = directory_check(fd);
			return r < 0 ? r : TAKE_FD(up);
		}
		*node = after;
	}

	return -EAGAIN;
}

/* The way up until a directory that is known. Return: how many, with @ret_next behind the last. */
static int chain_climb(struct lookup *lookup, const struct reach *reach, int start,
		       struct lookup_node nodes[static LOOKUP_DEPTH_MAX], uint32_t *ret_next)
{
	const struct handle_view root = handle_view(&reach->root);
	_cleanup_close_ int fd = start;
	int r;

	for (int n = 0; n < LOOKUP_DEPTH_MAX; n++) {
		struct lookup_node *node = &nodes[n];
		struct handle_view handle;
		int up;

		r = handle_of(fd, &node->handle);
		if (r < 0)
			return r;
		handle = handle_view(&node->handle);
		*ret_next = lookup_links_find(&lookup->links, &handle);
		if (*ret_next > 0)
			return n;
		if (handle_equal(&handle, &root)) {
			node->n_name = 0;
			return n + 1;
		}

		up = parent_open(fd, node);
		if (up < 0)
			return up;
		close(fd);
		fd = up;
	}

	return -ELOOP;
}

static int answer_chain(struct lookup *lookup, const struct reach *reach,
			const struct lookup_question *question, struct lookup_result *result)
{
	static struct lookup_node nodes[LOOKUP_DEPTH_MAX];
	_cleanup_close_ int fd = -1;
	uint32_t next;
	int n, depth, r;

	if (question->path)
		return -EXDEV;
	fd = reach_handle(reach, &question->handle);
	if (fd < 0)
		return fd;
	r = directory_check(fd);
	if (r < 0)
		return r;
	n = chain_climb(lookup, reach, TAKE_FD(fd), nodes, &next);
	if (n < 0)
		return n;
	depth = n + (next > 0 ? lookup_links_depth(&lookup->links, next) : 0);
	if (depth > LOOKUP_DEPTH_MAX)
		return -ELOOP;
	r = lookup_links_reserve(&lookup->links, (uint32_t)n);
	if (r < 0)
		return r;

	result->first = n > 0 ? lookup->links.n + 1 : next;
	for (int i = 0; i < n; i++) {
		nodes[i].next = i + 1 < n ? lookup->links.n + 2 : next;
		lookup_links_add(&lookup->links, &nodes[i], depth - i);
	}
	return 0;
}

/* Return: an O_PATH descriptor or a negative errno. */
static int question_open(const struct reach *reach, const struct lookup_question *question)
{
	return question->path ? reach_path(reach, question->path, question->inode)
			      : reach_handle(reach, &question->handle);
}

static int answer_entry(const struct reach *reach, const struct lookup_question *question,
			struct lookup_result *result)
{
	_cleanup_close_ int dir = -1, fd = -1;
	char name[LOOKUP_NAME_MAX + 1];
	struct stat st;
	int r;

	memcpy(name, question->name, question->n_name);
	name[question->n_name] = '\0';

	dir = question_open(reach, question);
	if (dir < 0)
		return dir;
	r = directory_check(dir);
	if (r < 0)
		return r;
	fd = open_within(dir, name, 0);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = handle_of(fd, &result->target);
	if (r < 0 && !question->path)
		return r;

	result->answer.is_directory = S_ISDIR(st.st_mode);
	result->answer.inode = st.st_ino;
	return 0;
}

/* As the user that the process is now. */
static int may(int fd, int mode, bool *ret)
{
	int r = (int)syscall(SYS_faccessat2, fd, "", mode, AT_EMPTY_PATH | AT_EACCESS);

	if (r < 0 && errno != EACCES && errno != EPERM)
		return -errno;
	*ret = r == 0;
	return 0;
}

static int answer_access(int fd, struct lookup_result *result)
{
	int r;

	r = may(fd, R_OK, &result->answer.may_read);
	if (r == 0 && result->answer.is_directory)
		r = may(fd, X_OK, &result->answer.may_search);
	return r;
}

static int access_prepare(int fd, struct lookup_result *result)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* Removed, and open somewhere: nothing can be found by it any more. */
	if (st.st_nlink == 0)
		return -ESTALE;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return -EOPNOTSUPP;
	result->answer.is_directory = S_ISDIR(st.st_mode);
	return 0;
}

/* Questions of one credential, whose files are open. */
static void access_ask(struct lookup *lookup, const uint32_t *questions, const int *fds, size_t n)
{
	const struct lookup_question *first = &lookup->request->questions[questions[0]];
	const struct lookup_credential *credential =
		&lookup->request->credentials[first->credential];
	const struct caller caller = {
		.uid = credential->uid,
		.groups = credential->groups,
		.n_groups = credential->n_groups,
	};
	struct caller_saved saved;
	int r;

	r = caller_enter(&caller, &saved);
	for (size_t i = 0; i < n; i++) {
		struct lookup_result *result = &lookup->results[questions[i]];

		if (fds[i] >= 0)
			result->answer.error = r < 0 ? r : answer_access(fds[i], result);
	}
	if (r == 0)
		caller_leave(&saved);
}

/* Each user once: the questions are in the order of their credentials. */
static void access_slice(struct lookup *lookup, const struct reach *reach,
			 const uint32_t *questions, size_t n)
{
	const struct lookup_question *all = lookup->request->questions;
	int fds[SLICE_QUESTIONS];

	for (size_t i = 0; i < n; i++) {
		struct lookup_result *result = &lookup->results[questions[i]];

		fds[i] = question_open(reach, &all[questions[i]]);
		result->answer.error = fds[i] < 0 ? fds[i] : access_prepare(fds[i], result);
		if (result->answer.error < 0) {
			closep(&fds[i]);
			fds[i] = -1;
		}
	}

	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n; end++)
			if (all[questions[end]].credential != all[questions[i]].credential)
				break;
		access_ask(lookup, questions + i, fds + i, end - i);
	}

	for (size_t i = 0; i < n; i++)
		closep(&fds[i]);
}

/* Return: how many of them were answered. */
static size_t slice_answer(struct lookup *lookup, const struct reach *reach,
			   const uint32_t *questions, size_t n)
{
	uint64_t end = now_ns() + SLICE_NS;
	size_t i;

	for (i = 0; i < n && i < SLICE_QUESTIONS && now_ns() < end; i++) {
		const struct lookup_question *question = &lookup->request->questions[questions[i]];
		struct lookup_result *result = &lookup->results[questions[i]];

		if (question->kind == LOOKUP_ACCESS) {
			/* All that follow are of this kind. */
			n = n < SLICE_QUESTIONS ? n : SLICE_QUESTIONS;
			access_slice(lookup, reach, questions + i, n - i);
			return n;
		}
		result->answer.error = question->kind == LOOKUP_CHAIN
					       ? answer_chain(lookup, reach, question, result)
					       : answer_entry(reach, question, result);
	}

	return i;
}

/* Return: 0, or a negative errno of the mount, with @ret_n questions that were answered before. */
static int pass_run(struct lookup *lookup, const uint32_t *questions, size_t n, bool private,
		    size_t *ret_n)
{
	const struct lookup_request *request = lookup->request;
	size_t i = 0;

	while (i < n) {
		_cleanup_(reach_deinit) struct reach visible = REACH_NONE, alone = REACH_NONE;
		int r;

		r = reach_open(&visible, request->where, request->mount_id,
			       request->mount_id_is_unique);
		if (r == 0 && !private && i == 0)
			lookup->identity = reach_identity(&visible);
		if (r == 0 && private) {
			r = reach_open_private(&alone, &visible, request->btrfs);
			reach_deinit(&visible);
		}
		if (r < 0) {
			*ret_n = i;
			return r;
		}
		i += slice_answer(lookup, private ? &alone : &visible, questions + i, n - i);
	}

	return 0;
}

/*
 * What has something mounted over it, or of btrfs is in another subvolume, is
 * found by a mount of our own. Nothing else needs that, and it costs more.
 */
static void pass_again(struct lookup *lookup)
{
	size_t n = 0, n_done = 0;
	int r = 0;

	for (size_t i = 0; i < lookup->request->n_questions; i++)
		if (lookup->results[i].answer.error == -EXDEV &&
		    !lookup->request->questions[i].path)
			lookup->order[n++] = (uint32_t)i;

	if (n > 0)
		r = pass_run(lookup, lookup->order, n, true, &n_done);
	/* That it could not be asked does not say that it is nowhere, or gone. */
	if (r == -EXDEV || r == -ESTALE)
		r = -EIO;
	for (size_t i = n_done; r < 0 && i < n; i++)
		lookup->results[lookup->order[i]].answer.error = r;
}

static size_t question_rank(const struct lookup_question *question)
{
	return question->kind == LOOKUP_ACCESS ? 1 + (size_t)question->credential : 0;
}

static int lookup_prepare(struct lookup *lookup, const struct lookup_request *request)
{
	size_t n = request->n_questions, n_order = 0;

	lookup->request = request;
	lookup->results = calloc(n + 1, sizeof(*lookup->results));
	lookup->order = calloc(n + 1, sizeof(*lookup->order));
	if (!lookup->results || !lookup->order)
		return -ENOMEM;

	for (size_t rank = 0; n_order < n; rank++)
		for (size_t i = 0; i < n; i++)
			if (question_rank(&request->questions[i]) == rank)
				lookup->order[n_order++] = (uint32_t)i;

	return lookup_links_reserve(&lookup->links, 1);
}

static int reply_encode(const struct lookup *lookup, int error, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};
	uint32_t n_answers = error < 0 ? 0 : (uint32_t)lookup->request->n_questions;

	if (lookup->links.writer.failed)
		return -ENOMEM;

	flat_put_u32(&writer, (uint32_t)error);
	flat_put_u32(&writer, lookup->links.n);
	flat_put_raw(&writer, lookup->links.writer.data, lookup->links.writer.n);
	flat_put_u32(&writer, n_answers);
	for (uint32_t i = 0; i < n_answers; i++)
		lookup_result_put(&writer, &lookup->results[i]);
	flat_put_u64(&writer, error < 0 ? 0 : lookup->identity);
	return flat_writer_finish(&writer, ret, ret_n);
}

int lookup_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	_cleanup_(lookup_request_deinit) struct lookup_request request = {};
	_cleanup_(lookup_deinit) struct lookup lookup = {};
	size_t n_done;
	int r;

	assert(ret_reply);
	assert(ret_n);

	r = lookup_request_decode(payload, n, &request);
	if (r == 0)
		r = lookup_prepare(&lookup, &request);
	if (r < 0)
		return r;

	r = pass_run(&lookup, lookup.order, request.n_questions, false, &n_done);
	if (r == 0)
		pass_again(&lookup);
	return reply_encode(&lookup, r, ret_reply, ret_n);
}
