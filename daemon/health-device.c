/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/health-device.h"
#include "daemon/manager.h"
#include "daemon/monitor.h"
#include "daemon/source/disks.h"

/* Between two looks of all btrfs for what concerns a device of nobody's. */
#define DEVICE_MEMBERS_PAUSE_US 1000000ULL

struct health_device {
	struct manager *manager;
	struct disks *disks;
	uint64_t all_us; /* when all were asked to look */
	uint64_t members_us; /* when those were whose devices may be others now */
};

/* Return: whether a filesystem lies on it: btrfs has an anonymous number and several devices. */
static bool device_tell(struct health_device *devices, struct device_number number,
			const struct fusion_hint *hint)
{
	struct superblock_table *table = devices->manager->superblocks;
	struct superblock *sb = superblock_table_find_device(table, number.major, number.minor);
	bool found = false;

	if (monitor_of(sb)) {
		monitor_hint(sb->userdata, hint);
		return true;
	}

	sb = NULL;
	while ((sb = superblock_table_next(table, sb))) {
		if (sb->key.major != 0 || !sb->userdata ||
		    !monitor_is_on_device(sb->userdata, number.major, number.minor))
			continue;
		monitor_hint(sb->userdata, hint);
		found = true;
	}
	return found;
}

/* Once in each wake-up, whatever the number of messages in it: the look comes after them all. */
static bool is_told(uint64_t *told_us, uint64_t now_us)
{
	bool told = *told_us == now_us;

	*told_us = now_us;
	return told;
}

void health_device_look_at_all(struct health_device *devices)
{
	struct superblock *sb = NULL;

	assert(devices);

	if (is_told(&devices->all_us, manager_now(devices->manager)))
		return;
	while ((sb = superblock_table_next(devices->manager->superblocks, sb)))
		if (sb->userdata)
			monitor_look_soon(sb->userdata, true);
}

/* It may be one of a btrfs since then: each look reads the members anew, and what they count. */
static void members_look(struct health_device *devices)
{
	uint64_t now_us = manager_now(devices->manager);
	struct superblock *sb = NULL;

	if (devices->members_us != 0 && now_us < devices->members_us + DEVICE_MEMBERS_PAUSE_US)
		return;
	devices->members_us = now_us;
	while ((sb = superblock_table_next(devices->manager->superblocks, sb)))
		if (sb->userdata && strcmp(sb->type, "btrfs") == 0)
			monitor_look_soon(sb->userdata, false);
}

/* What lies there, as a hint or a look; Return: whether anything does. */
static bool devices_tell(struct health_device *devices, struct disk_device *above, size_t n_above,
			 const struct kernel_message *message, enum fusion_source source)
{
	const struct fusion_hint look = { .kind = FUSION_HINT_LOOK, .source = source, .count = 1 };
	uint64_t now_us = manager_now(devices->manager);
	bool found = false;

	for (size_t i = 0; i < n_above; i++) {
		struct disk_device *device = &above[i];

		if (message && !disk_device_has(device, message->sector))
			continue;
		found = true;
		if (message && device->is_partition)
			(void)device_tell(devices, device->number, &message->hint);
		else if (!is_told(&device->told_us, now_us))
			(void)device_tell(devices, device->number, &look);
	}
	return found;
}

/* @message: NULL, or that of the disk which names a sector, and then this alone is concerned. */
static void above_tell(struct health_device *devices, struct device_number disk,
		       const struct kernel_message *message, enum fusion_source source)
{
	uint64_t now_us = manager_now(devices->manager);
	struct disk_device *above;
	size_t n_above;
	int r;

	members_look(devices);
	r = disks_find(devices->disks, now_us, disk, &above, &n_above);
	if (!devices_tell(devices, above, n_above, message, source) && message) {
		/* A partition may be there since then: the kernel sends no change of the disk. */
		disks_changed(devices->disks);
		r = disks_find(devices->disks, now_us, disk, &above, &n_above);
		(void)devices_tell(devices, above, n_above, message, source);
	}
	if (r == DISKS_MORE)
		health_device_look_at_all(devices);
}

void health_device_message(struct health_device *devices, const struct kernel_message *message)
{
	struct device_number number;

	assert(devices);
	assert(message);

	number = (struct device_number){ message->major, message->minor };
	/* Where a filesystem lies, nothing else does. */
	if (!device_tell(devices, number, &message->hint))
		above_tell(devices, number, message->has_sector ? message : NULL,
			   message->hint.source);
}

void health_device_changed(struct health_device *devices, struct device_number number)
{
	static const struct fusion_hint look = {
		.kind = FUSION_HINT_LOOK,
		.source = FUSION_SOURCE_BLOCK,
		.count = 1,
	};

	assert(devices);

	/* What lay on one that went is known from before, if at all. */
	if (!device_tell(devices, number, &look))
		above_tell(devices, number, NULL, look.source);
	disks_changed(devices->disks);
}

int health_device_new(struct health_device **ret, struct manager *manager)
{
	_cleanup_(health_device_freep) struct health_device *devices = NULL;
	int r;

	assert(ret);
	assert(manager);

	devices = calloc(1, sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	devices->manager = manager;
	r = disks_new(&devices->disks, "/sys");
	if (r < 0)
		return r;

	*ret = TAKE_PTR(devices);
	return 0;
}

struct health_device *health_device_free(struct health_device *devices)
{
	if (!devices)
		return NULL;

	disks_free(devices->disks);
	free(devices);
	return NULL;
}
