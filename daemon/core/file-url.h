/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * file: URLs and markup
 *
 * What desktops give and take in place of names: "file:///a%20b" (RFC 8089,
 * of this machine alone), and text in which "<" begins an element. Names are
 * bytes; every byte but the NUL passes through a URL unharmed.
 */

#include <stddef.h>
#include <sys/types.h>

/* The longest URL that is taken: each byte of the longest path as %XX. */
#define FILE_URL_MAX (7 + 3 * 4096)

/** file_url_new() - the URL of an absolute path; NULL without memory */
char *file_url_new(const char *path);

/**
 * file_url_decode() - the path that a URL names
 * @ret:	at least @n + 1 bytes; NUL-terminated; of no meaning after a failure
 *
 * Only "file:///...", without query and fragment, that names no NUL and no
 * "." or ".." between slashes: what those lead to is for nobody to guess.
 * Slashes are as they were.
 *
 * Return: the length of the path, or -EINVAL.
 */
ssize_t file_url_decode(char *ret, const char *url, size_t n);

/** markup_escape_new() - text as it has to stand in markup to be read as text; NULL without memory */
char *markup_escape_new(const char *text);
