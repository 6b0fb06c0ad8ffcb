/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/core/escape.h"

static int marshal_bytes(sd_bus_message *message, const void *bytes, size_t n)
{
	void *room;
	int r;

	r = sd_bus_message_append_array_space(message, 'y', n + 1, &room);
	if (r < 0)
		return r;
	memcpy(room, bytes, n);
	((char *)room)[n] = '\0';
	return 0;
}

static int marshal_bytes_variant(sd_bus_message *message, const struct detail *detail)
{
	int r;

	r = sd_bus_message_open_container(message, 'v', "ay");
	if (r < 0)
		return r;
	r = marshal_bytes(message, detail->value, detail->n_value);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(message);
}

static int marshal_writers(sd_bus_message *message, const struct detail *detail)
{
	struct detail_writer writer;
	size_t offset = 0;
	int r;

	r = sd_bus_message_open_container(message, 'v', "a(uts)");
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(message, 'a', "(uts)");
	if (r < 0)
		return r;
	while (detail_writer_next(detail, &offset, &writer) == 1) {
		r = sd_bus_message_append(message, "(uts)", writer.pid, writer.bytes, writer.comm);
		if (r < 0)
			return r;
	}
	r = sd_bus_message_close_container(message);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(message);
}

static int marshal_text(sd_bus_message *message, const struct detail *detail)
{
	_cleanup_free_ char *text = NULL;

	text = strndup((const char *)detail->value, detail->n_value);
	if (!text)
		return -ENOMEM;
	return sd_bus_message_append(message, "v", "s", text);
}

static int marshal_value(sd_bus_message *message, const struct detail *detail)
{
	int32_t number;

	switch (detail->type) {
	case DETAIL_STRING:
		return marshal_text(message, detail);
	case DETAIL_BYTES:
		return marshal_bytes_variant(message, detail);
	case DETAIL_U32:
		return sd_bus_message_append(message, "v", "u", detail_u32(detail));
	case DETAIL_I32:
		memcpy(&number, detail->value, sizeof(number));
		return sd_bus_message_append(message, "v", "i", number);
	case DETAIL_U64:
		return sd_bus_message_append(message, "v", "t", detail_u64(detail));
	case DETAIL_BOOL:
		return sd_bus_message_append(message, "v", "b", detail->value[0] ? 1 : 0);
	case DETAIL_WRITERS:
		return marshal_writers(message, detail);
	}
	return -EINVAL;
}

static int marshal_detail(sd_bus_message *message, const struct detail *detail)
{
	char key[DETAIL_KEY_MAX + 1];
	int r;

	if (detail->n_key > DETAIL_KEY_MAX)
		return -EINVAL;
	memcpy(key, detail->key, detail->n_key);
	key[detail->n_key] = '\0';

	r = sd_bus_message_open_container(message, 'e', "sv");
	if (r < 0)
		return r;
	r = sd_bus_message_append(message, "s", key);
	if (r < 0)
		return r;
	r = marshal_value(message, detail);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(message);
}

int marshal_details(sd_bus_message *message, const struct details *details, bool private,
		    uint64_t count, bool test)
{
	struct detail detail;
	size_t offset = 0;
	int r;

	assert(message);
	assert(details);

	r = sd_bus_message_open_container(message, 'a', "{sv}");
	if (r < 0)
		return r;

	while (details_next(details->data, details->n_data, &offset, &detail) == 1) {
		if (!private && (detail.flags & DETAIL_PRIVATE))
			continue;
		/* That of the latest alone: here it is the sum. */
		if (count > 1 && detail_is(&detail, "count"))
			continue;
		r = marshal_detail(message, &detail);
		if (r < 0)
			return r;
	}

	if (count > 1) {
		r = sd_bus_message_append(message, "{sv}", "count", "t", count);
		if (r < 0)
			return r;
	}
	if (test && !details_find(details, "test", &detail)) {
		r = sd_bus_message_append(message, "{sv}", "test", "b", 1);
		if (r < 0)
			return r;
	}
	return sd_bus_message_close_container(message);
}

size_t marshal_details_size(const struct details *details)
{
	struct detail detail;
	size_t offset = 0, n = 64;

	/*
	 * A pair takes its key and value, and for lengths, NULs, the
	 * signature and padding at most 48 more; a writer grows by less than
	 * its own size from the flat form.
	 */
	while (details_next(details->data, details->n_data, &offset, &detail) == 1)
		n += 48 + detail.n_key + 2 * detail.n_value;
	return n;
}

int marshal_codes(sd_bus_message *message, uint32_t codes)
{
	int r;

	r = sd_bus_message_open_container(message, 'a', "s");
	if (r < 0)
		return r;
	for (unsigned int code = 0; code < _EVENT_CODE_N; code++) {
		if (!(codes & 1U << code))
			continue;
		r = sd_bus_message_append(message, "s", event_code_name((enum event_code)code));
		if (r < 0)
			return r;
	}
	return sd_bus_message_close_container(message);
}

int marshal_escaped(sd_bus_message *message, const char *bytes)
{
	_cleanup_free_ char *text = NULL;

	text = escape_new(bytes, strlen(bytes), 0);
	if (!text)
		return -ENOMEM;
	return sd_bus_message_append(message, "s", text);
}
