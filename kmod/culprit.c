// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/stacktrace.h>

#include "culprit.h"
#include "tell.h"

#define FRAMES_MAX 48

u32 culprit_pid(void)
{
	return in_task() && !(current->flags & PF_KTHREAD) ? task_tgid_nr(current) : 0;
}

/* A frame of one of these functions */
static bool frame_is_of(unsigned long frame, const char *const *names, size_t n_names)
{
	char symbol[32];
	size_t i;

	/* "name+0x10/0x20 ...", cut where it does not fit */
	snprintf(symbol, sizeof(symbol), "%pS", (void *)frame);
	for (i = 0; i < n_names; i++) {
		size_t size = strlen(names[i]);

		if (!strncmp(symbol, names[i], size) && strchr("+.", symbol[size]))
			return true;
	}
	return false;
}

bool culprit_changes_names(void)
{
	/* Of the VFS, where all ways to a filesystem meet: of system calls, of io_uring, of servers. */
	static const char *const names[] = {
		"do_filp_open", "vfs_create",	"vfs_link",    "vfs_mkdir",
		"vfs_mknod",	"vfs_rename",	"vfs_rmdir",   "vfs_symlink",
		"vfs_unlink",	"vfs_setxattr", "vfs_tmpfile", "notify_change",
	};
	unsigned long frames[FRAMES_MAX];
	unsigned int i, n;

	if (!in_task())
		return false;
	n = stack_trace_save(frames, ARRAY_SIZE(frames), 0);
	for (i = 0; i < n; i++)
		if (frame_is_of(frames[i], names, ARRAY_SIZE(names)))
			return true;
	return false;
}

bool culprit_ext4_changes_names(unsigned long caller)
{
	static const char *const names[] = {
		"ext4_create",	"ext4_mkdir",	     "ext4_mknod",     "ext4_tmpfile",
		"ext4_link",	"__ext4_link",	     "ext4_symlink",   "ext4_rename",
		"ext4_rename2", "ext4_cross_rename", "ext4_xattr_set", "ext4_setattr",
	};

	return frame_is_of(caller, names, ARRAY_SIZE(names));
}

void culprit_tell_full(struct filesystem *fs, u32 id)
{
	if (fs)
		tell_full(fs, id, culprit_pid());
}
