/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/core/kernel-message-match.h"

/* No errno is above (MAX_ERRNO, include/linux/err.h). */
#define ERROR_MAX 4095

static void advance(struct span *rest, size_t n)
{
	rest->p += n;
	rest->n -= n;
}

bool kernel_take_text(struct span *rest, const char *text)
{
	size_t n = strlen(text);

	if (rest->n < n || memcmp(rest->p, text, n) != 0)
		return false;

	advance(rest, n);
	return true;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool kernel_take_number(struct span *rest, unsigned int base, uint64_t *ret)
{
	uint64_t number = 0;
	size_t n = 0;

	for (; n < rest->n; n++) {
		int digit = digit_value(rest->p[n]);

		if (digit < 0 || (unsigned int)digit >= base)
			break;
		if (__builtin_mul_overflow(number, base, &number) ||
		    __builtin_add_overflow(number, (uint64_t)digit, &number))
			return false;
	}
	if (n == 0)
		return false;

	advance(rest, n);
	*ret = number;
	return true;
}

/* '/' stands as '!' in sysfs and may stand as itself in a message. */
static bool is_device_char(char c)
{
	return digit_value(c) >= 0 || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '_' || c == '!' || c == '/';
}

/* "pmem0.1": within a name; at its end it is of the sentence around. */
static bool is_device_inner(struct span rest, size_t at)
{
	return (rest.p[at] == '.' || rest.p[at] == ':') && at > 0 && at + 1 < rest.n &&
	       is_device_char(rest.p[at + 1]);
}

bool kernel_take_device(struct span *rest, char ret[static KERNEL_DEVICE_MAX])
{
	size_t n = 0;

	while (n < rest->n && (is_device_char(rest->p[n]) || is_device_inner(*rest, n)))
		n++;
	if (n == 0 || n >= KERNEL_DEVICE_MAX)
		return false;

	memcpy(ret, rest->p, n);
	ret[n] = '\0';
	advance(rest, n);
	return true;
}

/*
 * A journal within the filesystem is called by its device and its inode, which
 * ext4 has at 8. One on a device of its own is called by that alone, and it
 * may be dm-8.
 */
static bool take_journal(struct span *rest, char ret[static KERNEL_DEVICE_MAX])
{
	size_t n;

	if (!kernel_take_device(rest, ret))
		return false;

	n = strlen(ret);
	if (n > 2 && strcmp(ret + n - 2, "-8") == 0 && strcmp(ret, "dm-8") != 0)
		ret[n - 2] = '\0';
	return true;
}

static void take_state(struct span *rest)
{
	struct span after = *rest;
	size_t n = 0;

	(void)kernel_take_text(&after, ":");
	if (!kernel_take_text(&after, " state "))
		return;
	while (n < after.n && after.p[n] >= 'A' && after.p[n] <= 'Z')
		n++;
	advance(&after, n);
	*rest = after;
}

bool kernel_take_word(struct span *rest)
{
	size_t n = 0;

	while (n < rest->n && rest->p[n] != ' ')
		n++;
	if (n == 0)
		return false;

	advance(rest, n);
	return true;
}

static bool take_inode(struct span *rest, unsigned int base, struct fusion_hint *hint)
{
	if (base == 16)
		(void)kernel_take_text(rest, "0x");
	if (!kernel_take_number(rest, base, &hint->inode))
		return false;

	hint->has_inode = hint->inode != 0;
	return true;
}

static bool take_error(struct span *rest, struct fusion_hint *hint)
{
	uint64_t number;

	(void)kernel_take_text(rest, "-");
	if (!kernel_take_number(rest, 10, &number))
		return false;

	if (number > 0 && number <= ERROR_MAX)
		hint->error = (int)number;
	return true;
}

static bool take_status(struct span *rest, struct fusion_hint *hint)
{
	uint64_t number;

	if (!kernel_take_number(rest, 10, &number))
		return false;

	hint->error = kernel_block_error(number);
	return true;
}

static bool take_directive(char directive, struct span *rest, struct kernel_message *ret)
{
	uint64_t ignored;

	switch (directive) {
	case 'D':
		return kernel_take_device(rest, ret->device);
	case 'J':
		return take_journal(rest, ret->device);
	case 's':
		take_state(rest);
		return true;
	case 'w':
		return kernel_take_word(rest);
	case 'd':
		return kernel_take_number(rest, 10, &ignored);
	case 'x':
		(void)kernel_take_text(rest, "0x");
		return kernel_take_number(rest, 16, &ignored);
	case 'i':
		return take_inode(rest, 10, &ret->hint);
	case 'X':
		return take_inode(rest, 16, &ret->hint);
	case 'e':
		return take_error(rest, &ret->hint);
	case 'b':
		return take_status(rest, &ret->hint);
	}

	assert(false);
	return false;
}

bool kernel_pattern_match(const struct kernel_pattern *pattern, struct span text,
			  struct kernel_message *ret)
{
	assert(pattern && pattern->text);
	assert(ret);

	ret->hint = (struct fusion_hint){
		.kind = pattern->kind,
		.source = FUSION_SOURCE_KMSG,
		.error = pattern->error,
		.count = 1,
	};
	for (const char *at = pattern->text; *at; at++) {
		if (*at == '%') {
			if (!take_directive(*++at, &text, ret))
				return false;
		} else {
			if (text.n == 0 || *text.p != *at)
				return false;
			advance(&text, 1);
		}
	}

	return true;
}
