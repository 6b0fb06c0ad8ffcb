/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Files of the state directory
 *
 * Opens, reads, replaces and sets aside, and trusts nothing that it finds:
 * no link is followed, nothing but a regular file of our own is opened, and
 * what another user could have written is refused. All of it may sleep for
 * ever: for workers only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies of damaged files that are kept of one name; after that the new damage leaves none. */
#define STATE_ASIDE_MAX 3

/**
 * state_directory_open() - open the directory, made 0700 if it is missing
 *
 * Return: a descriptor, or a negative errno: -EPERM where another user owns
 * it or may write to it, -ENOTDIR or -ELOOP where it is something else.
 */
int state_directory_open(const char *path);

/**
 * state_directory_lock() - keep other writers out until @directory is closed
 * @wait:	for as long as it takes
 *
 * A writer that hangs in a frozen disk outlives its daemon, and would write
 * over what the next one has stored.
 *
 * Return: 0, also where the filesystem has no locks; -EWOULDBLOCK without
 * @wait while another one has it.
 */
int state_directory_lock(int directory, bool wait);

/**
 * state_file_open() - open a regular file of ours in it
 * @flags:	O_RDONLY or O_RDWR, with O_CREAT perhaps
 *
 * Return: a descriptor, or a negative errno: -ENOENT, -EPERM where it is not ours,
 * -EBADF where it is no regular file.
 */
int state_file_open(int directory, const char *name, int flags);

/**
 * state_file_read() - all bytes of a file
 * @n_max:	what is longer is cut here
 * @ret_data:	to free(); never NULL on success
 *
 * What the disk does not give any more reads as zeros: the rest is worth having.
 *
 * Return: 0 or a negative errno.
 */
int state_file_read(int fd, size_t n_max, uint8_t **ret_data, size_t *ret_n);

/**
 * state_file_write_at() - write all of it, and make it durable
 *
 * Return: 0, or a negative errno: then the file is as long as before.
 */
int state_file_write_at(int fd, const void *data, size_t n, uint64_t offset);

struct state_part {
	const void *data;
	size_t n_data;
};

/**
 * state_file_replace() - put a whole new file in the place of @name
 *
 * At every moment @name is the old or the new one; it is durable on success.
 *
 * Return: 0 or a negative errno.
 */
int state_file_replace(int directory, const char *name, const struct state_part *parts,
		       size_t n_parts);

/**
 * state_file_keep_aside() - keep a damaged file as NAME.corrupt-N for whoever wants to look
 *
 * @name itself stays, to be replaced. Return: 0, -EEXIST where enough are kept, or another negative errno.
 */
int state_file_keep_aside(int directory, const char *name);

/** state_file_checksum() - CRC-32 as of zlib, of short heads */
uint32_t state_file_checksum(const void *data, size_t n);
