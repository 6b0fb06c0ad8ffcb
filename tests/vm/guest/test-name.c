// SPDX-License-Identifier: GPL-2.0-or-later

/*
 * Names of more than 255 bytes: those of disks have them where a filesystem counts characters,
 * those of FUSE as the server likes
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#define LONG_NAME 1000

static struct client client;
static struct listener listener;

/* --- a server on which there is nothing yet, and everything can be made */

struct answer {
	struct fuse_out_header header;
	union {
		struct fuse_init_out init;
		struct fuse_attr_out attributes;
		struct fuse_entry_out entry;
		struct fuse_statfs_out statfs;
	};
};

static struct fuse_attr directory(uint64_t inode)
{
	return (struct fuse_attr){ .ino = inode, .mode = S_IFDIR | 0755, .nlink = 2 };
}

/* Return: the bytes behind the header, a negative errno, or 1: there is no answer. */
static int serve_one(uint32_t opcode, struct answer *answer)
{
	static uint64_t last = FUSE_ROOT_ID;

	switch (opcode) {
	case FUSE_INIT:
		answer->init = (struct fuse_init_out){ .major = FUSE_KERNEL_VERSION,
						       .minor = FUSE_KERNEL_MINOR_VERSION,
						       .max_write = 4096 };
		return sizeof(answer->init);
	case FUSE_GETATTR:
		answer->attributes = (struct fuse_attr_out){ .attr = directory(FUSE_ROOT_ID) };
		return sizeof(answer->attributes);
	case FUSE_MKDIR:
		last++;
		answer->entry = (struct fuse_entry_out){ .nodeid = last, .attr = directory(last) };
		return sizeof(answer->entry);
	case FUSE_LOOKUP:
		return -ENOENT;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return 1;
	default:
		return -ENOSYS;
	}
}

static void serve(int fuse)
{
	static char request[1 << 16];
	const struct fuse_in_header *in = (const void *)request;
	struct answer answer;
	int n;

	while (read(fuse, request, sizeof(request)) >= (ssize_t)sizeof(*in)) {
		memset(&answer, 0, sizeof(answer));
		n = serve_one(in->opcode, &answer);
		if (n == 1)
			continue;
		answer.header.unique = in->unique;
		answer.header.error = n < 0 ? n : 0;
		answer.header.len = sizeof(answer.header) + (n < 0 ? 0 : n);
		if (write(fuse, &answer, answer.header.len) < 0)
			break;
	}
	_exit(0);
}

static void mount_server(const char *where)
{
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[64];
	pid_t pid;

	if (fuse < 0)
		test_skip("no FUSE");
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
	mount_disk("server", "fuse", where, options);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(fuse);
	}
	CHECK(pid > 0);
	close(fuse);
}

/* --- */

static void long_names_are_whole(void)
{
	static const int lengths[] = { 255, 256, LONG_NAME };
	const struct fs_event_file *file;
	char path[32 + LONG_NAME + 1];
	size_t i;
	int fd, n;

	mount_server("/mnt/fuse");
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_INODE, 0), 0);
	fd = open_path("/mnt/fuse");
	CHECK_INT(client_fs_set(&client, fd, 0, FS_FILE_CREATE | FS_FILE_DIRECTORY), 0);
	close(fd);
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		n = snprintf(path, sizeof(path), "/mnt/fuse/");
		memset(path + n, 'x', lengths[i]);
		path[n + lengths[i]] = '\0';
		CHECK_INT(mkdir(path, 0755), 0);
		file = (const void *)listener_record(&listener, SOON_MS);
		CHECK(file);
		CHECK_INT(file->events, FS_FILE_CREATE | FS_FILE_DIRECTORY);
		CHECK_INT(file->name_size, lengths[i]);
		CHECK(!memcmp((const char *)file + file->record.header_size, path + n, lengths[i]));
	}
	CHECK_INT(listener.n_missing, 0);
	unmount("/mnt/fuse");
}

const struct test tests_name[] = {
	{ .name = "name-longer-than-255", .run = long_names_are_whole },
	{},
};
