/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The writer of the space bench, and the keeper of the truth
 *
 * Fills a directory in one of several ways and prints when the available
 * bytes were first at or below each level, and after the deletion when they
 * were first above each level + hysteresis. The truth is its own statfs after
 * each chunk; for what happens inside one system call (fallocate, the
 * deletion) a thread looks every 100 us.
 *
 * Output, one line each:
 *	below LEVEL MONOTONIC_US REALTIME_US AVAILABLE
 *	above LEVEL MONOTONIC_US REALTIME_US AVAILABLE
 *	lowest AVAILABLE
 *	took MICROSECONDS BYTES		the writing alone, without waiting
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "tests/bench/figures.h"

#define CHUNK (64 * 1024)
#define REWRITE_SIZE 512
#define LEVELS_MAX 16

enum fill_mode {
	FILL_RATE,
	FILL_BURSTS,
	FILL_FALLOCATE,
	FILL_REWRITE, /* in place: no growth */
};

struct truth {
	uint64_t level, hysteresis;
	bool below;
};

struct fill {
	struct figures figures;
	enum fill_mode mode;
	const char *dir;
	uint64_t rate; /* bytes/s, 0: as fast as it goes */
	uint64_t burst; /* bytes */
	uint64_t pause_us;
	uint64_t bytes; /* to write at most; REWRITE: number of writes */
	uint64_t stop_at; /* available bytes */
	uint64_t hold_us; /* between the fill and the deletion */
	uint64_t wait_us; /* for the space to come back at most */
	bool blind; /* no truth: measures the writer alone */
	struct truth truths[LEVELS_MAX];
	size_t n_truths;
	uint64_t lowest;
	uint64_t waited_us;
	volatile bool looking;
	volatile bool rising; /* deleting: only "above" counts, before that only "below" */
};

static uint64_t fill_look(struct fill *fill)
{
	uint64_t available = figures_available(&fill->figures);
	uint64_t now = clock_us(CLOCK_MONOTONIC);

	if (available < fill->lowest)
		fill->lowest = available;

	for (size_t i = 0; i < fill->n_truths; i++) {
		struct truth *truth = &fill->truths[i];
		bool below = truth->below ? available <= truth->level + truth->hysteresis
					  : available <= truth->level;

		/* On btrfs figures read one after the other may waver for a moment. */
		if (below == truth->below || below == fill->rising)
			continue;
		truth->below = below;
		printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		       below ? "below" : "above", truth->level, now, clock_us(CLOCK_REALTIME),
		       available);
	}

	return available;
}

static void *fill_look_always(void *userdata)
{
	struct fill *fill = userdata;

	while (fill->looking) {
		fill_look(fill);
		usleep(100);
	}
	return NULL;
}

static void sleep_until(struct fill *fill, uint64_t us)
{
	struct timespec ts = { .tv_sec = (time_t)(us / 1000000),
			       .tv_nsec = (long)(us % 1000000 * 1000) };
	uint64_t from = clock_us(CLOCK_MONOTONIC);

	if (from >= us)
		return;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
	fill->waited_us += clock_us(CLOCK_MONOTONIC) - from;
}

static uint64_t fill_write(struct fill *fill, int fd)
{
	static char chunk[CHUNK];
	uint64_t start = clock_us(CLOCK_MONOTONIC), written = 0, next = 0;

	/* Not all zeros: a compressing or sparse filesystem would cheat. */
	for (size_t i = 0; i < sizeof(chunk); i++)
		chunk[i] = (char)(i * 2654435761U >> 13);

	while (written < fill->bytes) {
		ssize_t n = write(fd, chunk, sizeof(chunk));

		if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
			break;
		if (n < 0)
			err(1, "write");
		written += (uint64_t)n;

		if (!fill->blind && fill_look(fill) <= fill->stop_at)
			break;
		if (fill->rate > 0)
			sleep_until(fill, start + written * 1000000 / fill->rate);
		next += (uint64_t)n;
		if (fill->mode == FILL_BURSTS && next >= fill->burst) {
			next = 0;
			sleep_until(fill, clock_us(CLOCK_MONOTONIC) + fill->pause_us);
		}
	}

	return written;
}

static uint64_t fill_rewrite(struct fill *fill, int fd)
{
	static const char bytes[REWRITE_SIZE] = { 1 };

	for (uint64_t i = 0; i < fill->bytes; i++)
		if (pwrite(fd, bytes, sizeof(bytes), (off_t)(i % 256 * sizeof(bytes))) < 0)
			err(1, "pwrite");
	return fill->bytes * sizeof(bytes);
}

static uint64_t fill_fallocate(struct fill *fill, int fd)
{
	uint64_t available = figures_available(&fill->figures);
	uint64_t want = available > fill->stop_at ? available - fill->stop_at : 0;

	if (fallocate(fd, 0, 0, (off_t)want) < 0)
		err(1, "fallocate");
	return want;
}

static void fill_run(struct fill *fill)
{
	uint64_t start, bytes = 0, took;
	pthread_t looker;
	char name[4096];
	bool look = !fill->blind && fill->mode == FILL_FALLOCATE;
	int fd;

	snprintf(name, sizeof(name), "%s/fill", fill->dir);
	fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		err(1, "%s", name);

	fill->looking = true;
	if (look && pthread_create(&looker, NULL, fill_look_always, fill) != 0)
		errx(1, "pthread_create");

	start = clock_us(CLOCK_MONOTONIC);
	switch (fill->mode) {
	case FILL_RATE:
	case FILL_BURSTS:
		bytes = fill_write(fill, fd);
		break;
	case FILL_FALLOCATE:
		bytes = fill_fallocate(fill, fd);
		break;
	case FILL_REWRITE:
		bytes = fill_rewrite(fill, fd);
		break;
	}
	took = clock_us(CLOCK_MONOTONIC) - start - fill->waited_us;

	fill->looking = false;
	if (look)
		pthread_join(looker, NULL);
	printf("took %" PRIu64 " %" PRIu64 "\n", took, bytes);
	close(fd);
}

static bool fill_is_above(const struct fill *fill)
{
	for (size_t i = 0; i < fill->n_truths; i++)
		if (fill->truths[i].below)
			return false;
	return true;
}

static void fill_delete(struct fill *fill)
{
	uint64_t until;
	pthread_t looker;
	char name[4096];

	snprintf(name, sizeof(name), "%s/fill", fill->dir);
	if (fill->blind) {
		if (unlink(name) < 0)
			err(1, "%s", name);
		return;
	}

	fill_look(fill);
	usleep((useconds_t)fill->hold_us);
	fill->rising = true;
	fill->looking = true;
	if (pthread_create(&looker, NULL, fill_look_always, fill) != 0)
		errx(1, "pthread_create");
	if (unlink(name) < 0)
		err(1, "%s", name);

	/* The commit, on which the space comes back, is asked for and not waited for half a minute. */
	if (fill->figures.unsettled_fds[0] >= 0) {
		int fd = open(fill->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 || syncfs(fd) < 0)
			err(1, "syncfs");
		close(fd);
	}

	until = clock_us(CLOCK_MONOTONIC) + fill->wait_us;
	while (!fill_is_above(fill) && clock_us(CLOCK_MONOTONIC) < until)
		usleep(1000);
	fill->looking = false;
	pthread_join(looker, NULL);
}

static void fill_parse_levels(struct fill *fill, char *text)
{
	for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
		struct truth *truth = &fill->truths[fill->n_truths];

		if (fill->n_truths++ == LEVELS_MAX ||
		    sscanf(word, "%" SCNu64 ":%" SCNu64, &truth->level, &truth->hysteresis) != 2)
			errx(2, "levels are LEVEL:HYSTERESIS,... and at most %d", LEVELS_MAX);
	}
}

static void fill_parse(struct fill *fill, int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "rate", required_argument, NULL, 'r' },
		{ "burst", required_argument, NULL, 'b' },
		{ "pause-ms", required_argument, NULL, 'p' },
		{ "fallocate", no_argument, NULL, 'f' },
		{ "rewrite", required_argument, NULL, 'w' },
		{ "bytes", required_argument, NULL, 'n' },
		{ "stop-at", required_argument, NULL, 's' },
		{ "levels", required_argument, NULL, 'l' },
		{ "hold-ms", required_argument, NULL, 'h' },
		{ "wait-ms", required_argument, NULL, 'W' },
		{ "btrfs-uuid", required_argument, NULL, 'u' },
		{ "blind", no_argument, NULL, 'B' },
		{},
	};
	const char *uuid = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (c) {
		case 'd':
			fill->dir = optarg;
			break;
		case 'r':
			fill->rate = number;
			break;
		case 'b':
			fill->mode = FILL_BURSTS;
			fill->burst = number;
			break;
		case 'p':
			fill->pause_us = number * 1000;
			break;
		case 'f':
			fill->mode = FILL_FALLOCATE;
			break;
		case 'w':
			fill->mode = FILL_REWRITE;
			fill->bytes = number;
			break;
		case 'n':
			fill->bytes = number;
			break;
		case 's':
			fill->stop_at = number;
			break;
		case 'l':
			fill_parse_levels(fill, optarg);
			break;
		case 'h':
			fill->hold_us = number * 1000;
			break;
		case 'W':
			fill->wait_us = number * 1000;
			break;
		case 'u':
			uuid = optarg;
			break;
		case 'B':
			fill->blind = true;
			break;
		default:
			exit(2);
		}
	}

	if (!fill->dir)
		errx(2, "--dir DIR is missing");
	figures_open(&fill->figures, fill->dir, uuid);
}

int main(int argc, char **argv)
{
	struct fill fill = {
		.bytes = UINT64_MAX,
		.hold_us = 1200000,
		.wait_us = 5000000,
		.lowest = UINT64_MAX,
	};

	fill_parse(&fill, argc, argv);
	if (!fill.blind)
		fill_look(&fill);
	fill_run(&fill);
	fill_delete(&fill);
	if (!fill.blind)
		printf("lowest %" PRIu64 "\n", fill.lowest);
	return 0;
}
