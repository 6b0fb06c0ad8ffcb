// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#define NAMES                                                                                      \
	(FS_FILE_CREATE | FS_FILE_DELETE | FS_FILE_RENAME | FS_FILE_CLOSE_WRITE | FS_FILE_ATTRIB | \
	 FS_FILE_DIRECTORY)

static struct client client;
static struct listener listener;

static const struct fs_event_file *next_file(void)
{
	const struct fs_event_record *record = listener_record(&listener, SOON_MS);

	if (!record)
		test_fail(__FILE__, __LINE__, "no record came");
	CHECK_INT(record->kind, FS_RECORD_FILE);
	CHECK_INT(record->header_size, sizeof(struct fs_event_file));
	CHECK_INT((uintptr_t)record % 8, 0);
	return (const struct fs_event_file *)record;
}

static bool has_name(const struct fs_event_file *file, const char *name, const char *new_name)
{
	const char *names = (const char *)file + file->record.header_size;
	size_t size = strlen(name), new_size = strlen(new_name);

	return file->name_size == size && file->new_name_size == new_size &&
	       !memcmp(names, name, size) && !memcmp(names + size, new_name, new_size);
}

static void open_all(void)
{
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_INODE, 0), 0);
}

/* Nothing was recorded but what was read. */
static void is_silent(void)
{
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	CHECK(!listener_record(&listener, 0));
}

/* Names, both of a rename, inodes and the pid, by one request on the filesystem */
static void names_are_told(const struct disk *disk)
{
	const struct fs_event_file *file;
	struct stat in, out;
	int fd;

	mount_disk(disk->device, disk->type, "/mnt/x", "");
	mkdir("/mnt/x/in", 0755);
	mkdir("/mnt/x/out", 0755);
	CHECK_INT(stat("/mnt/x/in", &in) | stat("/mnt/x/out", &out), 0);
	open_all();
	fd = open_path("/mnt/x");
	CHECK_INT(client_fs_set(&client, fd, 0, NAMES), 0);
	close(fd);

	make_file("/mnt/x/in/a");
	CHECK_INT(rename("/mnt/x/in/a", "/mnt/x/out/b"), 0);
	CHECK_INT(unlink("/mnt/x/out/b"), 0);
	CHECK_INT(mkdir("/mnt/x/in/d", 0755), 0);
	CHECK_INT(rmdir("/mnt/x/in/d"), 0);

	file = next_file();
	CHECK_INT(file->events, FS_FILE_CREATE);
	CHECK(has_name(file, "a", ""));
	CHECK_INT(file->dir_inode, in.st_ino);
	CHECK_INT(file->pid, getpid());
	CHECK_INT(file->fs_id, client.fs_id);
	CHECK_INT(file->watch_id, 0);
	file = next_file();
	CHECK_INT(file->events, FS_FILE_CLOSE_WRITE);
	CHECK(has_name(file, "a", ""));
	file = next_file();
	CHECK_INT(file->events, FS_FILE_RENAME);
	CHECK(has_name(file, "a", "b"));
	CHECK_INT(file->dir_inode, in.st_ino);
	CHECK_INT(file->new_dir_inode, out.st_ino);
	file = next_file();
	CHECK_INT(file->events, FS_FILE_ATTRIB);
	file = next_file();
	CHECK_INT(file->events, FS_FILE_DELETE);
	CHECK(has_name(file, "b", ""));
	file = next_file();
	CHECK_INT(file->events, FS_FILE_CREATE | FS_FILE_DIRECTORY);
	CHECK(has_name(file, "d", ""));
	file = next_file();
	CHECK_INT(file->events, FS_FILE_DELETE | FS_FILE_DIRECTORY);
	is_silent();
	CHECK_INT(listener.n_missing, 0);

	rmdir("/mnt/x/in");
	rmdir("/mnt/x/out");
	unmount("/mnt/x");
}

static void names_ext4(void)
{
	names_are_told(&disks[0]);
}

static void names_xfs(void)
{
	names_are_told(&disks[1]);
}

static void names_btrfs(void)
{
	names_are_told(&disks[2]);
}

static bool has_handle(const struct fs_event_file *file, enum fs_event_handle_of of,
		       const struct file_handle *expected)
{
	size_t names = file->record.header_size + file->name_size + file->new_name_size;
	const uint8_t *at = (const uint8_t *)file + (names + 7) / 8 * 8;
	const uint8_t *end = at + file->handles_size;

	CHECK(end <= (const uint8_t *)file + file->record.size);
	while (at < end) {
		const struct fs_event_handle *handle = (const struct fs_event_handle *)at;

		CHECK(handle->size >= sizeof(*handle) + handle->n_bytes && handle->size % 8 == 0);
		if (handle->of == of)
			return handle->type == expected->handle_type &&
			       handle->n_bytes == expected->handle_bytes &&
			       !memcmp(handle + 1, expected->f_handle, handle->n_bytes);
		at += handle->size;
	}
	return false;
}

static struct file_handle *handle_of(const char *path)
{
	struct file_handle *handle = calloc(1, sizeof(*handle) + MAX_HANDLE_SZ);
	int mount_id;

	handle->handle_bytes = MAX_HANDLE_SZ;
	CHECK_INT(name_to_handle_at(AT_FDCWD, path, handle, &mount_id, 0), 0);
	return handle;
}

/* The handles of all three inodes, as name_to_handle_at() has them, to who asks. */
static void handles_are_told(const struct disk *disk)
{
	const struct fs_event_file *file;
	struct file_handle *in, *out, *self;
	int fd;

	mount_disk(disk->device, disk->type, "/mnt/x", "");
	mkdir("/mnt/x/in", 0755);
	mkdir("/mnt/x/out", 0755);
	in = handle_of("/mnt/x/in");
	out = handle_of("/mnt/x/out");
	open_all();
	fd = open_path("/mnt/x");
	CHECK_INT(client_fs_set(&client, fd, 0,
				FS_FILE_CREATE | FS_FILE_RENAME | FS_FILE_ATTRIB |
					FS_FILE_DIRECTORY | FS_FILE_HANDLES),
		  0);

	make_file("/mnt/x/in/a");
	self = handle_of("/mnt/x/in/a");
	CHECK_INT(rename("/mnt/x/in/a", "/mnt/x/out/longer"), 0);
	CHECK_INT(chmod("/mnt/x/out", 0700), 0);
	file = next_file();
	CHECK_INT(file->events, FS_FILE_CREATE);
	CHECK(has_name(file, "a", ""));
	CHECK(has_handle(file, FS_HANDLE_INODE, self) && has_handle(file, FS_HANDLE_DIR, in));
	file = next_file();
	CHECK_INT(file->events, FS_FILE_RENAME);
	CHECK(has_name(file, "a", "longer"));
	CHECK(has_handle(file, FS_HANDLE_INODE, self) && has_handle(file, FS_HANDLE_DIR, in) &&
	      has_handle(file, FS_HANDLE_NEW_DIR, out));
	file = next_file();
	CHECK_INT(file->events, FS_FILE_ATTRIB | FS_FILE_DIRECTORY);
	CHECK(has_handle(file, FS_HANDLE_INODE, out));

	/* Who does not ask has none. */
	CHECK_INT(client_fs_set(&client, fd, 0, FS_FILE_CREATE), 0);
	close(fd);
	make_file("/mnt/x/in/b");
	CHECK_INT(next_file()->handles_size, 0);
	is_silent();
	unlink("/mnt/x/in/b");
	unlink("/mnt/x/out/longer");
	rmdir("/mnt/x/in");
	rmdir("/mnt/x/out");
	unmount("/mnt/x");
}

static void handles_ext4(void)
{
	handles_are_told(&disks[0]);
}

static void handles_xfs(void)
{
	handles_are_told(&disks[1]);
}

static void handles_btrfs(void)
{
	handles_are_told(&disks[2]);
}

static void handles_tmpfs(void)
{
	handles_are_told(&(struct disk){ .device = "tmpfs", .type = "tmpfs" });
}

/* Two who ask for the same get it once; what only one asked for ends with that one. */
static void requests_are_merged(void)
{
	struct client other;
	int fd;

	mount_disk("tmpfs", "tmpfs", "/mnt/x", "");
	open_all();
	CHECK_INT(client_open(&other), 0);
	fd = open_path("/mnt/x");
	CHECK_INT(client_fs_set(&client, fd, 0, FS_FILE_CREATE | FS_FILE_DELETE), 0);
	CHECK_INT(client_fs_set(&other, fd, 0, FS_FILE_CREATE | FS_FILE_CLOSE_WRITE), 0);
	make_file("/mnt/x/a");
	CHECK_INT(next_file()->events, FS_FILE_CREATE);
	CHECK_INT(next_file()->events, FS_FILE_CLOSE_WRITE);
	CHECK_INT(unlink("/mnt/x/a"), 0);
	CHECK_INT(next_file()->events, FS_FILE_DELETE);
	client_close(&other);
	/* What was closed is withdrawn before anything is granted. */
	CHECK_INT(client_fs_set(&client, fd, 0, FS_FILE_CREATE | FS_FILE_DELETE), 0);
	make_file("/mnt/x/b");
	CHECK_INT(next_file()->events, FS_FILE_CREATE);
	is_silent();
	CHECK_INT(client_fs_set(&client, fd, 0, FS_FILE_CLOSE_WRITE), 0);
	make_file("/mnt/x/c");
	CHECK_INT(next_file()->events, FS_FILE_CLOSE_WRITE);
	is_silent();
}

/* A watched directory tells of itself and of what is directly in it, and of its end. */
static void watch_tells(const struct disk *disk)
{
	const struct fs_event_file *file;
	uint32_t id;
	int fd;

	mount_disk(disk->device, disk->type, "/mnt/x", "");
	mkdir("/mnt/x/d", 0755);
	mkdir("/mnt/x/other", 0755);
	open_all();
	fd = open_path("/mnt/x/d");
	CHECK_INT(client_watch(&client, fd, NAMES | FS_FILE_MODIFY | FS_FILE_ON_CHILD), 0);
	close(fd);
	id = client.watch_id;
	CHECK(id > 0);

	make_file("/mnt/x/other/f");
	make_file("/mnt/x/d/f");
	CHECK_INT(rename("/mnt/x/d/f", "/mnt/x/d/g"), 0);
	CHECK_INT(truncate("/mnt/x/d/g", 100), 0);
	CHECK_INT(unlink("/mnt/x/d/g"), 0);
	CHECK_INT(unlink("/mnt/x/other/f"), 0);
	CHECK_INT(rmdir("/mnt/x/other"), 0);

	file = next_file();
	CHECK_INT(file->events, FS_FILE_CREATE);
	CHECK_INT(file->watch_id, id);
	CHECK(has_name(file, "f", ""));
	CHECK_INT(next_file()->events, FS_FILE_CLOSE_WRITE);
	file = next_file();
	CHECK_INT(file->events, FS_FILE_RENAME);
	CHECK(has_name(file, "f", "g"));
	CHECK_INT(next_file()->events, FS_FILE_MODIFY);
	do
		file = next_file();
	while (file->events == FS_FILE_ATTRIB);
	CHECK_INT(file->events, FS_FILE_DELETE);
	CHECK_INT(rmdir("/mnt/x/d"), 0);
	do
		file = next_file();
	while (file->events != FS_FILE_IGNORED);
	CHECK_INT(file->watch_id, id);
	is_silent();
	unmount("/mnt/x");
}

static void watch_ext4(void)
{
	watch_tells(&disks[0]);
}

static void watch_xfs(void)
{
	watch_tells(&disks[1]);
}

static void watch_btrfs(void)
{
	watch_tells(&disks[2]);
}

/* A hundred watches do not hold up umount, and each tells its end. */
static void watches_end_with_umount(void)
{
	char name[32];
	size_t disk;
	int i, fd;

	for (disk = 0; disk < 3; disk++) {
		mount_disk(disks[disk].device, disks[disk].type, "/mnt/x", "");
		open_all();
		for (i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "/mnt/x/%d", i);
			make_file(name);
			fd = open_path(name);
			CHECK_INT(client_watch(&client, fd, FS_FILE_MODIFY), 0);
			close(fd);
		}
		unmount("/mnt/x");
		for (i = 0; i < 100; i++)
			CHECK_INT(next_file()->events, FS_FILE_IGNORED);
		is_silent();
		mount_disk(disks[disk].device, disks[disk].type, "/mnt/x", "");
		for (i = 0; i < 100; i++) {
			snprintf(name, sizeof(name), "/mnt/x/%d", i);
			unlink(name);
		}
		unmount("/mnt/x");
		client_close(&client);
		listener_close(&listener);
	}
}

/* By number where the filesystem keeps its inodes so */
static void watch_by_number(void)
{
	struct nlmsghdr *message;
	struct stat stat_file;
	int fd, i;

	for (i = 0; i < 2; i++) {
		mount_disk(disks[i].device, disks[i].type, "/mnt/x", "");
		make_file("/mnt/x/f");
		CHECK_INT(stat("/mnt/x/f", &stat_file), 0);
		open_all();
		message = client_begin(&client, FS_NL_C_WATCH_ADD);
		mnl_attr_put_strz(message, FS_NL_A_FS_TYPE, disks[i].type);
		mnl_attr_put_u32(message, FS_NL_A_DEV_MAJOR, major(stat_file.st_dev));
		mnl_attr_put_u32(message, FS_NL_A_DEV_MINOR, minor(stat_file.st_dev));
		mnl_attr_put_u64(message, FS_NL_A_INODE, stat_file.st_ino);
		mnl_attr_put_u32(message, FS_NL_A_FILE_EVENTS, FS_FILE_CLOSE_WRITE);
		/* xfs has a table of its own. */
		CHECK_INT(client_send(&client, message), i ? -ENOENT : 0);
		if (!i) {
			make_file("/mnt/x/f");
			CHECK_INT(next_file()->inode, stat_file.st_ino);
		}
		fd = open_path("/mnt/x/f");
		CHECK_INT(client_watch(&client, fd, FS_FILE_CLOSE_WRITE), 0);
		close(fd);
		unlink("/mnt/x/f");
		client_close(&client);
		listener_close(&listener);
		unmount("/mnt/x");
	}
}

static void touch_elsewhere(const char *path)
{
	make_file(path);
}

static void own_events_are_ignored(void)
{
	mount_disk("tmpfs", "tmpfs", "/mnt/x", "");
	open_all();
	CHECK_INT(client_fs_set(&client, open_path("/mnt/x"), 0, FS_FILE_CREATE), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_IGNORE_SELF), 0);
	make_file("/mnt/x/mine");
	is_silent();
	in_process(touch_elsewhere, "/mnt/x/theirs");
	CHECK(has_name(next_file(), "theirs", ""));
}

/* More than the buffers hold, and a socket that is too small: what is missing is known. */
static void loss_is_exact(void)
{
	uint64_t before, n_made = 0, n_seen = 0;
	int i;

	mount_disk("tmpfs", "tmpfs", "/mnt/x", "");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(client_fs_set(&client, open_path("/mnt/x"), 0, FS_FILE_CREATE | FS_FILE_DELETE),
		  0);
	CHECK_INT(listener_open(&listener, GROUP_INODE, 1), 0);
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	before = client.n_seq[GROUP_INODE];
	listener.next_seq = before + 1;
	for (i = 0; i < 20000; i++) {
		make_file("/mnt/x/a");
		unlink("/mnt/x/a");
		n_made += 2;
	}
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	while (listener_record(&listener, 0))
		n_seen++;
	CHECK(listener.n_overruns > 0);
	make_file("/mnt/x/last");
	n_made++;
	CHECK(listener_record(&listener, SOON_MS));
	n_seen++;
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	CHECK_INT(client.n_seq[GROUP_INODE] - before, n_made);
	CHECK_INT(n_seen + listener.n_missing, n_made);
	CHECK(listener.n_missing > 0);
}

#define CHANGES 20000

/* At the highest priority of one processor, where no worker of the kernel gets a turn */
static void change_at_once(int cpu)
{
	struct sched_param param = { .sched_priority = 50 };
	cpu_set_t cpus;
	int i;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	CHECK_INT(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	CHECK_INT(sched_setscheduler(0, SCHED_FIFO, &param), 0);
	for (i = 0; i < CHANGES; i++)
		chmod("/mnt/x/a", 0600);
	param.sched_priority = 0;
	sched_setscheduler(0, SCHED_OTHER, &param);
}

/* Both processors write, and the worker gets none: what finds its ring full is counted. */
static void full_ring_is_counted(void)
{
	uint64_t before, n_seen = 0;
	pid_t other;

	mount_disk("tmpfs", "tmpfs", "/mnt/x", "");
	write_text("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(client_fs_set(&client, open_path("/mnt/x"), 0, FS_FILE_ATTRIB), 0);
	CHECK_INT(listener_open(&listener, GROUP_INODE, 0), 0);
	make_file("/mnt/x/a");
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	before = client.n_seq[GROUP_INODE];
	listener.next_seq = before + 1;
	other = fork();
	if (other == 0) {
		change_at_once(1);
		_exit(0);
	}
	change_at_once(0);
	CHECK_INT(waitpid(other, NULL, 0), other);
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	while (listener_record(&listener, 0))
		n_seen++;
	CHECK_INT(listener.n_overruns, 0);
	CHECK_INT(client_simple(&client, FS_NL_C_GET_INFO), 0);
	CHECK_INT(client.n_seq[GROUP_INODE] - before, 2 * CHANGES);
	CHECK_INT(n_seen + listener.n_missing, 2 * CHANGES);
	CHECK_INT(client.n_lost_buffer[GROUP_INODE], listener.lost);
	CHECK(listener.n_missing > 0);
	printf("VM-FIGURE full ring: %llu of %d records lost, told exactly\n",
	       (unsigned long long)listener.n_missing, 2 * CHANGES);
}

const struct test tests_file[] = {
	{ .name = "file-names-ext4", .run = names_ext4 },
	{ .name = "file-names-xfs", .run = names_xfs },
	{ .name = "file-names-btrfs", .run = names_btrfs },
	{ .name = "file-handles-ext4", .run = handles_ext4 },
	{ .name = "file-handles-xfs", .run = handles_xfs },
	{ .name = "file-handles-btrfs", .run = handles_btrfs },
	{ .name = "file-handles-tmpfs", .run = handles_tmpfs },
	{ .name = "file-requests-merge", .run = requests_are_merged },
	{ .name = "file-watch-ext4", .run = watch_ext4 },
	{ .name = "file-watch-xfs", .run = watch_xfs },
	{ .name = "file-watch-btrfs", .run = watch_btrfs },
	{ .name = "file-watches-umount", .run = watches_end_with_umount },
	{ .name = "file-watch-by-number", .run = watch_by_number },
	{ .name = "file-ignore-self", .run = own_events_are_ignored },
	{ .name = "file-loss-is-exact", .run = loss_is_exact },
	{ .name = "file-full-ring", .run = full_ring_is_counted },
	{},
};
