/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A URL that is taken names a path, whose own URL names the same. */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/file-url.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *url = input_copy(data, size), *path = malloc(size + 1);
	ssize_t n;

	if (!path)
		abort();

	n = file_url_decode(path, url, size);
	if (n >= 0) {
		char *again = file_url_new(path), *back;

		assert(path[0] == '/' && strlen(path) == (size_t)n);
		if (!again)
			abort();
		if (strlen(again) <= FILE_URL_MAX) {
			back = malloc(strlen(again) + 1);
			if (!back)
				abort();
			assert(file_url_decode(back, again, strlen(again)) == n);
			assert(strcmp(back, path) == 0);
			free(back);
		}
		free(again);
	}

	free(path);
	free(url);
	return 0;
}
