/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/agent/identity.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/escape.h"
#include "daemon/ctl/client.h"

/* An entry has some dozens of short lines. */
#define UDEV_TEXT_MAX 16384

void identity_parse_udev(char ret[static IDENTITY_UUID_MAX], const char *text)
{
	static const char key[] = "E:ID_FS_UUID=";

	ret[0] = '\0';
	for (const char *line = text; line; line = strchr(line, '\n')) {
		size_t n;

		line += *line == '\n';
		if (strncmp(line, key, sizeof(key) - 1) != 0)
			continue;
		line += sizeof(key) - 1;
		n = strcspn(line, "\n");
		if (n >= IDENTITY_UUID_MAX || strspn(line, "0123456789abcdefABCDEF-") != n)
			return;
		memcpy(ret, line, n);
		ret[n] = '\0';
		return;
	}
}

static void read_uuid(char ret[static IDENTITY_UUID_MAX], uint32_t major, uint32_t minor)
{
	_cleanup_free_ char *text = malloc(UDEV_TEXT_MAX);
	_cleanup_close_ int fd = -1;
	char path[64];
	ssize_t n;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "/run/udev/data/b%u:%u", major, minor);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || !text)
		return;
	n = read(fd, text, UDEV_TEXT_MAX - 1);
	if (n <= 0)
		return;
	text[n] = '\0';
	identity_parse_udev(ret, text);
}

/* An anonymous device number (btrfs) names no block device: what was mounted does. */
static void find_uuid(char ret[static IDENTITY_UUID_MAX], const struct client_filesystem *fs)
{
	_cleanup_free_ char *source = NULL;
	struct stat status;

	read_uuid(ret, fs->major, fs->minor);
	if (ret[0] || strncmp(fs->source, "/dev/", 5) != 0)
		return;

	source = malloc(strlen(fs->source) + 1);
	if (!source || unescape(source, fs->source, strlen(fs->source)) < 0)
		return;
	if (stat(source, &status) == 0 && S_ISBLK(status.st_mode))
		read_uuid(ret, major(status.st_rdev), minor(status.st_rdev));
}

char *identity_new(const struct client_filesystem *fs)
{
	_cleanup_free_ char *source = NULL, *where = NULL;
	char uuid[IDENTITY_UUID_MAX];
	char *identity;
	int n;

	find_uuid(uuid, fs);

	/* Both are escaped once already; here so that no space is left in them. */
	source = escape_new(fs->source, strlen(fs->source), ESCAPE_GRAMMAR);
	where = escape_new(fs->where, strlen(fs->where), ESCAPE_GRAMMAR);
	if (!source || !where)
		return NULL;

	n = uuid[0] ? asprintf(&identity, "%s %s", uuid, source)
		    : asprintf(&identity, "- %s %s", source, where);
	return n < 0 ? NULL : identity;
}
