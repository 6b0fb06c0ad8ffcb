/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Details of an event
 *
 * A list of typed key-value pairs in one flat buffer, which is copied as it
 * is into the history, the state file and the streams and is turned into
 * a{sv} only at the bus. A pair may be private: path, inode and writers go
 * to root and to holders of read-details only, never into a signal.
 *
 * In the buffer a pair is, unaligned and in native endianness:
 *
 *	u8 type, u8 flags, u16 n_key, u32 n_value, key, value
 *
 * The flat form is what fsevents_stream.h and the state file describe too:
 * change it only together with them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types are D-Bus type codes; 'w' stands for the a(uts) of writers. */
enum detail_type {
	DETAIL_STRING = 's', /* UTF-8 without NUL: escaped before it is added */
	DETAIL_BYTES = 'y', /* ay with the final NUL on the bus; here without */
	DETAIL_U32 = 'u',
	DETAIL_U64 = 't',
	DETAIL_I32 = 'i',
	DETAIL_BOOL = 'b', /* one byte, 0 or 1 */
	DETAIL_WRITERS = 'w', /* each: u32 pid, u64 bytes, u16 n, comm (escaped UTF-8) */
};

enum detail_flags {
	DETAIL_PRIVATE = 1,
};

/* A key is 1 to DETAIL_KEY_MAX bytes of a-z, 0-9 and '-'. */
#define DETAIL_KEY_MAX 64

/* All details of one event together; a builder past it fails with -E2BIG. */
#define DETAILS_MAX 8192

struct details {
	uint8_t *data;
	size_t n_data;
};

/* A borrowed view of one pair; @key and @value die with the buffer. */
struct detail {
	enum detail_type type;
	unsigned int flags;
	const char *key; /* not NUL-terminated */
	size_t n_key;
	const uint8_t *value;
	size_t n_value;
};

void details_deinit(struct details *details);

/*
 * Add one pair. A string that is not valid UTF-8 is a bug of the caller.
 * Return: 0, -E2BIG or -ENOMEM; on failure the list is as before.
 */
int details_add_string(struct details *details, const char *key, const char *value,
		       unsigned int flags);
int details_add_bytes(struct details *details, const char *key, const void *value, size_t n_value,
		      unsigned int flags);
int details_add_u32(struct details *details, const char *key, uint32_t value, unsigned int flags);
int details_add_u64(struct details *details, const char *key, uint64_t value, unsigned int flags);
int details_add_i32(struct details *details, const char *key, int32_t value, unsigned int flags);
int details_add_bool(struct details *details, const char *key, bool value, unsigned int flags);

struct detail_writer {
	uint32_t pid;
	uint64_t bytes;
	char comm[64]; /* escaped, NUL-terminated */
};

int details_add_writers(struct details *details, const char *key,
			const struct detail_writer *writers, size_t n_writers, unsigned int flags);

/**
 * details_next() - walk a flat list, trusted or not
 * @data, @n_data:	the buffer
 * @offset:		0 at the start; advanced past the pair
 * @ret:		the pair; untouched unless 1 is returned
 *
 * Pairs of a type that is not known here, of a later version, are skipped.
 *
 * Return: 1 with a pair, 0 at the end, -EBADMSG where the bytes break the
 * form above (possible only for bytes that came from a file).
 */
int details_next(const uint8_t *data, size_t n_data, size_t *offset, struct detail *ret);

/* The whole pair of a view, as it stands in the buffer. */
const uint8_t *detail_start(const struct detail *detail);
size_t detail_length(const struct detail *detail);

/**
 * details_validate() - a whole flat list that came from elsewhere
 *
 * Beyond the form that details_next() checks: keys of the letters allowed,
 * text that is UTF-8 without NUL, writers that end where the value ends, at
 * most DETAILS_MAX bytes. What passes here may go to the bus as it is.
 *
 * Return: 0, or -EBADMSG.
 */
int details_validate(const uint8_t *data, size_t n_data);

/**
 * details_append() - add all pairs of another list, those of known types
 * @private:	false: only those that are not private
 *
 * Return: 0, -E2BIG or -ENOMEM; on failure the list is as before.
 */
int details_append(struct details *details, const uint8_t *data, size_t n_data, bool private);

/** details_find() - the first pair with @key; Return: true when there is one */
bool details_find(const struct details *details, const char *key, struct detail *ret);

/** detail_is() - it has this key */
bool detail_is(const struct detail *detail, const char *key);

uint32_t detail_u32(const struct detail *detail);
uint64_t detail_u64(const struct detail *detail);

/** detail_writer_next() - walk the writers of one DETAIL_WRITERS value; as details_next() */
int detail_writer_next(const struct detail *detail, size_t *offset, struct detail_writer *ret);
