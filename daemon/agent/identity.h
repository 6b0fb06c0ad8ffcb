/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a filesystem is muted by
 *
 * The UUID and the device together, "UUID DEVICE": a stick that was given the
 * UUID of another filesystem is not that one. Where there is no UUID (network,
 * memory), "- DEVICE WHERE": a source such as "tmpfs" is shared by many. No
 * filesystem is asked: the UUID is what udev has noted.
 */

#include <stddef.h>

struct client_filesystem;

#define IDENTITY_UUID_MAX 64

/** identity_new() - NULL without memory */
char *identity_new(const struct client_filesystem *fs);

/** identity_parse_udev() - the UUID in an entry of udev's database; empty where there is none; pure */
void identity_parse_udev(char ret[static IDENTITY_UUID_MAX], const char *text);
