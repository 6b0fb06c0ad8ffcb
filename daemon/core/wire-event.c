/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>

#include "daemon/core/wire-attribute.h"
#include "daemon/core/wire-event.h"

_Static_assert(sizeof(((struct wire_family *)NULL)->name) == GENL_NAMSIZ, "a name with its NUL");

/* Return: whether it is one that anybody asked for. */
static int message_decode(const struct nlmsghdr *header, const uint8_t *payload, size_t n_payload,
			  struct wire_message *ret)
{
	struct wire_message message = { .family = header->nlmsg_type, .seq = header->nlmsg_seq };
	struct genlmsghdr generic;
	int32_t error;

	if (header->nlmsg_type == NLMSG_ERROR) {
		if (n_payload < sizeof(struct nlmsgerr))
			return -EBADMSG;
		memcpy(&error, payload, sizeof(error));
		message.is_ack = true;
		message.family = 0;
		/* It is the kernel's, and yet never to be taken for more than an errno. */
		message.error = error > 0 || error < -4095 ? -EIO : error;
		*ret = message;
		return 1;
	}
	if (header->nlmsg_type < NLMSG_MIN_TYPE)
		return 0;

	if (n_payload < sizeof(generic))
		return -EBADMSG;
	memcpy(&generic, payload, sizeof(generic));
	message.command = generic.cmd;
	message.attributes = payload + GENL_HDRLEN;
	message.n_attributes = n_payload - GENL_HDRLEN;
	*ret = message;
	return 1;
}

int wire_message_next(const void *data, size_t n_data, size_t *offset, struct wire_message *ret)
{
	const uint8_t *bytes = data;
	struct nlmsghdr header;
	size_t n_left, at;
	int r = 0;

	assert(data || n_data == 0);
	assert(offset && *offset <= n_data);
	assert(ret);

	while (r == 0) {
		at = *offset;
		n_left = n_data - at;
		if (n_left == 0)
			return 0;
		if (n_left < sizeof(header))
			return -EBADMSG;
		memcpy(&header, bytes + at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > n_left)
			return -EBADMSG;

		*offset += NLMSG_ALIGN((size_t)header.nlmsg_len) < n_left
				   ? NLMSG_ALIGN((size_t)header.nlmsg_len)
				   : n_left;
		r = message_decode(&header, bytes + at + NLMSG_HDRLEN,
				   header.nlmsg_len - NLMSG_HDRLEN, ret);
	}

	return r;
}

/* Return: whether it can be that; what is not known can be anything. */
static bool event_take(const struct wire_attribute *attribute, struct wire_event *event)
{
	uint64_t pid;

	switch (attribute->type) {
	case FS_NL_A_EVENT_ID:
		return wire_attribute_u32(attribute, &event->id);
	case FS_NL_A_DEV_MAJOR:
		return wire_attribute_u32(attribute, &event->dev_major);
	case FS_NL_A_DEV_MINOR:
		return wire_attribute_u32(attribute, &event->dev_minor);
	case FS_NL_A_FS_ID:
		return wire_attribute_u32(attribute, &event->fs_id);
	case FS_NL_A_CAUSED_ID:
		if (!wire_attribute_u64(attribute, &pid))
			return false;
		event->pid = pid <= INT32_MAX ? (uint32_t)pid : 0;
		return true;
	case FS_NL_A_DATA:
		return wire_attribute_u64(attribute, &event->data);
	case FS_NL_A_SEQ:
		return wire_attribute_u64(attribute, &event->seq);
	case FS_NL_A_TIME:
		return wire_attribute_u64(attribute, &event->time_ns);
	case FS_NL_A_ERRNO:
		return wire_attribute_u32(attribute, &event->error);
	case FS_NL_A_COUNT:
		return wire_attribute_u32(attribute, &event->count);
	case FS_NL_A_INODE:
		event->has_inode = true;
		return wire_attribute_u64(attribute, &event->inode);
	case FS_NL_A_TEST:
		event->test = true;
		return true;
	case FS_NL_A_LEVEL:
		return wire_attribute_string(attribute, event->level, sizeof(event->level));
	default:
		return true;
	}
}

int wire_event_decode(const void *attributes, size_t n_attributes, struct wire_event *ret)
{
	struct wire_attribute attribute;
	struct wire_event event = {};
	size_t offset = 0;
	int r;

	assert(attributes || n_attributes == 0);
	assert(ret);

	while ((r = wire_attribute_next(attributes, n_attributes, &offset, &attribute)) > 0)
		if (!event_take(&attribute, &event))
			return -EBADMSG;
	if (r < 0)
		return r;
	if (event.id == FS_EVENT_NONE)
		return 0;

	event.repeats = event.count > 0;
	if (event.count == 0)
		event.count = 1;
	if (event.error > 4095)
		event.error = 0;
	*ret = event;
	return 1;
}

int wire_event_answer_decode(const void *attributes, size_t n_attributes,
			     struct wire_event_answer *ret)
{
	struct wire_event_answer answer = {};
	struct wire_attribute attribute;
	size_t offset = 0;
	bool good;
	int r;

	assert(attributes || n_attributes == 0);
	assert(ret);

	while ((r = wire_attribute_next(attributes, n_attributes, &offset, &attribute)) > 0) {
		good = true;
		if (attribute.type == FS_NL_A_FS_ID)
			good = wire_attribute_u32(&attribute, &answer.fs_id);
		else if (attribute.type == FS_NL_A_CAPABLE)
			good = wire_attribute_u64(&attribute, &answer.capable);
		else if (attribute.type == FS_NL_A_HOLDS)
			answer.has_holds = good = wire_attribute_u64(&attribute, &answer.holds);
		if (!good)
			return -EBADMSG;
	}
	if (r < 0)
		return r;
	if (answer.fs_id == 0)
		return 0;

	*ret = answer;
	return 1;
}

int wire_watch_answer_decode(const void *attributes, size_t n_attributes, uint32_t *ret)
{
	struct wire_attribute attribute;
	size_t offset = 0;
	uint32_t id = 0;
	int r;

	assert(attributes || n_attributes == 0);
	assert(ret);

	while ((r = wire_attribute_next(attributes, n_attributes, &offset, &attribute)) > 0)
		if (attribute.type == FS_NL_A_WATCH_ID && !wire_attribute_u32(&attribute, &id))
			return -EBADMSG;
	if (r < 0)
		return r;
	if (id == 0)
		return 0;

	*ret = id;
	return 1;
}

int wire_family_decode(const void *attributes, size_t n_attributes, struct wire_family *ret)
{
	struct wire_family family = {};
	struct wire_attribute attribute;
	size_t offset = 0;
	int r;

	assert(attributes || n_attributes == 0);
	assert(ret);

	while ((r = wire_attribute_next(attributes, n_attributes, &offset, &attribute)) > 0) {
		if (attribute.type == CTRL_ATTR_FAMILY_NAME &&
		    !wire_attribute_string(&attribute, family.name, sizeof(family.name)))
			return -EBADMSG;
		if (attribute.type == CTRL_ATTR_FAMILY_ID) {
			if (attribute.n_data != sizeof(family.id))
				return -EBADMSG;
			memcpy(&family.id, attribute.data, sizeof(family.id));
		}
	}
	if (r < 0)
		return r;
	if (!family.name[0] || family.id == 0)
		return 0;

	*ret = family;
	return 1;
}

uint64_t wire_event_sequence_note(struct wire_event_sequence *sequence, uint64_t seq, uint64_t n)
{
	uint64_t expected;

	assert(sequence);

	expected = sequence->next;
	sequence->next = seq + n;
	return expected != 0 && seq > expected ? seq - expected : 0;
}
