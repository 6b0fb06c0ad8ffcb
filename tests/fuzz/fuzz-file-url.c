/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A URL that is taken names a path, whose own URL names the same. */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/file-url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Exact, so that the sanitizer sees a byte too far. */
	char *url = malloc(size ? size : 1), *path = malloc(size + 1);
	ssize_t n;

	if (!url || !path)
		abort();
	if (size)
		memcpy(url, data, size);

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
