/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/kernel-message-match.h"

#define LOOK FUSION_HINT_LOOK
#define REMOUNTED FUSION_HINT_REMOUNTED
#define FORCED FUSION_HINT_FORCED_READ_ONLY
#define CORRUPTED FUSION_HINT_CORRUPTED
#define IO_ERROR FUSION_HINT_IO_ERROR
#define WRITEBACK FUSION_HINT_WRITEBACK_ERROR
#define SHUTDOWN FUSION_HINT_SHUTDOWN

struct sample {
	const char *text;
	const char *device;
	enum fusion_hint_kind kind;
	int error;
	uint64_t inode; /* 0: none */
};

/* As kernels said it: 6.18 where they were provoked, older forms from their sources. */
static const struct sample samples[] = {
	{ "EXT4-fs error (device loop0): ext4_ext_check_inode:528: inode #12: comm cat: pblk 0 bad "
	  "header/extent: invalid magic - magic 1234, entries 0, max 4(0), depth 0(0)",
	  "loop0", LOOK, 0, 12 },
	{ "EXT4-fs error (device loop0): trigger_test_error:129: comm python3: hello", "loop0",
	  LOOK },
	{ "EXT4-fs error (device loop0): ext4_journal_check_start:87: comm ext4lazyinit: Detected "
	  "aborted journal",
	  "loop0", LOOK },
	{ "EXT4-fs error (device dm-0) in ext4_reserve_inode_write:5908: Corrupt filesystem",
	  "dm-0", LOOK },
	{ "EXT4-fs warning (device loop0): ext4_end_bio:368: I/O error 3 writing to inode 12 "
	  "starting "
	  "block 1549)",
	  "loop0", WRITEBACK, ENOSPC, 12 },
	{ "EXT4-fs warning (device sda1): ext4_end_bio:345: I/O error 10 writing to inode 131 "
	  "(offset "
	  "0 size 4096 starting block 33537)",
	  "sda1", WRITEBACK, EIO, 131 },
	{ "EXT4-fs warning (device sda1): ext4_end_bio:345: I/O error 17 writing to inode 131 (o",
	  "sda1", WRITEBACK, EIO, 131 },
	{ "EXT4-fs (loop0): shut down requested (2)", "loop0", SHUTDOWN },
	{ "EXT4-fs (loop0): Remounting filesystem read-only", "loop0", FORCED },
	{ "EXT4-fs (loop0): re-mounted 677ddbd5-42a7-4bd4-b77f-3954f69d9752 ro.", "loop0",
	  REMOUNTED },
	{ "EXT4-fs (loop0): re-mounted 677ddbd5-42a7-4bd4-b77f-3954f69d9752 r/w.", "loop0",
	  REMOUNTED },
	{ "EXT4-fs (nvme0n1p2): re-mounted. Quota mode: none.", "nvme0n1p2", REMOUNTED },
	{ "EXT4-fs (vda1): Delayed block allocation failed for inode 15 at logical offset 0 with "
	  "max "
	  "blocks 1024 with error 117",
	  "vda1", WRITEBACK, EUCLEAN, 15 },
	{ "EXT4-fs (vda1): failed to convert unwritten extents to written extents -- potential "
	  "data "
	  "loss!  (inode 15, error -5)",
	  "vda1", WRITEBACK, EIO, 15 },
	{ "EXT4-fs (sda1): I/O error while writing superblock", "sda1", IO_ERROR, EIO },
	{ "EXT4-fs (sda1): error count since last fsck: 3", "sda1", LOOK },
	{ "JBD2: Detected IO errors while flushing file data on sda1-8", "sda1", WRITEBACK, EIO },
	{ "JBD2: Detected IO errors -28 while flushing file data on loop0-8", "loop0", WRITEBACK,
	  ENOSPC },
	{ "JBD2: I/O error when updating journal superblock for dm-8-8.", "dm-8", IO_ERROR, EIO },
	{ "JBD2: Error -5 detected when updating journal superblock for dm-8.", "dm-8", IO_ERROR,
	  EIO },
	{ "Aborting journal on device loop0-8.", "loop0", LOOK },
	{ "Aborting journal on device dm-1.", "dm-1", LOOK },

	{ "XFS (loop0): Metadata corruption detected at __xfs_buf_ioend+0x185/0x580, xfs_inode "
	  "block "
	  "0x100 xfs_inode_buf_verify",
	  "loop0", CORRUPTED, EUCLEAN },
	{ "XFS (sdb): Metadata corruption detected at xfs_dinode_verify.part.0+0x1c/0x60 [xfs], "
	  "inode "
	  "0x83 dinode",
	  "sdb", CORRUPTED, EUCLEAN, 0x83 },
	{ "XFS (sdb): Metadata corruption detected at xfs_dinode_verify+0x1c/0x60, inode 0x83 "
	  "dinode",
	  "sdb", CORRUPTED, EUCLEAN, 0x83 },
	{ "XFS (sdb): Metadata CRC error detected at xfs_agf_read_verify+0xa0/0xf0 [xfs], xfs_agf "
	  "block "
	  "0x1 ",
	  "sdb", CORRUPTED, EBADMSG },
	{ "XFS (sdb): Internal error XFS_WANT_CORRUPTED_GOTO at line 3505 of file "
	  "fs/xfs/libxfs/x.c.  "
	  "Caller xfs_free_ag_extent+0x405/0x950 [xfs]",
	  "sdb", CORRUPTED, EUCLEAN },
	{ "XFS (sdb): Corruption detected. Unmount and run xfs_repair", "sdb", CORRUPTED, EUCLEAN },
	{ "XFS (sdb): Corruption of in-memory data (0x8) detected at xfs_trans_cancel+0x12f/0x150 "
	  "[xfs] "
	  "(fs/xfs/xfs_trans.c:1104).  Shutting down filesystem.",
	  "sdb", SHUTDOWN },
	{ "XFS (loop0): metadata I/O error in \"xfs_imap_to_bp+0x5c/0xe0\" at daddr 0x100 len 32 "
	  "error "
	  "117",
	  "loop0", CORRUPTED, EUCLEAN },
	{ "XFS (loop0): metadata I/O error in \"xfs_imap_to_bp+0x5c/0xe0\" at daddr 0x100 len 32 "
	  "error 5",
	  "loop0", IO_ERROR, EIO },
	{ "XFS (loop0): log I/O error -28", "loop0", IO_ERROR, ENOSPC },
	{ "XFS (loop0): Filesystem has been shut down due to log error (0x2).", "loop0", SHUTDOWN },
	{ "XFS (loop0): Please unmount the filesystem and rectify the problem(s).", "loop0",
	  SHUTDOWN },
	{ "XFS (loop0): User initiated shutdown received.", "loop0", SHUTDOWN },
	{ "XFS (loop0): Log I/O Error (0x6) detected at xfs_fs_goingdown+0x63/0xb0 "
	  "(fs/xfs/xfs_fsops.c:475).  Shutting down filesystem.",
	  "loop0", SHUTDOWN },
	{ "XFS (sdb): page discard on page 00000000e2b9d3f5, inode 0x83, pos 4096.", "sdb",
	  WRITEBACK, EIO, 0x83 },
	{ "XFS (sdb): page discard on folio 00000000e2b9d3f5, inode 0xffffffff1, pos 4096.", "sdb",
	  WRITEBACK, EIO, 0xffffffff1 },
	{ "loop0: writeback error on inode 131, offset 0, sector 192", "loop0", WRITEBACK, EIO,
	  131 },

	{ "BTRFS warning (device loop0): csum failed root 5 ino 257 off 0 csum 0xf4979c0b expected "
	  "csum "
	  "0xe60c2d80 mirror 1",
	  "loop0", CORRUPTED, EBADMSG, 257 },
	{ "BTRFS warning (device loop0): csum failed root -9 ino 258 off 0 csum 0x1 expected csum "
	  "0x2",
	  "loop0", CORRUPTED, EBADMSG, 258 },
	{ "BTRFS error (device loop0): bdev /dev/loop0 errs: wr 0, rd 0, flush 0, corrupt 1, gen 0",
	  "loop0", LOOK },
	{ "BTRFS: error (device loop0) in btrfs_commit_transaction:2546: errno=-5 IO failure "
	  "(Error "
	  "while writing out transaction)",
	  "loop0", LOOK, EIO },
	{ "BTRFS: error (device loop0 state EA) in cleanup_transaction:2038: errno=-5 IO failure",
	  "loop0", LOOK, EIO },
	{ "BTRFS info (device loop0 state E): forced readonly", "loop0", FORCED },
	{ "BTRFS info (device loop0: state EA): forced readonly", "loop0", FORCED },
	{ "BTRFS error (device loop0 state EA): Transaction aborted (error -5)", "loop0", LOOK,
	  EIO },
	{ "BTRFS error (device sda2): parent transid verify failed on logical 30408704 mirror 1 "
	  "wanted 8 "
	  "found 6",
	  "sda2", CORRUPTED, EUCLEAN },
	{ "BTRFS warning (device sda2): checksum verify failed on logical 30490624 mirror 1 wanted "
	  "0x1 "
	  "found 0x2 level 0",
	  "sda2", CORRUPTED, EBADMSG },
	{ "BTRFS warning (device sda2): sda2 checksum verify failed on 30490624 wanted 1 found 2 "
	  "level 0",
	  "sda2", CORRUPTED, EBADMSG },
	{ "BTRFS critical (device sda2): corrupt leaf: root=5 block=30408704 slot=4, bad key order",
	  "sda2", CORRUPTED, EUCLEAN },
	{ "BTRFS error (device sda2): bad tree block start, mirror 1 want 30408704 have 0", "sda2",
	  CORRUPTED, EUCLEAN },
	{ "BTRFS warning (device sda2): checksum error at logical 1104150528 on dev /dev/sda2, "
	  "physical "
	  "1104150528, root 5, inode 257, offset 0, length 4096, links 1 (path: forced readonly)",
	  "sda2", CORRUPTED, EBADMSG, 257 },
	{ "BTRFS error (device sda2): unable to fixup (regular) error at logical 1104150528 on dev "
	  "/dev/sda2",
	  "sda2", CORRUPTED, EUCLEAN },
	{ "BTRFS warning (device sda2): lost page write due to IO error on /dev/sda2 (-5)", "sda2",
	  IO_ERROR, EIO },
	{ "BTRFS critical (device sda2 state A): what nobody has read yet", "sda2", LOOK },

	{ "F2FS-fs (sdc1): Remounting filesystem read-only", "sdc1", FORCED },
	{ "FAT-fs (sdd1): Filesystem has been set read-only", "sdd1", FORCED },
	{ "exFAT-fs (sdd1): error, corrupted directory", "sdd1", LOOK },

	{ "critical space allocation error, dev loop0, sector 12392 op 0x1:(WRITE) flags 0x800 "
	  "phys_seg "
	  "16 prio class 2",
	  "loop0", WRITEBACK, ENOSPC },
	{ "critical space allocation error, dev loop0, sector 76160 op 0x1:(WRITE) flags 0x1800 "
	  "phys_seg "
	  "4 prio class 2",
	  "loop0", IO_ERROR, ENOSPC },
	{ "critical space allocation error, dev loop0, sector 96 op 0x1:(WRITE) flags 0x9800 "
	  "phys_seg 7 "
	  "prio class 2",
	  "loop0", IO_ERROR, ENOSPC },
	{ "I/O error, dev sda, sector 2048 op 0x1:(WRITE) flags 0x8800 phys_seg 1 prio class 2",
	  "sda", IO_ERROR, EIO },
	{ "I/O error, dev sda, sector 2048 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2",
	  "sda", IO_ERROR, EIO },
	{ "I/O error, dev fd0, sector 0 op 0x0:(READ)", "fd0", IO_ERROR, EIO },
	{ "I/O error, dev sda, sector 0 op 0x3:(DISCARD) flags 0x800 phys_seg 1 prio class 2",
	  "sda", LOOK },
	{ "critical medium error, dev cciss/c0d0, sector 1 op 0x0:(READ) flags 0x0 phys_seg 1 prio "
	  "class "
	  "0",
	  "cciss/c0d0", IO_ERROR, ENODATA },
	{ "device offline error, dev sdb, sector 8 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class "
	  "0",
	  "sdb", WRITEBACK, ENODEV },
	{ "blk_update_request: I/O error, dev sda, sector 123 op 0x1:(WRITE) flags 0x0 phys_seg 1 "
	  "prio "
	  "class 0",
	  "sda", WRITEBACK, EIO },
	{ "print_req_error: critical target error, dev sda, sector 123", "sda", IO_ERROR,
	  EREMOTEIO },
	{ "Buffer I/O error on dev dm-3, logical block 0, lost async page write", "dm-3", WRITEBACK,
	  EIO },
	{ "Buffer I/O error on dev dm-3, logical block 0, lost sync page write", "dm-3", WRITEBACK,
	  EIO },
	{ "Buffer I/O error on dev dm-3, logical block 0, async page read", "dm-3", IO_ERROR, EIO },
	{ "Buffer I/O error on device loop0, logical block 1549", "loop0", WRITEBACK, EIO },
	{ "Trying to write to read-only block-device loop0", "loop0", LOOK },
};

/* What is about something else, or only looks like one of these. */
static const char *const others[] = {
	"",
	"loop0: detected capacity change from 0 to 262144",
	"EXT4-fs (loop0): mounted filesystem 74e8a5c2 r/w with ordered data mode. Quota mode: "
	"none.",
	"EXT4-fs (loop0): unmounting filesystem 74e8a5c2.",
	"EXT4-fs (loop0): warning: mounting fs with errors, running e2fsck is recommended",
	"XFS (loop0): Mounting V5 Filesystem f139eb85-1bd8-4a31-87d6-6f4ba7945eac",
	"XFS (loop0): Ending clean mount",
	"XFS (loop0): First 128 bytes of corrupted metadata buffer:",
	"00000000: 11 11 81 a4 03 02 00 00 00 00 00 00 00 00 00 00  ................",
	"BTRFS: device fsid 96c1257b devid 1 transid 6 /dev/loop0 (7:0) scanned by mount (6940)",
	"BTRFS info (device loop0): enabling ssd optimizations",
	"blk_print_req_error: 1 callbacks suppressed",
	"operation not supported error, dev loop0, sector 0 op 0x9:(WRITE_ZEROES) flags 0x800 "
	"phys_seg 0",
	"kernel resource error, dev sda, sector 0 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 0",
	/* what names of processes, files and labels can make of a message */
	"XFS (sda1): x[47]: segfault at 0 ip 0 sp 0 error 4 in Shutting down filesystem[1+2]",
	"XFS (sda): User[47]: segfault at 0 ip 0 sp 0 error 4 in x[1+2]",
	"sda: writeback [47]: segfault at 0 ip 0 sp 0 error 4 in error on inode 1, x[1+2]",
	"BTRFS: device label error (device sda1): forced readonly devid 1 transid 6 /dev/x",
	"audit: EXT4-fs (sda1): shut down requested (1)",
	" EXT4-fs (sda1): shut down requested (1)",
	"EXT4-fs (): shut down requested (1)",
	"EXT4-fs (sda 1): shut down requested (1)",
	"EXT4-fs (..): shut down requested (1)",
	"I/O error, dev , sector 1 op 0x1:(WRITE) flags 0x0 ",
	"I/O error, dev sda, sector 18446744073709551616 op 0x1:(WRITE) flags 0x0 ",
	"loop0: writeback error on inode 18446744073709551616, offset 0, sector 192",
	"loop0: writeback error on inode , offset 0, sector 192",
};

/* A copy of the exact size, so that a read one byte too far is seen. */
static int decode(const char *record, size_t n_record, struct kernel_message *ret)
{
	char *copy = malloc(n_record ?: 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, record, n_record);
	r = kernel_message_decode(copy, n_record, ret);
	free(copy);
	return r;
}

static int decode_text(const char *text, struct kernel_message *ret)
{
	char record[1024];
	int n = snprintf(record, sizeof(record), "3,2050,1961784215,-;%s\n", text);

	assert_in_range(n, 1, sizeof(record) - 1);
	return decode(record, (size_t)n, ret);
}

static void test_samples(void **state)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *sample = &samples[i];
		struct kernel_message message;

		if (decode_text(sample->text, &message) != 0 ||
		    strcmp(message.device, sample->device) != 0 ||
		    message.hint.kind != sample->kind || message.hint.error != sample->error ||
		    message.hint.inode != sample->inode)
			fail_msg("%s", sample->text);
		assert_int_equal(message.hint.has_inode, sample->inode != 0);
		assert_int_equal(message.hint.source, FUSION_SOURCE_KMSG);
		assert_int_equal(message.hint.count, 1);
		assert_int_equal(message.seq, 2050);
		assert_false(message.numbered);
	}
}

static void test_others(void **state)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct kernel_message message = { .device = "untouched" };

		if (decode_text(others[i], &message) != KERNEL_MESSAGE_OTHER)
			fail_msg("%s", others[i]);
		assert_string_equal(message.device, "untouched");
		assert_int_equal(message.seq, 2050);
	}
}

/* Each pattern says of which device, and is spelled so that it can be read. */
static void test_patterns(void **state)
{
	for (const struct kernel_pattern *pattern = kernel_patterns; pattern->text; pattern++) {
		struct kernel_message message;

		assert_true(strstr(pattern->text, "%D") || strstr(pattern->text, "%J"));
		for (const char *at = strchr(pattern->text, '%'); at; at = strchr(at + 2, '%'))
			assert_non_null(strchr("DJswdxiXeb", at[1]));
		assert_false(kernel_pattern_match(pattern, (struct span){ "", 0 }, &message));
	}
}

static void test_foreign(void **state)
{
	static const char text[] = "XFS (loop0): User initiated shutdown received.\n";
	struct kernel_message message = { .device = "untouched" };
	char record[256];

	/* Whatever a process writes, "<0>..." too, has a facility of at least 1. */
	for (unsigned int priority = 0; priority < 256; priority++) {
		int n = snprintf(record, sizeof(record), "%u,77,1,-;%s", priority, text);
		int r = decode(record, (size_t)n, &message);

		assert_int_equal(r, priority < 8 ? 0 : KERNEL_MESSAGE_FOREIGN);
		assert_int_equal(message.seq, 77);
	}

	message = (struct kernel_message){ .device = "untouched" };
	assert_int_equal(decode("12,78,1,-;XFS (a): User initiated shutdown received.", 52,
				&message),
			 KERNEL_MESSAGE_FOREIGN);
	assert_string_equal(message.device, "untouched");
	assert_int_equal(message.seq, 78);
}

#define DECODE(_record, _ret) decode("" _record, sizeof(_record) - 1, _ret)

static void test_numbered(void **state)
{
	struct kernel_message message;

	assert_int_equal(DECODE("3,1,1,-,caller=T1;Aborting journal on device loop0-8.\n"
				" SUBSYSTEM=block\n DEVICE=b7:64\n",
				&message),
			 0);
	assert_true(message.numbered);
	assert_int_equal(message.major, 7);
	assert_int_equal(message.minor, 64);
	assert_string_equal(message.device, "");

	/* a character device, a number that is none, a line of the text itself */
	assert_int_equal(
		DECODE("3,1,1,-;Aborting journal on device loop0-8.\n DEVICE=c7:0\n", &message), 0);
	assert_false(message.numbered);
	assert_string_equal(message.device, "loop0");
	assert_int_equal(DECODE("3,1,1,-;Aborting journal on device loop0-8.\n DEVICE=b7:0x\n",
				&message),
			 0);
	assert_false(message.numbered);
	assert_int_equal(DECODE("3,1,1,-;Aborting journal on device loop0-8.\n"
				" DEVICE=b4294967296:0",
				&message),
			 0);
	assert_false(message.numbered);
	assert_int_equal(
		DECODE("3,1,1,-;Aborting journal on device loop0-8. DEVICE=b7:0\n", &message), 0);
	assert_false(message.numbered);
}

static void test_sector(void **state)
{
	struct kernel_message message;

	assert_int_equal(
		decode_text("I/O error, dev sda, sector 18446744073709551615 op 0x1:(WRITE) "
			    "flags 0x800 phys_seg 1 prio class 2",
			    &message),
		0);
	assert_true(message.has_sector);
	assert_int_equal(message.sector, UINT64_MAX);
	assert_int_equal(decode_text("critical medium error, dev nvme0n1, sector 8", &message), 0);
	assert_true(message.has_sector);
	assert_int_equal(message.sector, 8);

	/* of 4 KiB blocks, and of the device that it names */
	assert_int_equal(
		decode_text("Buffer I/O error on dev sda1, logical block 9, lost async page "
			    "write",
			    &message),
		0);
	assert_false(message.has_sector);
	assert_int_equal(
		decode_text("I/O error, dev sda, sector 18446744073709551616 op 0x1:(WRITE)",
			    &message),
		KERNEL_MESSAGE_OTHER);
	assert_int_equal(decode_text("I/O error, dev sda, sector op 0x1:(WRITE)", &message),
			 KERNEL_MESSAGE_OTHER);
}

static void test_names(void **state)
{
	static const struct {
		const char *text, *device;
	} names[] = {
		{ "XFS (pmem0.1): User initiated shutdown received.", "pmem0.1" },
		{ "EXT4-fs (md_a.b): re-mounted", "md_a.b" },
		{ "Aborting journal on device pmem0.1-8.", "pmem0.1" },
		{ "Aborting journal on device pmem0.1.", "pmem0.1" },
		{ "a:b: writeback error on inode 131, offset 0, sector 192", "a:b" },
		{ "I/O error, dev md_a.b, sector 8 op 0x0:(READ) flags 0x0 phys_seg 1", "md_a.b" },
	};
	struct kernel_message message;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(decode_text(names[i].text, &message), 0);
		assert_string_equal(message.device, names[i].device);
	}
	assert_int_equal(decode_text("XFS (.a): User initiated shutdown received.", &message),
			 KERNEL_MESSAGE_OTHER);
	assert_int_equal(decode_text("XFS (a..b): User initiated shutdown received.", &message),
			 KERNEL_MESSAGE_OTHER);
	assert_int_equal(decode_text("XFS (a.): User initiated shutdown received.", &message),
			 KERNEL_MESSAGE_OTHER);
}

static void test_malformed(void **state)
{
	static const char *const records[] = {
		"",
		"3",
		"3,1,1,-",
		"3,1,1;text",
		"3,1;text",
		";text",
		"-3,1,1,-;text",
		"3,,1,-;text",
		"3,1,x,-;text",
		"18446744073709551616,1,1,-;text",
		"3,18446744073709551616,1,-;text",
		"x3,1,1,-;text",
	};

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		struct kernel_message message = { .seq = 77 };

		if (decode(records[i], strlen(records[i]), &message) != -EBADMSG)
			fail_msg("%s", records[i]);
		assert_int_equal(message.seq, 77);
	}
}

static void test_device_length(void **state)
{
	struct kernel_message message;
	char text[256], name[80];

	for (size_t n = 1; n < sizeof(name); n++) {
		memset(name, 'a', n);
		name[n] = '\0';
		snprintf(text, sizeof(text), "XFS (%s): User initiated shutdown received.", name);
		assert_int_equal(decode_text(text, &message),
				 n < KERNEL_DEVICE_MAX ? 0 : KERNEL_MESSAGE_OTHER);
		if (n < KERNEL_DEVICE_MAX)
			assert_string_equal(message.device, name);
	}
}

/* Cut anywhere, each record is read to its end and no further. */
static void test_cut(void **state)
{
	char record[1024];

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		struct kernel_message message;
		int n_record = snprintf(record, sizeof(record), "3,1,1,-;%s\n DEVICE=b7:0\n",
					samples[i].text);

		assert_in_range(n_record, 1, sizeof(record) - 1);
		for (size_t n = 0; n < 8; n++)
			assert_int_equal(decode(record, n, &message), -EBADMSG);
		for (size_t n = 8; n <= (size_t)n_record; n++)
			assert_in_range(decode(record, n, &message), 0, KERNEL_MESSAGE_OTHER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),	 cmocka_unit_test(test_others),
		cmocka_unit_test(test_patterns), cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_numbered), cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_sector),	 cmocka_unit_test(test_names),
		cmocka_unit_test(test_cut),	 cmocka_unit_test(test_device_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
