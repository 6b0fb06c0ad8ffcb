// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/dcache.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/wait.h>

#include "compat.h"
#include "culprit.h"
#include "filesystem.h"
#include "mark.h"
#include "ring.h"
#include "tell.h"
#include "watch.h"

#define IGNORED_MAX 16

static struct fsnotify_group *mark_group;
static atomic_t n_marks;
static DECLARE_WAIT_QUEUE_HEAD(marks_gone);
static struct pid *ignored[IGNORED_MAX]; /* NULL: free; written under control_lock */
static bool is_ignoring;

/* Which is which: a watch's mask always has this bit of no event of ours. */
#define MARK_IS_WATCH FS_UNMOUNT

static bool mark_is_watch(const struct fsnotify_mark *mark)
{
	return mark->mask & MARK_IS_WATCH;
}

static bool mark_is_ignored(const struct pid *process)
{
	int i;

	if (!READ_ONCE(is_ignoring))
		return false;
	for (i = 0; i < IGNORED_MAX; i++)
		if (READ_ONCE(ignored[i]) == process)
			return true;
	return false;
}

/* As they stand in a record */
struct handles {
	u8 bytes[3 * (sizeof(struct fs_event_handle) + FS_EVENT_HANDLE_MAX)] __aligned(8);
	u32 size;
	bool is_made;
};

/* What fsnotify gave, taken apart once for all marks that it concerns */
struct occurrence {
	u32 mask;
	struct inode *inode;
	struct inode *dir;
	struct inode *new_dir;
	struct super_block *sb;
	const struct qstr *name;
	const struct qstr *new_name;
	struct handles *handles; /* made when the first record wants them */
};

static void handles_add(struct handles *handles, u8 of, struct inode *inode)
{
	struct fs_event_handle *handle = (void *)(handles->bytes + handles->size);
	int n_words = FS_EVENT_HANDLE_MAX / sizeof(u32), type;

	if (!inode)
		return;
	type = compat_encode_handle(inode, (struct fid *)(handle + 1), &n_words);
	if (type < 0 || type == FILEID_INVALID || n_words <= 0 ||
	    n_words > FS_EVENT_HANDLE_MAX / sizeof(u32))
		return;
	handle->of = of;
	handle->n_bytes = n_words * sizeof(u32);
	handle->size = ALIGN(sizeof(*handle) + handle->n_bytes, 8);
	handle->type = type;
	memset((u8 *)(handle + 1) + handle->n_bytes, 0,
	       handle->size - sizeof(*handle) - handle->n_bytes);
	handles->size += handle->size;
}

static const struct handles *mark_handles(const struct occurrence *what)
{
	struct handles *handles = what->handles;

	if (handles->is_made)
		return handles;
	handles->size = 0;
	handles_add(handles, FS_HANDLE_INODE, what->inode);
	handles_add(handles, FS_HANDLE_DIR, what->dir);
	handles_add(handles, FS_HANDLE_NEW_DIR, what->new_dir);
	handles->is_made = true;
	return handles;
}

static void mark_record(const struct occurrence *what, u32 events, u32 fs_id, u32 watch_id,
			const struct handles *handles)
{
	size_t name_size = what->name ? what->name->len : 0;
	size_t new_size = what->new_name ? what->new_name->len : 0;
	size_t size = ALIGN(sizeof(struct fs_event_file) + name_size + new_size, 8);
	struct fs_event_file *file;
	unsigned long flags;

	/* A part of a name would be that of another file. */
	if (name_size > FS_EVENT_NAME_MAX || new_size > FS_EVENT_NAME_MAX) {
		ring_lose(&ring_inode);
		return;
	}
	file = ring_reserve(&ring_inode, size + (handles ? handles->size : 0), &flags);
	if (!file)
		return;
	file->record.header_size = sizeof(*file);
	file->record.kind = FS_RECORD_FILE;
	file->inode = what->inode ? what->inode->i_ino : 0;
	file->generation = what->inode ? what->inode->i_generation : 0;
	file->dir_inode = what->dir ? what->dir->i_ino : 0;
	file->new_dir_inode = what->new_dir ? what->new_dir->i_ino : 0;
	file->fs_id = fs_id;
	file->watch_id = watch_id;
	file->dev_major = MAJOR(what->sb->s_dev);
	file->dev_minor = MINOR(what->sb->s_dev);
	file->events = events;
	file->pid = task_tgid_nr(current);
	file->tid = task_pid_nr(current);
	file->name_size = name_size;
	file->new_name_size = new_size;
	if (name_size)
		memcpy(file + 1, what->name->name, name_size);
	if (new_size)
		memcpy((u8 *)(file + 1) + name_size, what->new_name->name, new_size);
	if (handles) {
		file->handles_size = handles->size;
		memcpy((u8 *)file + size, handles->bytes, handles->size);
	}
	ring_commit(&ring_inode, &file->record, flags);
}

/* What of @events an earlier request of the filesystem does not tell already */
static u32 mark_first_to_tell(const struct fs_request *request, u32 events)
{
	const struct fs_request *other;
	bool is_listed = false;
	u32 left = events;

	rcu_read_lock();
	list_for_each_entry_rcu(other, &request->fs->requests, fs_node) {
		is_listed = other == request;
		if (is_listed)
			break;
		if (!(events & FS_ISDIR) || (other->file_events & FS_FILE_DIRECTORY))
			left &= ~(other->file_events & MARK_FILE_EVENTS);
	}
	rcu_read_unlock();
	/* One that comes or goes at this moment: those that stay may have relied on it. */
	return is_listed ? left : events;
}

/* One record serves all who ask: it has handles if one of them wants them. */
static bool mark_wants_handles(const struct filesystem *fs)
{
	const struct fs_request *request;
	bool wants = false;

	rcu_read_lock();
	list_for_each_entry_rcu(request, &fs->requests, fs_node)
		wants |= request->file_events & FS_FILE_HANDLES;
	rcu_read_unlock();
	return wants;
}

static void mark_handle(struct fsnotify_mark *mark, const struct occurrence *what)
{
	const struct watch *watch;
	u32 events = what->mask & mark->mask & MARK_FILE_EVENTS;
	u32 directory = what->mask & FS_ISDIR ? FS_FILE_DIRECTORY : 0;
	struct fs_request *request;

	if (directory && !(mark->mask & FS_ISDIR))
		return;
	if (mark_is_watch(mark)) {
		watch = container_of(mark, struct watch, mark);
		/* It stays at the inode until it is put. */
		if (events && !READ_ONCE(watch->is_gone))
			mark_record(what, events | directory, 0, watch->id,
				    watch->file_events & FS_FILE_HANDLES ? mark_handles(what)
									 : NULL);
		return;
	}
	request = container_of(mark, struct fs_request, mark);
	events = mark_first_to_tell(request, events | directory) & MARK_FILE_EVENTS;
	if (events)
		mark_record(what, events | directory, request->fs->id, 0,
			    mark_wants_handles(request->fs) ? mark_handles(what) : NULL);
}

/* One of corruption and of failed input and output, by the errno that the filesystem gave */
static void mark_handle_error(const struct fs_error_report *report, struct super_block *sb)
{
	u32 error = abs(report->error), id;
	struct filesystem *fs;

	switch (error) {
	case EUCLEAN:
	case EBADMSG:
		id = FS_ERR_CORRUPTED;
		break;
	default:
		id = FS_EVENT_IO_ERROR;
		break;
	}
	rcu_read_lock();
	fs = filesystem_find_sb(sb);
	if (fs)
		tell(fs, id, culprit_pid(), error, report->inode ? report->inode->i_ino : 0);
	rcu_read_unlock();
}

/* The first request's mark alone: each filesystem is told once, however many ask. */
static bool mark_is_first(const struct fsnotify_mark *mark)
{
	const struct fs_request *request = container_of(mark, struct fs_request, mark);
	const struct fs_request *other;
	bool is_first = true, is_listed = false;

	rcu_read_lock();
	list_for_each_entry_rcu(other, &request->fs->requests, fs_node) {
		is_listed = other == request;
		if (is_listed)
			break;
		is_first = false;
	}
	rcu_read_unlock();
	return is_first || !is_listed;
}

static int mark_handle_event(struct fsnotify_group *group, u32 mask, const void *data,
			     int data_type, struct inode *dir, const struct qstr *name, u32 cookie,
			     struct fsnotify_iter_info *iter)
{
	struct handles handles;
	struct occurrence what = {
		.mask = mask, .dir = name ? dir : NULL, .name = name, .handles = &handles
	};
	struct fsnotify_mark *mark, *seen = NULL;
	struct dentry *moved = NULL;
	struct name_snapshot snapshot;
	int type;

	what.sb = fsnotify_data_sb(data, data_type);
	if (!what.sb)
		what.sb = dir ? dir->i_sb : NULL;
	if (!what.sb)
		return 0;

	if (mask & FS_ERROR) {
		struct fs_error_report *report = fsnotify_data_error_report(data, data_type);

		mark = fsnotify_iter_mark(iter, FSNOTIFY_ITER_TYPE_SB);
		if (report && mark && mark_is_first(mark))
			mark_handle_error(report, what.sb);
		return 0;
	}
	if (mark_is_ignored(task_tgid(current)))
		return 0;

	handles.is_made = false;
	what.inode = fsnotify_data_inode(data, data_type);
	if (mask & FS_RENAME)
		moved = fsnotify_data_dentry(data, data_type);
	if (moved) {
		take_dentry_name_snapshot(&snapshot, moved);
		what.new_name = &snapshot.name;
		/* Stable: both directories are locked by the rename. */
		what.new_dir = d_inode(moved->d_parent);
	}
	for (type = 0; type < FSNOTIFY_ITER_TYPE_COUNT; type++) {
		mark = fsnotify_iter_mark(iter, type);
		if (!mark || mark == seen)
			continue;
		if (type == FSNOTIFY_ITER_TYPE_PARENT && !(mark->mask & FS_EVENT_ON_CHILD))
			continue;
		mark_handle(mark, &what);
		/* A rename within a directory that is watched comes with its mark twice. */
		if (type == FSNOTIFY_ITER_TYPE_INODE)
			seen = mark;
	}
	if (moved)
		release_dentry_name_snapshot(&snapshot);
	return 0;
}

static void mark_record_gone(const struct watch *watch)
{
	struct fs_event_file *file;
	unsigned long flags;

	file = ring_reserve(&ring_inode, sizeof(*file), &flags);
	if (!file)
		return;
	file->record.header_size = sizeof(*file);
	file->record.kind = FS_RECORD_FILE;
	file->watch_id = watch->id;
	file->inode = watch->inode;
	file->dev_major = MAJOR(watch->dev);
	file->dev_minor = MINOR(watch->dev);
	file->events = FS_FILE_IGNORED;
	ring_commit(&ring_inode, &file->record, flags);
}

static void mark_freeing(struct fsnotify_mark *mark, struct fsnotify_group *group)
{
	if (mark_is_watch(mark)) {
		watch_gone(container_of(mark, struct watch, mark));
		mark_record_gone(container_of(mark, struct watch, mark));
	} else {
		filesystem_unmounted(container_of(mark, struct fs_request, mark));
	}
}

static void mark_free(struct fsnotify_mark *mark)
{
	if (mark_is_watch(mark))
		watch_free(container_of(mark, struct watch, mark));
	else
		filesystem_free_request(container_of(mark, struct fs_request, mark));
	if (atomic_dec_and_test(&n_marks))
		wake_up_all(&marks_gone);
}

static const struct fsnotify_ops mark_ops = {
	.handle_event = mark_handle_event,
	.freeing_mark = mark_freeing,
	.free_mark = mark_free,
};

/* On failure the reference of the creator is the last one. */
static int mark_attached(struct fsnotify_mark *mark, int error)
{
	if (error)
		fsnotify_put_mark(mark);
	return error;
}

int mark_attach_request(struct fs_request *request, struct super_block *sb)
{
	fsnotify_init_mark(&request->mark, mark_group);
	atomic_inc(&n_marks);
	request->mark.mask = FS_ERROR;
	/* Without FS_EVENT_ON_CHILD files would come without their names. */
	if (request->file_events & MARK_FILE_EVENTS)
		request->mark.mask |= (request->file_events & ~FS_FILE_HANDLES) | FS_EVENT_ON_CHILD;
	return mark_attached(&request->mark, compat_mark_add_sb(&request->mark, sb));
}

int mark_attach_watch(struct watch *watch, struct inode *inode)
{
	fsnotify_init_mark(&watch->mark, mark_group);
	atomic_inc(&n_marks);
	watch->mark.mask = (watch->file_events & ~FS_FILE_HANDLES) | MARK_IS_WATCH;
	return mark_attached(&watch->mark, compat_mark_add_inode(&watch->mark, inode));
}

void mark_detach(struct fsnotify_mark *mark)
{
	fsnotify_destroy_mark(mark, mark_group);
}

void mark_put(struct fsnotify_mark *mark)
{
	fsnotify_put_mark(mark);
}

void mark_destroy(struct fsnotify_mark *mark)
{
	mark_detach(mark);
	mark_put(mark);
}

int mark_ignore(struct pid *process)
{
	int i;

	lockdep_assert_held(&control_lock);
	for (i = 0; i < IGNORED_MAX; i++) {
		if (ignored[i])
			continue;
		WRITE_ONCE(ignored[i], get_pid(process));
		WRITE_ONCE(is_ignoring, true);
		return 0;
	}
	return -ENOSPC;
}

void mark_unignore(struct pid *process)
{
	bool found = false, any = false;
	int i;

	lockdep_assert_held(&control_lock);
	for (i = 0; i < IGNORED_MAX; i++) {
		if (ignored[i] == process && !found) {
			WRITE_ONCE(ignored[i], NULL);
			found = true;
		}
		any |= ignored[i] != NULL;
	}
	WRITE_ONCE(is_ignoring, any);
	put_pid(process);
}

int mark_init(void)
{
	BUILD_BUG_ON(FS_FILE_MODIFY != FS_MODIFY || FS_FILE_ATTRIB != FS_ATTRIB);
	BUILD_BUG_ON(FS_FILE_ACCESS != FS_ACCESS || FS_FILE_CLOSE_WRITE != FS_CLOSE_WRITE);
	BUILD_BUG_ON(FS_FILE_OPEN != FS_OPEN || FS_FILE_CREATE != FS_CREATE);
	BUILD_BUG_ON(FS_FILE_DELETE != FS_DELETE || FS_FILE_DELETE_SELF != FS_DELETE_SELF);
	BUILD_BUG_ON(FS_FILE_MOVE_SELF != FS_MOVE_SELF || FS_FILE_RENAME != FS_RENAME);
	BUILD_BUG_ON(FS_FILE_ON_CHILD != FS_EVENT_ON_CHILD || FS_FILE_DIRECTORY != FS_ISDIR);

	mark_group = fsnotify_alloc_group(&mark_ops, COMPAT_MARK_GROUP_FLAGS);
	return PTR_ERR_OR_ZERO(mark_group);
}

void mark_exit(void)
{
	/*
	 * A umount may be in the middle of one of ours. Once none is left and
	 * fsnotify has reaped, nothing of it runs our code any more.
	 */
	while (!wait_event_timeout(marks_gone, atomic_read(&n_marks) == 0, HZ / 10))
		fsnotify_wait_marks_destroyed();
	fsnotify_wait_marks_destroyed();
	fsnotify_put_group(mark_group);
}
