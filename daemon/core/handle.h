/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * File handles
 *
 * What names an inode within its superblock, over renames and remounts
 * (name_to_handle_at(2)): bytes with a type, compared as they are.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/index.h"

/* MAX_HANDLE_SZ of the kernel */
#define HANDLE_MAX 128

/* Borrowed. */
struct handle_view {
	int32_t type;
	uint32_t n; /* 0: none */
	const uint8_t *bytes;
};

/* Owned. */
struct handle {
	int32_t type;
	uint32_t n; /* 0: none */
	uint8_t bytes[HANDLE_MAX];
};

static inline struct handle_view handle_view(const struct handle *handle)
{
	return (struct handle_view){ .type = handle->type, .n = handle->n, .bytes = handle->bytes };
}

static inline bool handle_equal(const struct handle_view *a, const struct handle_view *b)
{
	return a->type == b->type && a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static inline uint64_t handle_hash(const struct handle_view *handle)
{
	uint64_t hash = HASH_BYTES_INIT ^ (uint32_t)handle->type;

	return hash_bytes(hash, (const char *)handle->bytes, handle->n);
}
