// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/binfmts.h>
#include <linux/cred.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/tracepoint.h>

#include "compat.h"
#include "filesystem.h"
#include "owner.h"
#include "process.h"
#include "ring.h"

/* So that one record fits into a message, whatever it is that is executed. */
#define NAME_BYTES_MAX 4096

static struct fs_event_process *process_begin(struct task_struct *task, u16 kind, size_t name_size,
					      unsigned long *flags)
{
	struct pid_namespace *namespace;
	struct fs_event_process *process;

	process = ring_reserve(&ring_proc, sizeof(*process) + name_size, flags);
	if (!process)
		return NULL;
	process->record.header_size = sizeof(*process);
	process->record.kind = kind;
	process->pid = task_pid_nr(task);
	process->tgid = task_tgid_nr(task);
	process->name_size = name_size;
	rcu_read_lock();
	namespace = task_active_pid_ns(task);
	if (namespace) {
		process->pid_namespace = namespace->ns.inum;
		process->inner_pid = task_pid_nr_ns(task, namespace);
	}
	process->parent = task_tgid_nr(rcu_dereference(task->real_parent));
	process->uid = from_kuid_munged(&init_user_ns, task_uid(task));
	rcu_read_unlock();
	return process;
}

/* In the process that called: with CLONE_PARENT, it is not the parent. */
static void on_fork(void *data, struct task_struct *caller, struct task_struct *child)
{
	struct fs_event_process *process;
	unsigned long flags;

	process = process_begin(child, FS_RECORD_FORK, 0, &flags);
	if (!process)
		return;
	process->by_pid = task_pid_nr(caller);
	process->by_tgid = task_tgid_nr(caller);
	ring_commit(&ring_proc, &process->record, flags);
}

static void on_exec(void *data, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	const struct inode *inode = file_inode(bprm->file);
	size_t size = strnlen(bprm->filename, NAME_BYTES_MAX);
	struct fs_event_process *process;
	unsigned long flags;

	process = process_begin(task, FS_RECORD_EXEC, size, &flags);
	if (!process)
		return;
	/* A thread that is not the first one takes over the first one's pid. */
	process->by_pid = old_pid;
	process->by_tgid = process->tgid;
	process->inode = inode->i_ino;
	process->dev_major = MAJOR(inode->i_sb->s_dev);
	process->dev_minor = MINOR(inode->i_sb->s_dev);
	memcpy(process + 1, bprm->filename, size);
	ring_commit(&ring_proc, &process->record, flags);
}

static void on_exit(COMPAT_EXIT_PROTO)
{
	struct fs_event_process *process;
	bool is_last = COMPAT_EXIT_IS_LAST;
	unsigned long flags;

	process = process_begin(task, FS_RECORD_EXIT, 0, &flags);
	if (!process)
		return;
	process->status = task->exit_code;
	/* As wait() tells it: what exit_group() or a signal said, else what the leader did. */
	if (task->signal->flags & SIGNAL_GROUP_EXIT)
		process->status = task->signal->group_exit_code;
	else if (is_last)
		process->status = task->group_leader->exit_code;
	if (thread_group_leader(task))
		process->flags |= FS_PROCESS_LEADER;
	if (is_last)
		process->flags |= FS_PROCESS_LAST;
	ring_commit(&ring_proc, &process->record, flags);
}

/* Before it: what is told is what the thread will have. */
static int on_commit_creds(struct kprobe *kprobe, struct pt_regs *regs)
{
	const struct cred *new = (const struct cred *)regs_get_kernel_argument(regs, 0);
	const struct cred *old = current_real_cred();
	struct fs_event_process *process;
	unsigned long flags;

	/* Until it is known not to be a breakpoint: see process_start_uids(). */
	if (in_nmi())
		return 0;
	if (uid_eq(new->uid, old->uid) && uid_eq(new->euid, old->euid) &&
	    uid_eq(new->suid, old->suid) && uid_eq(new->fsuid, old->fsuid))
		return 0;
	process = process_begin(current, FS_RECORD_UID, 0, &flags);
	if (!process)
		return 0;
	process->uid = from_kuid_munged(&init_user_ns, new->uid);
	process->status = from_kuid_munged(&init_user_ns, new->euid);
	ring_commit(&ring_proc, &process->record, flags);
	return 0;
}
NOKPROBE_SYMBOL(on_commit_creds);

static struct {
	const char *name;
	void *probe;
	u32 kind;
	struct tracepoint *tracepoint;
	bool is_on; /* control_lock */
} points[] = {
	{ "sched_process_fork", on_fork, FS_RECORD_FORK },
	{ "sched_process_exec", on_exec, FS_RECORD_EXEC },
	{ "sched_process_exit", on_exit, FS_RECORD_EXIT },
};

static struct kprobe uid_probe;
static bool uid_is_on; /* control_lock */

static int process_start_uids(void)
{
	int error;

	uid_probe = (struct kprobe){
		.symbol_name = "commit_creds",
		.pre_handler = on_commit_creds,
	};
	error = register_kprobe(&uid_probe);
	if (error)
		return error;
	/* As in probe.c: a breakpoint would cost too much. */
	if (!kprobe_ftrace(&uid_probe)) {
		unregister_kprobe(&uid_probe);
		return -EOPNOTSUPP;
	}
	uid_is_on = true;
	return 0;
}

static int process_update_uids(bool is_wanted)
{
	if (is_wanted && !uid_is_on)
		return process_start_uids();
	if (!is_wanted && uid_is_on) {
		unregister_kprobe(&uid_probe);
		uid_is_on = false;
	}
	return 0;
}

int process_update(void)
{
	u32 wanted = owner_proc_events();
	int i, error = 0, one;

	lockdep_assert_held(&control_lock);
	if (wanted)
		error = ring_start(&ring_proc);
	for (i = 0; i < ARRAY_SIZE(points) && !error; i++) {
		bool is_wanted = wanted & (1U << points[i].kind);

		if (is_wanted == points[i].is_on)
			continue;
		if (is_wanted)
			one = tracepoint_probe_register(points[i].tracepoint, points[i].probe,
							NULL);
		else
			one = tracepoint_probe_unregister(points[i].tracepoint, points[i].probe,
							  NULL);
		if (!one)
			points[i].is_on = is_wanted;
		else
			error = one;
	}
	return error ?: process_update_uids(wanted & (1U << FS_RECORD_UID));
}

static void process_found(struct tracepoint *tracepoint, void *data)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!strcmp(tracepoint->name, points[i].name))
			points[i].tracepoint = tracepoint;
}

int process_init(void)
{
	int i;

	for_each_kernel_tracepoint(process_found, NULL);
	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!points[i].tracepoint)
			return -ENOENT;
	return 0;
}
