/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Envelopes of D-Bus messages
 *
 * Where one message ends on a stream, who sent it, to whom it goes and how
 * many descriptors it carries: what is needed to judge a message before the
 * library that unpacks it sees it. Bodies are not looked at. The form is that
 * of the D-Bus Specification, "Message Protocol". Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So much is read to learn how long the rest is. */
#define ENVELOPE_FIXED 16

/* The specification's bound of a whole message. */
#define ENVELOPE_TOTAL_MAX (128U << 20)

enum envelope_type {
	ENVELOPE_CALL = 1,
	ENVELOPE_RETURN = 2,
	ENVELOPE_ERROR = 3,
	ENVELOPE_SIGNAL = 4,
};

/* Strings lie in the message, NUL-terminated; NULL where the field is absent. */
struct envelope {
	unsigned int type; /* enum envelope_type, or one not known yet */
	bool big_endian;
	bool no_reply; /* the caller waits for no answer */
	uint32_t serial;
	uint32_t reply_serial; /* 0: none */
	uint32_t n_fds;
	size_t n_header; /* with its padding: here the body begins */
	size_t n_total;
	const char *sender;
	const char *destination;
	const char *path;
	const char *interface;
	const char *member;
	size_t fds_at; /* offset of the code of this field, 0: none */
	size_t signature_at;
};

/**
 * envelope_measure() - how long is the message that begins so?
 * @fixed:	its first ENVELOPE_FIXED bytes
 *
 * Return: 0, or -EBADMSG where no message begins so (the stream is useless then).
 */
int envelope_measure(const uint8_t fixed[static ENVELOPE_FIXED], size_t *ret_header,
		     size_t *ret_total);

/**
 * envelope_decode() - read the header
 * @data, @n:	a message, of which at least the header is there; borrowed by @ret
 *
 * Fields of a later protocol are skipped as long as their type is a basic one.
 *
 * Return: 0, or -EBADMSG with @ret untouched.
 */
int envelope_decode(struct envelope *ret, const uint8_t *data, size_t n);

/**
 * envelope_drop_fds() - say that the message carries no descriptors
 *
 * The field is turned into one that receivers must ignore.
 */
void envelope_drop_fds(struct envelope *envelope, uint8_t *data);

/** envelope_drop_body() - say that the message has no body; ->n_total becomes ->n_header */
void envelope_drop_body(struct envelope *envelope, uint8_t *data);

/**
 * envelope_refuse() - an error in answer to a call
 * @call:	with a sender
 * @name:	an error name
 * @text:	a sentence, UTF-8
 * @ret:	a whole message to free()
 *
 * For answers that must be possible where no library stands between.
 *
 * Return: 0 or -ENOMEM.
 */
int envelope_refuse(uint8_t **ret, size_t *ret_n, const struct envelope *call, const char *name,
		    const char *text);
