/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>

#include "daemon/core/wire-attribute.h"

int wire_attribute_next(const void *data, size_t n_data, size_t *offset, struct wire_attribute *ret)
{
	const uint8_t *bytes = data;
	struct nlattr header;
	size_t n_left;

	assert(data || n_data == 0);
	assert(offset && *offset <= n_data);
	assert(ret);

	n_left = n_data - *offset;
	if (n_left == 0)
		return 0;
	if (n_left < sizeof(header))
		return -EBADMSG;
	memcpy(&header, bytes + *offset, sizeof(header));
	if (header.nla_len < sizeof(header) || header.nla_len > n_left)
		return -EBADMSG;

	*ret = (struct wire_attribute){
		.type = header.nla_type & NLA_TYPE_MASK,
		.data = bytes + *offset + sizeof(header),
		.n_data = header.nla_len - sizeof(header),
	};
	*offset += (size_t)NLA_ALIGN(header.nla_len) < n_left ? (size_t)NLA_ALIGN(header.nla_len)
							      : n_left;
	return 1;
}

bool wire_attribute_u32(const struct wire_attribute *attribute, uint32_t *ret)
{
	if (attribute->n_data != sizeof(*ret))
		return false;
	memcpy(ret, attribute->data, sizeof(*ret));
	return true;
}

bool wire_attribute_u64(const struct wire_attribute *attribute, uint64_t *ret)
{
	if (attribute->n_data != sizeof(*ret))
		return false;
	memcpy(ret, attribute->data, sizeof(*ret));
	return true;
}

bool wire_attribute_string(const struct wire_attribute *attribute, char *ret, size_t n_ret)
{
	size_t n = strnlen((const char *)attribute->data, attribute->n_data);

	if (n + 1 < attribute->n_data || n + 1 > n_ret)
		return false;
	memcpy(ret, attribute->data, n);
	ret[n] = '\0';
	return true;
}
