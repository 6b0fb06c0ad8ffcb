/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * vmtest ROUNDS - what the module costs, measured inside of a virtual machine
 *
 * Loops of fork and exit, of fork and exec, and of create, write and unlink: without the
 * module, with it loaded, and with it in use; rounds interleaved. Then the time that checks
 * of a hundred filesystems take. Prints figures, "VM-FIGURE NAME WAY ROUND NANOSECONDS
 * PROCESSOR": all that the machine did meanwhile, and the processor's time of who is
 * watched alone. In use, a process reads what is told, late and all of it; what it misses
 * is printed too.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/vm/guest/client.h"

#define N_FORKS 400
#define N_EXECS 100
#define N_FILES 600
#define N_FILESYSTEMS 100
#define CHECK_SECONDS 10

#define PROCESS_EVENTS                                                                             \
	(1 << FS_RECORD_FORK | 1 << FS_RECORD_EXEC | 1 << FS_RECORD_EXIT | 1 << FS_RECORD_UID)
/* As a watch of all that happens in a filesystem but reading. */
#define FILE_EVENTS                                                                                \
	(FS_FILE_MODIFY | FS_FILE_ATTRIB | FS_FILE_CLOSE_WRITE | FS_FILE_CREATE | FS_FILE_DELETE | \
	 FS_FILE_DELETE_SELF | FS_FILE_RENAME | FS_FILE_ON_CHILD | FS_FILE_DIRECTORY)

/* Between two looks of who reads. */
#define READ_PAUSE_NS 5000000

enum way {
	WITHOUT,
	IDLE,
	USED,
	N_WAYS,
};

static const char *const way_names[] = { "without", "idle", "used" };

struct work {
	const char *name;
	void (*run)(void);
	enum group group; /* who tells of it, ->where NULL: processes */
	const char *where;
};

static void fail(const char *what)
{
	printf("VM-FAILED %s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

static void check(int error, const char *what)
{
	if (error == 0)
		return;
	errno = error < 0 ? -error : errno;
	fail(what);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t used_by(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000000 +
	       ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
}

static void load(void)
{
	int fd = open("/fsevents.ko", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		fail("load");
	close(fd);
}

static void unload(void)
{
	if (syscall(SYS_delete_module, "fsevents", 0))
		fail("unload");
}

/* --- what is watched */

static void make_children(int n, bool exec)
{
	int i;

	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (exec)
				execl("/bin/true", "true", NULL);
			_exit(exec);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			fail("fork");
	}
}

static void forks(void)
{
	make_children(N_FORKS, false);
}

static void execs(void)
{
	make_children(N_EXECS, true);
}

static void make_files(const char *where)
{
	static const char data[4096] = { 1 };
	char path[64];
	int i, fd;

	for (i = 0; i < N_FILES; i++) {
		snprintf(path, sizeof(path), "%s/file-%d", where, i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, data, sizeof(data)) != sizeof(data) || close(fd) ||
		    unlink(path))
			fail(path);
	}
}

static void files_of_ext4(void)
{
	make_files("/mnt/ext4");
}

static void files_of_tmpfs(void)
{
	make_files("/mnt/tmpfs");
}

static const struct work works[] = {
	{ "fork+exit", forks, GROUP_PROC, NULL },
	{ "fork+exec", execs, GROUP_PROC, NULL },
	{ "files, ext4", files_of_ext4, GROUP_INODE, "/mnt/ext4" },
	{ "files, tmpfs", files_of_tmpfs, GROUP_INODE, "/mnt/tmpfs" },
};

/* --- who uses it */

static struct client client;
static struct listener listener;

static void ask(const struct work *work)
{
	int fd;

	check(client_open(&client), "family");
	if (!work->where) {
		check(client_proc(&client, PROCESS_EVENTS), "processes");
		return;
	}
	fd = open(work->where, O_PATH | O_CLOEXEC);
	if (fd < 0)
		fail(work->where);
	check(client_fs_set(&client, fd, 0, FILE_EVENTS), "files");
	close(fd);
}

static void reader_main(const struct work *work, int ready, int end)
{
	uint64_t n = 0;
	bool ends;
	char byte;

	check(listener_open(&listener, work->group, 0), "group");
	ask(work);
	if (write(ready, "", 1) != 1)
		fail("reader");
	do {
		/* First this: what came until then is read. */
		ends = read(end, &byte, 1) == 0;
		if (ends)
			check(client_simple(&client, FS_NL_C_SYNC), "sync");
		while (listener_record(&listener, 0))
			n++;
		nanosleep(&(struct timespec){ .tv_nsec = READ_PAUSE_NS }, NULL);
	} while (!ends);
	printf("VM-READ %s: %" PRIu64 " missed %" PRIu64 "\n", work->name, n, listener.n_missing);
	fflush(stdout);
	_exit(0);
}

struct reader {
	pid_t pid;
	int end;
};

static struct reader reader_new(const struct work *work)
{
	int ready[2], end[2];
	struct reader reader;
	char byte;

	if (pipe2(ready, O_CLOEXEC) || pipe2(end, O_CLOEXEC))
		fail("pipe");
	fflush(stdout);
	reader.pid = fork();
	if (reader.pid == 0) {
		close(end[1]);
		if (fcntl(end[0], F_SETFL, O_NONBLOCK))
			fail("pipe");
		reader_main(work, ready[1], end[0]);
	}
	close(ready[1]);
	close(end[0]);
	if (read(ready[0], &byte, 1) != 1)
		fail("reader");
	close(ready[0]);
	reader.end = end[1];
	return reader;
}

static void reader_end(const struct reader *reader)
{
	int status;

	close(reader->end);
	if (waitpid(reader->pid, &status, 0) != reader->pid || status)
		fail("reader");
}

/* In a process of its own, so that nothing but it is in the figures of children. */
static void measure(const struct work *work, enum way way, int round)
{
	uint64_t start_ns, start_used, took_ns, used_ns;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		start_used = used_by(RUSAGE_SELF) + used_by(RUSAGE_CHILDREN);
		start_ns = now_ns();
		work->run();
		took_ns = now_ns() - start_ns;
		used_ns = used_by(RUSAGE_SELF) + used_by(RUSAGE_CHILDREN) - start_used;
		if (round >= 0)
			printf("VM-FIGURE %s|%s|%d|%" PRIu64 "|%" PRIu64 "\n", work->name,
			       way_names[way], round, took_ns, used_ns);
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, NULL, 0) != pid)
		fail("fork");
}

static void measure_way(const struct work *work, enum way way, int round)
{
	struct reader reader;

	if (way != WITHOUT)
		load();
	if (way == USED)
		reader = reader_new(work);
	measure(work, way, round);
	if (way == USED)
		reader_end(&reader);
	if (way != WITHOUT)
		unload();
}

/* --- checks of free space */

/* Time for which anything ran on any processor. */
static uint64_t busy_ns(void)
{
	FILE *file = fopen("/proc/schedstat", "r");
	uint64_t sum = 0, busy;
	char line[512];

	if (!file)
		fail("schedstat");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "cpu%*d %*u %*u %*u %*u %*u %*u %" SCNu64, &busy) == 1)
			sum += busy;
	fclose(file);
	return sum;
}

static void report_checks(const char *name, const char *way, int round)
{
	uint64_t busy, start;

	start = now_ns();
	busy = busy_ns();
	nanosleep(&(struct timespec){ .tv_sec = CHECK_SECONDS }, NULL);
	printf("VM-FIGURE %s|%s|%d|%" PRIu64 "|%" PRIu64 "\n", name, way, round, now_ns() - start,
	       busy_ns() - busy);
	fflush(stdout);
}

static void set_levels(void)
{
	const struct wanted_level level = { .name = "low", .below = 100, .above = 100 };
	char path[64];
	int i, fd;

	for (i = 0; i < N_FILESYSTEMS; i++) {
		snprintf(path, sizeof(path), "/mnt/%d", i);
		fd = open(path, O_PATH | O_CLOEXEC);
		if (fd < 0)
			fail(path);
		check(client_fs_set(&client, fd, FS_EVENT_BIT(FS_THR_LRBELOW), 0), path);
		check(client_levels(&client, fd, &level, 1), path);
		close(fd);
	}
}

/* The less there is to fill, the more often the module looks. */
static void measure_checks(const char *size, int rounds)
{
	char path[64], options[32], name[64];
	int i, round;

	snprintf(options, sizeof(options), "size=%s", size);
	snprintf(name, sizeof(name), "%d of %s", N_FILESYSTEMS, size);
	for (i = 0; i < N_FILESYSTEMS; i++) {
		snprintf(path, sizeof(path), "/mnt/%d", i);
		mkdir(path, 0755);
		if (mount("bench", path, "tmpfs", 0, options))
			fail(path);
	}
	/* What was done until now has its end. */
	nanosleep(&(struct timespec){ .tv_sec = CHECK_SECONDS }, NULL);
	for (round = 0; round < rounds; round++) {
		report_checks(name, "without", round);
		load();
		check(client_open(&client), "family");
		set_levels();
		report_checks(name, "checked", round);
		client_close(&client);
		unload();
	}
	for (i = 0; i < N_FILESYSTEMS; i++) {
		snprintf(path, sizeof(path), "/mnt/%d", i);
		check(umount(path), path);
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 3, round;
	size_t i, k;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mkdir("/mnt/ext4", 0755);
	mkdir("/mnt/tmpfs", 0755);
	if (mount("/dev/vda", "/mnt/ext4", "ext4", 0, NULL) ||
	    mount("bench", "/mnt/tmpfs", "tmpfs", 0, NULL))
		fail("mount");

	/* The first time is nobody's. */
	for (i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		measure(&works[i], WITHOUT, -1);
	for (round = 0; round < rounds; round++)
		for (i = 0; i < sizeof(works) / sizeof(works[0]); i++)
			for (k = 0; k < N_WAYS; k++)
				measure_way(&works[i], (enum way)((k + (size_t)round) % N_WAYS),
					    round);
	measure_checks("4g", rounds);
	measure_checks("16m", rounds);
	printf("VM-DONE\n");
	return 0;
}
