/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Work on files, as fast as it goes
 *
 *	churn files DIRECTORY FILES DIRECTORIES	each file is created, written, renamed and
 *						deleted, in one directory after the other
 *	churn write DIRECTORY WRITES		of 4 KiB, over and over in one file
 *	churn make DIRECTORY DIRECTORIES	leaves directories, a thousand in each
 *
 * Prints the microseconds that it took. The directories of "files" are there.
 */

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PER_DIRECTORY 1000

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool file_live(unsigned int number, unsigned int n_directories)
{
	char name[64], renamed[96];
	int fd;

	snprintf(name, sizeof(name), "d%u/f%u", number % n_directories, number);
	snprintf(renamed, sizeof(renamed), "%s-renamed", name);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return false;
	if (write(fd, "text", 4) != 4 || close(fd) < 0)
		return false;
	return rename(name, renamed) == 0 && unlink(renamed) == 0;
}

static bool files_live(unsigned int n, unsigned int n_directories)
{
	for (unsigned int i = 0; i < n; i++)
		if (!file_live(i, n_directories))
			return false;
	return true;
}

static bool file_write(unsigned int n)
{
	static char data[4096];
	int fd = open("written", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return false;
	for (unsigned int i = 0; i < n; i++)
		if (pwrite(fd, data, sizeof(data), (off_t)(i % 16) * 4096) != sizeof(data))
			return false;
	return close(fd) == 0 && unlink("written") == 0;
}

static bool directories_make(unsigned int n)
{
	char name[64];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "d%u", i / PER_DIRECTORY);
		if (i % PER_DIRECTORY == 0 && mkdir(name, 0755) < 0)
			return false;
		snprintf(name, sizeof(name), "d%u/e%u", i / PER_DIRECTORY, i);
		if (mkdir(name, 0755) < 0)
			return false;
	}
	return true;
}

int main(int argc, char *argv[])
{
	unsigned int n = argc > 3 ? (unsigned int)atoi(argv[3]) : 0;
	unsigned int n_directories = argc > 4 ? (unsigned int)atoi(argv[4]) : 1;
	uint64_t start = now_us();
	bool done = false;

	if (argc < 4 || n_directories == 0 || chdir(argv[2]) < 0) {
		fputs("Usage: churn files|write|make DIRECTORY N [DIRECTORIES]\n", stderr);
		return 2;
	}
	if (strcmp(argv[1], "files") == 0)
		done = files_live(n, n_directories);
	else if (strcmp(argv[1], "write") == 0)
		done = file_write(n);
	else if (strcmp(argv[1], "make") == 0)
		done = directories_make(n);
	if (!done) {
		perror(argv[1]);
		return 1;
	}
	printf("%llu\n", (unsigned long long)(now_us() - start));
	return 0;
}
