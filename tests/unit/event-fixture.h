/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Datagrams of the module: as it sent them on Linux 6.12, an ext4 on 254:0
 * frozen and thawed and one on 254:48 damaged; and ones composed here.
 */

#include <assert.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "include/fs_event.h"

/* The family's number in all of them. */
#define FIXTURE_FAMILY 0x23

static const char recorded_frozen[] __attribute__((unused)) =
	"7000000023000000000000000000000001010000080001000f00000008000200"
	"fe00000008000300000000000c000400aa000000000000000c00050000000000"
	"0000000008000b00010000000c00070001000000000000000c000c002a6d897b"
	"040000000c0008000000000000000000";

static const char recorded_level[] __attribute__((unused)) =
	"7c00000023000000000000000000000001010000080001000300000008000200"
	"fe00000008000300000000000c00040000000000000000000c000500e99d0000"
	"0000000008000b00010000000c00090072656163686564000c00070002000000"
	"000000000c000c00aa2c407c040000000c0008000000000000000000";

static const char recorded_thawed[] __attribute__((unused)) =
	"7000000023000000000000000000000001010000080001001000000008000200"
	"fe00000008000300000000000c000400ab000000000000000c00050000000000"
	"0000000008000b00010000000c00070003000000000000000c000c00531d607d"
	"040000000c0008000000000000000000";

static const char recorded_unmounted[] __attribute__((unused)) =
	"7000000023000000000000000000000001010000080001001100000008000200"
	"fe00000008000300000000000c000400a6000000000000000c00050000000000"
	"0000000008000b00010000000c00070007000000000000000c000c00f5159d81"
	"040000000c0008000000000000000000";

static const char recorded_corrupted[] __attribute__((unused)) =
	"8400000023000000000000000000000001010000080001000800000008000200"
	"fe00000008000300300000000c000400b3000000000000000c0005004a000000"
	"0000000008000b000200000008000d004a0000000c000e004a00000000000000"
	"0c00070008000000000000000c000c00b135b2e0040000000c00080000000000"
	"00000000";

static const char recorded_answer[] __attribute__((unused)) =
	"440000002300000000000000a60000001101000008000b000100000008000200"
	"fe00000008000300000000000c001a00feff0700000000000c001c0000000000"
	"00000000";

static const char recorded_answer_frozen[] __attribute__((unused)) =
	"440000002300000000000000a60000001101000008000b000100000008000200"
	"fe00000008000300000000000c001a00feff0700000000000c001c0000800000"
	"00000000";

struct datagram {
	_Alignas(4) uint8_t bytes[1024];
	size_t n;
};

static inline void datagram_recorded(struct datagram *ret, const char *hex)
{
	unsigned int byte;

	ret->n = strlen(hex) / 2;
	assert(ret->n <= sizeof(ret->bytes));
	for (size_t i = 0; i < ret->n; i++) {
		(void)sscanf(hex + 2 * i, "%2x", &byte);
		ret->bytes[i] = (uint8_t)byte;
	}
}

static inline void datagram_begin(struct datagram *datagram, uint16_t type, uint32_t seq,
				  uint8_t command)
{
	struct nlmsghdr header = { .nlmsg_type = type, .nlmsg_seq = seq };
	struct genlmsghdr generic = { .cmd = command, .version = 1 };

	memset(datagram, 0, sizeof(*datagram));
	memcpy(datagram->bytes, &header, sizeof(header));
	memcpy(datagram->bytes + NLMSG_HDRLEN, &generic, sizeof(generic));
	datagram->n = NLMSG_HDRLEN + GENL_HDRLEN;
}

static inline void datagram_add(struct datagram *datagram, uint16_t type, const void *data,
				size_t n_data)
{
	struct nlattr header = { .nla_len = (uint16_t)(NLA_HDRLEN + n_data), .nla_type = type };
	uint32_t length;

	assert(datagram->n + NLA_HDRLEN + n_data + NLA_ALIGNTO <= sizeof(datagram->bytes));
	memcpy(datagram->bytes + datagram->n, &header, sizeof(header));
	if (n_data > 0)
		memcpy(datagram->bytes + datagram->n + NLA_HDRLEN, data, n_data);
	datagram->n += NLA_ALIGN(NLA_HDRLEN + n_data);
	length = (uint32_t)datagram->n;
	memcpy(datagram->bytes, &length, sizeof(length));
}

static inline void datagram_add_u32(struct datagram *datagram, uint16_t type, uint32_t value)
{
	datagram_add(datagram, type, &value, sizeof(value));
}

static inline void datagram_add_u64(struct datagram *datagram, uint16_t type, uint64_t value)
{
	datagram_add(datagram, type, &value, sizeof(value));
}
