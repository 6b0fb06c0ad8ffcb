/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/ctl/packet.h"

void packet_record_deinit(struct packet_record *record)
{
	details_deinit(&record->details);
}

/* One pair after the other, each judged alone: a strange one takes no other with it. */
static int read_details(struct details *ret, const uint8_t *data, size_t n)
{
	struct fsevents_detail head;

	while (n >= sizeof(head)) {
		size_t n_pair;
		int r;

		memcpy(&head, data, sizeof(head));
		n_pair = sizeof(head) + head.n_key;
		if (n_pair > n || head.n_value > n - n_pair)
			return 0;
		n_pair += head.n_value;

		if (details_validate(data, n_pair) == 0) {
			r = details_append(ret, data, n_pair, true);
			if (r == -ENOMEM)
				return r;
		}
		data += n_pair;
		n -= n_pair;
	}
	return 0;
}

/* Bytes of the variable part, without padding. */
static size_t n_variable_used(const struct packet_record *record)
{
	switch (record->kind) {
	case FSEVENTS_KIND_EVENT:
		return record->event.n_details;
	case FSEVENTS_KIND_AMEND:
		return record->amend.n_details;
	case FSEVENTS_KIND_WATCH:
		return (size_t)record->change.n_name + record->change.n_former;
	case FSEVENTS_KIND_WATCH_LOST:
		return record->watch_lost.n_under;
	case FSEVENTS_KIND_GROUP:
		return record->group_event.n_file;
	default:
		return 0;
	}
}

static size_t fixed_size(uint16_t kind)
{
	switch (kind) {
	case FSEVENTS_KIND_HELLO:
		return sizeof(struct fsevents_hello);
	case FSEVENTS_KIND_EVENT:
		return sizeof(struct fsevents_event);
	case FSEVENTS_KIND_AMEND:
		return sizeof(struct fsevents_amend);
	case FSEVENTS_KIND_LOST:
		return sizeof(struct fsevents_lost);
	case FSEVENTS_KIND_WATCH:
		return sizeof(struct fsevents_change);
	case FSEVENTS_KIND_WATCH_LOST:
		return sizeof(struct fsevents_watch_lost);
	case FSEVENTS_KIND_GROUP:
		return sizeof(struct fsevents_group_event);
	case FSEVENTS_KIND_GROUP_LOST:
		return sizeof(struct fsevents_group_lost);
	case FSEVENTS_KIND_GROUP_EMPTY:
		return sizeof(struct fsevents_group_empty);
	default:
		return 0;
	}
}

/* Names follow, and not details. */
static bool has_names(uint16_t kind)
{
	return kind == FSEVENTS_KIND_GROUP || kind == FSEVENTS_KIND_WATCH ||
	       kind == FSEVENTS_KIND_WATCH_LOST;
}

int packet_next(const uint8_t *packet, size_t n, size_t *offset, struct packet_record *ret)
{
	struct packet_record record = {};
	struct fsevents_record head;
	size_t n_fixed, n_variable, n_used;
	const uint8_t *data;

	assert(packet || n == 0);
	assert(offset);
	assert(ret);

	if (*offset >= n)
		return 0;
	data = packet + *offset;
	n -= *offset;

	if (n < sizeof(head))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	if (head.size > n || head.size < head.header_size || head.header_size < sizeof(head))
		return -EBADMSG;

	static_assert(sizeof(record.group_empty) >= sizeof(record.event) &&
			      sizeof(record.group_empty) >= sizeof(record.hello),
		      "it is the largest");
	record.kind = head.kind;
	n_fixed = fixed_size(head.kind);
	if (n_fixed > head.header_size)
		n_fixed = head.header_size;
	memcpy(&record.group_empty, data, n_fixed);
	/* Text of a peer that forgot the end of it. */
	if (head.kind == FSEVENTS_KIND_HELLO)
		record.hello.epoch[sizeof(record.hello.epoch) - 1] = '\0';

	n_variable = head.size - head.header_size;
	n_used = n_variable_used(&record);
	if (n_used > n_variable)
		return -EBADMSG;
	if (has_names(head.kind)) {
		record.file = data + head.header_size;
	} else if (read_details(&record.details, data + head.header_size, n_used) < 0) {
		packet_record_deinit(&record);
		return -ENOMEM;
	}

	*offset += head.size;
	*ret = record;
	return 1;
}
