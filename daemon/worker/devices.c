/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/devices.h"

#define DISK "/dev/disk"

void devices_found_deinit(struct devices_found *found)
{
	if (!found)
		return;

	for (size_t i = 0; i < found->n_identities; i++) {
		free(found->identities[i].uuid);
		free(found->identities[i].label);
	}
	free(found->identities);
	free(found->paths);
	*found = (struct devices_found){};
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static struct device_reply lookup_inode(int fd, const char *path)
{
	struct stat st;

	if (fstatat(fd, path, &st, 0) < 0)
		return (struct device_reply){ .error = -errno };
	if (!S_ISBLK(st.st_mode))
		return (struct device_reply){ .error = -ENOTBLK };

	return (struct device_reply){ .major = major(st.st_rdev), .minor = minor(st.st_rdev) };
}

/* A path may be the source of a mount, which is anybody's text: it must not lead elsewhere. */
static struct device_reply lookup_path(const char *path)
{
	if (strncmp(path, "/dev/", 5) != 0 || strstr(path, "/../"))
		return (struct device_reply){ .error = -EACCES };

	return lookup_inode(AT_FDCWD, path);
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

/* The name of one of udev's links: what it does not allow in a name is \xNN. */
static char *decode_link(const char *name)
{
	char *text = malloc(strlen(name) + 1), *to = text;

	if (!text)
		return NULL;

	while (*name) {
		int high = -1, low = -1;

		if (name[0] == '\\' && name[1] == 'x') {
			high = hex_digit(name[2]);
			low = high >= 0 ? hex_digit(name[3]) : -1;
		}
		if (low >= 0 && (high || low)) {
			*to++ = (char)(high << 4 | low);
			name += 4;
		} else {
			*to++ = *name++;
		}
	}

	*to = '\0';
	return text;
}

static bool is_wanted(const struct devices_request *request, const struct device_reply *device)
{
	for (size_t i = 0; i < request->n_numbers; i++)
		if (request->numbers[i].major == device->major &&
		    request->numbers[i].minor == device->minor)
			return true;

	return false;
}

/* The entry of a device, a new one where it has none; NULL without memory. */
static struct device_identity *get_identity(struct devices_found *found,
					    const struct device_reply *device)
{
	struct device_identity *identities;

	for (size_t i = 0; i < found->n_identities; i++)
		if (found->identities[i].number.major == device->major &&
		    found->identities[i].number.minor == device->minor)
			return &found->identities[i];

	identities = reallocarray(found->identities, found->n_identities + 1, sizeof(*identities));
	if (!identities)
		return NULL;
	found->identities = identities;
	identities[found->n_identities] = (struct device_identity){
		.number = { device->major, device->minor },
	};
	return &identities[found->n_identities++];
}

enum identity_kind {
	IDENTITY_UUID,
	IDENTITY_LABEL,
};

static int take_link(struct devices_found *found, const struct device_reply *device,
		     enum identity_kind kind, const char *name)
{
	struct device_identity *identity = get_identity(found, device);
	char **place;

	if (!identity)
		return -ENOMEM;
	place = kind == IDENTITY_UUID ? &identity->uuid : &identity->label;
	/* udev makes one link of a kind for a device; of more, any one is as good */
	if (*place)
		return 0;

	*place = decode_link(name);
	return *place ? 0 : -ENOMEM;
}

static int walk_links(const char *disk, enum identity_kind kind,
		      const struct devices_request *request, struct devices_found *found)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	_cleanup_free_ char *path = NULL;
	struct dirent *entry;

	if (asprintf(&path, "%s/%s", disk, kind == IDENTITY_UUID ? "by-uuid" : "by-label") < 0) {
		path = NULL;
		return -ENOMEM;
	}
	/* without udev there are none */
	dir = opendir(path);
	if (!dir)
		return errno == ENOMEM ? -ENOMEM : 0;

	for (size_t n = 0; n < DEVICES_LINKS_MAX && (entry = readdir(dir)); n++) {
		struct device_reply device;
		int r;

		if (entry->d_name[0] == '.')
			continue;
		device = lookup_inode(dirfd(dir), entry->d_name);
		if (device.error < 0 || !is_wanted(request, &device))
			continue;
		r = take_link(found, &device, kind, entry->d_name);
		if (r < 0)
			return r;
	}

	return 0;
}

int devices_lookup_in(const char *disk, const struct devices_request *request,
		      struct devices_found *ret)
{
	_cleanup_(devices_found_deinit) struct devices_found found = {};
	int r;

	assert(disk && request && ret);

	found.paths = calloc(request->n_paths > 0 ? request->n_paths : 1, sizeof(*found.paths));
	if (!found.paths)
		return -ENOMEM;
	for (size_t i = 0; i < request->n_paths; i++)
		found.paths[i] = lookup_path(request->paths[i]);
	found.n_paths = request->n_paths;

	if (request->n_numbers > 0) {
		r = walk_links(disk, IDENTITY_UUID, request, &found);
		if (r < 0)
			return r;
		r = walk_links(disk, IDENTITY_LABEL, request, &found);
		if (r < 0)
			return r;
	}

	*ret = found;
	found = (struct devices_found){};
	return 0;
}

int devices_lookup(const struct devices_request *request, struct devices_found *ret)
{
	return devices_lookup_in(DISK, request, ret);
}
