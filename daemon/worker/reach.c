/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/index.h"
#include "daemon/worker/mountpoint.h"
#include "daemon/worker/reach.h"

/* Since 6.9, and newer than the headers: FS_IOC_GETFSUUID. */
struct uuid_of_filesystem {
	uint8_t n;
	uint8_t bytes[16];
};

#define GET_UUID _IOR(0x15, 0, struct uuid_of_filesystem)

/* As the kernel has it: a handle with room behind. */
union file {
	struct file_handle handle;
	uint8_t bytes[sizeof(struct file_handle) + HANDLE_MAX];
};

int handle_of(int fd, struct handle *ret)
{
	union file file = { .handle.handle_bytes = HANDLE_MAX };
	int mount_id;

	assert(ret);

	if (name_to_handle_at(fd, "", &file.handle, &mount_id, AT_EMPTY_PATH) < 0)
		return errno == EOVERFLOW ? -EOPNOTSUPP : -errno;
	if (file.handle.handle_bytes == 0 || file.handle.handle_bytes > HANDLE_MAX)
		return -EOPNOTSUPP;

	ret->type = file.handle.handle_type;
	ret->n = file.handle.handle_bytes;
	memcpy(ret->bytes, file.handle.f_handle, ret->n);
	return 0;
}

int reach_handle(const struct reach *reach, const struct handle_view *handle)
{
	union file file = { .handle = { .handle_bytes = handle->n, .handle_type = handle->type } };
	int fd;

	assert(handle->n > 0 && handle->n <= HANDLE_MAX);

	if (reach->root_fd < 0)
		return -EOPNOTSUPP;
	memcpy(file.handle.f_handle, handle->bytes, handle->n);
	fd = open_by_handle_at(reach->root_fd, &file.handle, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int reach_path(const struct reach *reach, const char *path, uint64_t inode)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int fd = -1;
	struct stat st;

	assert(path);

	fd = (int)syscall(SYS_openat2, reach->mount_fd, *path ? path : ".", &how, sizeof(how));
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -EXDEV : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_ino == inode ? TAKE_FD(fd) : -EXDEV;
}

void reach_deinit(struct reach *reach)
{
	assert(reach);

	closep(&reach->root_fd);
	closep(&reach->mount_fd);
	*reach = (struct reach)REACH_NONE;
}

/* Takes @mount_fd. */
static int reach_fill(struct reach *ret, int mount_fd)
{
	_cleanup_(reach_deinit) struct reach reach = { .mount_fd = mount_fd, .root_fd = -1 };
	int r;

	r = handle_of(reach.mount_fd, &reach.root);
	if (r < 0 && r != -EOPNOTSUPP)
		return r;

	/* A handle cannot be opened by a descriptor that is O_PATH. */
	if (r == 0) {
		reach.root_fd =
			openat(reach.mount_fd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
		if (reach.root_fd < 0)
			return -errno;
	}

	*ret = reach;
	reach = (struct reach)REACH_NONE;
	return 0;
}

int reach_open(struct reach *ret, const char *where, uint64_t mount_id, bool is_unique)
{
	int fd;

	assert(ret);

	fd = mountpoint_open(where, mount_id, is_unique);
	return fd < 0 ? fd : reach_fill(ret, fd);
}

/* Any device of the mounted filesystem, as it is called now. */
static int btrfs_device(int fd, struct btrfs_ioctl_dev_info_args *ret)
{
	struct btrfs_ioctl_fs_info_args info = {};

	if (ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0)
		return -errno;

	for (uint64_t id = 1; id <= info.max_id; id++) {
		*ret = (struct btrfs_ioctl_dev_info_args){ .devid = id };
		if (ioctl(fd, BTRFS_IOC_DEV_INFO, ret) < 0)
			continue;
		ret->path[sizeof(ret->path) - 1] = '\0';
		if (ret->path[0] == '/')
			return 0;
	}

	return -ENODEV;
}

/*
 * Read-only, since asking for the other would make a read-only filesystem
 * writable. The superblock that is there is used, with its options.
 */
static int btrfs_mount(const char *device)
{
	_cleanup_close_ int fs = -1;
	int fd;

	fs = fsopen("btrfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", device, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_STRING, "subvolid", "5", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;

	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY);
	return fd < 0 ? -errno : fd;
}

/* A device number of a subvolume is that of one superblock alone. */
static int reach_compare(const struct reach *reach, const struct reach *visible)
{
	const struct handle_view root = handle_view(&visible->root);
	_cleanup_close_ int fd = -1;
	struct stat a, b;

	fd = reach_handle(reach, &root);
	if (fd < 0)
		return fd;
	if (fstat(fd, &a) < 0 || fstat(visible->mount_fd, &b) < 0)
		return -errno;

	return a.st_dev == b.st_dev && a.st_ino == b.st_ino ? 0 : -ESTALE;
}

static int reach_open_top(struct reach *ret, const struct reach *visible)
{
	_cleanup_(reach_deinit) struct reach reach = REACH_NONE;
	struct btrfs_ioctl_dev_info_args device;
	int fd, r;

	r = btrfs_device(visible->root_fd, &device);
	if (r < 0)
		return r;
	fd = btrfs_mount((const char *)device.path);
	if (fd < 0)
		return fd;
	r = reach_fill(&reach, fd);
	if (r < 0)
		return r;
	r = reach_compare(&reach, visible);
	if (r < 0)
		return r;

	*ret = reach;
	reach = (struct reach)REACH_NONE;
	return 0;
}

int reach_open_private(struct reach *ret, const struct reach *visible, bool btrfs)
{
	int fd;

	assert(ret);
	assert(visible && visible->mount_fd >= 0);

	if (btrfs)
		return reach_open_top(ret, visible);

	fd = open_tree(visible->mount_fd, "",
		       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_NO_AUTOMOUNT);
	return fd < 0 ? -errno : reach_fill(ret, fd);
}

static uint64_t identity_of(const void *bytes, size_t n)
{
	return hash_bytes(HASH_BYTES_INIT, bytes, n);
}

uint64_t reach_identity(const struct reach *reach)
{
	struct uuid_of_filesystem uuid = {};
	struct btrfs_ioctl_fs_info_args info = {};
	struct statfs sfs;

	assert(reach);

	if (ioctl(reach->root_fd, GET_UUID, &uuid) == 0 && uuid.n <= sizeof(uuid.bytes))
		return identity_of(uuid.bytes, uuid.n);
	if (fstatfs(reach->mount_fd, &sfs) < 0)
		return 0;
	/* Each of its subvolumes has an fsid of its own, and it has no uuid for the other call. */
	if ((unsigned long)sfs.f_type == BTRFS_SUPER_MAGIC &&
	    ioctl(reach->root_fd, BTRFS_IOC_FS_INFO, &info) == 0)
		return identity_of(info.fsid, sizeof(info.fsid));
	return identity_of(&sfs.f_fsid, sizeof(sfs.f_fsid));
}
