/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Messages of the module's family, and of generic netlink about it
 *
 * Bytes that came from netlink (include/fs_event.h, linux/genetlink.h) become
 * plain values. All lengths are checked here by own arithmetic; what is not
 * known is skipped. Who sent a datagram is for the reader of the socket to
 * check. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/fs_event.h"

/* One message of a datagram. */
struct wire_message {
	bool is_ack; /* an answer without contents: ->error */
	int error; /* of it: 0 or a negative errno */
	uint16_t family; /* else, whose message it is */
	uint8_t command;
	uint32_t seq; /* of netlink: with an answer, the request's */
	const void *attributes; /* of the datagram, ->n_attributes bytes */
	size_t n_attributes;
};

/**
 * wire_message_next() - the next message of a datagram
 * @data:	what one recvmsg() gave
 * @offset:	0 at the start; moved on
 *
 * Control messages of netlink other than acknowledgements are passed over.
 *
 * Return: 1 with @ret, 0 at the end, or -EBADMSG where lengths cannot be; what
 * came before is good.
 */
int wire_message_next(const void *data, size_t n_data, size_t *offset, struct wire_message *ret);

/* FS_NL_C_EVENT. Events that are not known yet have an ->id like all. */
struct wire_event {
	uint32_t id; /* enum fs_event_id */
	uint32_t dev_major, dev_minor;
	uint32_t fs_id; /* 0: of no request */
	uint32_t pid; /* 0: nobody's */
	uint64_t data;
	uint64_t seq; /* in the group, from 1; 0: not numbered */
	uint64_t time_ns;
	uint32_t error; /* errno, 0: none or not known */
	uint32_t count; /* at least 1 */
	bool repeats; /* it followed another of its kind, up to a second ago */
	bool has_inode;
	uint64_t inode;
	bool test;
	char level[FS_EVENT_LEVEL_NAME_MAX + 1];
};

/**
 * wire_event_decode() - one FS_NL_C_EVENT
 *
 * Return: 1 with @ret, 0 where it lacks what each event has, -EBADMSG where
 * lengths cannot be.
 */
int wire_event_decode(const void *attributes, size_t n_attributes, struct wire_event *ret);

/* The answer to FS_NL_C_FS_SET. */
struct wire_event_answer {
	uint32_t fs_id;
	uint64_t capable; /* bits FS_EVENT_BIT(id) */
	bool has_holds;
	uint64_t holds; /* likewise: states that hold */
};

/** wire_event_answer_decode() - Return: as wire_event_decode() */
int wire_event_answer_decode(const void *attributes, size_t n_attributes,
			     struct wire_event_answer *ret);

/** wire_watch_answer_decode() - the answer to FS_NL_C_WATCH_ADD: its number; Return: as wire_event_decode() */
int wire_watch_answer_decode(const void *attributes, size_t n_attributes, uint32_t *ret);

/* What generic netlink says of a family that came or went (CTRL_CMD_*). */
struct wire_family {
	uint16_t id;
	char name[16]; /* GENL_NAMSIZ */
};

/** wire_family_decode() - Return: as wire_event_decode() */
int wire_family_decode(const void *attributes, size_t n_attributes, struct wire_family *ret);

/* The numbers of one group. Zeroed: none was seen. */
struct wire_event_sequence {
	uint64_t next;
};

/**
 * wire_event_sequence_note() - compare numbers with what was expected
 * @seq:	of the first
 * @n:		how many there are, at least 1
 *
 * The first ones begin. What goes back is another count, of a module that was
 * loaded anew, and begins again.
 *
 * Return: how many are missing right before them.
 */
uint64_t wire_event_sequence_note(struct wire_event_sequence *sequence, uint64_t seq, uint64_t n);
