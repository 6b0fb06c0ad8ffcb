/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The mount table source on real mounts: what comes, goes, moves, hides and is
 * replaced, names of all bytes, namespaces, and kernels that know less.
 */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "daemon/source/namespace.h"
#include "daemon/source/statmount.h"
#include "tests/io/mounts-fixture.h"

static void test_first_reading(void **state)
{
	struct world *world = *state;
	struct superblock *sb = superblock_at(world, SCRATCH "/x");

	assert_non_null(sb);
	assert_string_equal(sb->type, "tmpfs");
	assert_string_equal(superblock_display_mount(sb)->where, SCRATCH);
	assert_int_equal(readings(world), 1);
	compare_with_kernel(world);

	/* On a kernel that has unique ids, they are used. */
	if (unique_id_of("/"))
		assert_non_null(strstr(mounts_source(world->mounts), "mountinfo+listmount"));
	else
		assert_null(strstr(mounts_source(world->mounts), "listmount"));
	print_message("source %s\n", mounts_source(world->mounts));
}

static void test_life_of_a_mount(void **state)
{
	struct world *world = *state;
	struct superblock *sb;
	uint64_t begin = clock_us(CLOCK_MONOTONIC);

	mount_tmpfs(SCRATCH "/a");
	settle(world);
	assert_int_equal(world->n_added, 1);
	sb = superblock_at(world, SCRATCH "/a/b");
	assert_string_equal(sb->source, "some source");
	assert_int_equal(sb->n_mounts, 1);
	assert_in_range(sb->mounts[0]->seen_us, begin, clock_us(CLOCK_MONOTONIC));

	/* A bind mount is one more mount of the same. */
	assert_return_code(mkdir(SCRATCH "/bind", 0700), errno);
	assert_return_code(mount(SCRATCH "/a", SCRATCH "/bind", NULL, MS_BIND, NULL), errno);
	settle(world);
	assert_int_equal(sb->n_mounts, 2);
	assert_ptr_equal(superblock_at(world, SCRATCH "/bind"), sb);

	/* Read-only: first the bind mount alone, then all of it. */
	assert_return_code(
		mount(NULL, SCRATCH "/bind", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), errno);
	settle(world);
	assert_false(sb->read_only);
	assert_false(sb->mounts[0]->read_only);
	assert_true(sb->mounts[1]->read_only);
	assert_return_code(mount(NULL, SCRATCH "/a", NULL, MS_REMOUNT | MS_RDONLY, NULL), errno);
	settle(world);
	assert_true(sb->read_only);
	assert_int_equal(world->n_changed, 3);

	/* Moved: another place, no other superblock. */
	assert_return_code(mkdir(SCRATCH "/moved", 0700), errno);
	assert_return_code(mount(SCRATCH "/bind", SCRATCH "/moved", NULL, MS_MOVE, NULL), errno);
	settle(world);
	assert_ptr_equal(superblock_at(world, SCRATCH "/moved"), sb);
	assert_return_code(umount2(SCRATCH "/a", 0), errno);
	settle(world);
	assert_int_equal(sb->n_mounts, 1);
	assert_int_equal(world->n_removed, 0);

	/* Unmounted lazily while somebody is in it: gone as far as can be seen. */
	assert_return_code(chdir(SCRATCH "/moved"), errno);
	assert_return_code(umount2(SCRATCH "/moved", MNT_DETACH), errno);
	settle(world);
	assert_int_equal(world->n_removed, 1);
	assert_int_equal(world->n_added, 1);
	assert_return_code(chdir("/"), errno);
	compare_with_kernel(world);
}

static void test_overmount(void **state)
{
	struct world *world = *state;
	struct superblock *lower, *upper;

	mount_tmpfs(SCRATCH "/a");
	settle(world);
	lower = superblock_at(world, SCRATCH "/a");
	mount_tmpfs(SCRATCH "/a");
	settle(world);
	upper = superblock_at(world, SCRATCH "/a");
	assert_ptr_not_equal(lower, upper);
	assert_false(lower->mounts[0]->reachable);
	assert_null(superblock_display_mount(lower));
	compare_with_kernel(world);

	assert_return_code(umount2(SCRATCH "/a", 0), errno);
	settle(world);
	assert_ptr_equal(superblock_at(world, SCRATCH "/a"), lower);
	assert_true(lower->mounts[0]->reachable);

	/* A later mount on a folder between hides what is mounted below it. */
	assert_return_code(mkdir(SCRATCH "/p", 0700), errno);
	mount_tmpfs(SCRATCH "/p/q");
	mount_tmpfs(SCRATCH "/p");
	settle(world);
	compare_with_kernel(world);
	assert_string_equal(superblock_display_mount(superblock_at(world, SCRATCH "/p/q"))->where,
			    SCRATCH "/p");
	assert_return_code(umount2(SCRATCH "/p", 0), errno);
	assert_return_code(umount2(SCRATCH "/p/q", 0), errno);
	assert_return_code(umount2(SCRATCH "/a", 0), errno);
	settle(world);
	compare_with_kernel(world);
}

static void test_names(void **state)
{
	static const char *const names[] = {
		SCRATCH "/new\nline",	 SCRATCH "/\xff\xfe\x80",
		SCRATCH "/a b\tc",	 SCRATCH "/back\\040slash",
		SCRATCH "/#hash",	 SCRATCH "/1 1 0:1 - tmpfs x rw\n2 1 0:2 ",
		SCRATCH "/\xe2\x80\xae",
	};
	struct world *world = *state;
	struct mounts_statistics statistics;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		mount_tmpfs(names[i]);
	settle(world);
	compare_with_kernel(world);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct superblock *sb = superblock_at(world, names[i]);

		assert_non_null(sb);
		assert_string_equal(sb->mounts[0]->where, names[i]);
		assert_return_code(umount2(names[i], 0), errno);
	}

	/* An empty source, and the root of a bind mount that is unlinked. */
	assert_return_code(mkdir(SCRATCH "/e", 0700), errno);
	assert_return_code(mkdir(SCRATCH "/gone", 0700), errno);
	assert_return_code(mkdir(SCRATCH "/b", 0700), errno);
	assert_return_code(mount("", SCRATCH "/e", "tmpfs", 0, NULL), errno);
	assert_return_code(mount(SCRATCH "/gone", SCRATCH "/b", NULL, MS_BIND, NULL), errno);
	assert_return_code(rmdir(SCRATCH "/gone"), errno);
	mount_tmpfs(SCRATCH "/n");
	settle(world);
	assert_string_equal(superblock_at(world, SCRATCH "/e")->source, "");
	compare_with_kernel(world);

	mounts_statistics(world->mounts, &statistics);
	assert_int_equal(statistics.skipped_lines, 0);
}

/* Replaced between two readings: the same place, number and ids as far as the kernel gives them again. */
static void test_replaced(void **state)
{
	struct world *world = *state;

	if (!unique_id_of("/")) {
		print_message("no unique mount ids in this kernel\n");
		skip();
	}

	mount_tmpfs(SCRATCH "/a");
	settle(world);

	for (unsigned int i = 1; i <= 5; i++) {
		const struct fs_key key = superblock_at(world, SCRATCH "/a")->key;

		assert_return_code(umount2(SCRATCH "/a", 0), errno);
		mount_tmpfs(SCRATCH "/a");
		settle(world);
		assert_int_equal(world->n_removed, i);
		assert_int_equal(world->n_added, i + 1);
		assert_null(superblock_table_find(world->table, &key));
		compare_with_kernel(world);
	}
}

static int detached_mount(const char *type)
{
	int fd = (int)syscall(SYS_fsopen, type, 1 /* FSOPEN_CLOEXEC */), mount_fd;

	assert_return_code(fd, errno);
	assert_return_code(syscall(SYS_fsconfig, fd, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0),
			   errno);
	mount_fd = (int)syscall(SYS_fsmount, fd, 1 /* FSMOUNT_CLOEXEC */, 0);
	assert_return_code(mount_fd, errno);
	close(fd);
	return mount_fd;
}

/* Created first and attached last: its unique id is below the last one known. */
static void test_attached_late(void **state)
{
	struct world *world = *state;
	int early = detached_mount("tmpfs");

	mount_tmpfs(SCRATCH "/later");
	settle(world);
	assert_return_code(mkdir(SCRATCH "/early", 0700), errno);
	assert_return_code(syscall(SYS_move_mount, early, "", AT_FDCWD, SCRATCH "/early",
				   4 /* MOVE_MOUNT_F_EMPTY_PATH */),
			   errno);
	settle(world);
	assert_string_equal(superblock_at(world, SCRATCH "/early")->mounts[0]->where,
			    SCRATCH "/early");
	compare_with_kernel(world);
	assert_int_equal(superblock_at(world, SCRATCH "/early")->mounts[0]->unique_id,
			 unique_id_of(SCRATCH "/early"));
	close(early);
}

/* What the kernel says about emergency_ro and the like, without touching the mount. */
static void test_options(void **state)
{
	struct world *world = *state;
	const struct superblock *sb;
	char options[4096];
	int r;

	mount_tmpfs(SCRATCH "/a");
	settle(world);
	sb = superblock_at(world, SCRATCH "/a");
	r = statmount_options(sb->mounts[0]->unique_id, options, sizeof(options));
	if (r == -EOPNOTSUPP) {
		print_message("no statmount options in this kernel\n");
		skip();
	}

	assert_int_equal(r, 0);
	assert_non_null(strstr(options, "size=64k"));
	assert_int_equal(statmount_options(sb->mounts[0]->unique_id, options, 4), -EOVERFLOW);
	assert_int_equal(statmount_options(UINT64_MAX / 2, options, sizeof(options)), -ENOENT);
}

/* From another mount namespace back to that of PID 1. */
static void test_enter_namespace(void **state)
{
	bool entered = true;
	int status;
	pid_t pid;

	assert_int_equal(namespace_is_shared(), 1);
	assert_int_equal(mounts_enter_namespace(&entered), 0);
	assert_false(entered);

	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		char folder[16];

		if (unshare(CLONE_NEWNS) < 0 || chdir("/tmp") < 0 || namespace_is_shared() != 0)
			_exit(1);
		if (mounts_enter_namespace(&entered) != 0 || !entered || namespace_is_shared() != 1)
			_exit(2);
		_exit(getcwd(folder, sizeof(folder)) && strcmp(folder, "/") == 0 ? 0 : 3);
	}

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* In another namespace that it cannot leave: its own table is read. */
static void test_foreign_namespace(void **state)
{
	int status;
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		const struct mounts_options options = {};
		struct world world = {};

		if (unshare(CLONE_NEWNS) < 0 || mount("x", "/tmp", "tmpfs", 0, NULL) < 0 ||
		    sd_event_new(&world.loop) < 0 ||
		    superblock_table_new(&world.table, &table_ops, &world) < 0 ||
		    mounts_new(&world.mounts, world.loop, world.table, &options, &mounts_ops,
			       &world) < 0 ||
		    mounts_start(world.mounts) < 0)
			_exit(1);
		_exit(strcmp(superblock_at(&world, "/tmp")->source, "x") == 0 ? 0 : 2);
	}

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* From here on the kernel has neither listmount() nor statmount() nor fanotify. */
static int forget_new_calls(void)
{
	static struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_listmount, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_statmount, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fanotify_init, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
	};
	const struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int live_with_old_kernel(void)
{
	const struct mounts_options options = { .use_fanotify = true };
	struct world world = {};
	const struct superblock *sb;

	if (forget_new_calls() < 0 || sd_event_new(&world.loop) < 0 ||
	    superblock_table_new(&world.table, &table_ops, &world) < 0 ||
	    mounts_new(&world.mounts, world.loop, world.table, &options, &mounts_ops, &world) < 0 ||
	    mounts_start(world.mounts) < 0)
		return 1;
	if (strcmp(mounts_source(world.mounts), "mountinfo") != 0)
		return 2;

	if (mkdir(SCRATCH "/old", 0700) < 0 || mount("old", SCRATCH "/old", "tmpfs", 0, NULL) < 0)
		return 3;
	if (sd_event_run(world.loop, 1000000) < 0 || sd_event_run(world.loop, 1000000) < 0)
		return 4;

	sb = superblock_at(&world, SCRATCH "/old");
	if (strcmp(sb->source, "old") != 0 || sb->mounts[0]->unique_id != 0)
		return 5;

	mounts_free(world.mounts);
	superblock_table_free(world.table);
	sd_event_unref(world.loop);
	return umount2(SCRATCH "/old", 0) < 0 || world.n_removed != 0 ? 6 : 0;
}

static void test_old_kernel(void **state)
{
	int status;
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0)
		_exit(live_with_old_kernel());

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int run(void)
{
#define TEST(_name) cmocka_unit_test_setup_teardown(_name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_first_reading),
		TEST(test_life_of_a_mount),
		TEST(test_overmount),
		TEST(test_names),
		TEST(test_replaced),
		TEST(test_attached_late),
		TEST(test_options),
		cmocka_unit_test(test_enter_namespace),
		cmocka_unit_test(test_foreign_namespace),
		cmocka_unit_test(test_old_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return run_in_namespace(run);
}
