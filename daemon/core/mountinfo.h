/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * /proc/PID/mountinfo
 *
 * Decodes the lines of proc_pid_mountinfo(5). Bytes of a mount point, root
 * or source are whatever somebody mounted: they come out unescaped, as bytes
 * (the kernel writes space, tab, newline, backslash and # as \ooo). A line that
 * cannot be decoded is skipped and counted, never fatal: a hostile line must
 * not end each start of the daemon. Pure.
 */

#include <stddef.h>
#include <stdint.h>

/*
 * Strings are NUL-terminated and lie in the text that was parsed: they live
 * as long as it does, past the call. Root, mount point, type and source are
 * unescaped; options are as printed.
 */
struct mountinfo_entry {
	uint32_t id; /* mnt_id, reused by the kernel */
	uint32_t parent;
	uint32_t major, minor; /* of the superblock */
	const char *root;
	const char
		*where; /* mount point, absolute; "//deleted" at its end or the root's: unlinked */
	const char *options; /* per mount */
	const char *type; /* with subtype: "fuse.sshfs" */
	const char *source;
	const char *super_options;
};

/**
 * mountinfo_parse() - decode a whole file in place
 * @text, @n:	the file; overwritten (unescaping), need not end in NUL or newline
 * @entry:	called per line; a negative return ends the walk
 * @ret_skipped: lines that could not be decoded; may be NULL
 *
 * A line is malformed, and skipped, when a field is missing, a number does
 * not fit 32 bits, the mount point is not absolute, or there is a NUL in it
 * (also an escaped one). Lines may be of any length.
 *
 * Return: 0, or what @entry returned.
 */
int mountinfo_parse(char *text, size_t n,
		    int (*entry)(const struct mountinfo_entry *entry, void *userdata),
		    void *userdata, size_t *ret_skipped);
