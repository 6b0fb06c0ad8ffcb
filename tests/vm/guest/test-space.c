// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "test.h"

#define ALL (FS_EVENT_BIT(__FS_EVENT_ID_MAX) - 2)

static struct client client;
static struct listener listener;

static int ask(const char *where, uint64_t events)
{
	int fd = open_path(where);

	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	CHECK_INT(client_fs_set(&client, fd, events, 0), 0);
	return fd;
}

static void allocate(const char *path, unsigned long long n_blocks)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	struct statvfs figures;

	CHECK(fd >= 0);
	CHECK_INT(fstatvfs(fd, &figures), 0);
	CHECK_INT(posix_fallocate(fd, 0, n_blocks * figures.f_frsize), 0);
	fsync(fd);
	close(fd);
}

/* The first three levels pass on the way down and up again, with their names and events. */
static void levels_are_told(const char *device, const char *type, const char *options)
{
	unsigned long long before, inodes;
	struct wanted_level levels[4];
	int fd;

	mount_disk(device, type, "/mnt/l", options);
	before = available("/mnt/l", &inodes);
	levels[0] = (struct wanted_level){ "first", 0, before * 3 / 4, before * 4 / 5 };
	levels[1] = (struct wanted_level){ "second", 0, before / 2, before * 4 / 5 };
	levels[2] = (struct wanted_level){ "third", 0, before / 3, before * 4 / 5 };
	levels[3] = (struct wanted_level){ "never", FS_LEVEL_INODES, 0, 1 };
	fd = ask("/mnt/l", ALL);
	CHECK_INT(client_levels(&client, fd, levels, 4), 0);
	close(fd);

	allocate("/mnt/l/1", before * 35 / 100);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_THR_LRBELOW);
	CHECK(!strcmp(listener.event.level, "first"));
	CHECK(listener.event.data <= levels[0].below);
	CHECK_INT(listener.event.caused_id, 0);
	allocate("/mnt/l/2", before * 40 / 100);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_THR_URBELOW);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_EVENT_THR_BELOW);
	CHECK(!strcmp(listener.event.level, "third"));

	unlink("/mnt/l/1");
	unlink("/mnt/l/2");
	sync();
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_THR_LRABOVE);
	CHECK(listener.event.data > levels[0].above);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_THR_URABOVE);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_EVENT_THR_ABOVE);
	CHECK_INT(listener.n_missing, 0);
	unmount("/mnt/l");
}

static void levels_ext4(void)
{
	levels_are_told(disks[0].device, disks[0].type, "");
}

static void levels_xfs(void)
{
	levels_are_told(disks[1].device, disks[1].type, "");
}

static void levels_btrfs(void)
{
	levels_are_told(disks[2].device, disks[2].type, "commit=1");
}

static void levels_tmpfs(void)
{
	levels_are_told("tmpfs", "tmpfs", "size=16m");
}

static void make_and_remove(bool make)
{
	char name[32];
	int i;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "/mnt/l/%d", i);
		if (make)
			make_file(name);
		else
			unlink(name);
	}
}

/* One that is reached when it is set is told then, to each; what two ask for is told once. */
static void level_is_told_at_once(void)
{
	const struct wanted_level level = { "low", FS_LEVEL_INODES, 85, 90 };
	struct client other;
	int fd;

	mount_disk("tmpfs", "tmpfs", "/mnt/l", "size=1m,nr_inodes=100");
	make_and_remove(true);
	fd = ask("/mnt/l", ALL);
	CHECK_INT(client_levels(&client, fd, &level, 1), 0);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_EVENT_THR_BELOW);
	CHECK(listener.event.data <= 85);
	CHECK_INT(client_open(&other), 0);
	CHECK_INT(client_fs_set(&other, fd, ALL, 0), 0);
	CHECK_INT(client_levels(&other, fd, &level, 1), 0);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_EVENT_THR_BELOW);

	make_and_remove(false);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_EVENT_THR_ABOVE);
	make_and_remove(true);
	/* Had the other's been told as well, it would come first. */
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_EVENT_THR_BELOW);
	/* Who told them goes: the other one's counts from then on. */
	client_close(&client);
	make_and_remove(false);
	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(listener.event.id, FS_EVENT_THR_ABOVE);
	client_close(&other);
	close(fd);
	unmount("/mnt/l");
}

/* What is under way never makes umount fail. */
static void checks_hold_up_no_umount(void)
{
	struct wanted_level level = { "low", FS_LEVEL_BLOCKS, 1, 1 };
	int i, fd;

	write_text("/sys/module/fsevents/parameters/check_min_ms", "1");
	write_text("/sys/module/fsevents/parameters/check_max_ms", "1");
	for (i = 0; i < 60; i++) {
		const struct disk *disk = &disks[i % 3];

		mount_disk(disk->device, disk->type, "/mnt/c", "");
		fd = ask("/mnt/c", ALL);
		CHECK_INT(client_levels(&client, fd, &level, 1), 0);
		close(fd);
		make_file("/mnt/c/file");
		unmount("/mnt/c");
		client_close(&client);
		listener_close(&listener);
	}
	write_text("/sys/module/fsevents/parameters/check_min_ms", "50");
	write_text("/sys/module/fsevents/parameters/check_max_ms", "1000");
}

/* No check where it could wait for a server or a daemon; the rest is granted. */
static void no_checks_of_others(void)
{
	struct wanted_level level = { "low", FS_LEVEL_BLOCKS, 1, 1 };
	int fd = ask("/proc", ALL);

	CHECK_INT(client_levels(&client, fd, &level, 1), -EOPNOTSUPP);
	CHECK(client.text[0]);
}

/* --- no space, and who ran into it */

static void write_until_full(const char *where)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/full", where);
	if (fill_file(path) != -ENOSPC)
		_exit(1);
}

static void write_direct(const char *where)
{
	static char block[65536] __attribute__((aligned(4096)));
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/direct", where);
	fd = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || write(fd, block, sizeof(block)) >= 0)
		_exit(1);
}

static void allocate_too_much(const char *where)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/direct", where);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || !fallocate(fd, 0, 0, 1 << 20))
		_exit(1);
}

static void make_directories(const char *where)
{
	char path[64];
	int i;

	for (i = 0; i < 100000; i++) {
		snprintf(path, sizeof(path), "%s/%d", where, i);
		if (mkdir(path, 0755))
			return;
	}
}

static void remove_directories(const char *where)
{
	char path[64];
	int i;

	for (i = 0; i < 100000; i++) {
		snprintf(path, sizeof(path), "%s/%d", where, i);
		if (rmdir(path))
			return;
	}
}

/* One of these events, whose culprit is the process that ran into it, and no other of the process */
static void is_told_of(void (*function)(const char *), const char *where, uint64_t events)
{
	int pid = in_process(function, where);
	bool told = false;

	CHECK(listener_event(&listener, SOON_MS));
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	do {
		if (listener.event.caused_id != (uint64_t)pid)
			continue;
		if (!(events & FS_EVENT_BIT(listener.event.id)))
			test_fail(__FILE__, __LINE__, "event %u", listener.event.id);
		CHECK_INT(listener.event.error, ENOSPC);
		told = true;
	} while (listener_event(&listener, told ? 0 : SOON_MS));
	if (!told)
		test_fail(__FILE__, __LINE__, "nothing told of process %d", pid);
}

#define DATA FS_EVENT_BIT(FS_WARN_ENOSPC)
#define METADATA FS_EVENT_BIT(FS_WARN_ENOSPC_META)

static void no_space_is_told(const struct disk *disk)
{
	/* What is written needs room in a tree as well, and runs out of that first. */
	uint64_t written = strcmp(disk->type, "btrfs") ? DATA : DATA | METADATA;

	mount_disk(disk->device, disk->type, "/mnt/n", "");
	make_file("/mnt/n/direct");
	close(ask("/mnt/n", ALL));
	CHECK(client.capable & FS_EVENT_BIT(FS_WARN_ENOSPC));
	is_told_of(write_until_full, "/mnt/n", written);
	is_told_of(write_direct, "/mnt/n", written);
	is_told_of(allocate_too_much, "/mnt/n", DATA);
	is_told_of(make_directories, "/mnt/n", METADATA);
	CHECK_INT(listener.n_missing, 0);
	unlink("/mnt/n/full");
	unlink("/mnt/n/direct");
	in_process(remove_directories, "/mnt/n");
	unmount("/mnt/n");
}

static void no_space_ext4(void)
{
	no_space_is_told(&disks[0]);
}

static void no_space_xfs(void)
{
	no_space_is_told(&disks[1]);
}

static void no_space_btrfs(void)
{
	no_space_is_told(&disks[2]);
}

static void make_files(const char *where)
{
	char path[64];
	int i;

	for (i = 0; i < 100000; i++) {
		snprintf(path, sizeof(path), "%s/i%d", where, i);
		if (mknod(path, S_IFREG | 0644, 0))
			return;
	}
}

static void no_inodes_is_told(void)
{
	char path[64];
	int pid, i;

	mount_disk(disks[0].device, disks[0].type, "/mnt/i", "");
	close(ask("/mnt/i", ALL));
	pid = in_process(make_files, "/mnt/i");
	CHECK(listener_wait(&listener, FS_EVENT_ENOSPC_INODES, SOON_MS));
	CHECK_INT(listener.event.caused_id, pid);
	for (i = 0; i < 100000; i++) {
		snprintf(path, sizeof(path), "/mnt/i/i%d", i);
		if (unlink(path))
			break;
	}
	CHECK(i > 100);
	unmount("/mnt/i");
}

const struct test tests_space[] = {
	{ .name = "space-levels-ext4", .run = levels_ext4 },
	{ .name = "space-levels-xfs", .run = levels_xfs },
	{ .name = "space-levels-btrfs", .run = levels_btrfs },
	{ .name = "space-levels-tmpfs", .run = levels_tmpfs },
	{ .name = "space-level-at-once", .run = level_is_told_at_once },
	{ .name = "space-umount", .run = checks_hold_up_no_umount, .seconds = 480 },
	{ .name = "space-no-checks-of-others", .run = no_checks_of_others },
	{ .name = "space-no-inodes", .run = no_inodes_is_told, .seconds = 480 },
	{ .name = "space-full-ext4", .run = no_space_ext4, .seconds = 480 },
	{ .name = "space-full-xfs", .run = no_space_xfs, .seconds = 480 },
	{ .name = "space-full-btrfs", .run = no_space_btrfs, .seconds = 480 },
	{},
};
