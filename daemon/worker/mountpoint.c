/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#include "daemon/bus/fdinfo.h"
#include "daemon/core/cleanup.h"
#include "daemon/source/kernel.h"
#include "daemon/worker/mountpoint.h"

/*
 * A filesystem that was shut down refuses statx(), with the id of its mount
 * too. fdinfo asks no filesystem; it has only the id of mountinfo, which is no
 * other mount's as long as the descriptor holds this one.
 */
static int mount_compare_broken(int fd, uint64_t mount_id, bool is_unique)
{
	struct kernel_statmount facts = {};
	uint32_t id;
	int r;

	r = fdinfo_mount_id(&id, fd);
	if (r < 0)
		return r;

	if (is_unique) {
		r = kernel_statmount(mount_id, KERNEL_STATMOUNT_MNT_BASIC, &facts, sizeof(facts));
		if (r < 0)
			return r == -ENOENT ? -ESTALE : r;
		mount_id = facts.mnt_id_old;
	}

	return id == mount_id ? 0 : -ESTALE;
}

static int mount_compare(int fd, uint64_t mount_id, bool is_unique)
{
	unsigned int mask = is_unique ? STATX_MNT_ID_UNIQUE : STATX_MNT_ID;
	struct statx stx;

	/* Asks no server: the id is the kernel's own. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, mask, &stx) < 0)
		return mount_compare_broken(fd, mount_id, is_unique);

	return (stx.stx_mask & mask) && stx.stx_mnt_id == mount_id ? 0 : -ESTALE;
}

int mountpoint_open(const char *where, uint64_t mount_id, bool is_unique)
{
	_cleanup_close_ int fd = -1;
	int r;

	assert(where);

	/*
	 * A mount point may be a file, so no O_DIRECTORY, which would also
	 * set off an automount.
	 */
	fd = open(where, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;

	r = mount_compare(fd, mount_id, is_unique);
	if (r < 0)
		return r;

	return TAKE_FD(fd);
}

int mountpoint_ids(int fd, uint32_t *ret_id, uint64_t *ret_unique)
{
	struct statx stx;
	int r;

	assert(ret_id && ret_unique);

	r = fdinfo_mount_id(ret_id, fd);
	if (r < 0)
		return r;

	*ret_unique = 0;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MNT_ID_UNIQUE,
		  &stx) == 0 &&
	    (stx.stx_mask & STATX_MNT_ID_UNIQUE))
		*ret_unique = stx.stx_mnt_id;
	return 0;
}
