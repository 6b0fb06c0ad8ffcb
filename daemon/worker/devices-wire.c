/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/devices.h"
#include "daemon/worker/flat.h"

/* Smallest items: a length; two and four numbers; two numbers and two lengths. */
#define STRING_SIZE_MIN 4
#define NUMBER_SIZE 8
#define PATH_SIZE_MIN 16
#define IDENTITY_SIZE_MIN 16

int device_request_encode(const char *const *paths, size_t n_paths,
			  const struct device_number *numbers, size_t n_numbers, void **ret,
			  size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};

	assert((paths || n_paths == 0) && (numbers || n_numbers == 0));

	flat_put_u32(&writer, (uint32_t)n_paths);
	for (size_t i = 0; i < n_paths; i++)
		flat_put_string(&writer, paths[i]);
	flat_put_u32(&writer, (uint32_t)n_numbers);
	for (size_t i = 0; i < n_numbers; i++) {
		flat_put_u32(&writer, numbers[i].major);
		flat_put_u32(&writer, numbers[i].minor);
	}

	return flat_writer_finish(&writer, ret, ret_n);
}

static int encode_reply(const struct devices_request *request, const struct devices_found *found,
			void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};

	flat_put_u32(&writer, (uint32_t)found->n_paths);
	for (size_t i = 0; i < found->n_paths; i++) {
		flat_put_string(&writer, request->paths[i]);
		flat_put_u32(&writer, (uint32_t)found->paths[i].error);
		flat_put_u32(&writer, found->paths[i].major);
		flat_put_u32(&writer, found->paths[i].minor);
	}
	flat_put_u32(&writer, (uint32_t)found->n_identities);
	for (size_t i = 0; i < found->n_identities; i++) {
		flat_put_u32(&writer, found->identities[i].number.major);
		flat_put_u32(&writer, found->identities[i].number.minor);
		flat_put_string(&writer, found->identities[i].uuid);
		flat_put_string(&writer, found->identities[i].label);
	}

	return flat_writer_finish(&writer, ret, ret_n);
}

struct path_view {
	const uint8_t *path; /* not NUL-terminated */
	size_t n_path;
	int error;
	struct device_number number;
};

static struct path_view get_path(struct flat_reader *reader)
{
	struct path_view view = {};

	view.path = flat_get_bytes(reader, &view.n_path);
	view.error = (int)flat_get_u32(reader);
	view.number.major = flat_get_u32(reader);
	view.number.minor = flat_get_u32(reader);
	if (!view.path || view.error > 0)
		reader->failed = true;
	return view;
}

int devices_reply_find_path(const void *reply, size_t n_reply, const char *path,
			    struct device_number *ret)
{
	struct flat_reader reader = { .p = reply, .n = n_reply };
	size_t n;

	assert((reply || n_reply == 0) && path && ret);

	n = flat_get_count(&reader, PATH_SIZE_MIN);
	for (size_t i = 0; i < n && !reader.failed; i++) {
		struct path_view view = get_path(&reader);

		if (reader.failed || view.n_path != strlen(path) ||
		    memcmp(view.path, path, view.n_path) != 0)
			continue;
		if (view.error < 0)
			return view.error;
		*ret = view.number;
		return 0;
	}

	return reader.failed ? -EBADMSG : -ENODATA;
}

/* The rest of an identity, whose number was read. */
static int get_identity(struct flat_reader *reader, char **ret_uuid, char **ret_label)
{
	_cleanup_free_ char *uuid = NULL, *label = NULL;
	int r;

	r = flat_get_string(reader, &uuid);
	if (r == 0)
		r = flat_get_string(reader, &label);
	if (r < 0)
		return r;
	if (!uuid && !label)
		return -ENOENT;

	*ret_uuid = TAKE_PTR(uuid);
	*ret_label = TAKE_PTR(label);
	return 0;
}

int devices_reply_find_identity(const void *reply, size_t n_reply,
				const struct device_number *number, char **ret_uuid,
				char **ret_label)
{
	struct flat_reader reader = { .p = reply, .n = n_reply };
	size_t n, n_view;

	assert((reply || n_reply == 0) && number && ret_uuid && ret_label);

	n = flat_get_count(&reader, PATH_SIZE_MIN);
	for (size_t i = 0; i < n && !reader.failed; i++)
		(void)get_path(&reader);

	n = flat_get_count(&reader, IDENTITY_SIZE_MIN);
	for (size_t i = 0; i < n && !reader.failed; i++) {
		uint32_t major = flat_get_u32(&reader), minor = flat_get_u32(&reader);

		if (!reader.failed && major == number->major && minor == number->minor)
			return get_identity(&reader, ret_uuid, ret_label);
		(void)flat_get_bytes(&reader, &n_view);
		(void)flat_get_bytes(&reader, &n_view);
	}

	return reader.failed ? -EBADMSG : -ENOENT;
}

/* A request with what it points to. */
struct owned_request {
	char **paths;
	size_t n_paths;
	struct device_number *numbers;
	size_t n_numbers;
};

static void owned_request_deinit(struct owned_request *request)
{
	for (size_t i = 0; i < request->n_paths; i++)
		free(request->paths[i]);
	free(request->paths);
	free(request->numbers);
}

static int decode_request(struct flat_reader *reader, struct owned_request *request)
{
	size_t n = flat_get_count(reader, STRING_SIZE_MIN);
	int r;

	request->paths = calloc(n > 0 ? n : 1, sizeof(*request->paths));
	if (!request->paths)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		r = flat_get_string(reader, &request->paths[i]);
		if (r < 0)
			return r;
		if (!request->paths[i])
			return -EBADMSG;
		request->n_paths++;
	}

	n = flat_get_count(reader, NUMBER_SIZE);
	request->numbers = calloc(n > 0 ? n : 1, sizeof(*request->numbers));
	if (!request->numbers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		request->numbers[i].major = flat_get_u32(reader);
		request->numbers[i].minor = flat_get_u32(reader);
	}
	request->n_numbers = n;
	return flat_reader_done(reader) ? 0 : -EBADMSG;
}

int devices_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	_cleanup_(owned_request_deinit) struct owned_request owned = {};
	_cleanup_(devices_found_deinit) struct devices_found found = {};
	struct flat_reader reader = { .p = payload, .n = n };
	struct devices_request request;
	int r;

	assert(ret_reply && ret_n && (payload || n == 0));

	r = decode_request(&reader, &owned);
	if (r < 0)
		return r;
	request = (struct devices_request){
		.paths = (const char *const *)owned.paths,
		.n_paths = owned.n_paths,
		.numbers = owned.numbers,
		.n_numbers = owned.n_numbers,
	};
	r = devices_lookup(&request, &found);
	if (r < 0)
		return r;

	return encode_reply(&request, &found, ret_reply, ret_n);
}
