/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/escape.h"
#include "daemon/ctl/json.h"

static void json_text(struct json *json, const char *text)
{
	fputc('"', json->file);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(json->file, "\\%c", *c);
		else if (*c < 0x20 || *c == 0x7f)
			fprintf(json->file, "\\u%04x", *c);
		else
			fputc(*c, json->file);
	}
	fputc('"', json->file);
}

static void json_key(struct json *json, const char *key)
{
	if (json->comma)
		fputc(',', json->file);
	json->comma = true;
	if (key) {
		json_text(json, key);
		fputc(':', json->file);
	}
}

void json_open(struct json *json, const char *key, char bracket)
{
	json_key(json, key);
	fputc(bracket, json->file);
	json->comma = false;
}

void json_close(struct json *json, char bracket)
{
	fputc(bracket, json->file);
	json->comma = true;
}

void json_end_line(struct json *json)
{
	fputc('\n', json->file);
	json->comma = false;
}

void json_string(struct json *json, const char *key, const char *value)
{
	_cleanup_free_ char *escaped = NULL;

	if (value && !escape_is_utf8(value, strlen(value))) {
		escaped = escape_new(value, strlen(value), 0);
		value = escaped;
	}
	json_key(json, key);
	json_text(json, value ?: "");
}

void json_u32(struct json *json, const char *key, uint32_t value)
{
	json_key(json, key);
	fprintf(json->file, "%" PRIu32, value);
}

void json_i32(struct json *json, const char *key, int32_t value)
{
	json_key(json, key);
	fprintf(json->file, "%" PRId32, value);
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
	json_key(json, key);
	fprintf(json->file, "\"%" PRIu64 "\"", value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	json_key(json, key);
	fputs(value ? "true" : "false", json->file);
}

static void json_base64(struct json *json, const uint8_t *bytes, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	fputc('"', json->file);
	for (size_t i = 0; i < n; i += 3) {
		uint32_t group = (uint32_t)bytes[i] << 16;

		if (i + 1 < n)
			group |= (uint32_t)bytes[i + 1] << 8;
		if (i + 2 < n)
			group |= bytes[i + 2];
		fputc(digits[group >> 18], json->file);
		fputc(digits[group >> 12 & 63], json->file);
		fputc(i + 1 < n ? digits[group >> 6 & 63] : '=', json->file);
		fputc(i + 2 < n ? digits[group & 63] : '=', json->file);
	}
	fputc('"', json->file);
}

void json_bytes(struct json *json, const char *key, const void *value, size_t n)
{
	_cleanup_free_ char *escaped = escape_new(value, n, 0);
	char key64[128];

	json_string(json, key, escaped ?: "");
	if (!key || escape_is_utf8(value, n))
		return;

	snprintf(key64, sizeof(key64), "%s-base64", key);
	json_key(json, key64);
	json_base64(json, value, n);
}

void json_strv(struct json *json, const char *key, char *const *strings)
{
	json_open(json, key, '[');
	for (size_t i = 0; strings && strings[i]; i++)
		json_string(json, NULL, strings[i]);
	json_close(json, ']');
}

static void json_writers(struct json *json, const char *key, const struct detail *detail)
{
	struct detail_writer writer;
	size_t offset = 0;

	json_open(json, key, '[');
	while (detail_writer_next(detail, &offset, &writer) > 0) {
		json_open(json, NULL, '{');
		json_u32(json, "pid", writer.pid);
		json_u64(json, "bytes", writer.bytes);
		json_string(json, "comm", writer.comm);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_detail(struct json *json, const struct detail *detail)
{
	char key[DETAIL_KEY_MAX + 1];

	snprintf(key, sizeof(key), "%.*s", (int)detail->n_key, detail->key);

	switch (detail->type) {
	case DETAIL_STRING: {
		_cleanup_free_ char *text = strndup((const char *)detail->value, detail->n_value);

		json_string(json, key, text);
		break;
	}
	case DETAIL_BYTES:
		json_bytes(json, key, detail->value, detail->n_value);
		break;
	case DETAIL_U32:
		json_u32(json, key, detail_u32(detail));
		break;
	case DETAIL_U64:
		json_u64(json, key, detail_u64(detail));
		break;
	case DETAIL_I32:
		json_i32(json, key, (int32_t)detail_u32(detail));
		break;
	case DETAIL_BOOL:
		json_bool(json, key, detail->value[0]);
		break;
	case DETAIL_WRITERS:
		json_writers(json, key, detail);
		break;
	}
}

void json_pairs(struct json *json, const struct details *details)
{
	struct detail detail;
	size_t offset = 0;

	while (details_next(details->data, details->n_data, &offset, &detail) > 0)
		json_detail(json, &detail);
}
