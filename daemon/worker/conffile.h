/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Configuration files
 *
 * Reads the configuration and its drop-ins from disk, for config_parse() to
 * understand. Runs where it may block: in a worker process, or in
 * "fseventsctl check-config". Nothing that somebody else than root could have
 * planted is read:
 *
 * - A file must be regular, at most 1 MiB, owned by root and writable by
 *   root alone. A symbolic link to /dev/null counts as an empty file, any
 *   other link is refused. A FIFO or device is never opened.
 * - The same holds for the directory that a file is in, and for the parent of
 *   a drop-in directory. The sticky bit excuses nothing: who may create a
 *   name in /tmp may choose which file is found there.
 * - Where the caller is not root (a check of one's own draft), what is the
 *   caller's own is fine too, and may be writable by its group.
 *
 * What is refused or cannot be read becomes a text with an error, under its
 * own name, and so a problem of the configuration.
 */

#include <stddef.h>
#include <sys/types.h>

#include "daemon/core/config.h"

/* Drop-ins of one directory, and bytes of all files; more is an error of the directory or file. */
#define CONFFILE_DROPINS_MAX 256
#define CONFFILE_BYTES_MAX (16U << 20)

/* Files as read, those of lesser rank first. Owns all that its texts point to. */
struct conffile_set {
	struct config_text *texts;
	size_t n_texts;
};

void conffile_set_deinit(struct conffile_set *set);

/**
 * conffile_load() - read all files
 * @file:	NULL: the vendor's drop-ins that no equal name of the
 *		administrator masks, /etc/fsevents.conf, the administrator's
 *		drop-ins, each of them optional. Else this file, which must
 *		exist, and the *.conf in FILE.d
 * @ret:	to be given to conffile_set_deinit()
 *
 * Drop-ins end in ".conf", do not begin with a dot, and are read in the byte
 * order of their names.
 *
 * Return: 0, also where files were refused, or -ENOMEM.
 */
int conffile_load(const char *file, struct conffile_set *ret);

/* Where to look, and who is to be trusted; for conffile_load() and its test. */
struct conffile_paths {
	const char *vendor; /* NULL: no such drop-ins */
	const char *file;
	const char *admin;
	bool required; /* the file must exist */
	uid_t uid; /* effective uid of the caller */
};

int conffile_load_paths(const struct conffile_paths *paths, struct conffile_set *ret);

/*
 * JOB_CONFIG
 *
 * Request: the bytes of @file, without a NUL; empty for the default files.
 * Reply:   n_texts, then for each: string name, string text (none: it was
 *          not read), string error (none: it was). Numbers are u32, strings
 *          as in flat.h.
 *
 * The decoder trusts nothing: -EBADMSG for what breaks the form, -ENOMEM.
 */
int conffile_set_encode(const struct conffile_set *set, void **ret, size_t *ret_n);
int conffile_set_decode(const void *data, size_t n_data, struct conffile_set *ret);

/** conffile_job() - the worker's side; Return: 0 with a reply to free(), or a negative errno */
int conffile_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n);
