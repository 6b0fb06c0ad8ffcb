/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Kernel interfaces newer than the headers
 *
 * Constants, structures and system calls that the running kernel may have and
 * the headers of the build machine may lack, under names of their own, so
 * that newer headers do not collide. Whether the kernel has them shows at run
 * time: -ENOSYS or -EINVAL.
 */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* statx(2): stx_mnt_id is the unique one (Linux 6.8) */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif

/* fanotify(7): mounts and unmounts of a mount namespace (Linux 6.15) */
#ifndef FAN_REPORT_MNT
#define FAN_REPORT_MNT 0x00004000
#endif
#ifndef FAN_MARK_MNTNS
#define FAN_MARK_MNTNS 0x00000110
#endif
#ifndef FAN_MNT_ATTACH
#define FAN_MNT_ATTACH 0x01000000
#endif
#ifndef FAN_MNT_DETACH
#define FAN_MNT_DETACH 0x02000000
#endif

/* statmount(2) and listmount(2) (Linux 6.8): one number on all architectures but alpha */
#ifndef __NR_statmount
#ifdef __alpha__
#define __NR_statmount 567
#else
#define __NR_statmount 457
#endif
#endif
#ifndef __NR_listmount
#ifdef __alpha__
#define __NR_listmount 568
#else
#define __NR_listmount 458
#endif
#endif

/* struct mnt_id_req as of 6.8; later members follow and are optional */
struct kernel_mnt_id_req {
	uint32_t size;
	uint32_t spare;
	uint64_t mnt_id;
	uint64_t param;
};

/* sb_flags: as MS_RDONLY of mount(2) */
#define KERNEL_SB_RDONLY 0x00000001U

/* The root of the caller's mount namespace, in ->mnt_id of listmount(). */
#define KERNEL_LSMT_ROOT UINT64_MAX

#define KERNEL_STATMOUNT_SB_BASIC 0x00000001U
#define KERNEL_STATMOUNT_MNT_BASIC 0x00000002U
#define KERNEL_STATMOUNT_MNT_OPTS 0x00000080U /* Linux 6.11 */

/* struct statmount: what is fixed is 512 bytes, strings follow */
struct kernel_statmount {
	uint32_t size;
	uint32_t mnt_opts; /* offset in ->str */
	uint64_t mask; /* what was filled in */
	uint32_t sb_dev_major;
	uint32_t sb_dev_minor;
	uint64_t sb_magic;
	uint32_t sb_flags;
	uint32_t fs_type;
	uint64_t mnt_id;
	uint64_t mnt_parent_id;
	uint32_t mnt_id_old; /* as in mountinfo */
	uint32_t mnt_parent_id_old;
	uint64_t mnt_attr;
	uint64_t mnt_propagation;
	uint64_t mnt_peer_group;
	uint64_t mnt_master;
	uint64_t propagate_from;
	uint32_t mnt_root;
	uint32_t mnt_point;
	uint64_t spare[50];
	char str[];
};

_Static_assert(sizeof(struct kernel_mnt_id_req) == 24,
	       "the size of 6.8, which all later kernels take");
_Static_assert(offsetof(struct kernel_statmount, str) == 512, "as in linux/mount.h");

/** kernel_statmount() - Return: 0 or a negative errno; -EOVERFLOW: @n_ret is too small for the strings */
static inline int kernel_statmount(uint64_t unique_id, uint64_t mask, struct kernel_statmount *ret,
				   size_t n_ret)
{
	struct kernel_mnt_id_req request = {
		.size = sizeof(request),
		.mnt_id = unique_id,
		.param = mask,
	};

	return syscall(__NR_statmount, &request, ret, n_ret, 0) < 0 ? -errno : 0;
}

/**
 * kernel_listmount() - unique ids of the caller's mount namespace, ascending
 * @after:	only ids larger than this
 *
 * Return: how many, at most @n_ids, or a negative errno.
 */
static inline ssize_t kernel_listmount(uint64_t after, uint64_t *ret_ids, size_t n_ids)
{
	struct kernel_mnt_id_req request = {
		.size = sizeof(request),
		.mnt_id = KERNEL_LSMT_ROOT,
		.param = after,
	};
	long n = syscall(__NR_listmount, &request, ret_ids, n_ids, 0);

	return n < 0 ? -errno : n;
}
