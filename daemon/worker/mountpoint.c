/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/fdinfo.h"
#include "daemon/core/cleanup.h"
#include "daemon/source/kernel.h"
#include "daemon/worker/mount-table.h"
#include "daemon/worker/mountpoint.h"

/* As in mountinfo. */
static int id_of(uint64_t mount_id, bool is_unique, uint32_t *ret)
{
	struct kernel_statmount facts = {};
	int r;

	*ret = (uint32_t)mount_id;
	if (!is_unique)
		return 0;
	r = kernel_statmount(mount_id, KERNEL_STATMOUNT_MNT_BASIC, &facts, sizeof(facts));
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	*ret = facts.mnt_id_old;
	return 0;
}

/*
 * A filesystem that was shut down refuses statx(), with the id of its mount
 * too. fdinfo asks no filesystem; it has only the id of mountinfo, which is no
 * other mount's as long as the descriptor holds this one.
 */
static int mount_compare_broken(int fd, uint64_t mount_id, bool is_unique)
{
	uint32_t id, meant;
	int r;

	r = fdinfo_mount_id(&id, fd);
	if (r == 0)
		r = id_of(mount_id, is_unique, &meant);
	if (r < 0)
		return r;
	return id == meant ? 0 : -ESTALE;
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

static int open_at(const char *where, uint64_t mount_id, bool is_unique)
{
	_cleanup_close_ int fd = -1;
	int r;

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

/* Only where it is somewhere else by now. Return: a descriptor or a negative errno. */
static int open_again(const char *where, uint64_t mount_id, bool is_unique)
{
	_cleanup_free_ char *now = NULL;
	struct mount_facts facts;
	uint32_t id;
	int r;

	r = id_of(mount_id, is_unique, &id);
	if (r == 0)
		r = mount_table_find(id, &facts);
	if (r < 0)
		return r;
	now = facts.where;
	return strcmp(now, where) == 0 ? -ESTALE : open_at(now, mount_id, is_unique);
}

int mountpoint_open(const char *where, uint64_t mount_id, bool is_unique)
{
	int fd, again;

	assert(where);

	fd = open_at(where, mount_id, is_unique);
	if (fd != -ENOENT && fd != -ENOTDIR && fd != -ESTALE)
		return fd;
	again = open_again(where, mount_id, is_unique);
	return again < 0 ? fd : again;
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
