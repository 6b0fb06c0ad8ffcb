/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/core/kernel-message-match.h"

/* Below the facility, the level. */
#define PRIORITY_FACILITY_SHIFT 3

/* "PRIORITY,SEQUENCE,TIMESTAMP,FLAGS[,...];"; advances behind it. */
static int take_prefix(struct span *rest, uint64_t *ret_priority, uint64_t *ret_seq)
{
	uint64_t timestamp;
	const char *end;

	if (!kernel_take_number(rest, 10, ret_priority) || !kernel_take_text(rest, ",") ||
	    !kernel_take_number(rest, 10, ret_seq) || !kernel_take_text(rest, ",") ||
	    !kernel_take_number(rest, 10, &timestamp) || !kernel_take_text(rest, ","))
		return -EBADMSG;
	end = rest->n > 0 ? memchr(rest->p, ';', rest->n) : NULL;
	if (!end)
		return -EBADMSG;

	*rest = (struct span){ end + 1, rest->n - (size_t)(end + 1 - rest->p) };
	return 0;
}

/* The next line; @rest goes on behind it. */
static struct span take_line(struct span *rest)
{
	const char *end = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;
	struct span line = { rest->p, end ? (size_t)(end - rest->p) : rest->n };
	size_t n_taken = end ? line.n + 1 : line.n;

	*rest = (struct span){ rest->p + n_taken, rest->n - n_taken };
	return line;
}

static bool find_number(struct span lines, uint32_t *ret_major, uint32_t *ret_minor)
{
	uint64_t major, minor;

	while (lines.n > 0) {
		struct span line = take_line(&lines);

		if (!kernel_take_text(&line, " DEVICE=b"))
			continue;
		if (!kernel_take_number(&line, 10, &major) || !kernel_take_text(&line, ":") ||
		    !kernel_take_number(&line, 10, &minor) || line.n > 0 || major > UINT32_MAX ||
		    minor > UINT32_MAX)
			return false;

		*ret_major = (uint32_t)major;
		*ret_minor = (uint32_t)minor;
		return true;
	}

	return false;
}

static bool decode_text(struct span text, struct kernel_message *message)
{
	if (kernel_block_decode(text, message))
		return true;
	for (const struct kernel_pattern *pattern = kernel_patterns; pattern->text; pattern++)
		if (kernel_pattern_match(pattern, text, message))
			return true;
	return false;
}

int kernel_message_decode(const char *record, size_t n_record, struct kernel_message *ret)
{
	struct kernel_message message = {};
	struct span rest = { record, n_record }, text;
	uint64_t priority, seq;
	int r;

	assert(record || n_record == 0);
	assert(ret);

	if (n_record == 0)
		return -EBADMSG;
	r = take_prefix(&rest, &priority, &seq);
	if (r < 0)
		return r;

	if (priority >> PRIORITY_FACILITY_SHIFT != 0) {
		ret->seq = seq;
		return KERNEL_MESSAGE_FOREIGN;
	}
	text = take_line(&rest);
	if (!decode_text(text, &message)) {
		ret->seq = seq;
		return KERNEL_MESSAGE_OTHER;
	}

	/* An error of I/O with such a code is what a check of metadata found. */
	if (message.hint.kind == FUSION_HINT_IO_ERROR &&
	    (message.hint.error == EUCLEAN || message.hint.error == EBADMSG))
		message.hint.kind = FUSION_HINT_CORRUPTED;
	message.seq = seq;
	message.numbered = find_number(rest, &message.major, &message.minor);
	if (message.numbered)
		message.device[0] = '\0';
	*ret = message;
	return 0;
}
