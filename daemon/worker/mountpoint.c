/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/mountpoint.h"

/* include/uapi/linux/stat.h, since Linux 6.8; not in the headers of Debian 12. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif

int mountpoint_open(const char *where, uint64_t mount_id, bool is_unique)
{
	unsigned int mask = is_unique ? STATX_MNT_ID_UNIQUE : STATX_MNT_ID;
	_cleanup_close_ int fd = -1;
	struct statx stx;

	assert(where);

	/*
	 * A mount point may be a file, so no O_DIRECTORY, which would also
	 * set off an automount.
	 */
	fd = open(where, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;

	/* Asks no server: the id is the kernel's own. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, mask, &stx) < 0)
		return -errno;

	if (!(stx.stx_mask & mask) || stx.stx_mnt_id != mount_id)
		return -ESTALE;

	return TAKE_FD(fd);
}
