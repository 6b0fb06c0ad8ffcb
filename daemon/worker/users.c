/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/flat.h"
#include "daemon/worker/users.h"

/* Smallest items: a length; a length and two numbers. */
#define NAME_SIZE_MIN 4
#define USER_SIZE_MIN 12

int users_request_encode(const char *const *names, size_t n_names, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};

	assert(names || n_names == 0);

	flat_put_u32(&writer, (uint32_t)n_names);
	for (size_t i = 0; i < n_names; i++)
		flat_put_string(&writer, names[i]);

	return flat_writer_finish(&writer, ret, ret_n);
}

int users_reply_find(const void *reply, size_t n_reply, const char *name, uid_t *ret)
{
	struct flat_reader reader = { .p = reply, .n = n_reply };
	size_t n;

	assert((reply || n_reply == 0) && name && ret);

	n = flat_get_count(&reader, USER_SIZE_MIN);
	for (size_t i = 0; i < n && !reader.failed; i++) {
		size_t n_found;
		const uint8_t *found = flat_get_bytes(&reader, &n_found);
		int error = (int)flat_get_u32(&reader);
		uint32_t uid = flat_get_u32(&reader);

		if (reader.failed || !found || error > 0)
			return -EBADMSG;
		if (n_found != strlen(name) || memcmp(found, name, n_found) != 0)
			continue;
		if (error < 0)
			return error;
		*ret = uid;
		return 0;
	}

	return reader.failed ? -EBADMSG : -ENODATA;
}

/* getpwnam(3) lists what "there is none" may look like. */
static int look_up(const char *name, uid_t *ret)
{
	const struct passwd *user;

	errno = 0;
	user = getpwnam(name);
	if (user) {
		*ret = user->pw_uid;
		return 0;
	}

	switch (errno) {
	case 0:
	case ENOENT:
	case ESRCH:
	case EBADF:
	case EPERM:
		return -ENOENT;
	}
	return -errno;
}

int users_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};
	struct flat_reader reader = { .p = payload, .n = n };
	size_t n_names;

	assert(ret_reply && ret_n && (payload || n == 0));

	n_names = flat_get_count(&reader, NAME_SIZE_MIN);
	flat_put_u32(&writer, (uint32_t)n_names);
	for (size_t i = 0; i < n_names; i++) {
		_cleanup_free_ char *name = NULL;
		uid_t uid = 0;
		int r;

		r = flat_get_string(&reader, &name);
		if (r < 0)
			return r;
		if (!name)
			return -EBADMSG;
		r = look_up(name, &uid);
		flat_put_string(&writer, name);
		flat_put_u32(&writer, (uint32_t)r);
		flat_put_u32(&writer, uid);
	}
	if (!flat_reader_done(&reader))
		return -EBADMSG;

	return flat_writer_finish(&writer, ret_reply, ret_n);
}
