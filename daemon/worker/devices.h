/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Device numbers and identities
 *
 * Which number a path below /dev has, and which uuid and label udev found on
 * a block device (its links in /dev/disk). Looks at names and inodes only: no
 * device is opened, and no mount is touched. Runs in a worker process.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/config.h"
#include "daemon/worker/pool.h"

/* Links looked at in one directory; a machine with more has the rest unknown. */
#define DEVICES_LINKS_MAX 65536

struct devices_request {
	const char *const *paths; /* below /dev; others are refused */
	size_t n_paths;
	const struct device_number *numbers; /* whose identity is asked for */
	size_t n_numbers;
};

struct device_identity {
	struct device_number number;
	char *uuid; /* as blkid writes it; NULL: not known */
	char *label; /* bytes; NULL: not known. Whoever made the disk chose it */
};

struct devices_found {
	struct device_reply *paths; /* one for each of the request */
	size_t n_paths;
	struct device_identity *identities; /* of the numbers of which anything is known */
	size_t n_identities;
};

void devices_found_deinit(struct devices_found *found);

/**
 * devices_lookup() - ask the disk
 * @ret:	errors of a path: -EACCES not below /dev, -ENOTBLK no block device, of stat()
 *
 * Return: 0, also where nothing was found, or -ENOMEM.
 */
int devices_lookup(const struct devices_request *request, struct devices_found *ret);

/** devices_lookup_in() - the same with another directory than /dev/disk, for its test */
int devices_lookup_in(const char *disk, const struct devices_request *request,
		      struct devices_found *ret);

/*
 * JOB_DEVICES. All numbers are u32, strings as in flat.h.
 *
 * Request: n_paths, then each a string; n_numbers, then each major and minor.
 * Reply:   n_paths, then each string path, error (as i32), major, minor;
 *          n_identities, then each major, minor, string uuid, string label.
 */

/** device_request_encode() - Return: 0 with a buffer to free(), or -ENOMEM */
int device_request_encode(const char *const *paths, size_t n_paths,
			  const struct device_number *numbers, size_t n_numbers, void **ret,
			  size_t *ret_n);

/**
 * devices_reply_find_path() - the number of a path that was asked for
 *
 * Return: 0; what was wrong with the path (-ENOENT, -ENOTBLK ...); -ENODATA
 * where it was not asked for; -EBADMSG where the reply breaks its form.
 */
int devices_reply_find_path(const void *reply, size_t n_reply, const char *path,
			    struct device_number *ret);

/**
 * devices_reply_find_identity() - uuid and label of a number that was asked for
 * @ret_uuid, @ret_label: to be freed; one of them may be NULL
 *
 * Return: 0; -ENOENT where neither is known; -EBADMSG, -ENOMEM.
 */
int devices_reply_find_identity(const void *reply, size_t n_reply,
				const struct device_number *number, char **ret_uuid,
				char **ret_label);

/** devices_job() - the worker's side; Return: 0 with a reply to free(), or a negative errno */
int devices_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n);
