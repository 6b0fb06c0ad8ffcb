// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmtest [NAME]... - the tests of the module, inside of a virtual machine
 *
 * A NAME runs the tests whose names begin with it.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <mntent.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define STATUS_SKIPPED 77

const struct disk disks[3] = {
	{ "ext4", "/dev/vda" },
	{ "xfs", "/dev/vdb" },
	{ "btrfs", "/dev/vdc" },
};

static bool slow; /* a kernel that looks for mistakes */
static int report; /* a pipe to the process that waits */

void test_fail(const char *file, int line, const char *format, ...)
{
	const char *name = strrchr(file, '/');
	char text[512];
	va_list arguments;
	int n;

	n = snprintf(text, sizeof(text), "%s:%d: ", name ? name + 1 : file, line);
	va_start(arguments, format);
	vsnprintf(text + n, sizeof(text) - n, format, arguments);
	va_end(arguments);
	if (write(report, text, strlen(text)) < 0)
		_exit(2);
	_exit(1);
}

void test_skip(const char *why)
{
	if (write(report, why, strlen(why)) < 0)
		_exit(2);
	_exit(STATUS_SKIPPED);
}

void mount_disk(const char *device, const char *type, const char *where, const char *options)
{
	mkdir(where, 0755);
	if (mount(device, where, type, 0, options))
		test_fail(__FILE__, __LINE__, "mount %s: %s", where, strerror(errno));
}

void unmount(const char *where)
{
	if (umount(where))
		test_fail(__FILE__, __LINE__, "umount %s: %s", where, strerror(errno));
}

int open_path(const char *where)
{
	int fd = open(where, O_PATH | O_CLOEXEC);

	if (fd < 0)
		test_fail(__FILE__, __LINE__, "open %s: %s", where, strerror(errno));
	return fd;
}

void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		test_fail(__FILE__, __LINE__, "write %s: %s", path, strerror(errno));
	close(fd);
}

void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		test_fail(__FILE__, __LINE__, "create %s: %s", path, strerror(errno));
	close(fd);
}

unsigned long long available(const char *where, unsigned long long *ret_inodes)
{
	struct statvfs figures;

	if (statvfs(where, &figures))
		test_fail(__FILE__, __LINE__, "statvfs %s: %s", where, strerror(errno));
	if (ret_inodes)
		*ret_inodes = figures.f_ffree;
	return figures.f_bavail;
}

int fill_file(const char *path)
{
	static char block[65536];
	int fd, error = 0;

	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	while (!error)
		if (write(fd, block, sizeof(block)) < 0)
			error = -errno;
	close(fd);
	return error;
}

int in_process(void (*function)(const char *), const char *argument)
{
	pid_t pid = fork();

	if (pid == 0) {
		function(argument);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		test_fail(__FILE__, __LINE__, "fork: %s", strerror(errno));
	return pid;
}

bool has_listener32(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* A group that there is not ends it at once. */
		execl("/bin/listener32", "listener32", "none", "0", NULL);
		_exit(STATUS_SKIPPED);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) != STATUS_SKIPPED;
}

void load_module(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/%s.ko", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		test_fail(__FILE__, __LINE__, "load %s: %s", name, strerror(errno));
	close(fd);
}

void unload_module(const char *name)
{
	if (syscall(SYS_delete_module, name, 0))
		test_fail(__FILE__, __LINE__, "unload %s: %s", name, strerror(errno));
}

/* --- running them */

static void run_alone(const struct test *test)
{
	static struct client client;

	/* What the last test caused may still be on its way to whoever joins. */
	/* The one before may have failed without it. */
	if (client_open(&client)) {
		load_module("fsevents");
		CHECK_INT(client_open(&client), 0);
	}
	CHECK_INT(client_simple(&client, FS_NL_C_SYNC), 0);
	client_close(&client);

	/* Mounts of a test go with it. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		test_fail(__FILE__, __LINE__, "unshare: %s", strerror(errno));
	damage_undo();
	alarm((test->seconds ? test->seconds : 240) * (slow ? 10 : 1));
	test->run();
	_exit(0);
}

/* Where everybody waits, onto the console: a test that hangs has that to say alone. */
static void print_tasks(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	write_text("/proc/sys/kernel/printk", "8");
	if (fd >= 0 && write(fd, "l", 1) == 1 && write(fd, "w", 1) == 1)
		close(fd);
	write_text("/proc/sys/kernel/printk", "4");
}

/* What its daemon has open goes with it, in a moment. */
static void unmount_left(const char *where)
{
	int fd = open(where, O_RDONLY | O_CLOEXEC), i;

	if (fd >= 0) {
		ioctl(fd, FITHAW, NULL);
		close(fd);
	}
	for (i = 0; i < 100; i++) {
		if (umount2(where, 0) == 0 || errno != EBUSY)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	umount2(where, MNT_DETACH);
}

/* Tests with the daemon mount where process 1 and those after them see it. */
static void unmount_all_left(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	const struct mntent *entry;
	char left[16][64];
	unsigned int n = 0;

	while (mounts && n < 16 && (entry = getmntent(mounts)))
		if (!strncmp(entry->mnt_dir, "/mnt/", 5))
			snprintf(left[n++], sizeof(left[0]), "%s", entry->mnt_dir);
	if (mounts)
		endmntent(mounts);
	while (n > 0)
		unmount_left(left[--n]);
}

static bool run_test(const struct test *test)
{
	struct timespec start, end;
	char message[513] = "";
	int pipe_fds[2], status = 0;
	const char *verdict;
	ssize_t n;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (pipe2(pipe_fds, O_CLOEXEC))
		return false;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		report = pipe_fds[1];
		run_alone(test);
	}
	close(pipe_fds[1]);
	waitpid(pid, &status, 0);
	n = read(pipe_fds[0], message, sizeof(message) - 1);
	close(pipe_fds[0]);
	if (n <= 0 && WIFSIGNALED(status)) {
		snprintf(message, sizeof(message), "killed by signal %d", WTERMSIG(status));
		print_tasks();
	}
	unmount_all_left();
	clock_gettime(CLOCK_MONOTONIC, &end);

	verdict = WIFEXITED(status) && WEXITSTATUS(status) == 0		       ? "pass"
		  : WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIPPED ? "skip"
									       : "fail";
	printf("VM-TEST %s %s %.1f %s\n", verdict, test->name,
	       (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9, message);
	fflush(stdout);
	return verdict[0] != 'f';
}

static bool is_wanted(const struct test *test, char **names)
{
	if (test->needs && access(test->needs, F_OK))
		return false;
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strncmp(test->name, *names, strlen(*names)))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static const struct test *const all[] = {
		tests_module, tests_family,	    tests_fault, tests_codes,	tests_space,
		tests_check,  tests_file,	    tests_name,	 tests_process, tests_fuzz,
		tests_daemon, tests_daemon_process, tests_watch,
	};
	const struct test *test;
	unsigned int n_planned = 0;
	bool good = true;
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (test = all[i]; test->name; test++)
			n_planned += is_wanted(test, argv + 1);
	slow = !access("/sys/kernel/debug/kmemleak", F_OK);
	printf("VM-PLAN %u\n", n_planned);
	damage_init();

	load_module("fsevents");
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (test = all[i]; test->name; test++)
			if (is_wanted(test, argv + 1))
				good &= run_test(test);
	return good ? 0 : 1;
}
