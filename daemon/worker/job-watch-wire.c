/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/flat.h"
#include "daemon/worker/job-lookup-wire.h"
#include "daemon/worker/job-watch-wire.h"

static int handle_copy(struct flat_reader *reader, struct handle *ret)
{
	const struct handle_view view = lookup_get_handle(reader);

	if (reader->failed)
		return -EBADMSG;
	ret->type = view.type;
	ret->n = view.n;
	if (view.n > 0)
		memcpy(ret->bytes, view.bytes, view.n);
	return 0;
}

/* A string that may be none, and is not longer than a path. */
static int path_get(struct flat_reader *reader, const char **ret)
{
	char *text;
	int r;

	r = flat_get_string(reader, &text);
	if (r < 0)
		return r;
	*ret = text;
	return text && strlen(text) >= WATCH_PATH_MAX ? -EBADMSG : 0;
}

int watch_find_request_encode(const struct watch_find_request *request, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};
	const struct lookup_credential *credential = &request->credential;

	assert(request->path ? request->path[0] == '/' : request->where != NULL);

	if ((request->path && strlen(request->path) >= WATCH_PATH_MAX) ||
	    (request->where && strlen(request->where) >= WATCH_PATH_MAX) ||
	    credential->n_groups > LOOKUP_GROUPS_MAX)
		return -E2BIG;

	flat_put_string(&writer, request->path);
	flat_put_u32(&writer, credential->uid);
	flat_put_bytes(&writer, credential->groups,
		       credential->n_groups * sizeof(*credential->groups));
	flat_put_string(&writer, request->where);
	flat_put_u64(&writer, request->mount_id);
	flat_put_u32(&writer, request->mount_id_is_unique);
	flat_put_u32(&writer, request->btrfs);
	flat_put_u64(&writer, request->inode);
	flat_put_u64(&writer, request->subvolume);
	return flat_writer_finish(&writer, ret, ret_n);
}

void watch_find_request_deinit(struct watch_find_request *request)
{
	free((char *)request->path);
	free((char *)request->where);
	free((gid_t *)request->credential.groups);
	*request = (struct watch_find_request){};
}

static int groups_get(struct flat_reader *reader, struct lookup_credential *ret)
{
	const uint8_t *bytes;
	gid_t *groups;
	size_t n;

	bytes = flat_get_bytes(reader, &n);
	if (reader->failed || n % sizeof(*groups) != 0 || n / sizeof(*groups) > LOOKUP_GROUPS_MAX)
		return -EBADMSG;

	/* A copy, since the bytes are not aligned. */
	groups = malloc(n + 1);
	if (!groups)
		return -ENOMEM;
	if (n > 0)
		memcpy(groups, bytes, n);
	ret->groups = groups;
	ret->n_groups = n / sizeof(*groups);
	return 0;
}

int watch_find_request_decode(const void *payload, size_t n_payload, struct watch_find_request *ret)
{
	_cleanup_(watch_find_request_deinit) struct watch_find_request request = {};
	struct flat_reader reader = { .p = payload, .n = n_payload };
	int r;

	assert(ret);

	r = path_get(&reader, &request.path);
	if (r < 0)
		return r;
	request.credential.uid = flat_get_u32(&reader);
	r = groups_get(&reader, &request.credential);
	if (r == 0)
		r = path_get(&reader, &request.where);
	if (r < 0)
		return r;
	request.mount_id = flat_get_u64(&reader);
	request.mount_id_is_unique = flat_get_u32(&reader) != 0;
	request.btrfs = flat_get_u32(&reader) != 0;
	request.inode = flat_get_u64(&reader);
	request.subvolume = flat_get_u64(&reader);
	if (!flat_reader_done(&reader) || (request.path ? request.path[0] != '/' : !request.where))
		return -EBADMSG;

	*ret = request;
	request = (struct watch_find_request){};
	return 0;
}

int watch_find_reply_encode(const struct watch_find_reply *reply, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};
	const struct handle_view handle = handle_view(&reply->handle);

	flat_put_u32(&writer, (uint32_t)reply->error);
	flat_put_u32(&writer, reply->is_directory);
	flat_put_u32(&writer, reply->mnt_id);
	flat_put_u64(&writer, reply->mount_id_unique);
	flat_put_u32(&writer, reply->dev_major);
	flat_put_u32(&writer, reply->dev_minor);
	flat_put_u64(&writer, reply->inode);
	lookup_put_handle(&writer, &handle);
	flat_put_bytes(&writer, reply->path, reply->n_path);
	return flat_writer_finish(&writer, ret, ret_n);
}

int watch_find_reply_decode(const void *bytes, size_t n_bytes, struct watch_find_reply *ret)
{
	struct flat_reader reader = { .p = bytes, .n = bytes ? n_bytes : 0 };
	struct watch_find_reply reply = {};
	const uint8_t *path;

	assert(ret);

	reply.error = (int32_t)flat_get_u32(&reader);
	reply.is_directory = flat_get_u32(&reader) != 0;
	reply.mnt_id = flat_get_u32(&reader);
	reply.mount_id_unique = flat_get_u64(&reader);
	reply.dev_major = flat_get_u32(&reader);
	reply.dev_minor = flat_get_u32(&reader);
	reply.inode = flat_get_u64(&reader);
	if (handle_copy(&reader, &reply.handle) < 0)
		return -EBADMSG;
	path = flat_get_bytes(&reader, &reply.n_path);
	if (!flat_reader_done(&reader) || reply.error > 0 || reply.n_path >= sizeof(reply.path) ||
	    (reply.error == 0 && reply.handle.n == 0 && reply.n_path == 0) ||
	    (reply.n_path > 0 && memchr(path, '\0', reply.n_path)))
		return -EBADMSG;

	if (reply.n_path > 0)
		memcpy(reply.path, path, reply.n_path);
	*ret = reply;
	return 0;
}

int watch_mark_request_encode(const struct watch_mark_request *request, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};

	assert(request->where);
	assert(request->handle.n <= HANDLE_MAX);
	assert(!request->inotify ||
	       (request->remove ? request->handle.n > 0 : request->path != NULL));

	if (strlen(request->where) >= WATCH_PATH_MAX ||
	    (request->path && strlen(request->path) >= WATCH_PATH_MAX))
		return -E2BIG;

	flat_put_string(&writer, request->where);
	flat_put_u64(&writer, request->mount_id);
	flat_put_u32(&writer, request->mount_id_is_unique);
	flat_put_u32(&writer, request->btrfs);
	flat_put_u32(&writer, request->remove);
	flat_put_u32(&writer, request->ignore);
	flat_put_u64(&writer, request->mask);
	lookup_put_handle(&writer, &request->handle);
	flat_put_u32(&writer, request->inotify);
	flat_put_string(&writer, request->path);
	flat_put_u64(&writer, request->inode);
	return flat_writer_finish(&writer, ret, ret_n);
}

void watch_mark_request_deinit(struct watch_mark_request *request)
{
	free((char *)request->where);
	free((char *)request->path);
	*request = (struct watch_mark_request){};
}

int watch_mark_request_decode(const void *payload, size_t n_payload, struct watch_mark_request *ret)
{
	_cleanup_(watch_mark_request_deinit) struct watch_mark_request request = {};
	struct flat_reader reader = { .p = payload, .n = n_payload };
	int r;

	assert(ret);

	r = path_get(&reader, &request.where);
	if (r < 0)
		return r;
	request.mount_id = flat_get_u64(&reader);
	request.mount_id_is_unique = flat_get_u32(&reader) != 0;
	request.btrfs = flat_get_u32(&reader) != 0;
	request.remove = flat_get_u32(&reader) != 0;
	request.ignore = flat_get_u32(&reader) != 0;
	request.mask = flat_get_u64(&reader);
	request.handle = lookup_get_handle(&reader);
	request.inotify = flat_get_u32(&reader) != 0;
	r = path_get(&reader, &request.path);
	if (r < 0)
		return r;
	request.inode = flat_get_u64(&reader);
	if (!flat_reader_done(&reader) || !request.where ||
	    (request.inotify && !request.remove && !request.path))
		return -EBADMSG;

	*ret = request;
	request = (struct watch_mark_request){};
	return 0;
}

int watch_mark_reply_encode(const struct watch_mark_reply *reply, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};
	const struct handle_view root = handle_view(&reply->root);

	flat_put_u32(&writer, (uint32_t)reply->error);
	lookup_put_handle(&writer, &root);
	return flat_writer_finish(&writer, ret, ret_n);
}

int watch_mark_reply_decode(const void *bytes, size_t n_bytes, struct watch_mark_reply *ret)
{
	struct flat_reader reader = { .p = bytes, .n = bytes ? n_bytes : 0 };
	struct watch_mark_reply reply = {};

	assert(ret);

	reply.error = (int32_t)flat_get_u32(&reader);
	if (handle_copy(&reader, &reply.root) < 0 || !flat_reader_done(&reader) || reply.error > 0)
		return -EBADMSG;

	*ret = reply;
	return 0;
}

int watch_list_request_encode(const struct watch_list_request *request, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};
	const struct lookup_credential *credential = &request->credential;

	assert(request->where && request->root && request->below);

	if (strlen(request->where) >= WATCH_PATH_MAX || strlen(request->root) >= WATCH_PATH_MAX ||
	    strlen(request->below) >= WATCH_PATH_MAX ||
	    (request->name && strlen(request->name) >= WATCH_PATH_MAX) ||
	    credential->n_groups > LOOKUP_GROUPS_MAX)
		return -E2BIG;

	flat_put_string(&writer, request->where);
	flat_put_u64(&writer, request->mount_id);
	flat_put_u32(&writer, request->mount_id_is_unique);
	flat_put_string(&writer, request->root);
	flat_put_u64(&writer, request->root_inode);
	flat_put_u32(&writer, credential->uid);
	flat_put_bytes(&writer, credential->groups,
		       credential->n_groups * sizeof(*credential->groups));
	flat_put_string(&writer, request->below);
	flat_put_u64(&writer, request->inode);
	flat_put_string(&writer, request->name);
	return flat_writer_finish(&writer, ret, ret_n);
}

void watch_list_request_deinit(struct watch_list_request *request)
{
	free((char *)request->where);
	free((char *)request->root);
	free((char *)request->below);
	free((char *)request->name);
	free((gid_t *)request->credential.groups);
	*request = (struct watch_list_request){};
}

int watch_list_request_decode(const void *payload, size_t n_payload, struct watch_list_request *ret)
{
	_cleanup_(watch_list_request_deinit) struct watch_list_request request = {};
	struct flat_reader reader = { .p = payload, .n = n_payload };
	int r;

	assert(ret);

	r = path_get(&reader, &request.where);
	if (r < 0)
		return r;
	request.mount_id = flat_get_u64(&reader);
	request.mount_id_is_unique = flat_get_u32(&reader) != 0;
	r = path_get(&reader, &request.root);
	if (r < 0)
		return r;
	request.root_inode = flat_get_u64(&reader);
	request.credential.uid = flat_get_u32(&reader);
	r = groups_get(&reader, &request.credential);
	if (r == 0)
		r = path_get(&reader, &request.below);
	if (r < 0)
		return r;
	request.inode = flat_get_u64(&reader);
	r = path_get(&reader, &request.name);
	if (r < 0)
		return r;
	if (!flat_reader_done(&reader) || !request.where || !request.root || !request.below)
		return -EBADMSG;

	*ret = request;
	request = (struct watch_list_request){};
	return 0;
}

int watch_list_reply_encode(const struct watch_list_reply *reply, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};

	flat_put_u32(&writer, (uint32_t)reply->error);
	flat_put_u32(&writer, reply->is_empty);
	flat_put_u32(&writer, reply->is_cut);
	flat_put_u64(&writer, reply->n_left);
	flat_put_u32(&writer, (uint32_t)reply->n_entries);
	for (size_t i = 0; i < reply->n_entries; i++) {
		const struct watch_list_entry *entry = &reply->entries[i];

		flat_put_u64(&writer, entry->inode);
		/* With its NUL, so that it can be used where it lies. */
		flat_put_bytes(&writer, entry->name, strlen(entry->name) + 1);
	}
	return flat_writer_finish(&writer, ret, ret_n);
}

void watch_list_reply_deinit(struct watch_list_reply *reply)
{
	free(reply->entries);
	*reply = (struct watch_list_reply){};
}

/* Return: 0 or -EBADMSG. */
static int list_entry_get(struct flat_reader *reader, struct watch_list_entry *ret)
{
	const uint8_t *name;
	size_t n;

	ret->inode = flat_get_u64(reader);
	name = flat_get_bytes(reader, &n);
	if (reader->failed || !name || n < 2 || n > NAME_MAX + 1 ||
	    memchr(name, '\0', n) != name + n - 1 || memchr(name, '/', n))
		return -EBADMSG;
	ret->name = (const char *)name;
	return 0;
}

int watch_list_reply_decode(const void *bytes, size_t n_bytes, struct watch_list_reply *ret)
{
	_cleanup_(watch_list_reply_deinit) struct watch_list_reply reply = {};
	struct flat_reader reader = { .p = bytes, .n = bytes ? n_bytes : 0 };
	size_t n;

	assert(ret);

	reply.error = (int32_t)flat_get_u32(&reader);
	reply.is_empty = flat_get_u32(&reader) != 0;
	reply.is_cut = flat_get_u32(&reader) != 0;
	reply.n_left = flat_get_u64(&reader);
	n = flat_get_count(&reader, sizeof(uint64_t) + sizeof(uint32_t));
	if (reader.failed || n > WATCH_LIST_MAX || reply.error > 0)
		return -EBADMSG;
	reply.entries = calloc(n + 1, sizeof(*reply.entries));
	if (!reply.entries)
		return -ENOMEM;
	for (; reply.n_entries < n; reply.n_entries++)
		if (list_entry_get(&reader, &reply.entries[reply.n_entries]) < 0)
			return -EBADMSG;
	if (!flat_reader_done(&reader))
		return -EBADMSG;

	*ret = reply;
	reply = (struct watch_list_reply){};
	return 0;
}
