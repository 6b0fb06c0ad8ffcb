/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <string.h>

#include "daemon/core/capability.h"
#include "include/fs_event.h"

#define BIT(_code) (1U << (EVENT_##_code))

#define THRESHOLDS (BIT(THRESHOLD_BELOW) | BIT(THRESHOLD_ABOVE))
#define FLAGS (BIT(READ_ONLY) | BIT(READ_WRITE))
#define ALWAYS (BIT(MOUNTED) | BIT(UNMOUNTED) | BIT(STALLED) | BIT(RESPONDING))
#define WRITABLE (ALWAYS | THRESHOLDS | FLAGS | BIT(ENOSPC))
#define FREEZE (BIT(FROZEN) | BIT(THAWED))
#define DAMAGE (BIT(CORRUPTED) | BIT(IO_ERROR) | BIT(WRITEBACK_ERROR))

/* Those that behave alike; the first that fits counts. */
struct family {
	const char *const *types; /* ends in NULL; NULL: all that are left of the class */
	uint32_t look; /* by looking: statmount, statfs, sysfs, errno of the root */
	uint32_t fs_errors; /* by fanotify, on every kernel that has it */
	uint32_t fs_errors_common; /* by fanotify, where all disk filesystems report */
	uint32_t kmsg;
	uint32_t module; /* as far as that says so itself */
};

static const char *const ext_types[] = { "ext2", "ext3", "ext4", NULL };
static const char *const xfs_types[] = { "xfs", NULL };
static const char *const btrfs_types[] = { "btrfs", NULL };
static const char *const f2fs_types[] = { "f2fs", NULL };
static const char *const tmpfs_types[] = { "tmpfs", NULL };
static const char *const layer_types[] = { "aufs",	"ecryptfs", "overlay",
					   "overlayfs", "unionfs",  NULL };
/* These count no inodes, or make them as long as there is space. */
static const char *const fat_types[] = { "exfat", "msdos", "ntfs", "ntfs3", "vfat", NULL };

static const struct family families[] = {
	{
		/* errors_count in sysfs tells of damage without any other source */
		.types = ext_types,
		.look = WRITABLE | BIT(ENOSPC_INODES) | BIT(CORRUPTED) | BIT(IO_ERROR) |
			BIT(SHUTDOWN),
		.fs_errors = BIT(CORRUPTED) | BIT(IO_ERROR),
		.fs_errors_common = BIT(CORRUPTED) | BIT(IO_ERROR),
		.kmsg = BIT(CORRUPTED) | BIT(IO_ERROR) | BIT(WRITEBACK_ERROR) | BIT(SHUTDOWN),
		.module = FREEZE | DAMAGE | BIT(SHUTDOWN) | BIT(ENOSPC_METADATA),
	},
	{
		/* its root answers EIO after a shutdown; inodes end before space does by imaxpct= alone */
		.types = xfs_types,
		.look = WRITABLE | BIT(ENOSPC_INODES) | BIT(SHUTDOWN),
		.fs_errors_common = BIT(CORRUPTED) | BIT(IO_ERROR),
		.kmsg = BIT(CORRUPTED) | BIT(IO_ERROR) | BIT(WRITEBACK_ERROR) | BIT(SHUTDOWN),
		.module = FREEZE | DAMAGE | BIT(SHUTDOWN) | BIT(ENOSPC_METADATA),
	},
	{
		/* error_stats and allocation in sysfs; inodes are not counted */
		.types = btrfs_types,
		.look = WRITABLE | BIT(ENOSPC_METADATA) | BIT(CORRUPTED) | BIT(IO_ERROR),
		.fs_errors_common = BIT(CORRUPTED) | BIT(IO_ERROR),
		.kmsg = BIT(CORRUPTED) | BIT(IO_ERROR) | BIT(WRITEBACK_ERROR),
		.module = FREEZE | DAMAGE | BIT(ENOSPC_METADATA),
	},
	{
		/* what it says of damage is a reason to look, and nothing shows it then */
		.types = f2fs_types,
		.look = WRITABLE | BIT(ENOSPC_INODES) | BIT(IO_ERROR),
		.fs_errors_common = BIT(CORRUPTED) | BIT(IO_ERROR),
		.kmsg = BIT(IO_ERROR) | BIT(WRITEBACK_ERROR),
		.module = FREEZE | BIT(IO_ERROR) | BIT(WRITEBACK_ERROR),
	},
	{
		/* memory: nothing to be damaged */
		.types = tmpfs_types,
		.look = WRITABLE | BIT(ENOSPC_INODES),
	},
	{
		/* what carries it is told of by itself */
		.types = layer_types,
		.look = WRITABLE | BIT(ENOSPC_INODES),
	},
	{
		.types = fat_types,
		.look = WRITABLE | BIT(IO_ERROR),
		.fs_errors_common = BIT(IO_ERROR),
		.kmsg = BIT(IO_ERROR) | BIT(WRITEBACK_ERROR),
		.module = FREEZE | BIT(IO_ERROR) | BIT(WRITEBACK_ERROR),
	},
};

/* Written once and always full. */
static const struct family image = {
	.look = ALWAYS | BIT(IO_ERROR),
	.kmsg = BIT(IO_ERROR),
};

/* A disk filesystem without a row above. */
static const struct family disk = {
	.look = WRITABLE | BIT(ENOSPC_INODES) | BIT(IO_ERROR),
	.fs_errors_common = BIT(IO_ERROR),
	.kmsg = BIT(IO_ERROR) | BIT(WRITEBACK_ERROR),
	.module = FREEZE | BIT(IO_ERROR) | BIT(WRITEBACK_ERROR),
};

/* A server or a program answers; what becomes of its disks it alone knows. */
static const struct family foreign = {
	.look = WRITABLE | BIT(ENOSPC_INODES) | BIT(IO_ERROR),
};

/* A program answers, and the block layer tells of its disk all the same (fuseblk). */
static const struct family foreign_disk = {
	.look = WRITABLE | BIT(ENOSPC_INODES) | BIT(IO_ERROR),
	.kmsg = BIT(IO_ERROR) | BIT(WRITEBACK_ERROR),
};

static const struct family *family_find(const struct superblock *sb)
{
	if (superblock_is_image(sb))
		return &image;
	if (superblock_class(sb) != SUPERBLOCK_LOCAL)
		return sb->key.major != 0 ? &foreign_disk : &foreign;

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		for (const char *const *type = families[i].types; *type; type++)
			if (strcmp(sb->type, *type) == 0)
				return &families[i];
	return &disk;
}

uint32_t capability_codes(const struct superblock *sb, const struct capability_sources *sources)
{
	const struct family *family;
	uint32_t codes;

	assert(sb);
	assert(sources);

	family = family_find(sb);
	codes = family->look;
	if (sources->fs_errors)
		codes |= family->fs_errors;
	if (sources->fs_errors && sources->fs_errors_common)
		codes |= family->fs_errors_common;
	if (sources->kmsg)
		codes |= family->kmsg;
	return codes | (family->module & sources->module);
}

bool capability_wants_module(const struct superblock *sb)
{
	assert(sb);

	return family_find(sb)->module != 0;
}

uint32_t capability_of_module(uint64_t capable)
{
	static const struct {
		enum fs_event_id id;
		enum event_code code;
	} rows[] = {
		{ FS_WARN_ENOSPC, EVENT_ENOSPC },
		{ FS_WARN_ENOSPC_META, EVENT_ENOSPC_METADATA },
		{ FS_EVENT_ENOSPC_INODES, EVENT_ENOSPC_INODES },
		{ FS_ERR_REMOUNT_RO, EVENT_READ_ONLY },
		{ FS_EVENT_READ_WRITE, EVENT_READ_WRITE },
		{ FS_ERR_CORRUPTED, EVENT_CORRUPTED },
		{ FS_EVENT_IO_ERROR, EVENT_IO_ERROR },
		{ FS_EVENT_WRITEBACK_ERROR, EVENT_WRITEBACK_ERROR },
		{ FS_EVENT_SHUTDOWN, EVENT_SHUTDOWN },
		{ FS_EVENT_FROZEN, EVENT_FROZEN },
		{ FS_EVENT_THAWED, EVENT_THAWED },
	};
	uint32_t codes = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (capable & FS_EVENT_BIT(rows[i].id))
			codes |= 1U << rows[i].code;
	return codes;
}
