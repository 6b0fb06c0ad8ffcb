/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>

#include "daemon/core/kernel-message-match.h"

#define EXT4 "EXT4-fs (%D): "
#define EXT4_ERROR "EXT4-fs error (device %D)"
#define EXT4_WARNING "EXT4-fs warning (device %D): "
#define XFS "XFS (%D): "
#define F2FS "F2FS-fs (%D): "
/* "error", "critical" and so on: what level a message has changed over time */
#define BTRFS "BTRFS %w (device %D%s): "

#define LOOK FUSION_HINT_LOOK
#define REMOUNTED FUSION_HINT_REMOUNTED
#define FORCED FUSION_HINT_FORCED_READ_ONLY
#define CORRUPTED FUSION_HINT_CORRUPTED
#define IO_ERROR FUSION_HINT_IO_ERROR
#define WRITEBACK FUSION_HINT_WRITEBACK_ERROR
#define SHUTDOWN FUSION_HINT_SHUTDOWN

/*
 * The first that fits counts. Texts as Linux 5.10 to 6.18 have them
 * (fs/ext4/super.c, page-io.c, inode.c; fs/jbd2/journal.c, commit.c;
 * fs/xfs/xfs_fsops.c, xfs_error.c, xfs_buf.c, xfs_aops.c; fs/iomap;
 * fs/btrfs/messages.c, disk-io.c, bio.c, tree-checker.c, scrub.c;
 * fs/f2fs/super.c; fs/fat/misc.c; fs/exfat/misc.c; fs/buffer.c).
 *
 * Errors of ext4 are only looked at: its counter and fanotify tell them truly.
 */
const struct kernel_pattern kernel_patterns[] = {
	{ EXT4_ERROR ": %w inode #%i: ", LOOK },
	{ EXT4_ERROR, LOOK },
	{ EXT4_WARNING "ext4_end_bio:%d: I/O error %b writing to inode %i ", WRITEBACK, EIO },
	{ EXT4 "shut down requested (", SHUTDOWN },
	{ EXT4 "Remounting filesystem read-only", FORCED },
	{ EXT4 "re-mounted", REMOUNTED },
	{ EXT4
	  "Delayed block allocation failed for inode %i at logical offset %d with max blocks %d"
	  " with error %e",
	  WRITEBACK },
	{ EXT4 "failed to convert unwritten extents to written extents -- potential data loss!"
	       "  (inode %i, error %e)",
	  WRITEBACK },
	{ EXT4 "I/O error while writing superblock", IO_ERROR, EIO },
	{ EXT4 "previous I/O error to superblock detected", IO_ERROR, EIO },
	{ EXT4 "error count since last fsck: ", LOOK },

	{ "JBD2: Detected IO errors while flushing file data on %J", WRITEBACK, EIO },
	{ "JBD2: Detected IO errors %e while flushing file data on %J", WRITEBACK, EIO },
	{ "JBD2: I/O error when updating journal superblock for %J", IO_ERROR, EIO },
	{ "JBD2: Error %e detected when updating journal superblock for %J", IO_ERROR, EIO },
	{ "JBD2: previous I/O error detected for journal superblock update for %J", IO_ERROR, EIO },
	{ "Aborting journal on device %J", LOOK },

	{ XFS "Metadata corruption detected at %w inode %X ", CORRUPTED, EUCLEAN },
	{ XFS "Metadata corruption detected at %w [xfs], inode %X ", CORRUPTED, EUCLEAN },
	{ XFS "Metadata corruption detected at ", CORRUPTED, EUCLEAN },
	{ XFS "Metadata CRC error detected at %w inode %X ", CORRUPTED, EBADMSG },
	{ XFS "Metadata CRC error detected at %w [xfs], inode %X ", CORRUPTED, EBADMSG },
	{ XFS "Metadata CRC error detected at ", CORRUPTED, EBADMSG },
	{ XFS "Internal error ", CORRUPTED, EUCLEAN },
	/* "of in-memory data", "of on-disk metadata": what ends in a shutdown */
	{ XFS "Corruption of ", SHUTDOWN },
	{ XFS "Corruption ", CORRUPTED, EUCLEAN },
	{ XFS "Log I/O Error ", SHUTDOWN },
	{ XFS "I/O Error ", SHUTDOWN },
	{ XFS "Metadata I/O Error (", SHUTDOWN },
	{ XFS "Block device removal (", SHUTDOWN },
	{ XFS "User initiated shutdown received", SHUTDOWN },
	{ XFS "Filesystem has been shut down", SHUTDOWN },
	{ XFS "Please unmount the filesystem", SHUTDOWN },
	{ XFS "Please umount the filesystem", SHUTDOWN },
	{ XFS "xfs_do_force_shutdown(", SHUTDOWN },
	{ XFS "log I/O error %e", IO_ERROR, EIO },
	{ XFS "metadata I/O error in \"%w at daddr %x len %d error %e", IO_ERROR, EIO },
	{ XFS "metadata I/O error in ", IO_ERROR, EIO },
	{ XFS "metadata I/O error: ", IO_ERROR, EIO },
	{ XFS "Failing async write on buffer block ", IO_ERROR, EIO },
	{ XFS "page discard on page %w inode %X,", WRITEBACK, EIO },
	{ XFS "page discard on folio %w inode %X,", WRITEBACK, EIO },
	{ "%D: writeback error on inode %i, ", WRITEBACK, EIO },

	{ BTRFS "forced readonly", FORCED },
	{ BTRFS "csum failed root %w ino %i off ", CORRUPTED, EBADMSG },
	{ BTRFS "csum failed ino %i off ", CORRUPTED, EBADMSG },
	{ BTRFS "checksum verify failed on ", CORRUPTED, EBADMSG },
	{ BTRFS "%w checksum verify failed on ", CORRUPTED, EBADMSG },
	{ BTRFS "checksum error at logical %d on dev %w physical %w root %w inode %i, ", CORRUPTED,
	  EBADMSG },
	{ BTRFS "parent transid verify failed on ", CORRUPTED, EUCLEAN },
	{ BTRFS "level verify failed on ", CORRUPTED, EUCLEAN },
	{ BTRFS "tree level mismatch detected, ", CORRUPTED, EUCLEAN },
	{ BTRFS "tree first key mismatch detected, ", CORRUPTED, EUCLEAN },
	{ BTRFS "corrupt leaf: ", CORRUPTED, EUCLEAN },
	{ BTRFS "corrupt node: ", CORRUPTED, EUCLEAN },
	{ BTRFS "bad tree block ", CORRUPTED, EUCLEAN },
	{ BTRFS "bad fsid on ", CORRUPTED, EUCLEAN },
	{ BTRFS "unable to fixup ", CORRUPTED, EUCLEAN },
	{ BTRFS "direct IO failed ino %i ", IO_ERROR, EIO },
	{ BTRFS "i/o error at logical ", IO_ERROR, EIO },
	{ BTRFS "lost page write due to IO error on ", IO_ERROR, EIO },
	{ BTRFS "lost super block write due to IO error on ", IO_ERROR, EIO },
	{ BTRFS "error writing primary super block to device ", IO_ERROR, EIO },
	{ BTRFS "Transaction aborted (error %e)", LOOK },
	{ BTRFS "Transaction %d aborted (error %e)", LOOK },
	{ "BTRFS: error (device %D%s) in %w errno=%e ", LOOK },
	{ "BTRFS: error (device %D%s)", LOOK },
	/* M: while it is being remounted */
	{ "BTRFS info (device %D state M): ", LOOK },
	{ "BTRFS info (device %D: state M): ", LOOK },
	{ "BTRFS error (device %D%s): ", LOOK },
	{ "BTRFS critical (device %D%s): ", LOOK },

	{ F2FS "Remounting filesystem read-only", FORCED },
	{ F2FS "Stopped filesystem due to reason: ", LOOK },
	{ F2FS "inconsistent node block", LOOK },
	{ "FAT-fs (%D): Filesystem has been set read-only", FORCED },
	{ "FAT-fs (%D): error, ", LOOK },
	{ "exFAT-fs (%D): Filesystem has been set read-only", FORCED },
	{ "exFAT-fs (%D): error, ", LOOK },

	{ "Buffer I/O error on dev %D, logical block %d, async page read", IO_ERROR, EIO },
	/* "lost async page write", "lost sync page write" */
	{ "Buffer I/O error on dev %D, logical block %d, lost ", WRITEBACK, EIO },
	/* of ext4, which writes its own way */
	{ "Buffer I/O error on device %D, logical block ", WRITEBACK, EIO },
	{ "Trying to write to read-only block-device %D", LOOK },
	{ NULL },
};
