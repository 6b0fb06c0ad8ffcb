/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/address.h"
#include "daemon/core/cleanup.h"

#define SYSTEM_DEFAULT "unix:path=/run/dbus/system_bus_socket"

const char *address_resolve(const char *name)
{
	const char *set;

	assert(name);

	if (strcmp(name, "session") == 0)
		return getenv("DBUS_SESSION_BUS_ADDRESS");
	if (strcmp(name, "system") != 0)
		return name;

	set = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	return set && *set ? set : SYSTEM_DEFAULT;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Return: bytes written, or -EINVAL for a bad escape or one too many. */
static ssize_t unescape_value(char *ret, size_t n_ret, const char *text, size_t n)
{
	size_t n_out = 0;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if (c == '%') {
			int high, low;

			if (n - i < 3)
				return -EINVAL;
			high = hex_digit(text[i + 1]);
			low = hex_digit(text[i + 2]);
			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (n_out == n_ret)
			return -EINVAL;
		ret[n_out++] = c;
	}
	return (ssize_t)n_out;
}

/* One "unix:key=value,key=value". */
static bool parse_alternative(const char *text, size_t n, struct sockaddr_un *ret,
			      socklen_t *ret_length)
{
	static const char transport[] = "unix:";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *end = text + n;
	ssize_t length = -1;

	if (n < strlen(transport) || memcmp(text, transport, strlen(transport)) != 0)
		return false;

	for (text += strlen(transport); text < end;) {
		const char *stop = memchr(text, ',', (size_t)(end - text));
		size_t n_pair = (size_t)((stop ? stop : end) - text);

		/* Room is left for the NUL before or after the name. */
		if (n_pair > 5 && memcmp(text, "path=", 5) == 0)
			length = unescape_value(address.sun_path, sizeof(address.sun_path) - 1,
						text + 5, n_pair - 5);
		else if (n_pair > 9 && memcmp(text, "abstract=", 9) == 0)
			length = unescape_value(address.sun_path + 1, sizeof(address.sun_path) - 1,
						text + 9, n_pair - 9);
		text += n_pair + 1;
	}
	if (length <= 0)
		return false;

	*ret = address;
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	return true;
}

bool address_next(const char **at, struct sockaddr_un *ret, socklen_t *ret_length)
{
	assert(at && *at);
	assert(ret && ret_length);

	while (**at) {
		const char *text = *at;
		size_t n = strcspn(text, ";");

		*at = text + n + (text[n] == ';');
		if (parse_alternative(text, n, ret, ret_length))
			return true;
	}
	return false;
}

int address_connect(const char *address)
{
	struct sockaddr_un where;
	socklen_t length;
	int r = -EINVAL;

	assert(address);

	while (address_next(&address, &where, &length)) {
		_cleanup_close_ int fd = -1;

		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			return -errno;
		if (connect(fd, (const struct sockaddr *)&where, length) == 0)
			return TAKE_FD(fd);
		r = -errno;
	}
	return r;
}
