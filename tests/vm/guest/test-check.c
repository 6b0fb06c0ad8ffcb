// SPDX-License-Identifier: GPL-2.0-or-later

/*
 * How often filesystems near a level are looked at: the more of them, the more rarely, so
 * that all together take no more of a processor than they may
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define TRACING "/mnt/tracing"
#define PARAMETER "/sys/module/fsevents/parameters/"
#define N_SMALL 40
#define N_LOOKS 10

static struct client client;
static struct listener listener;

static void count_begin(void)
{
	mkdir(TRACING, 0755);
	if (mount("tracefs", TRACING, "tracefs", 0, NULL) ||
	    access(TRACING "/kprobe_profile", F_OK))
		test_skip("a kernel whose functions cannot be counted");
	write_text(TRACING "/kprobe_events", "p:look shmem_statfs");
	write_text(TRACING "/events/kprobes/look/enable", "1");
}

static void count_end(void)
{
	write_text(TRACING "/events/kprobes/look/enable", "0");
	write_text(TRACING "/kprobe_events", "-:look");
	unmount(TRACING);
}

/* How often any tmpfs has been looked at. */
static unsigned long n_looks(void)
{
	FILE *file = fopen(TRACING "/kprobe_profile", "r");
	unsigned long n;

	CHECK(file);
	CHECK_INT(fscanf(file, " look %lu", &n), 1);
	fclose(file);
	return n;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static void mount_small(int i)
{
	const struct wanted_level level = { "low", FS_LEVEL_BLOCKS, 100, 100 };
	char where[32];
	int fd;

	snprintf(where, sizeof(where), "/mnt/small-%d", i);
	mount_disk("small", "tmpfs", where, "size=16m");
	fd = open_path(where);
	CHECK_INT(client_fs_set(&client, fd, FS_EVENT_BIT(FS_THR_LRBELOW), 0), 0);
	CHECK_INT(client_levels(&client, fd, &level, 1), 0);
	close(fd);
}

static void many_share(void)
{
	unsigned long n_before;
	long long begin, took;
	char where[32];
	int i;

	count_begin();
	CHECK_INT(client_open(&client), 0);
	CHECK_INT(listener_open(&listener, GROUP_EVENT, 0), 0);
	write_text(PARAMETER "check_ppm", "0");
	for (i = 0; i < N_SMALL; i++)
		mount_small(i);

	/* As often as their levels want it */
	begin = now_ms();
	n_before = n_looks();
	while (n_looks() < n_before + (unsigned long)N_SMALL * N_LOOKS) {
		CHECK(now_ms() < begin + SOON_MS);
		pause_ms(10);
	}
	took = now_ms() - begin;

	/* They may take next to nothing: what is passed is told nevertheless. */
	write_text(PARAMETER "check_ppm", "1");
	CHECK_INT(fill_file("/mnt/small-0/full"), -ENOSPC);
	CHECK(listener_wait(&listener, FS_THR_LRBELOW, SOON_MS));
	CHECK(!strcmp(listener.event.level, "low"));

	/* Each once more, and then minutes later: a check and what is around it take 3 us at least. */
	write_text(PARAMETER "check_max_ms", "600000");
	n_before = n_looks();
	pause_ms(took);
	printf("VM-FIGURE %d small filesystems: %d looks in %lld ms, then %lu\n", N_SMALL,
	       N_SMALL * N_LOOKS, took, n_looks() - n_before);
	CHECK(n_looks() - n_before <= 2 * N_SMALL);

	/* And nobody waits for those minutes. */
	client_close(&client);
	for (i = 0; i < N_SMALL; i++) {
		snprintf(where, sizeof(where), "/mnt/small-%d", i);
		unmount(where);
	}
	count_end();
	begin = now_ms();
	unload_module("fsevents");
	CHECK(now_ms() < begin + SOON_MS);
	load_module("fsevents");
}

const struct test tests_check[] = {
	{ .name = "check-many-share", .run = many_share },
	{},
};
