/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/mount-options.h"
#include "daemon/core/superblock.h"

/* All lists are sorted (strcmp), for bsearch(). */

/* Views of the kernel or of a program, which have no space to run out of. */
static const char *const pseudo_types[] = {
	"aafs",
	"anon_inodefs",
	"apparmorfs",
	"autofs",
	"bdev",
	"binder",
	"binfmt_misc",
	"bpf",
	"cgroup",
	"cgroup2",
	"configfs",
	"cpuset",
	"dax",
	"debugfs",
	"devfs",
	"devpts",
	"devtmpfs",
	"dmabuf",
	"drm",
	"efivarfs",
	"eventpollfs",
	"functionfs",
	"fuse.gvfsd-fuse",
	"fuse.lxcfs",
	"fuse.portal",
	"fusectl",
	"gadgetfs",
	"hugetlbfs",
	"hypfs",
	"inotifyfs",
	"mqueue",
	"mtd_inodefs",
	"none",
	"nsfs",
	"ocfs2_dlmfs",
	"openpromfs",
	"oprofilefs",
	"pidfs",
	"pipefs",
	"proc",
	"pstore",
	"ramfs",
	"resctrl",
	"rootfs",
	"rpc_pipefs",
	"s390_hypfs",
	"secretmem",
	"securityfs",
	"selinuxfs",
	"smackfs",
	"sockfs",
	"spufs",
	"sysfs",
	"tracefs",
	"usbdevfs",
	"usbfs",
	"xenfs",
};

/* A server or a cluster answers; all of FUSE besides. */
static const char *const foreign_types[] = {
	"9p",	 "acfs",  "afs",  "afs3",      "beegfs", "ceph",     "cifs",   "coda",
	"davfs", "gfs",	  "gfs2", "glusterfs", "gpfs",	 "hgfs",     "kafs",   "lustre",
	"ncp",	 "ncpfs", "nfs",  "nfs4",      "ocfs2",	 "orangefs", "panfs",  "prl_fs",
	"pvfs2", "smb2",  "smb3", "smbfs",     "vboxsf", "virtiofs", "vmhgfs",
};

/* Local without a block device of their own: major 0 says nothing about them. */
static const char *const local_types[] = {
	"aufs",	   "bcachefs", "btrfs", "ecryptfs", "overlay", "overlayfs",
	"reiser4", "tmpfs",    "ubifs", "unionfs",  "zfs",
};

/* Images: written once, always full. */
static const char *const image_types[] = {
	"cramfs", "erofs",    "fuse.snapfuse", "fuse.squashfuse", "fuse.squashfuse_ll", "iso9660",
	"romfs",  "squashfs", "udf",
};

/* Where the kernel, systemd and container runtimes put their own small tmpfs. */
static const char *const runtime_folders[] = { "/dev", "/proc", "/run", "/sys" };

/* Where live-boot, casper, dracut, archiso and their like mount the image below their overlay. */
static const char *const live_folders[] = {
	"/casper",	"/cdrom",	  "/lib/live", "/live",		  "/rofs",
	"/run/archiso", "/run/initramfs", "/run/live", "/run/rootfsbase",
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

#define IS_IN(_name, _list)                                                                        \
	(bsearch(&(_name), _list, sizeof(_list) / sizeof((_list)[0]), sizeof((_list)[0]),          \
		 compare_names) != NULL)

static bool is_below(const char *path, size_t n, const char *folder)
{
	size_t n_folder = strlen(folder);

	return n >= n_folder && strncmp(path, folder, n_folder) == 0 &&
	       (n == n_folder || path[n_folder] == '/');
}

/* Of the foreign ones those whose server is, or may be, across a network. */
static const char *const network_types[] = {
	"acfs",		  "afs",
	"afs3",		  "beegfs",
	"ceph",		  "cifs",
	"coda",		  "davfs",
	"fuse.ceph",	  "fuse.ceph-fuse",
	"fuse.curlftpfs", "fuse.glusterfs",
	"fuse.rclone",	  "fuse.s3fs",
	"fuse.sshfs",	  "gfs",
	"gfs2",		  "glusterfs",
	"gpfs",		  "kafs",
	"lustre",	  "ncp",
	"ncpfs",	  "nfs",
	"nfs4",		  "ocfs2",
	"orangefs",	  "panfs",
	"pvfs2",	  "smb2",
	"smb3",		  "smbfs",
};

bool superblock_is_network(const struct superblock *sb)
{
	assert(sb);

	return IS_IN(sb->type, network_types);
}

/*
 * An unknown type on a block device is a disk filesystem; one without may be
 * anything, and a worker of its own is the safe place for it.
 */
enum superblock_class superblock_class(const struct superblock *sb)
{
	assert(sb);

	if (IS_IN(sb->type, pseudo_types))
		return SUPERBLOCK_PSEUDO;
	if (mount_type_is_fuse(sb->type) || IS_IN(sb->type, foreign_types))
		return SUPERBLOCK_FOREIGN;
	if (sb->key.major != 0 || IS_IN(sb->type, local_types))
		return SUPERBLOCK_LOCAL;

	return SUPERBLOCK_FOREIGN;
}

static bool is_runtime_tmpfs(const struct superblock *sb)
{
	const size_t n_folders = sizeof(runtime_folders) / sizeof(runtime_folders[0]);

	for (size_t i = 0; i < sb->n_mounts; i++) {
		const char *where = sb->mounts[i]->where;
		bool below = false;

		for (size_t k = 0; k < n_folders; k++)
			below = below || is_below(where, strlen(where), runtime_folders[k]);
		if (!below)
			return false;
	}

	return sb->n_mounts > 0;
}

/* One or more folders, between colons. */
static bool is_live_image(const char *folders, size_t n)
{
	static const char image[] = ".squashfs";

	for (size_t i = 0; i < sizeof(live_folders) / sizeof(live_folders[0]); i++) {
		for (size_t at = 0; at < n; at++) {
			if ((at == 0 || folders[at - 1] == ':') &&
			    is_below(folders + at, strcspn(folders + at, ",:"), live_folders[i]))
				return true;
		}
	}

	return memmem(folders, n, image, strlen(image)) != NULL;
}

/*
 * An overlay shows the space of its upper layer, whose filesystem is watched
 * by itself: those of containers would tell everything again. The one at "/"
 * is watched, since the upper layer of a root is often mounted nowhere else,
 * unless nothing can be written to it or it is that of a live system.
 */
static bool is_watched_overlay(const struct superblock *sb)
{
	const char *options = sb->super_options, *option;
	bool at_root = false, writable = false;
	size_t n;

	for (size_t i = 0; i < sb->n_mounts; i++)
		at_root = at_root || strcmp(sb->mounts[i]->where, "/") == 0;

	while ((option = mount_options_next(&options, &n))) {
		const char *value = memchr(option, '=', n);
		size_t n_value;

		if (!value)
			continue;

		n_value = n - (size_t)(++value - option);
		if (strncmp(option, "upperdir=", 9) == 0)
			writable = true;
		else if (strncmp(option, "lowerdir", 8) == 0 && is_live_image(value, n_value))
			return false;
	}

	return at_root && writable;
}

bool superblock_is_image(const struct superblock *sb)
{
	assert(sb);

	return IS_IN(sb->type, image_types);
}

bool superblock_is_default(const struct superblock *sb)
{
	assert(sb);

	if (superblock_class(sb) == SUPERBLOCK_PSEUDO || sb->owner_uid != 0 ||
	    superblock_is_image(sb))
		return false;

	if (strcmp(sb->type, "tmpfs") == 0)
		return !is_runtime_tmpfs(sb);

	if (strcmp(sb->type, "overlay") == 0 || strcmp(sb->type, "overlayfs") == 0 ||
	    strcmp(sb->type, "aufs") == 0)
		return is_watched_overlay(sb);

	return true;
}
