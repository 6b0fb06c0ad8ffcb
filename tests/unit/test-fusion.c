/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/core/capability.h"
#include "tests/unit/fusion-fixture.h"

/* A filesystem that was fine when it was seen first. */
static struct fs *sound(const char *type)
{
	static struct fs fs;

	fs_init(&fs, type);
	fs_look(&fs);
	fs_pass(&fs, 60 * SECOND);
	assert_int_equal(fs.n_told, 0);
	assert_int_equal(fusion_reason(&fs.fusion), READ_ONLY_NO);
	assert_false(fusion_has_failed(&fs.fusion));
	fs.looks_by_itself = true;
	return &fs;
}

/* --- errors */

static void test_corrupted(void **state)
{
	struct fs *fs = sound("ext4");

	fs->look.counters = (struct fusion_counters){ .corrupted = 1, .last_error = EUCLEAN };
	HINT(fs, CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = 12, .pid = 7);
	HINT(fs, LOOK, EXT4);
	HINT(fs, LOOK, KMSG, .has_inode = true, .inode = 12);
	fs_pass(fs, 100 * SECOND);

	assert_string_equal(fs_codes(fs), "corrupted");
	assert_int_equal(fs->told[0].fact.error, EUCLEAN);
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_FANOTIFY);
	assert_int_equal(fs->told[0].fact.severity, SEVERITY_CRITICAL);
	assert_int_equal(fs->told[0].fact.inode, 12);
	assert_int_equal(fs->told[0].fact.pid, 7);
	assert_int_equal(fs->told[0].fact.count, 1);
	assert_false(fs->told[0].fact.initial);
	assert_in_range(fs->told[0].at_us, 160 * SECOND, 160 * SECOND + 50 * MS);
	assert_true(fusion_has_failed(&fs->fusion));
	assert_int_equal(fusion_error_count(&fs->fusion), 1);
	assert_int_equal(fusion_reason(&fs->fusion), READ_ONLY_NO);
}

/* Nobody told but the counter. */
static void test_counter_alone(void **state)
{
	struct fs *fs = sound("ext4");

	fs->look.counters = (struct fusion_counters){ .corrupted = 3, .last_error = EBADMSG };
	HINT(fs, LOOK, EXT4);
	fs_pass(fs, 100 * MS);
	assert_int_equal(fs->n_told, 0);
	assert_int_equal(fusion_error_count(&fs->fusion), 3);
	fs_pass(fs, 200 * MS);
	assert_string_equal(fs_codes(fs), "corrupted");
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_EXT4);
	assert_int_equal(fs->told[0].fact.count, 3);
	assert_int_equal(fs->told[0].fact.error, EBADMSG);

	/* Two of them are told by a late hint, which pays; its third is news. */
	HINT(fs, CORRUPTED, FANOTIFY, .error = EBADMSG, .count = 2);
	fs_pass(fs, 5 * SECOND);
	assert_int_equal(fs->n_told, 1);
	assert_int_equal(fusion_error_count(&fs->fusion), 3);
	fs->look.counters.corrupted = 4;
	HINT(fs, CORRUPTED, FANOTIFY, .error = EBADMSG, .count = 2);
	fs_pass(fs, 5 * SECOND);
	assert_string_equal(fs_codes(fs), "corrupted corrupted");
	assert_int_equal(fs->told[1].fact.count, 1);
	assert_int_equal(fs->told[1].fact.source, FUSION_SOURCE_FANOTIFY);
	assert_int_equal(fusion_error_count(&fs->fusion), 4);
}

/* The hint comes before the counter moves, and is not counted twice. */
static void test_counter_late(void **state)
{
	struct fs *fs = sound("ext4");

	HINT(fs, CORRUPTED, FANOTIFY, .error = EUCLEAN);
	assert_int_equal(fusion_error_count(&fs->fusion), 1);
	fs_pass(fs, 100 * MS);
	fs->look.counters.corrupted = 1;
	HINT(fs, LOOK, EXT4);
	fs_pass(fs, 100 * SECOND);
	assert_string_equal(fs_codes(fs), "corrupted");
	assert_int_equal(fusion_error_count(&fs->fusion), 1);

	/* A hint that no counter will ever show takes nothing from later ones. */
	HINT(fs, CORRUPTED, FANOTIFY, .error = EUCLEAN);
	fs_pass(fs, 2 * SECOND);
	fs_look(fs);
	fs->look.counters.corrupted = 2;
	fs_look(fs);
	fs_pass(fs, 100 * SECOND);
	assert_int_equal(fusion_error_count(&fs->fusion), 3);
}

/* No memory: ext4 counts it as an error, and so it is one, of one code and once. */
static void test_no_memory(void **state)
{
	struct fs *fs = sound("xfs");
	struct fs found;

	assert_int_equal(fusion_error_kind(ENOMEM), FUSION_HINT_LOOK);
	HINT(fs, LOOK, FANOTIFY, .error = ENOMEM);
	fs_pass(fs, 100 * SECOND);
	assert_int_equal(fs->asked, 1);
	assert_int_equal(fs->n_told, 0);

	fs = sound("ext4");
	fs->look.counters = (struct fusion_counters){ .io_error = 1, .last_error = ENOMEM };
	HINT(fs, LOOK, FANOTIFY, .error = ENOMEM);
	HINT(fs, LOOK, EXT4);
	fs_pass(fs, 100 * SECOND);
	assert_string_equal(fs_codes(fs), "io-error");
	assert_int_equal(fs->told[0].fact.error, ENOMEM);
	assert_int_equal(fusion_error_count(&fs->fusion), 1);

	fs_init(&found, "ext4");
	found.look.counters = fs->look.counters;
	fs_look(&found);
	assert_string_equal(fs_codes(&found), "io-error");
}

static void test_counter_reset(void **state)
{
	struct fs *fs = sound("btrfs");

	fs->look.counters.io_error = 5;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "io-error");
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_BTRFS);
	assert_int_equal(fs->told[0].fact.count, 5);
	fs->look.counters.io_error = 0;
	fs_look(fs);
	assert_int_equal(fusion_error_count(&fs->fusion), 5);
	fs_pass(fs, 100 * SECOND);
	fs->look.counters.corrupted = 1;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "io-error corrupted");
	assert_int_equal(fusion_error_count(&fs->fusion), 6);
}

/* Twelve lines of the kernel, the first without an inode: one loss. */
static void test_writeback(void **state)
{
	struct fs *fs = sound("ext4");

	HINT(fs, WRITEBACK_ERROR, KMSG, .error = ENOSPC);
	fs_pass(fs, MS);
	HINT(fs, WRITEBACK_ERROR, KMSG, .error = ENOSPC, .has_inode = true, .inode = 12);
	for (unsigned int i = 0; i < 10; i++) {
		fs_pass(fs, MS);
		HINT(fs, WRITEBACK_ERROR, KMSG, .error = EIO);
	}
	fs_pass(fs, 100 * SECOND);
	assert_string_equal(fs_codes(fs), "writeback-error");
	assert_int_equal(fs->told[0].fact.error, ENOSPC);
	assert_int_equal(fs->told[0].fact.inode, 12);
	assert_int_equal(fs->told[0].fact.count, 12);
	assert_int_equal(fusion_error_count(&fs->fusion), 12);
	assert_int_equal(fusion_reason(&fs->fusion), READ_ONLY_NO);
}

/* The name of the file comes when somebody else makes the kernel say something. */
static void test_writeback_named_late(void **state)
{
	struct fs *fs = sound("xfs");

	HINT(fs, WRITEBACK_ERROR, KMSG, .error = ENOSPC);
	fs_pass(fs, 2250 * MS);
	HINT(fs, WRITEBACK_ERROR, KMSG, .error = EIO, .has_inode = true, .inode = 131);
	fs_pass(fs, SECOND);
	HINT(fs, WRITEBACK_ERROR, KMSG, .error = ENOSPC);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "writeback-error");
	assert_int_equal(fs->told[0].fact.error, ENOSPC);
	HINT(fs, WRITEBACK_ERROR, KMSG, .error = EIO, .has_inode = true, .inode = 132);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "writeback-error writeback-error");
	assert_int_equal(fs->told[1].fact.inode, 132);
	fs_pass(fs, 100 * SECOND);
	assert_int_equal(fs->n_told, 2);
	assert_int_equal(fusion_error_count(&fs->fusion), 4);
}

/* What btrfs counts, it has logged or the block layer has: not twice. */
static void test_btrfs_checksum(void **state)
{
	struct fs *fs = sound("btrfs");

	HINT(fs, CORRUPTED, KMSG, .error = EBADMSG, .has_inode = true, .inode = 257);
	fs->look.counters.corrupted = 1;
	HINT(fs, LOOK, KMSG);
	fs_pass(fs, 100 * SECOND);
	assert_string_equal(fs_codes(fs), "corrupted");
	assert_int_equal(fusion_error_count(&fs->fusion), 1);

	fs_forget(fs);
	HINT(fs, WRITEBACK_ERROR, KMSG, .error = EIO);
	fs->look.counters.io_error = 1;
	HINT(fs, LOOK, KMSG);
	fs_pass(fs, 100 * SECOND);
	assert_string_equal(fs_codes(fs), "writeback-error");
	assert_int_equal(fusion_error_count(&fs->fusion), 2);
}

/* The kernel limits its messages: what the counter shows besides belongs to what was told. */
static void test_btrfs_surplus(void **state)
{
	struct fs *fs = sound("btrfs");

	HINT(fs, CORRUPTED, KMSG, .error = EBADMSG, .has_inode = true, .inode = 257);
	fs->look.counters.corrupted = 1;
	fs_look(fs);
	fs_pass(fs, 1090 * MS);
	fs->look.counters.corrupted = 8;
	fs_look(fs);
	fs_pass(fs, 9 * SECOND);
	fs->look.counters.corrupted = 9;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "corrupted");
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_KMSG);
	assert_int_equal(fusion_error_count(&fs->fusion), 9);

	/* many are a storm */
	fs_forget(fs);
	HINT(fs, CORRUPTED, KMSG, .error = EBADMSG, .has_inode = true, .inode = 258);
	fs->look.counters.corrupted = 1000;
	fs_look(fs);
	fs_pass(fs, 5 * SECOND);
	assert_string_equal(fs_codes(fs), "corrupted corrupted");
	assert_int_equal(fs->told[1].fact.count, 990);
	assert_int_equal(fs->told[1].fact.inode, 258);

	/* of another code, and after a while, it is a failure by itself */
	fs_forget(fs);
	fs->look.counters.io_error = 1;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "io-error");
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_BTRFS);
	fs_pass(fs, 20 * SECOND);
	fs->look.counters.corrupted = 1001;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "io-error corrupted");
	assert_false(fs->told[1].fact.has_inode);
	assert_int_equal(fusion_error_count(&fs->fusion), 1002);
}

static void test_several_objects(void **state)
{
	struct fs *fs = sound("ext4");
	uint64_t counted = 0;

	for (uint64_t inode = 11; inode < 111; inode++) {
		HINT(fs, CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = inode);
		HINT(fs, CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = inode);
	}
	fs->look.counters.corrupted = 200;
	fs_pass(fs, 100 * SECOND);
	assert_int_equal(fs->n_told, FUSION_OBJECTS);
	for (size_t i = 0; i < fs->n_told; i++) {
		assert_int_equal(fs->told[i].fact.has_inode, i < FUSION_OBJECTS - 1);
		counted += fs->told[i].fact.count;
	}
	assert_int_equal(counted, 200);
}

static void test_root(void **state)
{
	struct fs *fs = sound("ext4");

	fs->look.root_error = EIO;
	fs_look(fs);
	fs_look(fs);
	fs_pass(fs, 100 * SECOND);
	assert_string_equal(fs_codes(fs), "io-error");
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_ROOT);
	assert_int_equal(fs->told[0].fact.error, EIO);
	fs->look.root_error = 0;
	fs_look(fs);
	fs->look.root_error = EUCLEAN;
	fs_look(fs);
	fs_pass(fs, 100 * SECOND);
	assert_string_equal(fs_codes(fs), "io-error corrupted");

	/* no permission, no server: of no disk */
	fs = sound("nfs");
	for (size_t i = 0; i < 3; i++) {
		fs->look.root_error = (const int[]){ EACCES, ENOTCONN, ESTALE }[i];
		fs_look(fs);
	}
	fs_pass(fs, 100 * SECOND);
	assert_int_equal(fs->n_told, 0);
}

/* What a look finds, on whatever it is, is what was said that can come. */
static void test_root_capability(void **state)
{
	static const int errors[] = { EIO, EREMOTEIO, EUCLEAN, EBADMSG, ESHUTDOWN, ENOTCONN };
	static const struct {
		const char *type, *io, *damage; /* told where only looking tells, nobody else */
	} rows[] = {
		{ "ext4", "io-error", "corrupted" },
		{ "btrfs", "io-error", "corrupted" },
		{ "xfs", "shutdown", "" },
		{ "f2fs", "io-error", "io-error" },
		{ "vfat", "io-error", "io-error" },
		{ "iso9660", "io-error", "io-error" },
		{ "reiserfs", "io-error", "io-error" },
		{ "nfs4", "io-error", "io-error" },
		{ "fuse.sshfs", "io-error", "io-error" },
		{ "overlay", "", "" },
		{ "tmpfs", "", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned int set = 0; set < 16; set++)
			for (size_t j = 0; j < sizeof(errors) / sizeof(errors[0]); j++) {
				struct capability_sources sources = { set & 1, set & 2, set & 4,
								      set & 8 };
				struct superblock sb = { .key = { .major = 8 } };
				char type[16];
				struct fs *fs;

				snprintf(type, sizeof(type), "%s", rows[i].type);
				sb.type = type;
				fs = sound(type);
				fs->look.codes = capability_codes(&sb, &sources);
				fs->look.root_error = errors[j];
				fs_look(fs);
				fs_pass(fs, 100 * SECOND);
				if (set == 0 && (errors[j] == EIO || errors[j] == EUCLEAN))
					assert_string_equal(fs_codes(fs), errors[j] == EIO
										  ? rows[i].io
										  : rows[i].damage);
				for (size_t k = 0; k < fs->n_told; k++)
					assert_true(fs->look.codes & 1U << fs->told[k].fact.code);
			}
}

/* --- read-only */

static void test_administrator(void **state)
{
	static const char *const types[] = { "ext4", "xfs", "btrfs", "tmpfs" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct fs *fs = sound(types[i]);

		fs->look.read_only = true;
		fs_look(fs);
		fs_look(fs);
		fs_pass(fs, SECOND);
		assert_string_equal(fs_codes(fs), "read-only/admin");
		assert_int_equal(fs->told[0].fact.severity, SEVERITY_NOTICE);
		assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_STATMOUNT);
		assert_int_equal(fusion_reason(&fs->fusion), READ_ONLY_ADMIN);
		fs->look.read_only = false;
		fs_look(fs);
		assert_string_equal(fs_codes(fs), "read-only/admin read-write");
		assert_int_equal(fs->told[1].fact.severity, SEVERITY_NOTICE);
		assert_int_equal(fusion_reason(&fs->fusion), READ_ONLY_NO);
		assert_false(fusion_has_failed(&fs->fusion));
		fs_pass(fs, 100 * SECOND);
		assert_int_equal(fs->n_told, 2);
	}
}

/* By somebody who repairs, shortly after an error. */
static void test_administrator_after_error(void **state)
{
	struct fs *fs = sound("ext4");

	HINT(fs, CORRUPTED, FANOTIFY, .error = EUCLEAN);
	fs_pass(fs, 5 * SECOND);
	fs->look.read_only = true;
	fs_look(fs);
	HINT(fs, REMOUNTED, KMSG);
	fs_pass(fs, 20 * SECOND);
	assert_string_equal(fs_codes(fs), "corrupted read-only/admin");

	/* and where nobody says so */
	fs = sound("btrfs");
	HINT(fs, LOOK, KMSG, .error = EIO);
	fs_pass(fs, 5 * SECOND);
	fs->look.read_only = true;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "read-only/error");

	/* btrfs says it where it did so, if only later */
	for (unsigned int forced = 0; forced < 2; forced++) {
		fs = sound("btrfs");
		fs->look.heard = true;
		HINT(fs, CORRUPTED, KMSG, .error = EBADMSG);
		fs_pass(fs, 4 * SECOND);
		fs->look.read_only = true;
		fs_look(fs);
		fs_pass(fs, 10 * MS);
		if (forced)
			HINT(fs, FORCED_READ_ONLY, KMSG);
		fs_pass(fs, SECOND);
		assert_string_equal(fs_codes(fs), forced ? "corrupted read-only/error"
							 : "corrupted read-only/admin");
	}

	/* long after it, it is nobody's cause */
	fs = sound("btrfs");
	HINT(fs, LOOK, KMSG, .error = EIO);
	fs_pass(fs, 11 * SECOND);
	fs->look.read_only = true;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "read-only/admin");
}

static void test_forced(void **state)
{
	for (int late_ms = -40; late_ms <= 40; late_ms += 10) {
		struct fs *fs = sound("btrfs");

		if (late_ms <= 0) {
			HINT(fs, FORCED_READ_ONLY, KMSG);
			fs_pass(fs, (uint64_t)-late_ms * MS);
		}
		fs->look.read_only = true;
		fs_look(fs);
		if (late_ms > 0) {
			fs_pass(fs, (uint64_t)late_ms * MS);
			HINT(fs, FORCED_READ_ONLY, KMSG);
		}
		fs_pass(fs, SECOND);
		/* later than it may be, it is put right */
		assert_string_equal(fs_codes(fs), late_ms * MS < FUSION_SETTLE_US || late_ms < 0
							  ? "read-only/error"
							  : "read-only/admin read-only/error");
		assert_int_equal(fusion_reason(&fs->fusion), READ_ONLY_ERROR);
		assert_true(fusion_has_failed(&fs->fusion));

		/* Nothing is told again, whoever says it and however it looks. */
		fs_forget(fs);
		HINT(fs, FORCED_READ_ONLY, KMSG);
		HINT(fs, REMOUNTED, KMSG);
		fs->look.root_error = EIO;
		fs_look(fs);
		fs_pass(fs, 100 * SECOND);
		assert_int_equal(fs->n_told, 0);
		fs->look.root_error = 0;
		fs->look.read_only = false;
		fs_look(fs);
		fs->look.read_only = true;
		fs_look(fs);
		fs_pass(fs, SECOND);
		assert_string_equal(fs_codes(fs), "read-write read-only/admin");
	}
}

/* Remounted to and fro before anybody could look at it. */
static void test_flicker(void **state)
{
	struct fs *fs = sound("xfs");

	fs->look.read_only = true;
	fs_look(fs);
	fs->look.read_only = false;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_int_equal(fs->n_told, 0);
}

static void test_device(void **state)
{
	struct fs *fs = sound("ext4");

	fs->look.device_read_only = true;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "read-only/device");
	assert_int_equal(fs->told[0].fact.severity, SEVERITY_CRITICAL);
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_BLOCK);
	assert_int_equal(fusion_reason(&fs->fusion), READ_ONLY_DEVICE);

	/* The superblock follows and comes back: that is no news. */
	fs->look.read_only = true;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_int_equal(fusion_reason(&fs->fusion), READ_ONLY_DEVICE);
	fs->look.device_read_only = false;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_int_equal(fusion_reason(&fs->fusion), READ_ONLY_ADMIN);
	fs->look.device_read_only = true;
	fs->look.read_only = false;
	fs_look(fs);
	fs->look.device_read_only = false;
	fs_look(fs);
	assert_string_equal(fs_codes(fs), "read-only/device read-write");
	assert_false(fusion_has_failed(&fs->fusion));
}

/* What is not known changes nothing. */
static void test_unknown(void **state)
{
	struct fs *fs = sound("ext4");

	fs->look = (struct fusion_look){ .read_only = true,
					 .device_read_only = true,
					 .root_error = EIO,
					 .counters = { .corrupted = 5 } };
	fs_look(fs);
	fs_pass(fs, 100 * SECOND);
	assert_int_equal(fs->n_told, 0);

	fs->look.read_only_known = true;
	fs_look(fs);
	fs_pass(fs, SECOND);
	fs->look.read_only_known = fs->look.read_only = false;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "read-only/admin");
}

/* --- shutdown */

static void test_shutdown(void **state)
{
	struct fs *fs = sound("xfs");

	HINT(fs, IO_ERROR, KMSG, .error = ENOSPC);
	fs_pass(fs, 5 * MS);
	HINT(fs, SHUTDOWN, KMSG);
	HINT(fs, SHUTDOWN, KMSG);
	fs->look.root_error = EIO;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "shutdown");
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_KMSG);
	assert_int_equal(fs->told[0].fact.severity, SEVERITY_CRITICAL);
	assert_int_equal(fusion_reason(&fs->fusion), READ_ONLY_SHUTDOWN);
	assert_true(fusion_has_failed(&fs->fusion));

	/* What follows from it is counted, what was damaged before is told. */
	HINT(fs, WRITEBACK_ERROR, KMSG, .error = EIO, .has_inode = true, .inode = 131);
	HINT(fs, IO_ERROR, FANOTIFY, .error = EIO, .count = 100);
	HINT(fs, CORRUPTED, KMSG, .error = EUCLEAN);
	fs->look.read_only = true;
	fs_look(fs);
	fs_pass(fs, 100 * SECOND);
	assert_string_equal(fs_codes(fs), "shutdown");
	assert_int_equal(fusion_error_count(&fs->fusion), 103);
	HINT(fs, CORRUPTED, KMSG, .error = EUCLEAN, .has_inode = true, .inode = 131);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "shutdown corrupted");
}

static void test_shutdown_seen(void **state)
{
	struct fs *fs = sound("xfs");

	fs->look.root_error = EIO;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "shutdown");
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_ROOT);

	fs = sound("ext4");
	fs->look.shutdown = true;
	fs->look.emergency = true;
	fs_look(fs);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "shutdown");
	assert_int_equal(fs->told[0].fact.source, FUSION_SOURCE_STATMOUNT);
}

/* Damage that the kernel met is the cause, and told before. */
static void test_shutdown_with_cause(void **state)
{
	struct fs *fs = sound("xfs");

	HINT(fs, SHUTDOWN, KMSG);
	HINT(fs, IO_ERROR, KMSG, .error = EIO);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "shutdown");

	fs = sound("xfs");
	HINT(fs, CORRUPTED, KMSG, .error = EUCLEAN);
	HINT(fs, SHUTDOWN, KMSG);
	fs_pass(fs, SECOND);
	assert_string_equal(fs_codes(fs), "corrupted shutdown");
}

/* False by some kernels of f2fs; true ones show when looked at. */
static void test_shutdown_by_errno(void **state)
{
	struct fs *fs = sound("f2fs");

	assert_int_equal(fusion_error_kind(ESHUTDOWN), FUSION_HINT_LOOK);
	HINT(fs, IO_ERROR, FANOTIFY, .error = ESHUTDOWN);
	assert_int_equal(fs->asked, 1);
	fs_pass(fs, 100 * SECOND);
	assert_int_equal(fs->n_told, 0);
	assert_false(fusion_has_failed(&fs->fusion));
}

/* --- first look */

static void test_found(void **state)
{
	struct fs fs;

	fs_init(&fs, "ext4");
	fs.look.read_only = true;
	fs.look.device_read_only = true;
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	assert_int_equal(fs.n_told, 0);
	assert_int_equal(fusion_reason(&fs.fusion), READ_ONLY_ADMIN);

	fs_init(&fs, "ext4");
	fs.look.counters = (struct fusion_counters){ .corrupted = 3, .last_error = EUCLEAN };
	fs.look.emergency = true;
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	assert_string_equal(fs_codes(&fs), "corrupted read-only/emergency");
	assert_true(fs.told[0].fact.initial && fs.told[1].fact.initial);
	assert_int_equal(fs.told[0].fact.count, 3);
	assert_int_equal(fs.told[0].fact.error, EUCLEAN);
	assert_int_equal(fusion_error_count(&fs.fusion), 3);
	assert_true(fusion_has_failed(&fs.fusion));

	fs_init(&fs, "ext4");
	fs.look.counters = (struct fusion_counters){ .io_error = 1, .last_error = EIO };
	fs_look(&fs);
	assert_string_equal(fs_codes(&fs), "io-error");

	fs_init(&fs, "xfs");
	fs.look.root_error = EIO;
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	assert_string_equal(fs_codes(&fs), "shutdown");
	assert_true(fs.told[0].fact.initial);

	/* Counters of btrfs are kept for ever: history. */
	fs_init(&fs, "btrfs");
	fs.look.counters.corrupted = 5;
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	assert_int_equal(fs.n_told, 0);
	assert_int_equal(fusion_error_count(&fs.fusion), 5);
	assert_false(fusion_has_failed(&fs.fusion));

	fs_init(&fs, "btrfs");
	fs.look.read_only = true;
	fs.look.root_error = EIO;
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	assert_string_equal(fs_codes(&fs), "read-only/error");
	assert_true(fs.told[0].fact.initial);
}

/* What a worker answers comes later than the rest. */
/* Nothing but the commit that never ends tells it from what an administrator does. */
static void test_found_aborted(void **state)
{
	struct fs fs;

	for (unsigned int committing = 0; committing < 2; committing++) {
		fs_init(&fs, "btrfs");
		fs.look.read_only = true;
		fs.look.committing = committing;
		fs_look(&fs);
		fs_pass(&fs, SECOND);
		assert_string_equal(fs_codes(&fs), committing ? "read-only/error" : "");
		assert_int_equal(fusion_reason(&fs.fusion),
				 committing ? READ_ONLY_ERROR : READ_ONLY_ADMIN);
		assert_int_equal(fusion_has_failed(&fs.fusion), committing);
	}

	assert_true(fs.told[0].fact.initial);
	assert_int_equal(fs.told[0].fact.severity, SEVERITY_CRITICAL);

	/* as the last thing before a remount */
	fs_init(&fs, "btrfs");
	fs.look.committing = true;
	fs_look(&fs);
	fs.look.read_only = true;
	fs_look(&fs);
	fs_pass(&fs, SECOND);
	assert_string_equal(fs_codes(&fs), "read-only/admin");
}

static void test_found_later(void **state)
{
	static const struct {
		const char *type, *told;
		bool read_only;
	} cases[] = {
		{ "btrfs", "read-only/error", true },
		{ "xfs", "shutdown", false },
		{ "xfs", "shutdown", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fs fs;

		fs_init(&fs, cases[i].type);
		fs.look.read_only = cases[i].read_only;
		fs.look.root_known = false;
		fs.look.usage = NULL;
		fs_look(&fs);
		fs_pass(&fs, SECOND);
		assert_int_equal(fs.n_told, 0);
		fs.look.root_known = true;
		fs.look.root_error = EIO;
		fs_look(&fs);
		fs_pass(&fs, 100 * SECOND);
		fs_look(&fs);
		fs_pass(&fs, 100 * SECOND);
		assert_string_equal(fs_codes(&fs), cases[i].told);
		assert_true(fs.told[0].fact.initial);
		assert_true(fusion_has_failed(&fs.fusion));
	}
}

static void test_hints_before_first_look(void **state)
{
	struct fs fs;

	fs_init(&fs, "ext4");
	HINT(&fs, CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = 12);
	HINT(&fs, SHUTDOWN, KMSG);
	fs_pass(&fs, SECOND);
	assert_string_equal(fs_codes(&fs), "corrupted");
	assert_int_equal(fusion_reason(&fs.fusion), READ_ONLY_NO);
	fs.look.counters.corrupted = 1;
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	assert_string_equal(fs_codes(&fs), "corrupted shutdown");
	assert_int_equal(fusion_error_count(&fs.fusion), 1);

	/* where nobody asked for them until then: all, the cause before the effect */
	fs_init(&fs, "ext4");
	for (unsigned int i = 0; i < 100; i++)
		HINT(&fs, LOOK, KMSG);
	for (unsigned int i = 0; i < 100; i++)
		HINT(&fs, CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = 12);
	HINT(&fs, IO_ERROR, KMSG, .error = EIO);
	HINT(&fs, FORCED_READ_ONLY, KMSG);
	HINT(&fs, FROZEN, MODULE);
	HINT(&fs, THAWED, MODULE);
	HINT(&fs, FROZEN, MODULE);
	assert_int_equal(fs.n_told, 0);
	fs.now_us += 5 * SECOND;
	fs.look.read_only = true;
	fs.look.counters.corrupted = 100;
	fs_look(&fs);
	assert_string_equal(fs_codes(&fs), "frozen corrupted io-error read-only/error");
	assert_int_equal(fs.told[1].fact.count, 100);
	assert_int_equal(fusion_error_count(&fs.fusion), 101);
	fs_pass(&fs, 100 * SECOND);
	assert_int_equal(fs.n_told, 4);

	/* Said of what was there before. */
	fs_init(&fs, "xfs");
	HINT(&fs, SHUTDOWN, KMSG);
	fs.now_us += 5 * SECOND;
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	assert_int_equal(fs.n_told, 0);
	fs_init(&fs, "xfs");
	HINT(&fs, SHUTDOWN, KMSG);
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	assert_int_equal(fs.n_told, 0);
}

/* All that a first look can tell at once has room. */
static void test_everything_before_first_look(void **state)
{
	struct fs fs;

	fs_init(&fs, "ext4");
	for (int kind = FUSION_HINT_CORRUPTED; kind <= FUSION_HINT_WRITEBACK_ERROR; kind++)
		for (uint64_t inode = 1; inode <= 2ULL * FUSION_OBJECTS; inode++)
			fs_hint(&fs, (struct fusion_hint){ .kind = (enum fusion_hint_kind)kind,
							   .source = FUSION_SOURCE_KMSG,
							   .has_inode = true,
							   .inode = inode });
	HINT(&fs, FROZEN, MODULE);
	fs.now_us += SECOND;
	fs.look.counters = (struct fusion_counters){ .corrupted = 100, .last_error = EUCLEAN };
	fs.look.emergency = true;
	fs.usage.available = fs.usage.files_available = 0;
	fs_look(&fs);
	assert_int_equal(fs.n_told, FUSION_ERROR_KINDS * FUSION_OBJECTS + 3);
	fs.look.emergency = false;
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	assert_int_equal(fusion_error_count(&fs.fusion),
			 100 + FUSION_ERROR_KINDS * 2 * FUSION_OBJECTS);
}

/* --- frozen */

static void test_frozen(void **state)
{
	struct fs *fs = sound("xfs");

	HINT(fs, THAWED, MODULE);
	HINT(fs, FROZEN, MODULE, .pid = 7);
	HINT(fs, FROZEN, MODULE);
	assert_true(fusion_is_frozen(&fs->fusion));
	HINT(fs, THAWED, MODULE);
	HINT(fs, THAWED, MODULE);
	assert_false(fusion_is_frozen(&fs->fusion));
	assert_string_equal(fs_codes(fs), "frozen thawed");
	assert_int_equal(fs->told[0].fact.severity, SEVERITY_NOTICE);
	assert_int_equal(fs->told[0].fact.pid, 7);
	assert_int_equal(fs->told[1].fact.severity, SEVERITY_INFO);
	assert_int_equal(fs->asked, 0);
}

static void test_names(void **state)
{
	for (int i = FUSION_SOURCE_FANOTIFY; i <= FUSION_SOURCE_MODULE; i++)
		for (int j = FUSION_SOURCE_FANOTIFY; j < i; j++)
			assert_string_not_equal(fusion_source_name((enum fusion_source)i),
						fusion_source_name((enum fusion_source)j));
	assert_string_equal(fusion_source_name(FUSION_SOURCE_FANOTIFY), "fanotify");
	assert_string_equal(fusion_source_name(FUSION_SOURCE_MODULE), "module");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corrupted),
		cmocka_unit_test(test_counter_alone),
		cmocka_unit_test(test_counter_late),
		cmocka_unit_test(test_counter_reset),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_writeback),
		cmocka_unit_test(test_writeback_named_late),
		cmocka_unit_test(test_btrfs_checksum),
		cmocka_unit_test(test_several_objects),
		cmocka_unit_test(test_btrfs_surplus),
		cmocka_unit_test(test_root),
		cmocka_unit_test(test_root_capability),
		cmocka_unit_test(test_administrator),
		cmocka_unit_test(test_administrator_after_error),
		cmocka_unit_test(test_forced),
		cmocka_unit_test(test_flicker),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_shutdown_seen),
		cmocka_unit_test(test_shutdown_with_cause),
		cmocka_unit_test(test_shutdown_by_errno),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_found_aborted),
		cmocka_unit_test(test_found_later),
		cmocka_unit_test(test_hints_before_first_look),
		cmocka_unit_test(test_everything_before_first_look),
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
