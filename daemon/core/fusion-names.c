/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/fusion-internal.h"

const char *fusion_source_name(enum fusion_source source)
{
	switch (source) {
	case FUSION_SOURCE_FANOTIFY:
		return "fanotify";
	case FUSION_SOURCE_EXT4:
		return "ext4";
	case FUSION_SOURCE_BTRFS:
		return "btrfs";
	case FUSION_SOURCE_STATMOUNT:
		return "statmount";
	case FUSION_SOURCE_STATFS:
		return "statfs";
	case FUSION_SOURCE_ROOT:
		return "root";
	case FUSION_SOURCE_MOUNTINFO:
		return "mountinfo";
	case FUSION_SOURCE_BLOCK:
		return "block";
	case FUSION_SOURCE_KMSG:
		return "kmsg";
	case FUSION_SOURCE_MODULE:
		return "module";
	}

	return "";
}

const char *read_only_reason_name(enum read_only_reason reason)
{
	switch (reason) {
	case READ_ONLY_NO:
		return "";
	case READ_ONLY_ADMIN:
		return "admin";
	case READ_ONLY_DEVICE:
		return "device";
	case READ_ONLY_ERROR:
		return "error";
	case READ_ONLY_EMERGENCY:
		return "emergency";
	case READ_ONLY_SHUTDOWN:
		return "shutdown";
	}

	return "";
}

enum read_only_reason fusion_reason(const struct fusion *fusion)
{
	assert(fusion);

	return fusion->reason;
}

bool fusion_has_failed(const struct fusion *fusion)
{
	assert(fusion);

	return fusion->failed;
}

bool fusion_is_frozen(const struct fusion *fusion)
{
	assert(fusion);

	return fusion->frozen;
}

bool fusion_is_full(const struct fusion *fusion)
{
	assert(fusion);

	return fusion->reason == READ_ONLY_NO &&
	       (fusion->full_data || fusion->full_metadata || fusion->full_inodes);
}

uint64_t fusion_error_count(const struct fusion *fusion)
{
	uint64_t count;

	assert(fusion);

	return __builtin_add_overflow(fusion->others, fusion_ledger_count(fusion), &count)
		       ? UINT64_MAX
		       : count;
}
