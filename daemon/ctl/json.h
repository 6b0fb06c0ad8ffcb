/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * JSON lines
 *
 * Writes one object a line. Strings are UTF-8 already or are escaped as
 * \ooo first; numbers that may pass 2^53 are written as strings, since most
 * readers would round them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "daemon/core/details.h"

struct json {
	FILE *file;
	bool comma; /* something stands before the next item */
};

void json_open(struct json *json, const char *key, char bracket); /* @key NULL: an array's item */
void json_close(struct json *json, char bracket);
void json_end_line(struct json *json);

/** json_string() - NULL is ""; what is not UTF-8 is escaped, so that the line stays valid */
void json_string(struct json *json, const char *key, const char *value);
void json_u32(struct json *json, const char *key, uint32_t value);
void json_i32(struct json *json, const char *key, int32_t value);
void json_u64(struct json *json, const char *key, uint64_t value); /* as a string */
void json_bool(struct json *json, const char *key, bool value);

/** json_bytes() - @key with \ooo, and KEY-base64 as well where the bytes are not UTF-8 */
void json_bytes(struct json *json, const char *key, const void *value, size_t n);
void json_strv(struct json *json, const char *key, char *const *strings);

/** json_pairs() - the members of details, into an open object; pairs of unknown types are left out */
void json_pairs(struct json *json, const struct details *details);
