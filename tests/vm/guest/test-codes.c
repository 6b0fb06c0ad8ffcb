// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/*
 * All codes of 2015 on all three filesystems, each by what really leads to it,
 * and received by the listener that knows include/fs_event.h alone
 */

#define ALL (FS_EVENT_BIT(__FS_EVENT_ID_MAX) - 2)
#define WHERE "/mnt/k"
#define VICTIM "whose-metadata-is-damaged"

static struct client client;

/* --- the listeners */

struct reader {
	pid_t pid;
	int fd;
	size_t size;
	char text[32768]; /* all that it has printed so far */
};

static struct reader readers[2]; /* 64 bits, 32 bits */
static int n_readers;

/* The next line, in ->text; NULL: none came. */
static const char *read_line(struct reader *reader)
{
	struct pollfd poller = { .fd = reader->fd, .events = POLLIN };
	size_t start = reader->size;

	do {
		if (reader->size + 1 == sizeof(reader->text) || poll(&poller, 1, SOON_MS) != 1 ||
		    read(reader->fd, &reader->text[reader->size], 1) != 1)
			return NULL;
	} while (reader->text[reader->size++] != '\n');
	reader->text[reader->size] = '\0';
	return &reader->text[start];
}

static void start_reader(const char *program)
{
	struct reader *reader = &readers[n_readers++];
	const char *line;
	int fds[2];

	CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
	reader->pid = fork();
	if (reader->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		execlp(program, program, FS_EVENTS_MCAST_GRP_NAME, "1000000", NULL);
		_exit(1);
	}
	close(fds[1]);
	reader->fd = fds[0];
	line = read_line(reader);
	CHECK(line && !strcmp(line, "listening\n"));
}

static void stop_readers(void)
{
	while (n_readers > 0) {
		n_readers--;
		kill(readers[n_readers].pid, SIGKILL);
		waitpid(readers[n_readers].pid, NULL, 0);
		close(readers[n_readers].fd);
		readers[n_readers].size = 0;
	}
}

/* Each of them prints it, of this filesystem, and they print the same. */
static void is_received(uint32_t id)
{
	char wanted[64];
	const char *line;
	int i;

	snprintf(wanted, sizeof(wanted), "event=%u dev=%u:%u ", id, client.dev_major,
		 client.dev_minor);
	for (i = 0; i < n_readers; i++) {
		do {
			line = read_line(&readers[i]);
			if (!line)
				test_fail(__FILE__, __LINE__, "reader %d received no event %u", i,
					  id);
		} while (strncmp(line, wanted, strlen(wanted)));
	}
	CHECK(n_readers == 1 || !strcmp(readers[0].text, readers[1].text));
}

/* --- what leads to the codes */

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

static unsigned long long room; /* available blocks in the beginning */

static void fall_below_first(void)
{
	allocate(WHERE "/1", room * 35 / 100);
}

static void fall_below_second(void)
{
	allocate(WHERE "/2", room * 30 / 100);
}

static void rise_again(void)
{
	unlink(WHERE "/1");
	unlink(WHERE "/2");
	sync();
}

static void nothing_more(void)
{
}

static void find_no_space(void)
{
	int fd;

	allocate(WHERE "/most", available(WHERE, NULL) * 80 / 100);
	CHECK_INT(fill_file(WHERE "/rest"), -ENOSPC);
	/* On btrfs, that may have been the space of its trees. */
	fd = open(WHERE "/rest", O_WRONLY | O_CLOEXEC);
	CHECK_INT(posix_fallocate(fd, 0, 256 << 20), ENOSPC);
	close(fd);
}

static void find_no_space_for_metadata(void)
{
	char path[300];
	int i;

	for (i = 0; i < 100000; i++) {
		snprintf(path, sizeof(path), WHERE "/codes/%0200d", i);
		if (mkdir(path, 0755)) {
			CHECK_INT(errno, ENOSPC);
			return;
		}
	}
	test_fail(__FILE__, __LINE__, "it is never full");
}

static void stumble_over_damage(void)
{
	CHECK(open(WHERE "/codes/d/" VICTIM, O_RDONLY | O_CLOEXEC) < 0);
	CHECK(errno == EUCLEAN || errno == EBADMSG || errno == EIO);
}

static void turn_read_only(void)
{
	CHECK_INT(mount(NULL, WHERE, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
}

static const struct {
	uint32_t id;
	void (*provoke)(void);
} codes[] = {
	{ FS_THR_LRBELOW, fall_below_first },
	{ FS_THR_URBELOW, fall_below_second },
	{ FS_THR_LRABOVE, rise_again },
	{ FS_THR_URABOVE, nothing_more },
	{ FS_ERR_CORRUPTED, stumble_over_damage },
	{ FS_WARN_ENOSPC, find_no_space },
	{ FS_WARN_ENOSPC_META, find_no_space_for_metadata },
	{ FS_ERR_REMOUNT_RO, turn_read_only },
};

static void remove_directories(void)
{
	char path[300];
	int i;

	for (i = 0; i < 100000; i++) {
		snprintf(path, sizeof(path), WHERE "/codes/%0200d", i);
		if (rmdir(path))
			return;
	}
}

static void set_levels(int fd)
{
	struct wanted_level levels[2];

	room = available(WHERE, NULL);
	levels[0] = (struct wanted_level){ "lower", FS_LEVEL_BLOCKS, room * 3 / 4, room * 4 / 5 };
	levels[1] = (struct wanted_level){ "upper", FS_LEVEL_BLOCKS, room / 2, room * 4 / 5 };
	CHECK_INT(client_levels(&client, fd, levels, 2), 0);
}

static void codes_are_received(const char *device, const char *type, const char *options)
{
	size_t i;
	int fd;

	mount_disk(device, type, WHERE, options);
	damage_prepare(WHERE "/codes", VICTIM);
	unmount(WHERE);
	damage_disk(device, VICTIM);
	mount_disk(device, type, WHERE, options);
	CHECK_INT(client_open(&client), 0);
	fd = open_path(WHERE);
	CHECK_INT(client_fs_set(&client, fd, ALL, 0), 0);
	start_reader("listener");
	if (has_listener32())
		start_reader("listener32");
	set_levels(fd);
	close(fd);
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		codes[i].provoke();
		is_received(codes[i].id);
	}
	stop_readers();
	client_close(&client);

	CHECK_INT(mount(NULL, WHERE, NULL, MS_REMOUNT, NULL), 0);
	unlink(WHERE "/most");
	unlink(WHERE "/rest");
	remove_directories();
	unmount(WHERE);
	damage_undo();
}

static void codes_ext4(void)
{
	codes_are_received(DISK_ERRORS, "ext4", "");
}

static void codes_xfs(void)
{
	codes_are_received(disks[1].device, "xfs", "");
}

static void codes_btrfs(void)
{
	codes_are_received(disks[2].device, "btrfs", "commit=1");
}

const struct test tests_codes[] = {
	{ .name = "codes-ext4", .run = codes_ext4, .seconds = 480 },
	{ .name = "codes-xfs", .run = codes_xfs, .seconds = 480 },
	{ .name = "codes-btrfs", .run = codes_btrfs, .seconds = 480 },
	{},
};
