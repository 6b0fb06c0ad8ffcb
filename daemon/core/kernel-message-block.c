/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/core/kernel-message-match.h"

/*
 * "NAME error, dev DEVICE, sector N op 0xN:(NAME) flags 0xN ..."
 * (blk_print_req_error(), block/blk-mq.c; names and errno from blk_errors[],
 * block/blk-core.c). What only means that a request may be made in another way
 * or later is not here.
 */
static const struct {
	const char *name;
	int error;
} statuses[] = {
	{ "I/O", EIO },
	{ "critical medium", ENODATA },
	{ "critical space allocation", ENOSPC },
	{ "critical target", EREMOTEIO },
	{ "critical nexus", EBADE },
	{ "recoverable transport", ENOLINK },
	{ "device offline", ENODEV },
	{ "protection", EILSEQ },
	{ "timeout", ETIMEDOUT },
};

enum operation {
	OPERATION_READ = 0,
	OPERATION_WRITE = 1,
	OPERATION_FLUSH = 2,
};

/* Flags of a request (enum req_flag_bits, include/linux/blk_types.h). */
#define FLAG_META (UINT64_C(1) << 12)
#define FLAG_IDLE (UINT64_C(1) << 15)

int kernel_block_error(uint64_t status)
{
	static const int errors[] = {
		[2] = ETIMEDOUT, [3] = ENOSPC,	[4] = ENOLINK, [5] = EREMOTEIO,
		[6] = EBADE,	 [7] = ENODATA, [8] = EILSEQ,  [10] = EIO,
	};

	/* Above 10 the numbers differ between kernels. */
	if (status >= sizeof(errors) / sizeof(errors[0]) || errors[status] == 0)
		return EIO;
	return errors[status];
}

static int take_status(struct span *rest)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct span after = *rest;

		if (kernel_take_text(&after, statuses[i].name) &&
		    kernel_take_text(&after, " error, dev ")) {
			*rest = after;
			return statuses[i].error;
		}
	}

	return 0;
}

/*
 * Data that was written by somebody who has gone on is lost; who writes past
 * the cache (IDLE) and who writes metadata gets to know.
 */
static enum fusion_hint_kind operation_kind(uint64_t operation, uint64_t flags)
{
	switch (operation) {
	case OPERATION_WRITE:
		return flags & (FLAG_META | FLAG_IDLE) ? FUSION_HINT_IO_ERROR
						       : FUSION_HINT_WRITEBACK_ERROR;
	case OPERATION_READ:
	case OPERATION_FLUSH:
		return FUSION_HINT_IO_ERROR;
	default:
		/* discarding, zones: nothing is lost by those */
		return FUSION_HINT_LOOK;
	}
}

bool kernel_block_decode(struct span text, struct kernel_message *ret)
{
	uint64_t sector, operation, flags;
	int error;

	assert(ret);

	if (!kernel_take_text(&text, "blk_update_request: "))
		(void)kernel_take_text(&text, "print_req_error: ");
	error = take_status(&text);
	if (error == 0 || !kernel_take_device(&text, ret->device) ||
	    !kernel_take_text(&text, ", sector ") || !kernel_take_number(&text, 10, &sector))
		return false;

	ret->has_sector = true;
	ret->sector = sector;
	ret->hint = (struct fusion_hint){
		.kind = FUSION_HINT_IO_ERROR,
		.source = FUSION_SOURCE_KMSG,
		.error = error,
		.count = 1,
	};
	if (kernel_take_text(&text, " op 0x") && kernel_take_number(&text, 16, &operation) &&
	    kernel_take_text(&text, ":(") && kernel_take_word(&text) &&
	    kernel_take_text(&text, " flags 0x") && kernel_take_number(&text, 16, &flags))
		ret->hint.kind = operation_kind(operation, flags);
	/* not of the filesystem's */
	if (ret->hint.kind == FUSION_HINT_LOOK)
		ret->hint.error = 0;
	return true;
}
