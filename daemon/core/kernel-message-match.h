/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Patterns of kernel messages
 *
 * A pattern is the beginning of a message's text, from its first byte on: what
 * follows is free. Nothing is searched for within a text, because names of
 * processes and files stand there, which whoever may choose them could choose
 * so that they read like a message. Pure; the interior of kernel-message.c.
 *
 *	%D	a block device by the kernel's name
 *	%J	the same as a journal has it, "sda1-8": the inode of the journal is cut off
 *	%s	nothing, " state EA" or ": state EA", as btrfs has it
 *	%w	one word, up to the next blank
 *	%d	a decimal number
 *	%x	a hexadecimal number, 0x or not
 *	%i %X	an inode in decimal, in hexadecimal
 *	%e	an errno, positive or negative
 *	%b	a status of the block layer (blk_status_t) as a number
 */

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/kernel-message.h"
#include "daemon/core/span.h"

struct kernel_pattern {
	const char *text;
	enum fusion_hint_kind kind;
	int error; /* errno unless the text has one */
};

/** kernel_pattern_match() - Return: true with ->device and ->hint of @ret; else @ret is undefined */
bool kernel_pattern_match(const struct kernel_pattern *pattern, struct span text,
			  struct kernel_message *ret);

/** kernel_take_device() - the name of a device; advances @rest */
bool kernel_take_device(struct span *rest, char ret[static KERNEL_DEVICE_MAX]);

/** kernel_take_text() - exactly @text; advances @rest */
bool kernel_take_text(struct span *rest, const char *text);

/** kernel_take_number() - in base 10 or 16, without sign; advances @rest */
bool kernel_take_number(struct span *rest, unsigned int base, uint64_t *ret);

/** kernel_take_word() - at least one byte, up to the next blank; advances @rest */
bool kernel_take_word(struct span *rest);

/* What filesystems say; ends with an entry without text. */
extern const struct kernel_pattern kernel_patterns[];

/** kernel_block_decode() - a failed request, as the block layer says it; Return: true with @ret */
bool kernel_block_decode(struct span text, struct kernel_message *ret);

/** kernel_block_error() - errno of a blk_status_t by number */
int kernel_block_error(uint64_t status);
