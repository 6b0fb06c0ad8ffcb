// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#define ALL (FS_EVENT_BIT(__FS_EVENT_ID_MAX) - 2)
#define XFS_IOC_GOINGDOWN _IOR('X', 125, uint32_t)
#define GOING_NOLOGFLUSH 2

static struct client client;
static struct listener listener;
static uint64_t capable;

/* Everything about one filesystem, by a descriptor that is closed again */
static void ask_all(const char *where)
{
	int fd = open_path(where);

	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	CHECK_INT(client_fs_set(&client, fd, ALL, ALL_FILE_EVENTS), 0);
	capable = client.capable;
	close(fd);
}

static int with_open(const char *where, unsigned long request, void *argument)
{
	int fd = open(where, O_RDONLY | O_CLOEXEC), error;

	CHECK(fd >= 0);
	error = ioctl(fd, request, argument) ? -errno : 0;
	close(fd);
	return error;
}

/* With all that can be asked for, umount succeeds at once and is told, each time. */
static void umount_is_told(const struct disk *disk)
{
	uint32_t fs_id = 0;
	int i;

	for (i = 0; i < 5; i++) {
		mount_disk(disk->device, disk->type, "/mnt/u", "");
		ask_all("/mnt/u");
		CHECK(client.fs_id != fs_id);
		fs_id = client.fs_id;
		make_file("/mnt/u/file");
		unlink("/mnt/u/file");
		unmount("/mnt/u");
		CHECK(listener_wait(&listener, FS_EVENT_UNMOUNTED, SOON_MS));
		CHECK_INT(listener.event.fs_id, fs_id);
		CHECK_INT(listener.event.caused_id, getpid());
		client_close(&client);
		listener_close(&listener);
	}
	/* Only when nothing holds the superblock can the device be opened alone. */
	CHECK(open(disk->device, O_RDONLY | O_EXCL) >= 0);
}

static void umount_ext4(void)
{
	umount_is_told(&disks[0]);
}

static void umount_xfs(void)
{
	umount_is_told(&disks[1]);
}

static void umount_btrfs(void)
{
	umount_is_told(&disks[2]);
}

static void freeze(const char *where)
{
	if (with_open(where, FIFREEZE, NULL))
		_exit(1);
}

static void thaw(const char *where)
{
	if (with_open(where, FITHAW, NULL))
		_exit(1);
}

/* That, because of that process, and nothing before it */
static void is_next(uint32_t id, int pid)
{
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, id);
	CHECK_INT(listener.event.caused_id, pid);
}

/* With who froze and who thawed it; in between, space is looked at as always. */
static void freeze_is_told(const struct disk *disk)
{
	struct wanted_level level = { "reached", FS_LEVEL_BLOCKS, UINT64_MAX, UINT64_MAX };
	int i, pid, fd;

	mount_disk(disk->device, disk->type, "/mnt/f", "");
	ask_all("/mnt/f");
	CHECK(capable & FS_EVENT_BIT(FS_EVENT_FROZEN));
	CHECK(capable & FS_EVENT_BIT(FS_EVENT_THAWED));
	for (i = 0; i < 2; i++) {
		pid = in_process(freeze, "/mnt/f");
		is_next(FS_EVENT_FROZEN, pid);
		CHECK_INT(with_open("/mnt/f", FIFREEZE, NULL), -EBUSY);
		fd = open_path("/mnt/f");
		CHECK_INT(client_levels(&client, fd, &level, 1), 0);
		is_next(FS_THR_LRBELOW, 0);
		/* Whoever asks now is not told, and hears of it in the answer. */
		CHECK_INT(client_fs_set(&client, fd, ALL, ALL_FILE_EVENTS), 0);
		CHECK_INT(client.holds, FS_EVENT_BIT(FS_EVENT_FROZEN));
		pid = in_process(thaw, "/mnt/f");
		is_next(FS_EVENT_THAWED, pid);
		CHECK_INT(client_fs_set(&client, fd, ALL, ALL_FILE_EVENTS), 0);
		CHECK_INT(client.holds, 0);
		close(fd);
		CHECK_INT(with_open("/mnt/f", FITHAW, NULL), -EINVAL);
	}
	unmount("/mnt/f");
	is_next(FS_EVENT_UNMOUNTED, getpid());
}

static void freeze_ext4(void)
{
	freeze_is_told(&disks[0]);
}

static void freeze_xfs(void)
{
	freeze_is_told(&disks[1]);
}

static void freeze_btrfs(void)
{
	freeze_is_told(&disks[2]);
}

/* By a way that no probe is on: it is seen, though not who it was. */
static void emergency_thaw_is_told(void)
{
	int pid;

	mount_disk(disks[0].device, disks[0].type, "/mnt/f", "");
	ask_all("/mnt/f");
	pid = in_process(freeze, "/mnt/f");
	is_next(FS_EVENT_FROZEN, pid);
	write_text("/proc/sysrq-trigger", "j");
	is_next(FS_EVENT_THAWED, 0);
	unmount("/mnt/f");
}

static void remount_is_told(void)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		mount_disk(disks[i].device, disks[i].type, "/mnt/r", "");
		ask_all("/mnt/r");
		CHECK_INT(mount(NULL, "/mnt/r", NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
		CHECK(listener_event(&listener, SOON_MS));
		CHECK_INT(listener.event.id, FS_ERR_REMOUNT_RO);
		CHECK_INT(listener.event.caused_id, getpid());
		CHECK_INT(mount(NULL, "/mnt/r", NULL, MS_REMOUNT, NULL), 0);
		CHECK(listener_event(&listener, SOON_MS));
		CHECK_INT(listener.event.id, FS_EVENT_READ_WRITE);
		unmount("/mnt/r");
		client_close(&client);
		listener_close(&listener);
	}
}

/* As the filesystem's own code finds an error; the trigger is a hook for tests of ext4's. */
static void ext4_error_is_told(void)
{
	mount_disk(DISK_ERRORS, "ext4", "/mnt/e", "errors=continue");
	ask_all("/mnt/e");
	write_text("/sys/fs/ext4/vdd/trigger_fs_error", "boom");
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_ERR_CORRUPTED);
	CHECK_INT(listener.event.error, EUCLEAN);
	CHECK_INT(listener.event.caused_id, getpid());
	unmount("/mnt/e");
}

/* With errors=remount-ro it writes nothing any more, though its flags do not say so. */
static void ext4_turns_read_only(void)
{
	bool corrupted = false, read_only = false;

	mount_disk(DISK_ERRORS, "ext4", "/mnt/e", "errors=remount-ro");
	ask_all("/mnt/e");
	write_text("/sys/fs/ext4/vdd/trigger_fs_error", "boom");
	while (!(corrupted && read_only) && listener_event(&listener, SOON_MS)) {
		corrupted |= listener.event.id == FS_ERR_CORRUPTED;
		read_only |= listener.event.id == FS_ERR_REMOUNT_RO;
		CHECK(listener.event.id != FS_EVENT_READ_WRITE);
		if (listener.event.id == FS_ERR_REMOUNT_RO)
			CHECK_INT(listener.event.caused_id, getpid());
	}
	CHECK(corrupted);
	CHECK(read_only);
	CHECK(open("/mnt/e/file", O_WRONLY | O_CREAT, 0644) < 0);
	unmount("/mnt/e");
	/* Not told as writable, whatever a check saw until the end */
	do {
		CHECK(listener_event(&listener, SOON_MS));
		CHECK(listener.event.id != FS_EVENT_READ_WRITE);
	} while (listener.event.id != FS_EVENT_UNMOUNTED);
}

/* --- damaged metadata, and data whose checksum says so */

#define VICTIM "it-is-my-metadata-that-is-damaged"
#define CONTENT "this is the content whose checksum is wrong"

static void look_up_victim(const char *where)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/damaged/d/" VICTIM, where);
	if (open(path, O_RDONLY | O_CLOEXEC) >= 0)
		_exit(1);
}

static void read_content(const char *where)
{
	char path[64], content[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/content", where);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, content, sizeof(content)) >= 0)
		_exit(1);
}

struct damaged {
	const char *device;
	const char *type;
	const char *text;
	void (*use)(const char *where);
	int error;
	bool has_culprit;
};

static void damage_is_told(const struct damaged *damaged)
{
	static char content[16384] = CONTENT;
	int fd, pid;

	mount_disk(damaged->device, damaged->type, "/mnt/d", "");
	damage_prepare("/mnt/d/damaged", VICTIM);
	fd = open("/mnt/d/content", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	CHECK_INT(write(fd, content, sizeof(content)), sizeof(content));
	close(fd);
	unmount("/mnt/d");
	damage_disk(damaged->device, damaged->text);
	mount_disk(damaged->device, damaged->type, "/mnt/d", "");
	ask_all("/mnt/d");
	CHECK(capable & FS_EVENT_BIT(FS_ERR_CORRUPTED));
	pid = in_process(damaged->use, "/mnt/d");
	CHECK(listener_wait(&listener, FS_ERR_CORRUPTED, SOON_MS));
	CHECK_INT(listener.event.error, damaged->error);
	CHECK_INT(listener.event.caused_id, damaged->has_culprit ? pid : 0);
	CHECK_INT(listener.n_missing, 0);
	unmount("/mnt/d");
	damage_undo();
}

static void damaged_ext4(void)
{
	damage_is_told(
		&(struct damaged){ DISK_ERRORS, "ext4", VICTIM, look_up_victim, EBADMSG, true });
}

static void damaged_xfs(void)
{
	damage_is_told(
		&(struct damaged){ disks[1].device, "xfs", VICTIM, look_up_victim, EUCLEAN, true });
}

static void damaged_btrfs(void)
{
	damage_is_told(&(struct damaged){ disks[2].device, "btrfs", VICTIM, look_up_victim, EUCLEAN,
					  false });
}

static void damaged_content(void)
{
	damage_is_told(&(struct damaged){ disks[2].device, "btrfs", CONTENT, read_content, EUCLEAN,
					  false });
}

static void go_down(const char *where)
{
	uint32_t how = GOING_NOLOGFLUSH;

	if (with_open(where, XFS_IOC_GOINGDOWN, &how))
		_exit(1);
}

static void shutdown_is_told(void)
{
	const char *const devices[] = { DISK_ERRORS, "/dev/vdb" };
	const char *const types[] = { "ext4", "xfs" };
	int i, pid;

	for (i = 0; i < 2; i++) {
		mount_disk(devices[i], types[i], "/mnt/s", "");
		ask_all("/mnt/s");
		CHECK(capable & FS_EVENT_BIT(FS_EVENT_SHUTDOWN));
		pid = in_process(go_down, "/mnt/s");
		CHECK(listener_wait(&listener, FS_EVENT_SHUTDOWN, SOON_MS));
		CHECK_INT(listener.event.caused_id, pid);
		unmount("/mnt/s");
		client_close(&client);
		listener_close(&listener);
	}
}

/* --- a disk whose writes fail: a loop device on a tmpfs that is full */

static void copy_sparse(const char *from, const char *to)
{
	static char block[4096], zero[4096];
	int source = open(from, O_RDONLY | O_CLOEXEC);
	int target = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	off_t offset = 0;
	ssize_t n;

	CHECK(source >= 0 && target >= 0);
	while ((n = read(source, block, sizeof(block))) > 0) {
		if (memcmp(block, zero, n))
			CHECK(pwrite(target, block, n, offset) == n);
		offset += n;
	}
	CHECK_INT(ftruncate(target, offset), 0);
	close(source);
	close(target);
}

/* Mounts a file by a loop device that goes with the mount. */
static void mount_loop(const char *file, const char *type, const char *where)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop;
	char device[32];

	CHECK(control >= 0);
	snprintf(device, sizeof(device), "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
	loop = open(device, O_RDWR | O_CLOEXEC);
	config.fd = open(file, O_RDWR | O_CLOEXEC);
	CHECK(loop >= 0 && (int)config.fd >= 0);
	CHECK_INT(ioctl(loop, LOOP_CONFIGURE, &config), 0);
	mount_disk(device, type, where, "");
	close(config.fd);
	close(loop);
	close(control);
}

static void write_back(const char *where)
{
	char path[64];
	int fd, i;
	static char block[65536];

	snprintf(path, sizeof(path), "%s/written", where);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	for (i = 0; i < 100 && write(fd, block, sizeof(block)) > 0; i++)
		;
	fsync(fd);
	close(fd);
}

/* On real failures of the disk: the loss of written data, and of the disk itself */
static void failing_disk_is_told(const struct disk *disk, const char *size)
{
	bool written = false, failed = false;

	mount_disk("tmpfs", "tmpfs", "/mnt/b", size);
	copy_sparse(disk->device, "/mnt/b/image");
	mount_loop("/mnt/b/image", disk->type, "/mnt/w");
	ask_all("/mnt/w");
	CHECK(capable & FS_EVENT_BIT(FS_EVENT_WRITEBACK_ERROR));
	CHECK(capable & FS_EVENT_BIT(FS_EVENT_IO_ERROR));
	CHECK_INT(fill_file("/mnt/b/rest"), -ENOSPC);
	in_process(write_back, "/mnt/w");
	while (!(written && failed) && listener_event(&listener, SOON_MS)) {
		written |= listener.event.id == FS_EVENT_WRITEBACK_ERROR;
		failed |= listener.event.id == FS_EVENT_IO_ERROR;
		if (listener.event.id == FS_EVENT_WRITEBACK_ERROR)
			CHECK(listener.event.error == EIO || listener.event.error == ENOSPC);
	}
	CHECK(written);
	CHECK(failed);
	CHECK_INT(listener.n_missing, 0);
	unmount("/mnt/w");
}

static void failing_disk_ext4(void)
{
	failing_disk_is_told(&disks[0], "size=12m");
}

static void failing_disk_xfs(void)
{
	failing_disk_is_told(&disks[1], "size=90m");
}

static void failing_disk_btrfs(void)
{
	failing_disk_is_told(&disks[2], "size=12m");
}

/* fsync on btrfs aborts a transaction when the disk is full of errors: it turns read-only. */
static void btrfs_turns_read_only(void)
{
	int i;

	mount_disk("tmpfs", "tmpfs", "/mnt/b", "size=12m");
	copy_sparse(disks[2].device, "/mnt/b/image");
	mount_loop("/mnt/b/image", "btrfs", "/mnt/w");
	ask_all("/mnt/w");
	CHECK_INT(fill_file("/mnt/b/rest"), -ENOSPC);
	for (i = 0; i < 3; i++) {
		in_process(write_back, "/mnt/w");
		sync();
	}
	CHECK(listener_wait(&listener, FS_ERR_REMOUNT_RO, SOON_MS));
	unmount("/mnt/w");
}

const struct test tests_fault[] = {
	{ .name = "fault-umount-ext4", .run = umount_ext4 },
	{ .name = "fault-umount-xfs", .run = umount_xfs },
	{ .name = "fault-umount-btrfs", .run = umount_btrfs },
	{ .name = "fault-freeze-ext4", .run = freeze_ext4 },
	{ .name = "fault-freeze-xfs", .run = freeze_xfs },
	{ .name = "fault-freeze-btrfs", .run = freeze_btrfs },
	{ .name = "fault-emergency-thaw",
	  .run = emergency_thaw_is_told,
	  .needs = "/proc/sysrq-trigger" },
	{ .name = "fault-remount", .run = remount_is_told },
	{ .name = "fault-ext4-error", .run = ext4_error_is_told },
	{ .name = "fault-ext4-read-only", .run = ext4_turns_read_only },
	{ .name = "fault-damaged-ext4", .run = damaged_ext4 },
	{ .name = "fault-damaged-xfs", .run = damaged_xfs },
	{ .name = "fault-damaged-btrfs", .run = damaged_btrfs },
	{ .name = "fault-damaged-content-btrfs", .run = damaged_content },
	{ .name = "fault-shutdown", .run = shutdown_is_told },
	{ .name = "fault-disk-ext4", .run = failing_disk_ext4, .seconds = 480 },
	{ .name = "fault-disk-xfs", .run = failing_disk_xfs, .seconds = 480 },
	{ .name = "fault-disk-btrfs", .run = failing_disk_btrfs, .seconds = 480 },
	{ .name = "fault-btrfs-read-only", .run = btrfs_turns_read_only, .seconds = 480 },
	{},
};
