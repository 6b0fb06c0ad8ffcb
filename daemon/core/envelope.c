/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/envelope.h"

enum field_code {
	FIELD_PATH = 1,
	FIELD_INTERFACE = 2,
	FIELD_MEMBER = 3,
	FIELD_ERROR_NAME = 4,
	FIELD_REPLY_SERIAL = 5,
	FIELD_DESTINATION = 6,
	FIELD_SENDER = 7,
	FIELD_SIGNATURE = 8,
	FIELD_UNIX_FDS = 9,
};

/* No version of the protocol gave this code a meaning: receivers skip it. */
#define FIELD_IGNORED 0xff

#define FLAG_NO_REPLY_EXPECTED 1

/*
 * Serials need only be unique where an answer is expected, and none is to an
 * error; this one is never reached by counting up.
 */
#define REFUSAL_SERIAL UINT32_MAX

struct cursor {
	const uint8_t *data;
	size_t n;
	size_t at;
	bool big_endian;
};

static size_t align(size_t offset, size_t to)
{
	return (offset + to - 1) & ~(to - 1);
}

static uint32_t load_u32(const uint8_t *data, bool big_endian)
{
	if (big_endian)
		return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 |
		       data[3];
	return (uint32_t)data[3] << 24 | (uint32_t)data[2] << 16 | (uint32_t)data[1] << 8 | data[0];
}

static bool cursor_skip(struct cursor *cursor, size_t to, size_t n)
{
	size_t at = align(cursor->at, to);

	if (at > cursor->n || n > cursor->n - at)
		return false;
	cursor->at = at + n;
	return true;
}

static bool cursor_u32(struct cursor *cursor, uint32_t *ret)
{
	if (!cursor_skip(cursor, 4, 4))
		return false;
	*ret = load_u32(cursor->data + cursor->at - 4, cursor->big_endian);
	return true;
}

/* Length, bytes, NUL; no NUL among the bytes. */
static bool cursor_text(struct cursor *cursor, size_t n, const char **ret)
{
	const char *text = (const char *)cursor->data + cursor->at;

	if (n >= cursor->n || !cursor_skip(cursor, 1, n + 1))
		return false;
	if (text[n] != '\0' || memchr(text, '\0', n))
		return false;
	*ret = text;
	return true;
}

static bool cursor_string(struct cursor *cursor, const char **ret)
{
	uint32_t n;

	return cursor_u32(cursor, &n) && cursor_text(cursor, n, ret);
}

static bool cursor_signature(struct cursor *cursor, const char **ret)
{
	if (!cursor_skip(cursor, 1, 1))
		return false;
	return cursor_text(cursor, cursor->data[cursor->at - 1], ret);
}

static bool cursor_skip_value(struct cursor *cursor, char type)
{
	const char *text;

	switch (type) {
	case 'y':
		return cursor_skip(cursor, 1, 1);
	case 'n':
	case 'q':
		return cursor_skip(cursor, 2, 2);
	case 'b':
	case 'i':
	case 'u':
	case 'h':
		return cursor_skip(cursor, 4, 4);
	case 'x':
	case 't':
	case 'd':
		return cursor_skip(cursor, 8, 8);
	case 's':
	case 'o':
		return cursor_string(cursor, &text);
	case 'g':
		return cursor_signature(cursor, &text);
	default:
		return false;
	}
}

static bool field_text(struct cursor *cursor, char found, char expected, const char **ret)
{
	/* Given twice, it would depend on the reader who the sender is. */
	return found == expected && !*ret && cursor_string(cursor, ret);
}

static bool field_u32(struct cursor *cursor, char found, uint32_t *ret)
{
	return found == 'u' && !*ret && cursor_u32(cursor, ret);
}

static bool decode_field(struct envelope *envelope, struct cursor *cursor)
{
	const char *signature;
	unsigned int code;
	size_t code_at;

	if (!cursor_skip(cursor, 8, 1))
		return false;
	code_at = cursor->at - 1;
	code = cursor->data[code_at];
	if (!cursor_signature(cursor, &signature) || strlen(signature) != 1)
		return false;

	switch (code) {
	case FIELD_PATH:
		return field_text(cursor, *signature, 'o', &envelope->path);
	case FIELD_INTERFACE:
		return field_text(cursor, *signature, 's', &envelope->interface);
	case FIELD_MEMBER:
		return field_text(cursor, *signature, 's', &envelope->member);
	case FIELD_DESTINATION:
		return field_text(cursor, *signature, 's', &envelope->destination);
	case FIELD_SENDER:
		return field_text(cursor, *signature, 's', &envelope->sender);
	case FIELD_REPLY_SERIAL:
		return field_u32(cursor, *signature, &envelope->reply_serial);
	case FIELD_UNIX_FDS:
		if (envelope->fds_at)
			return false;
		envelope->fds_at = code_at;
		return field_u32(cursor, *signature, &envelope->n_fds);
	case FIELD_SIGNATURE:
		if (envelope->signature_at)
			return false;
		envelope->signature_at = code_at;
		return *signature == 'g' && cursor_signature(cursor, &signature);
	default:
		return cursor_skip_value(cursor, *signature);
	}
}

int envelope_measure(const uint8_t fixed[static ENVELOPE_FIXED], size_t *ret_header,
		     size_t *ret_total)
{
	uint32_t n_body, n_fields;
	bool big_endian;
	size_t n_header;

	assert(fixed);
	assert(ret_header && ret_total);

	if ((fixed[0] != 'l' && fixed[0] != 'B') || fixed[1] == 0 || fixed[3] != 1)
		return -EBADMSG;

	big_endian = fixed[0] == 'B';
	n_body = load_u32(fixed + 4, big_endian);
	n_fields = load_u32(fixed + 12, big_endian);
	if (load_u32(fixed + 8, big_endian) == 0)
		return -EBADMSG;
	if (n_fields > ENVELOPE_TOTAL_MAX || n_body > ENVELOPE_TOTAL_MAX)
		return -EBADMSG;

	n_header = align(ENVELOPE_FIXED + (size_t)n_fields, 8);
	if (n_header + n_body > ENVELOPE_TOTAL_MAX)
		return -EBADMSG;

	*ret_header = n_header;
	*ret_total = n_header + n_body;
	return 0;
}

int envelope_decode(struct envelope *ret, const uint8_t *data, size_t n)
{
	struct envelope envelope = {};
	struct cursor cursor = { .data = data, .at = ENVELOPE_FIXED };
	int r;

	assert(ret);
	assert(data);

	if (n < ENVELOPE_FIXED)
		return -EBADMSG;
	r = envelope_measure(data, &envelope.n_header, &envelope.n_total);
	if (r < 0)
		return r;
	if (n < envelope.n_header)
		return -EBADMSG;

	envelope.type = data[1];
	envelope.no_reply = data[2] & FLAG_NO_REPLY_EXPECTED;
	envelope.big_endian = data[0] == 'B';
	envelope.serial = load_u32(data + 8, envelope.big_endian);
	cursor.big_endian = envelope.big_endian;
	cursor.n = ENVELOPE_FIXED + load_u32(data + 12, envelope.big_endian);

	while (cursor.at < cursor.n)
		if (!decode_field(&envelope, &cursor))
			return -EBADMSG;

	*ret = envelope;
	return 0;
}

void envelope_drop_fds(struct envelope *envelope, uint8_t *data)
{
	assert(envelope);
	assert(data);

	if (envelope->fds_at)
		data[envelope->fds_at] = FIELD_IGNORED;
	envelope->fds_at = 0;
	envelope->n_fds = 0;
}

void envelope_drop_body(struct envelope *envelope, uint8_t *data)
{
	assert(envelope);
	assert(data);

	memset(data + 4, 0, 4);
	if (envelope->signature_at)
		data[envelope->signature_at] = FIELD_IGNORED;
	envelope->signature_at = 0;
	envelope->n_total = envelope->n_header;
}

/* What is written is always little-endian: a reader must take either. */
struct builder {
	uint8_t *data;
	size_t n;
};

static void build_bytes(struct builder *builder, const void *bytes, size_t n)
{
	memcpy(builder->data + builder->n, bytes, n);
	builder->n += n;
}

static void build_align(struct builder *builder, size_t to)
{
	while (builder->n % to)
		builder->data[builder->n++] = 0;
}

static void build_u32(struct builder *builder, uint32_t value)
{
	const uint8_t bytes[] = { (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
				  (uint8_t)(value >> 24) };

	build_align(builder, 4);
	build_bytes(builder, bytes, sizeof(bytes));
}

static void build_string(struct builder *builder, const char *text)
{
	build_u32(builder, (uint32_t)strlen(text));
	build_bytes(builder, text, strlen(text) + 1);
}

static void build_field(struct builder *builder, enum field_code code, char type)
{
	const uint8_t bytes[] = { (uint8_t)code, 1, (uint8_t)type, 0 };

	build_align(builder, 8);
	build_bytes(builder, bytes, sizeof(bytes));
}

static void patch_u32(struct builder *builder, size_t at, size_t value)
{
	struct builder patch = { .data = builder->data, .n = at };

	build_u32(&patch, (uint32_t)value);
}

int envelope_refuse(uint8_t **ret, size_t *ret_n, const struct envelope *call, const char *name,
		    const char *text)
{
	static const uint8_t start[4] = { 'l', ENVELOPE_ERROR, FLAG_NO_REPLY_EXPECTED, 1 };
	struct builder builder = {};
	size_t n_header;

	assert(ret && ret_n);
	assert(call && call->sender);
	assert(name && text);

	/* Each field takes at most 16 bytes beside its text. */
	builder.data = malloc(ENVELOPE_FIXED + 5 * 16 + strlen(call->sender) + strlen(name) +
			      strlen(text));
	if (!builder.data)
		return -ENOMEM;

	build_bytes(&builder, start, sizeof(start));
	build_u32(&builder, 0);
	build_u32(&builder, REFUSAL_SERIAL);
	build_u32(&builder, 0);

	build_field(&builder, FIELD_REPLY_SERIAL, 'u');
	build_u32(&builder, call->serial);
	build_field(&builder, FIELD_DESTINATION, 's');
	build_string(&builder, call->sender);
	build_field(&builder, FIELD_ERROR_NAME, 's');
	build_string(&builder, name);
	build_field(&builder, FIELD_SIGNATURE, 'g');
	build_bytes(&builder, "\1s", 3);
	patch_u32(&builder, 12, builder.n - ENVELOPE_FIXED);
	build_align(&builder, 8);

	n_header = builder.n;
	build_string(&builder, text);
	patch_u32(&builder, 4, builder.n - n_header);

	*ret = builder.data;
	*ret_n = builder.n;
	return 0;
}
