/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The mount table source under test, as PID 1 of a mount and pid namespace of
 * its own, so that nothing is left behind however a test ends; and the
 * comparison of the whole table with what the kernel says.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/mountinfo.h"
#include "daemon/source/kernel.h"
#include "daemon/source/mounts.h"

#define SCRATCH "/tmp/fsevents-mounts"
#define SKIPPED 77

struct world {
	sd_event *loop;
	struct superblock_table *table;
	struct mounts *mounts;
	unsigned int n_added, n_changed, n_removed;
};

static inline void on_added(struct superblock *sb, void *userdata)
{
	((struct world *)userdata)->n_added++;
}

static inline void on_changed(struct superblock *sb, void *userdata)
{
	((struct world *)userdata)->n_changed++;
}

static inline void on_removed(struct superblock *sb, void *userdata)
{
	((struct world *)userdata)->n_removed++;
}

static const struct superblock_ops table_ops = {
	.added = on_added,
	.changed = on_changed,
	.removed = on_removed,
};

static const struct mounts_ops mounts_ops = {};

static inline uint64_t clock_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static inline int setup(void **state)
{
	const struct mounts_options options = { .use_fanotify = true };
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	assert_return_code(mount("scratch", SCRATCH, "tmpfs", 0, "mode=700"), errno);
	assert_return_code(sd_event_new(&world->loop), 0);
	assert_return_code(superblock_table_new(&world->table, &table_ops, world), 0);
	assert_return_code(mounts_new(&world->mounts, world->loop, world->table, &options,
				      &mounts_ops, world),
			   0);
	assert_return_code(mounts_start(world->mounts), 0);
	world->n_added = world->n_changed = world->n_removed = 0;
	*state = world;
	return 0;
}

static inline int teardown(void **state)
{
	struct world *world = *state;

	mounts_free(world->mounts);
	superblock_table_free(world->table);
	sd_event_unref(world->loop);
	free(world);
	return umount2(SCRATCH, MNT_DETACH);
}

static inline uint64_t readings(const struct world *world)
{
	struct mounts_statistics statistics;

	mounts_statistics(world->mounts, &statistics);
	assert_int_equal(statistics.failed, 0);
	return statistics.readings;
}

/* Until the loop was quiet for longer than between any two readings: all changes so far are taken in. */
static inline void settle(struct world *world)
{
	uint64_t end = clock_us(CLOCK_MONOTONIC) + 30000000;

	for (;;) {
		int r = sd_event_run(world->loop, 600000);

		assert_return_code(r, -r);
		if (r == 0)
			return;
		assert_true(clock_us(CLOCK_MONOTONIC) < end);
	}
}

static inline void mount_tmpfs(const char *where)
{
	assert_true(mkdir(where, 0700) == 0 || errno == EEXIST);
	assert_return_code(mount("some source", where, "tmpfs", 0, "size=64k"), errno);
}

/* 0: none, or no list of them: a container's filter may forbid listmount() alone. */
static inline uint64_t unique_id_of(const char *path)
{
	struct statx facts = {};
	uint64_t id;

	if (kernel_listmount(0, &id, 1) < 0)
		return 0;
	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT, STATX_MNT_ID_UNIQUE, &facts) < 0 ||
	    !(facts.stx_mask & STATX_MNT_ID_UNIQUE))
		return 0;

	/* stx_mnt_id, which the C library of some supported systems does not name. */
	return *(const uint64_t *)((const char *)&facts + 0x90);
}

struct comparison {
	struct world *world;
	size_t n_entries;
};

static inline int compare_entry(const struct mountinfo_entry *entry, void *userdata)
{
	struct comparison *comparison = userdata;
	struct superblock *sb = NULL;
	const struct mount *mount;

	mount = superblock_table_find_mount(comparison->world->table, entry->id, &sb);
	assert_non_null(mount);
	assert_int_equal(mount->parent, entry->parent);
	assert_string_equal(mount->where, entry->where);
	assert_string_equal(mount->root, entry->root);
	assert_string_equal(mount->options, entry->options);
	assert_int_equal(sb->key.major, entry->major);
	assert_int_equal(sb->key.minor, entry->minor);
	assert_string_equal(sb->type, entry->type);

	/* Who is reached at the mount point, says the kernel. */
	if (mount->unique_id && unique_id_of(mount->where))
		assert_int_equal(mount->reachable, unique_id_of(mount->where) == mount->unique_id);

	comparison->n_entries++;
	return 0;
}

/* The table is what the kernel says, mount by mount. */
static inline void compare_with_kernel(struct world *world)
{
	struct comparison comparison = { .world = world };
	static char text[4 << 20];
	struct superblock *sb = NULL;
	size_t n = 0, skipped, n_mounts = 0;
	ssize_t n_read;
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	assert_return_code(fd, errno);
	while ((n_read = read(fd, text + n, sizeof(text) - n)) > 0)
		n += (size_t)n_read;
	close(fd);

	assert_int_equal(mountinfo_parse(text, n, compare_entry, &comparison, &skipped), 0);
	assert_int_equal(skipped, 0);

	while ((sb = superblock_table_next(world->table, sb)))
		n_mounts += sb->n_mounts;
	assert_int_equal(n_mounts, comparison.n_entries);
}

static inline struct superblock *superblock_at(struct world *world, const char *path)
{
	return superblock_table_resolve(world->table, path);
}

/*
 * Runs @tests in namespaces of its own; the program's exit status. Skips
 * aloud where that is not allowed.
 */
static inline int run_in_namespace(int (*tests)(void))
{
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		fputs("SKIPPED: needs root\n", stderr);
		return SKIPPED;
	}

	if (unshare(CLONE_NEWNS | CLONE_NEWPID) < 0) {
		perror("SKIPPED: needs namespaces of its own");
		return SKIPPED;
	}

	pid = fork();
	if (pid < 0)
		return 1;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("proc", "/proc", "proc", 0, NULL) < 0 ||
		    mount("tmp", "/tmp", "tmpfs", 0, NULL) < 0 || mkdir(SCRATCH, 0700) < 0) {
			perror("cannot prepare the namespace");
			exit(1);
		}
		exit(tests());
	}

	/*
	 * At once: the namespace of our children ended with its first process, and
	 * at a usual exit the sanitizer of leaks would want to make one more.
	 */
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		_exit(1);
	_exit(WEXITSTATUS(status));
}
