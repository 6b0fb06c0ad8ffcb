/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/core/mount-options.h"
#include "tests/unit/mount-fixture.h"

struct class_row {
	const char *line; /* from the device number on; mounted at "/m" unless it says otherwise */
	enum superblock_class class;
	bool is_default;
};

static const struct class_row class_rows[] = {
	{ "8:1 / /m rw - ext4 /dev/sda1 rw", SUPERBLOCK_LOCAL, true },
	{ "8:1 / /boot/efi rw - vfat /dev/sda1 rw", SUPERBLOCK_LOCAL, true },
	{ "0:31 /@ /m rw - btrfs /dev/sda1 rw", SUPERBLOCK_LOCAL, true },
	{ "0:31 / /m rw - zfs pool rw", SUPERBLOCK_LOCAL, true },
	{ "259:7 / /m rw - somefs /dev/nvme0n1p1 rw", SUPERBLOCK_LOCAL, true },
	{ "0:77 / /m rw - somefs none rw", SUPERBLOCK_FOREIGN, true },
	{ "0:5 / /tmp rw - tmpfs tmpfs rw", SUPERBLOCK_LOCAL, true },
	{ "0:5 / /runner rw - tmpfs tmpfs rw", SUPERBLOCK_LOCAL, true },
	{ "0:5 / /run rw - tmpfs tmpfs rw", SUPERBLOCK_LOCAL, false },
	{ "0:5 / /run/user/1000 rw - tmpfs tmpfs rw", SUPERBLOCK_LOCAL, false },
	{ "0:5 / /dev/shm rw - tmpfs tmpfs rw", SUPERBLOCK_LOCAL, false },
	{ "0:5 / /sys/fs/cgroup rw - tmpfs tmpfs rw", SUPERBLOCK_LOCAL, false },
	{ "0:5 / /proc/acpi ro - tmpfs tmpfs ro", SUPERBLOCK_LOCAL, false },
	{ "0:5 / /dev rw - devtmpfs devtmpfs rw", SUPERBLOCK_PSEUDO, false },
	{ "0:4 net:[4026532] /run/netns/a rw - nsfs nsfs rw", SUPERBLOCK_PSEUDO, false },
	{ "7:3 / /snap/core/1 ro - squashfs /dev/loop3 ro", SUPERBLOCK_LOCAL, false },
	{ "0:40 / /snap/core/1 ro - fuse.snapfuse snapfuse ro,user_id=0", SUPERBLOCK_FOREIGN,
	  false },
	{ "11:0 / /cdrom ro - iso9660 /dev/sr0 ro", SUPERBLOCK_LOCAL, false },
	{ "11:0 / /m ro - udf /dev/sr0 ro", SUPERBLOCK_LOCAL, false },
	{ "253:0 / /m ro - erofs /dev/dm-0 ro", SUPERBLOCK_LOCAL, false },
	/* FUSE: who mounted it decides, on a block device too */
	{ "8:17 / /m rw - fuseblk /dev/sdb1 rw,user_id=0,group_id=0,blksize=4096",
	  SUPERBLOCK_FOREIGN, true },
	{ "8:17 / /m rw - fuseblk /dev/sdb1 rw,user_id=1000,group_id=0", SUPERBLOCK_FOREIGN,
	  false },
	{ "0:50 / /m rw - fuse.sshfs host: rw,user_id=0", SUPERBLOCK_FOREIGN, true },
	{ "0:50 / /m rw - fuse.sshfs /dev/sda1 rw,user_id=1", SUPERBLOCK_FOREIGN, false },
	{ "0:50 / /m rw - fuse x rw,user_id=99999999999", SUPERBLOCK_FOREIGN, false },
	{ "0:50 / /m rw - fuse x rw,user_id=", SUPERBLOCK_FOREIGN, false },
	{ "0:50 / /m rw - fuse x rw,user_id=0,user_id=7", SUPERBLOCK_FOREIGN, false },
	{ "0:50 / /run/user/7/doc rw - fuse.portal portal rw,user_id=7", SUPERBLOCK_PSEUDO, false },
	{ "0:50 / /run/user/7/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw,user_id=7", SUPERBLOCK_PSEUDO,
	  false },
	{ "0:50 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw,user_id=0", SUPERBLOCK_PSEUDO, false },
	{ "0:50 / /m rw - fuse.glusterfs host:/v rw,user_id=0", SUPERBLOCK_FOREIGN, true },
	{ "0:50 / /m rw - nfs host:/v rw", SUPERBLOCK_FOREIGN, true },
	{ "8:20 / /m rw - gfs2 /dev/sdc rw", SUPERBLOCK_FOREIGN, true },
	/* a user's name for its own may look like another type's option, never like its owner */
	{ "0:5 / /tmp rw - tmpfs t rw,user_id=5", SUPERBLOCK_LOCAL, true },
	/* overlays */
	{ "0:60 / / rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/u,workdir=/w",
	  SUPERBLOCK_LOCAL, true },
	{ "0:60 / / rw - overlay overlay ro,lowerdir=/a:/b", SUPERBLOCK_LOCAL, false },
	{ "0:60 / /var/lib/docker/overlay2/x/merged rw - overlay overlay "
	  "rw,lowerdir=/a,upperdir=/u,workdir=/w",
	  SUPERBLOCK_LOCAL, false },
	{ "0:60 / / rw - overlay overlay "
	  "rw,lowerdir=/run/live/rootfs/filesystem/,upperdir=/run/live/overlay/rw",
	  SUPERBLOCK_LOCAL, false },
	{ "0:60 / / rw - overlay /cow "
	  "rw,lowerdir=/x:/minimal.squashfs,upperdir=/cow/upper,workdir=/cow/work",
	  SUPERBLOCK_LOCAL, false },
	{ "0:60 / / rw - overlay LiveOS_rootfs "
	  "rw,lowerdir=/run/rootfsbase,upperdir=/run/overlayfs,workdir=/run/w",
	  SUPERBLOCK_LOCAL, false },
	{ "0:60 / / rw - overlay a rw,lowerdir+=/x,lowerdir+=/cdrom,upperdir=/u,workdir=/w",
	  SUPERBLOCK_LOCAL, false },
	{ "0:60 / / rw - overlay a rw,lowerdir=/livestock:/x/cdrom,upperdir=/u,workdir=/w",
	  SUPERBLOCK_LOCAL, true },
	{ "0:60 / / rw - overlay a rw,lowerdir,upperdir,=,,upperdir=/u", SUPERBLOCK_LOCAL, true },
};

static void test_rows(void **state)
{
	struct fixture *fixture = *state;

	for (size_t i = 0; i < sizeof(class_rows) / sizeof(class_rows[0]); i++) {
		const struct class_row *row = &class_rows[i];
		const struct superblock *sb;
		char text[512];

		snprintf(text, sizeof(text), "9 1 %s\n", row->line);
		assert_int_equal(fixture_try(fixture, ""), 0);
		assert_int_equal(fixture_try(fixture, text), 0);
		sb = superblock_table_next(fixture->table, NULL);
		assert_non_null(sb);

		if (superblock_class(sb) != row->class ||
		    superblock_is_default(sb) != row->is_default)
			fail_msg("'%s': class %d, default %d", row->line, superblock_class(sb),
				 superblock_is_default(sb));
	}
}

/* Each is found: the lists are sorted as they must be. */
static void test_lists(void **state)
{
	static const char *const pseudo[] = {
		"aafs",	       "anon_inodefs", "autofs",    "bdev",	 "binder",
		"binfmt_misc", "bpf",	       "cgroup",    "cgroup2",	 "configfs",
		"cpuset",      "debugfs",      "devpts",    "devtmpfs",	 "drm",
		"efivarfs",    "functionfs",   "fusectl",   "hugetlbfs", "mqueue",
		"nsfs",	       "openpromfs",   "pidfs",	    "pipefs",	 "proc",
		"pstore",      "ramfs",	       "resctrl",   "rootfs",	 "rpc_pipefs",
		"s390_hypfs",  "securityfs",   "selinuxfs", "smackfs",	 "sockfs",
		"sysfs",       "tracefs",      "usbfs",	    "xenfs",
	};
	static const char *const foreign[] = {
		"9p",	  "afs",       "ceph", "cifs",	 "coda",   "fuse",     "fuseblk",
		"fuse.x", "glusterfs", "gfs2", "lustre", "ncpfs",  "nfs",      "nfs4",
		"ocfs2",  "orangefs",  "smb3", "smbfs",	 "vboxsf", "virtiofs",
	};
	static const char *const local[] = {
		"aufs", "bcachefs", "btrfs", "ecryptfs", "overlay", "tmpfs", "ubifs", "zfs",
	};
	struct superblock sb = {};

	for (size_t i = 0; i < sizeof(pseudo) / sizeof(pseudo[0]); i++) {
		sb.type = (char *)pseudo[i];
		if (superblock_class(&sb) != SUPERBLOCK_PSEUDO)
			fail_msg("%s", sb.type);
	}

	/* On a block device too; and local ones also without. */
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		sb.type = (char *)foreign[i];
		sb.key.major = 8;
		if (superblock_class(&sb) != SUPERBLOCK_FOREIGN)
			fail_msg("%s", sb.type);
	}

	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		sb.type = (char *)local[i];
		sb.key.major = 0;
		if (superblock_class(&sb) != SUPERBLOCK_LOCAL)
			fail_msg("%s", sb.type);
	}
}

static void test_tmpfs_with_a_mount_elsewhere(void **state)
{
	struct fixture *fixture = *state;
	struct superblock *sb;

	assert_int_equal(fixture_try(fixture, "1 0 0:5 / /run rw - tmpfs t rw\n"
					      "2 0 0:5 /x /srv rw - tmpfs t rw\n"),
			 0);
	sb = superblock_table_next(fixture->table, NULL);
	assert_true(superblock_is_default(sb));
}

static void test_options(void **state)
{
	static const char *const expected[] = { "rw", "", "a=b", "" };
	const char *options = "rw,,a=b,,", *option;
	size_t n, i = 0;

	while ((option = mount_options_next(&options, &n))) {
		assert_true(i < 4);
		assert_int_equal(n, strlen(expected[i]));
		assert_memory_equal(option, expected[i], n);
		i++;
	}
	assert_int_equal(i, 4);

	assert_true(mount_options_read_only("ro"));
	assert_true(mount_options_read_only("ro,noatime"));
	assert_false(mount_options_read_only("rw,ro"));
	assert_false(mount_options_read_only("root"));
	assert_false(mount_options_read_only("r"));
	assert_false(mount_options_read_only(""));

	assert_int_equal(mount_options_owner("fuse", "rw,user_id=4294967293"), 4294967293U);
	assert_int_equal(mount_options_owner("fuse", "rw,user_id=4294967294"), (uid_t)-2);
	assert_int_equal(mount_options_owner("fuse", "rw,user_id=-1"), (uid_t)-2);
	assert_int_equal(mount_options_owner("fuse", "rw"), 0);
	assert_int_equal(mount_options_owner("fuse.x", "user_id=3,rw"), 3);
	assert_int_equal(mount_options_owner("fusectl", "rw,user_id=3"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_tmpfs_with_a_mount_elsewhere, fixture_setup,
						fixture_teardown),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
