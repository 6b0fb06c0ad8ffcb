/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Netlink attributes
 *
 * Walks the attributes of one message (linux/netlink.h) and takes their values.
 * All lengths are checked here by own arithmetic. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_attribute {
	unsigned int type; /* without its flags */
	const uint8_t *data; /* not aligned */
	size_t n_data;
};

/**
 * wire_attribute_next() - the next attribute
 * @offset:	0 at the start; moved on
 *
 * Return: 1 with @ret, 0 at the end, or -EBADMSG where lengths cannot be.
 */
int wire_attribute_next(const void *data, size_t n_data, size_t *offset,
			struct wire_attribute *ret);

/** wire_attribute_u32() - Return: whether it has exactly that width; else @ret is untouched */
bool wire_attribute_u32(const struct wire_attribute *attribute, uint32_t *ret);
bool wire_attribute_u64(const struct wire_attribute *attribute, uint64_t *ret);

/**
 * wire_attribute_string() - a copy of a text, with or without its NUL
 *
 * Return: whether it fits with a NUL and has none within; else @ret is untouched.
 */
bool wire_attribute_string(const struct wire_attribute *attribute, char *ret, size_t n_ret);
