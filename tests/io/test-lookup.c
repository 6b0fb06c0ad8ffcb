/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/worker/reach.h"
#include "tests/io/fixture.h"
#include "tests/io/lookup-fixture.h"

#define USER 4711
#define GROUP 4712
#define OTHER 4713

static void handle_at(const char *path, struct handle *ret)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	assert_return_code(fd, errno);
	assert_return_code(handle_of(fd, ret), 0);
	close(fd);
}

static struct lookup_question *ask_handle(enum lookup_kind kind, const struct handle *handle)
{
	struct handle *kept = &batch.handles[batch.request.n_questions];
	struct lookup_question *question = batch_add(kind);

	*kept = *handle;
	question->handle = handle_view(kept);
	return question;
}

static struct lookup_question *ask(enum lookup_kind kind, const char *path)
{
	struct handle handle;

	handle_at(path, &handle);
	return ask_handle(kind, &handle);
}

static void ask_entry(const char *path, const char *name)
{
	struct lookup_question *question = ask(LOOKUP_ENTRY, path);

	question->name = name;
	question->n_name = strlen(name);
}

static int answer_error(size_t i)
{
	assert_true(i < batch.reply.n_answers);
	return batch.reply.answers[i].error;
}

/* That the chain is @path, from below, up to the directory @root. */
static void check_chain(size_t i, const char *root, const char *path)
{
	const struct lookup_answer *answer = &batch.reply.answers[i];
	char names[4096] = "";
	struct handle handle;
	struct handle_view view;

	assert_int_equal(answer_error(i), 0);
	assert_true(answer->n_links > 0);
	for (size_t k = answer->n_links - 1; k-- > 0;) {
		size_t n = strlen(names);

		snprintf(names + n, sizeof(names) - n, "%s%.*s", n > 0 ? "/" : "",
			 (int)answer->links[k].n_name, answer->links[k].name);
	}
	assert_string_equal(names, path);
	assert_null(answer->links[answer->n_links - 1].name);

	/* The handles are what the kernel gives for each on the way. */
	for (size_t k = 0; k < answer->n_links; k++) {
		char where[8192], *slash;

		snprintf(where, sizeof(where), "%s/%s", root, path);
		for (size_t up = 0; up < k && (slash = strrchr(where, '/')); up++)
			*slash = '\0';
		handle_at(where, &handle);
		view = handle_view(&handle);
		assert_true(handle_equal(&answer->links[k].handle, &view));
	}
}

static void check_chains(const char *where)
{
	struct mount mount = mount_of(where);
	struct handle gone, file;
	int fd, removed;

	assert_return_code(chdir(where), errno);
	make_directory("a");
	make_directory("a/b");
	make_directory("a/b/c (deleted)");
	make_directory("a/\n\xff");
	make_directory("gone");
	make_directory("removed");
	fd = open("a/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_return_code(fd, errno);
	close(fd);
	handle_at("gone", &gone);
	handle_at("a/file", &file);
	assert_return_code(rmdir("gone"), errno);
	removed = open("removed", O_PATH | O_CLOEXEC);

	batch_init(&mount);
	ask(LOOKUP_CHAIN, "a/b/c (deleted)");
	ask(LOOKUP_CHAIN, "a/\n\xff");
	ask(LOOKUP_CHAIN, "a/b");
	ask(LOOKUP_CHAIN, ".");
	ask_handle(LOOKUP_CHAIN, &gone);
	ask_handle(LOOKUP_CHAIN, &file);
	ask(LOOKUP_CHAIN, "removed");
	assert_return_code(rmdir("removed"), errno);
	assert_int_equal(batch_run(), 0);
	check_chain(0, where, "a/b/c (deleted)");
	check_chain(1, where, "a/\n\xff");
	check_chain(2, where, "a/b");
	check_chain(3, where, "");
	assert_int_equal(answer_error(4), -ESTALE);
	assert_int_equal(answer_error(5), -ENOTDIR);
	assert_int_equal(answer_error(6), -ESTALE);
	close(removed);

	/* Where it is now. */
	assert_return_code(rename("a/b", "moved"), errno);
	batch_init(&mount);
	ask(LOOKUP_CHAIN, "moved/c (deleted)");
	assert_int_equal(batch_run(), 0);
	check_chain(0, where, "moved/c (deleted)");
	assert_return_code(chdir("/"), errno);
}

static void test_chain(void **state)
{
	static const char *const types[] = { "ext4", "xfs", "btrfs" };

	mount_tmpfs("/mnt/chain-tmpfs", "mode=755");
	check_chains("/mnt/chain-tmpfs");
	assert_return_code(umount2("/mnt/chain-tmpfs", UMOUNT_NOFOLLOW), errno);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const char *size = strcmp(types[i], "xfs") == 0 ? "320M" : "128M";
		char where[64];

		snprintf(where, sizeof(where), "/mnt/chain-%s", types[i]);
		if (!mount_image(where, types[i], size)) {
			print_message("SKIPPED: mkfs.%s is missing\n", types[i]);
			continue;
		}
		check_chains(where);
		/* Nothing is held open. */
		assert_return_code(umount2(where, UMOUNT_NOFOLLOW), errno);
	}
}

static void test_deep(void **state)
{
	struct mount mount;
	char path[8192] = "/mnt/deep";

	mount_tmpfs("/mnt/deep", "mode=755");
	mount = mount_of("/mnt/deep");
	batch_init(&mount);
	for (unsigned int i = 1; i <= LOOKUP_DEPTH_MAX; i++) {
		strncat(path, "/d", sizeof(path) - strlen(path) - 1);
		make_directory(path);
		if (i == LOOKUP_DEPTH_MAX - 1)
			ask(LOOKUP_CHAIN, path);
	}
	ask(LOOKUP_CHAIN, path);
	assert_int_equal(batch_run(), 0);
	assert_int_equal(answer_error(0), 0);
	assert_int_equal(batch.reply.answers[0].n_links, LOOKUP_DEPTH_MAX);
	assert_int_equal(answer_error(1), -ELOOP);

	/* Alone too, when it is climbed step by step. */
	batch_init(&mount);
	ask(LOOKUP_CHAIN, path);
	assert_int_equal(batch_run(), 0);
	assert_int_equal(answer_error(0), -ELOOP);
	assert_return_code(umount2("/mnt/deep", UMOUNT_NOFOLLOW), errno);
}

/* Something is mounted over a directory on the way, and over an entry. */
static void test_overmounted(void **state)
{
	struct mount mount;
	struct handle inner, over;

	mount_tmpfs("/mnt/over", "mode=755");
	mount = mount_of("/mnt/over");
	make_directory("/mnt/over/a");
	make_directory("/mnt/over/a/b");
	make_directory("/mnt/over/a/b/c");
	handle_at("/mnt/over/a/b/c", &inner);
	handle_at("/mnt/over/a/b", &over);
	mount_tmpfs("/mnt/over/a/b", "mode=755");

	batch_init(&mount);
	ask_handle(LOOKUP_CHAIN, &inner);
	ask_entry("/mnt/over/a", "b");
	assert_int_equal(batch_run(), 0);
	assert_int_equal(answer_error(0), 0);
	assert_int_equal(batch.reply.answers[0].n_links, 4);
	assert_memory_equal(batch.reply.answers[0].links[1].name, "b", 1);
	assert_int_equal(answer_error(1), 0);
	assert_int_equal(batch.reply.answers[1].target.n, over.n);
	assert_memory_equal(batch.reply.answers[1].target.bytes, over.bytes, over.n);

	assert_return_code(umount2("/mnt/over/a/b", UMOUNT_NOFOLLOW), errno);
	assert_return_code(umount2("/mnt/over", UMOUNT_NOFOLLOW), errno);
}

/* A mount that shows a part: what is elsewhere has no place there. */
static void test_part(void **state)
{
	struct mount part;

	mount_tmpfs("/mnt/whole", "mode=755");
	make_directory("/mnt/whole/in");
	make_directory("/mnt/whole/in/d");
	make_directory("/mnt/whole/out");
	make_directory("/mnt/part");
	assert_return_code(mount("/mnt/whole/in", "/mnt/part", NULL, MS_BIND, NULL), errno);
	part = mount_of("/mnt/part");

	batch_init(&part);
	ask(LOOKUP_CHAIN, "/mnt/whole/in/d");
	ask(LOOKUP_CHAIN, "/mnt/whole/out");
	ask(LOOKUP_CHAIN, "/mnt/whole");
	ask_entry("/mnt/whole", "out");
	assert_int_equal(batch_run(), 0);
	check_chain(0, "/mnt/part", "d");
	assert_int_equal(answer_error(1), -EXDEV);
	assert_int_equal(answer_error(2), -EXDEV);
	assert_int_equal(answer_error(3), 0);

	/* Another mount is at that place. */
	part.id++;
	part.unique_id += part.unique_id != 0;
	batch_init(&part);
	ask(LOOKUP_CHAIN, "/mnt/whole/in/d");
	assert_int_equal(batch_run(), -ESTALE);
	assert_int_equal(batch.reply.n_answers, 0);

	assert_return_code(umount2("/mnt/part", UMOUNT_NOFOLLOW), errno);
	assert_return_code(umount2("/mnt/whole", UMOUNT_NOFOLLOW), errno);
}

/* A mounted subvolume: its root ends the chain; what is elsewhere is found from the top level. */
static void test_subvolume(void **state)
{
	struct mount mount;
	struct handle inner, nested, outer, root;
	struct handle_view view;
	const struct lookup_link *links;
	int r;

	if (system("command -v mkfs.btrfs >/dev/null && command -v btrfs >/dev/null") != 0) {
		print_message("SKIPPED: btrfs-progs is missing\n");
		skip();
	}
	r = system("cd /mnt && truncate -s 128M b.img && mkfs.btrfs -q b.img >/dev/null 2>&1 && "
		   "mkdir top sub && mount -o loop b.img top && "
		   "btrfs subvolume create top/s >/dev/null && "
		   "btrfs subvolume create top/s/nested >/dev/null && "
		   "btrfs subvolume create top/other >/dev/null && "
		   "mkdir top/s/d top/s/nested/d top/other/d && "
		   "mount -o subvol=s $(findmnt -no SOURCE top) sub");
	assert_int_equal(r, 0);
	handle_at("/mnt/sub/d", &inner);
	handle_at("/mnt/sub/nested/d", &nested);
	handle_at("/mnt/top/other/d", &outer);
	handle_at("/mnt/top", &root);
	assert_return_code(umount2("/mnt/top", UMOUNT_NOFOLLOW), errno);
	mount = mount_of("/mnt/sub");

	batch_init(&mount);
	batch.request.btrfs = true;
	ask_handle(LOOKUP_CHAIN, &inner);
	ask_handle(LOOKUP_CHAIN, &nested);
	ask_handle(LOOKUP_CHAIN, &outer);
	ask_handle(LOOKUP_ENTRY, &outer)->name = "none";
	batch.questions[3].n_name = 4;
	assert_int_equal(batch_run(), 0);
	check_chain(0, "/mnt/sub", "d");
	check_chain(1, "/mnt/sub", "nested/d");
	assert_int_equal(answer_error(2), 0);
	links = batch.reply.answers[2].links;
	assert_int_equal(batch.reply.answers[2].n_links, 3);
	assert_memory_equal(links[1].name, "other", 5);
	view = handle_view(&root);
	assert_true(handle_equal(&links[2].handle, &view));
	assert_int_equal(answer_error(3), -ENOENT);

	/* What was mounted for that moment changed nothing, and is gone. */
	assert_return_code(mkdir("/mnt/sub/writable", 0755), errno);
	assert_return_code(umount2("/mnt/sub", UMOUNT_NOFOLLOW), errno);
	assert_int_equal(system("cd /mnt && mkfs.btrfs -q -f b.img >/dev/null 2>&1 && rm b.img"),
			 0);
}

static void test_entry(void **state)
{
	struct mount mount;
	struct handle gone;
	struct stat st;
	int removed;

	mount_tmpfs("/mnt/entry", "mode=755");
	mount = mount_of("/mnt/entry");
	make_directory("/mnt/entry/d");
	make_directory("/mnt/entry/d/sub");
	make_directory("/mnt/entry/gone");
	assert_return_code(mkfifo("/mnt/entry/d/fifo", 0600), errno);
	assert_return_code(symlink("nowhere", "/mnt/entry/d/link"), errno);
	handle_at("/mnt/entry/gone", &gone);
	removed = open("/mnt/entry/gone", O_PATH | O_CLOEXEC);
	assert_return_code(rmdir("/mnt/entry/gone"), errno);

	batch_init(&mount);
	ask_entry("/mnt/entry/d", "sub");
	ask_entry("/mnt/entry/d", "fifo");
	ask_entry("/mnt/entry/d", "link");
	ask_entry("/mnt/entry/d", "none");
	ask_entry("/mnt/entry/d/fifo", "none");
	ask_handle(LOOKUP_ENTRY, &gone)->name = "none";
	batch.questions[5].n_name = 4;
	assert_int_equal(batch_run(), 0);
	for (size_t i = 0; i < 3; i++) {
		static const char *const paths[] = { "/mnt/entry/d/sub", "/mnt/entry/d/fifo",
						     "/mnt/entry/d/link" };
		const struct lookup_answer *answer = &batch.reply.answers[i];
		struct handle_view view;
		struct handle handle;

		assert_int_equal(answer->error, 0);
		assert_return_code(lstat(paths[i], &st), errno);
		assert_int_equal(answer->inode, st.st_ino);
		assert_int_equal(answer->is_directory, i == 0);
		handle_at(paths[i], &handle);
		view = handle_view(&handle);
		assert_true(handle_equal(&answer->target, &view));
	}
	assert_int_equal(answer_error(3), -ENOENT);
	assert_int_equal(answer_error(4), -ENOTDIR);
	assert_int_equal(answer_error(5), -ESTALE);
	close(removed);
	assert_return_code(umount2("/mnt/entry", UMOUNT_NOFOLLOW), errno);
}

/* The truth: a process of that user tries it. */
static bool user_may(const struct lookup_credential *credential, const char *path, int mode)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		gid_t group = credential->n_groups > 0 ? credential->groups[0] : (gid_t)-2;
		int fd = open(path, O_PATH | O_CLOEXEC);
		char name[64];

		if (fd < 0 || setgroups(credential->n_groups, credential->groups) < 0 ||
		    setresgid(group, group, group) < 0 ||
		    setresuid(credential->uid, credential->uid, credential->uid) < 0)
			_exit(2);
		snprintf(name, sizeof(name), "/proc/self/fd/%d%s", fd, mode == X_OK ? "/." : "");
		_exit(mode == X_OK ? access(name, F_OK) != 0 : open(name, O_RDONLY) < 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

static void effective_read(struct __user_cap_data_struct ret[static 2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	assert_return_code(syscall(SYS_capget, &header, ret), errno);
}

static void test_access(void **state)
{
	static const gid_t one[] = { USER }, two[] = { USER, GROUP };
	static const struct {
		const char *path;
		mode_t mode;
		uid_t uid;
		gid_t gid;
	} files[] = {
		{ "/mnt/access/755", 0755, 0, 0 },
		{ "/mnt/access/711", 0711, 0, 0 },
		{ "/mnt/access/744", 0744, 0, 0 },
		{ "/mnt/access/700", 0700, 0, 0 },
		{ "/mnt/access/own", 0700, USER, USER },
		{ "/mnt/access/own-none", 0077, USER, USER },
		{ "/mnt/access/group", 0750, 0, GROUP },
		{ "/mnt/access/group-none", 0705, 0, GROUP },
		{ "/mnt/access/root-group", 0750, OTHER, 0 },
		{ "/mnt/access/700/inside", 0755, 0, 0 },
	};
	const struct lookup_credential credentials[] = {
		{ .uid = USER, .groups = one, .n_groups = 1 },
		{ .uid = USER, .groups = two, .n_groups = 2 },
		{ .uid = OTHER },
		{ .uid = 0 },
	};
	const size_t n_files = sizeof(files) / sizeof(files[0]), n_credentials = 4;
	struct __user_cap_data_struct before[2], after[2];
	unsigned int n_denied = 0;
	struct mount mount;
	int death_signal, n_groups;
	size_t k = 0;

	mount_tmpfs("/mnt/access", "mode=755");
	mount = mount_of("/mnt/access");
	batch_init(&mount);
	memcpy(batch.credentials, credentials, sizeof(credentials));
	batch.request.n_credentials = n_credentials;
	for (size_t i = 0; i < n_files; i++) {
		make_directory(files[i].path);
		assert_return_code(chown(files[i].path, files[i].uid, files[i].gid), errno);
		assert_return_code(chmod(files[i].path, files[i].mode), errno);
		for (uint32_t c = 0; c < n_credentials; c++)
			ask(LOOKUP_ACCESS, files[i].path)->credential = c;
	}
	assert_return_code(prctl(PR_SET_PDEATHSIG, SIGUSR1), errno);
	effective_read(before);
	n_groups = getgroups(0, NULL);
	assert_int_equal(batch_run(), 0);

	for (size_t i = 0; i < n_files; i++) {
		for (size_t c = 0; c < n_credentials; c++, k++) {
			const struct lookup_answer *answer = &batch.reply.answers[k];
			bool read = user_may(&credentials[c], files[i].path, R_OK);

			assert_int_equal(answer->error, 0);
			assert_true(answer->is_directory);
			assert_int_equal(answer->may_read, read);
			assert_int_equal(answer->may_search,
					 user_may(&credentials[c], files[i].path, X_OK));
			n_denied += !read;
		}
	}
	assert_true(n_denied > n_files && n_denied < 3 * n_files);

	/* The worker is itself again. */
	effective_read(after);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(setfsuid((uid_t)-1), 0);
	assert_int_equal(setfsgid((gid_t)-1), 0);
	assert_int_equal(getgroups(0, NULL), n_groups);
	assert_int_equal(prctl(PR_GET_PDEATHSIG, &death_signal), 0);
	assert_int_equal(death_signal, SIGUSR1);
	assert_return_code(prctl(PR_SET_PDEATHSIG, 0), errno);
	assert_return_code(umount2("/mnt/access", UMOUNT_NOFOLLOW), errno);
}

/* Files: who may read one; and what is gone. */
static void test_access_file(void **state)
{
	struct mount mount;
	struct handle gone;
	int fd;

	mount_tmpfs("/mnt/file", "mode=755");
	mount = mount_of("/mnt/file");
	for (unsigned int i = 0; i < 3; i++) {
		static const char *const names[] = { "/mnt/file/644", "/mnt/file/600",
						     "/mnt/file/gone" };

		fd = open(names[i], O_CREAT | O_WRONLY | O_CLOEXEC, i == 1 ? 0600 : 0755);
		assert_return_code(fd, errno);
		if (i < 2)
			close(fd);
	}
	handle_at("/mnt/file/gone", &gone);
	assert_return_code(unlink("/mnt/file/gone"), errno);

	batch_init(&mount);
	batch.credentials[0] = (struct lookup_credential){ .uid = USER };
	batch.request.n_credentials = 1;
	ask(LOOKUP_ACCESS, "/mnt/file/644");
	ask(LOOKUP_ACCESS, "/mnt/file/600");
	ask_handle(LOOKUP_ACCESS, &gone);
	assert_int_equal(batch_run(), 0);
	assert_int_equal(answer_error(0), 0);
	assert_true(batch.reply.answers[0].may_read);
	assert_false(batch.reply.answers[0].may_search || batch.reply.answers[0].is_directory);
	assert_int_equal(answer_error(1), 0);
	assert_false(batch.reply.answers[1].may_read);
	assert_int_equal(answer_error(2), -ESTALE);
	close(fd);
	assert_return_code(umount2("/mnt/file", UMOUNT_NOFOLLOW), errno);
}

/* All that fits, through a worker; questions of all kinds and users in a row. */
static void test_full(void **state)
{
	_cleanup_(call_deinit) struct call call = {};
	struct fixture *fixture = *state;
	struct pool_submission s;
	struct lookup_reply reply;
	uint64_t identity = 0;
	struct mount mount;
	void *payload;

	if (!mount_image("/mnt/full", "ext4", "64M")) {
		print_message("SKIPPED: mkfs.ext4 is missing\n");
		skip();
	}
	mount = mount_of("/mnt/full");
	batch_init(&mount);
	batch.request.n_credentials = LOOKUP_CREDENTIALS_MAX;
	for (uint32_t c = 0; c < LOOKUP_CREDENTIALS_MAX; c++)
		batch.credentials[c].uid = USER + c;
	for (uint32_t i = 0; i < LOOKUP_QUESTIONS_MAX; i++) {
		static char names[LOOKUP_QUESTIONS_MAX][16];
		char path[64];

		snprintf(path, sizeof(path), "/mnt/full/d%u", i % 16);
		make_directory(path);
		snprintf(path, sizeof(path), "/mnt/full/d%u/s%u", i % 16, i);
		make_directory(path);
		assert_return_code(chown(path, USER + i % LOOKUP_CREDENTIALS_MAX, 0), errno);
		assert_return_code(chmod(path, i % 5 == 0 ? 0000 : 0500), errno);
		snprintf(names[i], sizeof(names[i]), "s%u", i);
		snprintf(path, sizeof(path), "/mnt/full/d%u", i % 16);
		if (i % 3 == 0)
			ask_entry(path, names[i]);
		snprintf(path, sizeof(path), "/mnt/full/d%u/s%u", i % 16, i);
		if (i % 3 == 1)
			ask(LOOKUP_CHAIN, path);
		if (i % 3 == 2)
			ask(LOOKUP_ACCESS, path)->credential = i % LOOKUP_CREDENTIALS_MAX;
	}

	for (unsigned int round = 0; round < 5; round++) {
		s = call_prepare(&call, POOL_LANE_LOCAL, 1);
		s.job = JOB_LOOKUP;
		assert_return_code(lookup_request_encode(&batch.request, &payload, &s.n_payload),
				   0);
		s.payload = payload;
		assert_return_code(pool_submit(fixture->pool, &s, NULL), 0);
		free(payload);
		assert_true(loop_until(fixture->loop, &call.done, PATIENCE_US));
		assert_int_equal(call.result, POOL_DONE);
		assert_return_code(lookup_reply_decode(call.reply, call.n_reply,
						       LOOKUP_QUESTIONS_MAX, &reply),
				   0);
		assert_int_equal(reply.error, 0);
		assert_true(reply.identity != 0 && (round == 0 || reply.identity == identity));
		identity = reply.identity;
		for (uint32_t i = 0; i < LOOKUP_QUESTIONS_MAX; i++) {
			const struct lookup_answer *answer = &reply.answers[i];

			assert_int_equal(answer->error, 0);
			if (i % 3 == 0)
				assert_true(answer->is_directory && answer->inode > 0);
			else if (i % 3 == 1)
				assert_int_equal(answer->n_links, 3);
			else
				assert_int_equal(answer->may_read && answer->may_search,
						 i % 5 != 0);
		}
		lookup_reply_deinit(&reply);
	}
	print_message("256 questions of 64 users and as many chains: %lu us\n",
		      (unsigned long)(call.ended_us - call.began_us));
	assert_return_code(umount2("/mnt/full", UMOUNT_NOFOLLOW), errno);
}

static void test_refused(void **state)
{
	static const char *const names[] = { "", ".", "..", "a/b" };
	struct mount mount = mount_of("/mnt");
	void *payload = NULL;
	size_t n;

	batch_init(&mount);
	ask(LOOKUP_ENTRY, "/mnt");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		batch.questions[0].name = names[i];
		batch.questions[0].n_name = strlen(names[i]);
		assert_int_equal(lookup_request_encode(&batch.request, &payload, &n), -EINVAL);
	}
	batch.questions[0].name = "a\0b";
	batch.questions[0].n_name = 3;
	assert_int_equal(lookup_request_encode(&batch.request, &payload, &n), -EINVAL);

	batch.request.n_questions = LOOKUP_QUESTIONS_MAX + 1;
	assert_int_equal(lookup_request_encode(&batch.request, &payload, &n), -E2BIG);
	batch.request.n_questions = 0;
	batch.request.n_credentials = LOOKUP_CREDENTIALS_MAX + 1;
	assert_int_equal(lookup_request_encode(&batch.request, &payload, &n), -E2BIG);
	assert_null(payload);
	batch.request.n_credentials = 0;
	assert_int_equal(batch_run(), 0);
	assert_int_equal(batch.reply.n_answers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_overmounted),
		cmocka_unit_test(test_part),
		cmocka_unit_test(test_subvolume),
		cmocka_unit_test(test_entry),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_access_file),
		cmocka_unit_test_setup_teardown(test_full, fixture_setup, fixture_teardown),
		cmocka_unit_test(test_refused),
	};

	harness_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
