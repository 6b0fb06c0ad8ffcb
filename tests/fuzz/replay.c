/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The main() of a fuzzer without libFuzzer: feeds it every file of a folder,
 * and fails where the folder is empty, so that a lost corpus is noticed.
 */

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *folder, const char *name)
{
	static uint8_t buffer[1 << 21];
	char path[4096];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file) {
		perror(path);
		return -1;
	}

	n = fread(buffer, 1, sizeof(buffer), file);
	fclose(file);
	LLVMFuzzerTestOneInput(buffer, n);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int n = 0;
	struct dirent *entry;
	DIR *dir;

	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
		return 2;
	}

	dir = opendir(argv[1]);
	if (!dir) {
		perror(argv[1]);
		return 1;
	}

	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(argv[1], entry->d_name) < 0)
			return 1;
		n++;
	}

	closedir(dir);
	printf("%u inputs replayed\n", n);
	return n > 0 ? 0 : 1;
}
