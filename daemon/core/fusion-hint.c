/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/fusion-hint.h"

void fusion_hint_from_error(struct fusion_hint *ret, const struct fanotify_error *error,
			    bool names_culprit)
{
	assert(ret);
	assert(error);

	*ret = (struct fusion_hint){
		.kind = fusion_error_kind(error->error),
		.source = FUSION_SOURCE_FANOTIFY,
		.error = error->error,
		.pid = names_culprit && error->pid > 0 ? (uint32_t)error->pid : 0,
		.count = error->count > 0 ? error->count : 1,
		.has_inode = error->has_inode,
		.inode = error->inode,
	};
}
