/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/io/harness.h"

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif

#define METER_PERIOD_US 1000

static void skip_all(const char *why)
{
	fprintf(stderr, "SKIPPED: %s\n", why);
	exit(77);
}

void harness_require_fanotify(void)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC, O_RDONLY);

	if (fd < 0 && (errno == EPERM || errno == ENOSYS))
		skip_all("fanotify is not allowed here");
	if (fd >= 0)
		close(fd);
}

void harness_enter(void)
{
	if (geteuid() != 0)
		skip_all("needs root");
	if (unshare(CLONE_NEWNS) < 0)
		skip_all("needs a mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("fsevents-test", "/mnt", "tmpfs", 0, "mode=755,size=600M") < 0)
		skip_all("cannot mount");
	if (mkdir("/mnt/fusectl", 0755) < 0 ||
	    mount("none", "/mnt/fusectl", "fusectl", 0, NULL) < 0 || access("/dev/fuse", W_OK) < 0)
		skip_all("needs FUSE");
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void make_directory(const char *path)
{
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
}

void mount_tmpfs(const char *path, const char *options)
{
	make_directory(path);
	assert_return_code(mount("fsevents-test", path, "tmpfs", 0, options), errno);
}

bool mount_image(const char *path, const char *type, const char *size)
{
	char command[512];
	int status;

	make_directory(path);
	snprintf(command, sizeof(command), "command -v mkfs.%s >/dev/null", type);
	if (system(command) != 0)
		return false;

	/* The name goes at once, the file with the mount. */
	snprintf(command, sizeof(command),
		 "truncate -s %s %s.img && mkfs.%s -q %s.img >/dev/null 2>&1 && "
		 "mount -o loop %s.img %s && rm %s.img",
		 size, path, type, path, path, path, path);
	status = system(command);
	assert_int_equal(status, 0);
	return true;
}

struct mount mount_of(const char *path)
{
	struct mount mount = { .where = (char *)path, .root = (char *)"/", .reachable = true };
	struct statx stx;

	assert_return_code(statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_MNT_ID, &stx), errno);
	mount.id = (uint32_t)stx.stx_mnt_id;
	assert_return_code(statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_MNT_ID_UNIQUE, &stx),
			   errno);
	if (stx.stx_mask & STATX_MNT_ID_UNIQUE)
		mount.unique_id = stx.stx_mnt_id;
	return mount;
}

pid_t fuse_start(const char *path, const char *mode)
{
	const char *program = getenv("HUNG_FUSE");
	char text[16] = "";
	int out[2];
	pid_t pid;

	assert_non_null(program);
	make_directory(path);
	assert_return_code(pipe2(out, O_CLOEXEC), errno);

	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		execl(program, "hung-fuse", path, mode, NULL);
		_exit(127);
	}

	close(out[1]);
	assert_int_equal(read(out[0], text, sizeof(text) - 1), 6);
	assert_string_equal(text, "ready\n");
	close(out[0]);
	return pid;
}

void fuse_abort(const char *path)
{
	char name[128];
	struct statx stx;
	int fd;

	assert_return_code(statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_MNT_ID, &stx), errno);
	snprintf(name, sizeof(name), "/mnt/fusectl/%u/abort",
		 (unsigned int)makedev(stx.stx_dev_major, stx.stx_dev_minor));
	fd = open(name, O_WRONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, "1", 1), 1);
	close(fd);
}

void child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A zombie that its parent did not look at yet is gone. */
bool process_exists(pid_t pid)
{
	char name[64], text[256] = "";
	const char *state;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	file = fopen(name, "re");
	if (!file)
		return false;
	(void)!fgets(text, sizeof(text), file);
	fclose(file);

	state = strrchr(text, ')');
	return state && state[2] != 'Z' && state[2] != 'X';
}

/* How long this process was ready to run and did not get a processor. */
static uint64_t run_delay_us(void)
{
	unsigned long long running, waiting = 0;
	FILE *file = fopen("/proc/self/schedstat", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &running, &waiting) != 2)
		waiting = 0;
	fclose(file);
	return waiting / 1000;
}

static int on_meter(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct meter *meter = userdata;
	uint64_t late = now_us() - meter->due_us;

	/* Other processes share the machine: what they took is not the loop's doing. */
	if (late > meter->worst_us) {
		uint64_t delay = run_delay_us();
		uint64_t waited = delay - meter->run_delay_us;

		meter->run_delay_us = delay;
		late = late > waited ? late - waited : 0;
		if (late > meter->worst_us)
			meter->worst_us = late;
	}

	meter->due_us = now_us() + METER_PERIOD_US;
	sd_event_source_set_time(source, meter->due_us);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void meter_start(struct meter *meter, sd_event *loop)
{
	*meter = (struct meter){ .due_us = now_us() + METER_PERIOD_US };
	meter->run_delay_us = run_delay_us();
	assert_return_code(sd_event_add_time(loop, &meter->timer, CLOCK_MONOTONIC, meter->due_us, 1,
					     on_meter, meter),
			   0);
}

void meter_stop(struct meter *meter)
{
	meter->timer = sd_event_source_disable_unref(meter->timer);
}

bool loop_until(sd_event *loop, const bool *done, uint64_t timeout_us)
{
	uint64_t end = now_us() + timeout_us;

	while (!*done) {
		uint64_t now = now_us();

		if (now >= end)
			break;
		assert_return_code(sd_event_run(loop, end - now), 0);
	}

	return *done;
}

void loop_for(sd_event *loop, uint64_t us)
{
	uint64_t end = now_us() + us, now;
	int r;

	/* What is pending is done all the same, should the machine have stopped meanwhile. */
	do {
		now = now_us();
		r = sd_event_run(loop, now < end ? end - now : 0);
		assert_return_code(r, 0);
	} while (now < end || r > 0);
}
