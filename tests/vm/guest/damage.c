// SPDX-License-Identifier: GPL-2.0-or-later

#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#define PLACES_MAX 64
#define CHUNK (1 << 20)

static struct damage {
	char device[32];
	char text[64];
	off_t places[PLACES_MAX];
	unsigned int n_places;
} * damage; /* in memory that outlives a test */

static void write_places(const char *bytes)
{
	size_t size = strlen(damage->text);
	unsigned int i;
	int fd;

	fd = open(damage->device, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	for (i = 0; i < damage->n_places; i++)
		CHECK_INT(pwrite(fd, bytes, size, damage->places[i]), size);
	CHECK_INT(fsync(fd), 0);
	CHECK_INT(ioctl(fd, BLKFLSBUF, 0), 0);
	close(fd);
}

void damage_init(void)
{
	damage = mmap(NULL, sizeof(*damage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (damage == MAP_FAILED)
		exit(2);
}

static bool is_zero(const char *bytes, size_t n)
{
	const uint64_t *words = (const uint64_t *)bytes;
	size_t i;

	for (i = 0; i < n / sizeof(*words); i++)
		if (words[i])
			return false;
	return n % sizeof(*words) == 0;
}

void damage_prepare(const char *where, const char *name)
{
	char path[300];
	int i;

	/* What was made here before stands apart from what is new: of that, the victim alone. */
	snprintf(path, sizeof(path), "rm -rf %s", where);
	CHECK_INT(system(path), 0);
	CHECK_INT(mkdir(where, 0755), 0);
	for (i = 0; i < 120; i++) {
		snprintf(path, sizeof(path), "%s/%0200d", where, 1000000 + i);
		make_file(path);
		if (i != 60)
			continue;
		snprintf(path, sizeof(path), "%s/d", where);
		mkdir(path, 0755);
		snprintf(path, sizeof(path), "%s/d/%s", where, name);
		make_file(path);
	}
}

void damage_disk(const char *device, const char *text)
{
	static char buffer[CHUNK] __attribute__((aligned(8))), wrong[sizeof(damage->text)];
	size_t size = strlen(text);
	off_t at = 0;
	char *found;
	ssize_t n;
	int fd;

	snprintf(damage->device, sizeof(damage->device), "%s", device);
	snprintf(damage->text, sizeof(damage->text), "%s", text);
	damage->n_places = 0;
	fd = open(device, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	/* No text goes from one block of a filesystem into the next, thus from one chunk. */
	for (; (n = read(fd, buffer, sizeof(buffer))) > 0; at += n) {
		found = is_zero(buffer, n) ? NULL : memmem(buffer, n, text, size);
		for (; found; found = memmem(found + 1, buffer + n - found - 1, text, size)) {
			CHECK(damage->n_places < PLACES_MAX);
			damage->places[damage->n_places++] = at + (found - buffer);
		}
	}
	CHECK_INT(n, 0);
	close(fd);
	CHECK(damage->n_places > 0);
	memset(wrong, 0x5a, size);
	write_places(wrong);
}

void damage_undo(void)
{
	if (damage->n_places)
		write_places(damage->text);
	damage->n_places = 0;
}
