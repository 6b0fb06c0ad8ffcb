/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The decoder of kernel messages: the input is one record of /dev/kmsg. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/kernel-message.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kernel_message message;
	char *copy = input_copy(data, size);
	int r;

	memset(&message, 0xa5, sizeof(message));

	r = kernel_message_decode(copy, size, &message);
	assert(r == 0 || r == KERNEL_MESSAGE_OTHER || r == KERNEL_MESSAGE_FOREIGN || r == -EBADMSG);
	if (r == 0) {
		size_t n = strnlen(message.device, sizeof(message.device));

		assert(n < sizeof(message.device));
		assert(message.numbered == (n == 0));
		for (size_t i = 0; i < n; i++)
			assert(message.device[i] > ' ' && message.device[i] < 0x7f);
		assert(message.has_sector || message.sector == 0);
		assert(message.hint.source == FUSION_SOURCE_KMSG);
		assert(message.hint.count == 1);
		assert(message.hint.error >= 0 && message.hint.error <= 4095);
		assert(message.hint.has_inode == (message.hint.inode != 0));
	}

	free(copy);
	return 0;
}
