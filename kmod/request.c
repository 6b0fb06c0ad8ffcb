// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <net/genetlink.h>

#include "check.h"
#include "event.h"
#include "filesystem.h"
#include "find.h"
#include "hook.h"
#include "mark.h"
#include "family.h"
#include "owner.h"
#include "process.h"
#include "request.h"
#include "ring.h"
#include "tell.h"
#include "watch.h"

#define EVENTS_ALL (FS_EVENT_BIT(FS_EVENT_ID_MAX + 1) - 2)

int request_refuse(struct genl_info *info, int error)
{
	if (error == -ENOMEM)
		NL_SET_ERR_MSG(info->extack, "no memory");
	else if (error == -ENOSPC)
		NL_SET_ERR_MSG(info->extack, "too many requests");
	return error;
}

bool request_has(struct genl_info *info, int attribute)
{
	if (info->attrs[attribute])
		return true;
	NL_SET_ERR_MSG(info->extack, "a needed attribute is missing");
	NL_SET_ERR_ATTR_MISS(info->extack, NULL, attribute);
	return false;
}

/* The owner of this request, made if need be; under the control lock. */
static struct owner *request_owner(struct genl_info *info)
{
	struct owner *owner = owner_get(info->snd_portid);

	if (!owner)
		NL_SET_ERR_MSG(info->extack, "too many listeners with requests, or no memory");
	return owner;
}

/* 0 and the events asked for, or -EINVAL */
static int request_get_file_events(struct genl_info *info, u32 *ret)
{
	struct nlattr *attribute = info->attrs[FS_NL_A_FILE_EVENTS];
	u32 events = attribute ? nla_get_u32(attribute) : 0;

	if (events & ~(MARK_FILE_EVENTS | MARK_FILE_FLAGS)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attribute, "unknown file events");
		return -EINVAL;
	}
	if (events && !(events & MARK_FILE_EVENTS)) {
		NL_SET_ERR_MSG_ATTR(info->extack, attribute, "flags alone watch nothing");
		return -EINVAL;
	}
	*ret = events;
	return 0;
}

/* --- filesystems */

static u64 request_capable(const struct filesystem *fs, const struct super_block *sb)
{
	u64 events = FS_EVENT_BIT(FS_EVENT_UNMOUNTED) | hook_capable(fs->type);

	if (fs->type == FILESYSTEM_EXT4)
		events |= FS_EVENT_BIT(FS_ERR_CORRUPTED) | FS_EVENT_BIT(FS_EVENT_IO_ERROR);
	if (check_is_possible(sb))
		events |= CHECK_LEVEL_EVENTS;
	/* Looked at each second, where nothing tells it at once. */
	events |= CHECK_STATE_EVENTS;
	return events & fs->events;
}

struct asked {
	u64 events;
	u32 file_events;
	/* The answer */
	u32 fs_id;
	dev_t dev;
	u64 capable;
	u64 holds;
};

static int fs_set(struct super_block *sb, struct genl_info *info, void *data)
{
	struct owner *owner = request_owner(info);
	struct asked *asked = data;
	struct filesystem *fs;
	int error;

	if (!owner)
		return -ENOSPC;
	error = asked->file_events ? ring_start(&ring_inode) : 0;
	if (!error)
		error = filesystem_request(&fs, sb, owner, asked->events, asked->file_events);
	if (!error) {
		hook_update();
		asked->fs_id = fs->id;
		asked->dev = fs->dev;
		asked->capable = request_capable(fs, sb);
		asked->holds = tell_get_holds(fs);
	}
	owner_put(owner);
	return request_refuse(info, error);
}

static int fs_set_fill(struct sk_buff *skb, const struct asked *asked)
{
	if (nla_put_u32(skb, FS_NL_A_FS_ID, asked->fs_id) ||
	    nla_put_u32(skb, FS_NL_A_DEV_MAJOR, MAJOR(asked->dev)) ||
	    nla_put_u32(skb, FS_NL_A_DEV_MINOR, MINOR(asked->dev)) ||
	    nla_put_u64_64bit(skb, FS_NL_A_CAPABLE, asked->capable, FS_NL_A_PAD) ||
	    nla_put_u64_64bit(skb, FS_NL_A_HOLDS, asked->holds, FS_NL_A_PAD))
		return -EMSGSIZE;
	return 0;
}

/* Sends it, or frees it when something failed. */
static int request_reply(struct genl_info *info, struct sk_buff *reply, void *head, int error)
{
	if (error) {
		nlmsg_free(reply);
		return error;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}

int request_fs_set(struct sk_buff *skb, struct genl_info *info)
{
	struct asked asked = {};
	struct sk_buff *reply;
	void *head;
	int error;

	if (info->attrs[FS_NL_A_EVENTS])
		asked.events = nla_get_u64(info->attrs[FS_NL_A_EVENTS]);
	if (asked.events & ~EVENTS_ALL) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FS_NL_A_EVENTS], "unknown events");
		return -EINVAL;
	}
	error = request_get_file_events(info, &asked.file_events);
	if (error)
		return error;
	if (!asked.events && !asked.file_events) {
		NL_SET_ERR_MSG(info->extack, "neither EVENTS nor FILE_EVENTS");
		return -EINVAL;
	}
	/* First what can fail: a request that was granted cannot be refused any more. */
	reply = family_reply_new(info, &head);
	if (!reply)
		return request_refuse(info, -ENOMEM);
	error = find_filesystem(info, fs_set, &asked);
	return request_reply(info, reply, head, error ?: fs_set_fill(reply, &asked));
}

struct fs_request *request_find(struct super_block *sb, struct genl_info *info)
{
	struct owner *owner = owner_find(info->snd_portid);
	struct filesystem *fs = owner ? filesystem_find_sb(sb) : NULL;
	struct fs_request *request = fs ? filesystem_find_request(fs, owner) : NULL;

	if (!request)
		NL_SET_ERR_MSG(info->extack, "this port requests nothing of this filesystem");
	return request;
}

static int fs_del(struct super_block *sb, struct genl_info *info, void *data)
{
	struct fs_request *request = request_find(sb, info);
	struct owner *owner;

	if (!request)
		return -ENOENT;
	owner = request->owner;
	filesystem_withdraw(request);
	owner_put(owner);
	hook_update();
	return 0;
}

int request_fs_del(struct sk_buff *skb, struct genl_info *info)
{
	return find_filesystem(info, fs_del, NULL);
}

/* --- inodes */

struct asked_watch {
	u32 file_events;
	u32 id; /* the answer */
};

/* Under the control lock; @inode is kept by the caller. */
static int watch_set(struct inode *inode, struct genl_info *info, struct asked_watch *asked)
{
	struct owner *owner = request_owner(info);
	int error;

	if (!owner)
		return -ENOSPC;
	error = ring_start(&ring_inode);
	if (!error)
		error = watch_add(&asked->id, inode, owner, asked->file_events);
	owner_put(owner);
	return request_refuse(info, error);
}

/*
 * In memory and in use, or ready for it: for one that is just being read or freed,
 * ilookup() would wait as long as its disk takes, and we hold the control lock.
 */
static int watch_match(struct inode *inode, unsigned long number, void *data)
{
	if (inode->i_ino != number || (READ_ONCE(inode->i_state) & (I_NEW | I_CREATING)))
		return 0;
	return igrab(inode) != NULL;
}

static int watch_by_number(struct super_block *sb, struct genl_info *info, void *data)
{
	u64 number = nla_get_u64(info->attrs[FS_NL_A_INODE]);
	struct inode *inode;
	int error;

	/* Only of filesystems that use the common table */
	inode = number == (unsigned long)number ? find_inode_nowait(sb, number, watch_match, NULL)
						: NULL;
	if (!inode) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FS_NL_A_INODE],
				    "not in memory by this number; use a descriptor");
		return -ENOENT;
	}
	error = watch_set(inode, info, data);
	iput(inode);
	return error;
}

static int watch_by_fd(struct genl_info *info, struct asked_watch *asked)
{
	struct file *file = fget_raw(nla_get_u32(info->attrs[FS_NL_A_FD]));
	int error;

	if (!file) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FS_NL_A_FD], "no such descriptor");
		return -EBADF;
	}
	if (file_inode(file)->i_sb->s_flags & SB_NOUSER) {
		NL_SET_ERR_MSG(info->extack, "not on a filesystem that can be mounted");
		error = -EOPNOTSUPP;
	} else {
		mutex_lock(&control_lock);
		error = watch_set(file_inode(file), info, asked);
		mutex_unlock(&control_lock);
	}
	fput(file);
	return error;
}

/* false: the port has no such watch. */
static bool watch_end(u32 port_id, u32 id)
{
	struct watch *watch = NULL;
	struct owner *owner;

	mutex_lock(&control_lock);
	owner = owner_find(port_id);
	if (owner)
		watch = watch_find(owner, id);
	if (watch) {
		watch_remove(watch);
		owner_put(owner);
	}
	mutex_unlock(&control_lock);
	return watch;
}

int request_watch_add(struct sk_buff *skb, struct genl_info *info)
{
	struct asked_watch asked;
	struct sk_buff *reply;
	void *head;
	int error;

	if (!request_has(info, FS_NL_A_FILE_EVENTS))
		return -EINVAL;
	error = request_get_file_events(info, &asked.file_events);
	if (error)
		return error;
	if (!asked.file_events) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FS_NL_A_FILE_EVENTS],
				    "no file event");
		return -EINVAL;
	}
	if (!info->attrs[FS_NL_A_FD] == !info->attrs[FS_NL_A_INODE]) {
		NL_SET_ERR_MSG(info->extack, "one of FD and INODE is needed");
		return -EINVAL;
	}
	if (info->attrs[FS_NL_A_FD] &&
	    (info->attrs[FS_NL_A_FS_ID] || info->attrs[FS_NL_A_FS_TYPE] ||
	     info->attrs[FS_NL_A_DEV_MAJOR] || info->attrs[FS_NL_A_DEV_MINOR])) {
		NL_SET_ERR_MSG(info->extack, "FD names the filesystem already");
		return -EINVAL;
	}
	reply = family_reply_new(info, &head);
	if (!reply)
		return request_refuse(info, -ENOMEM);
	if (info->attrs[FS_NL_A_INODE])
		error = find_filesystem(info, watch_by_number, &asked);
	else
		error = watch_by_fd(info, &asked);
	if (error) {
		nlmsg_free(reply);
		return error;
	}
	if (nla_put_u32(reply, FS_NL_A_WATCH_ID, asked.id))
		error = -EMSGSIZE;
	error = request_reply(info, reply, head, error);
	/* Nobody could remove one whose number is not known. */
	if (error)
		watch_end(info->snd_portid, asked.id);
	return error;
}

int request_watch_del(struct sk_buff *skb, struct genl_info *info)
{
	if (!request_has(info, FS_NL_A_WATCH_ID))
		return -EINVAL;
	if (watch_end(info->snd_portid, nla_get_u32(info->attrs[FS_NL_A_WATCH_ID])))
		return 0;
	NL_SET_ERR_MSG(info->extack, "this port has no such watch");
	return -ENOENT;
}

/* --- the rest */

int request_proc_set(struct sk_buff *skb, struct genl_info *info)
{
	struct owner *owner;
	u32 events, before;
	int error;

	if (!request_has(info, FS_NL_A_PROC_EVENTS))
		return -EINVAL;
	events = nla_get_u32(info->attrs[FS_NL_A_PROC_EVENTS]);
	if (events & ~PROCESS_EVENTS) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FS_NL_A_PROC_EVENTS],
				    "unknown process events");
		return -EINVAL;
	}
	mutex_lock(&control_lock);
	owner = request_owner(info);
	if (!owner) {
		error = -ENOSPC;
	} else {
		before = owner->proc_events;
		owner->proc_events = events;
		error = process_update();
		if (error) {
			NL_SET_ERR_MSG(info->extack, "this kernel does not let that be followed");
			owner->proc_events = before;
			process_update();
		}
		owner_put(owner);
	}
	mutex_unlock(&control_lock);
	return request_refuse(info, error);
}

int request_sync(struct sk_buff *skb, struct genl_info *info)
{
	int error_inode, error_proc;

	event_flush();
	error_inode = ring_flush(&ring_inode);
	error_proc = ring_flush(&ring_proc);
	return request_refuse(info, error_inode ?: error_proc);
}

static int test_tell(struct super_block *sb, struct genl_info *info, void *data)
{
	struct event event = {
		.id = nla_get_u32(info->attrs[FS_NL_A_EVENT_ID]),
		.caused_id = *(u32 *)data,
		.test = true,
	};
	struct filesystem *fs = filesystem_find_sb(sb);

	if (!fs || !(fs->events & FS_EVENT_BIT(event.id))) {
		NL_SET_ERR_MSG(info->extack, "nobody requests this event of this filesystem");
		return -ENOENT;
	}
	if (info->attrs[FS_NL_A_DATA])
		event.data = nla_get_u64(info->attrs[FS_NL_A_DATA]);
	tell_event(fs, &event);
	return 0;
}

int request_test(struct sk_buff *skb, struct genl_info *info)
{
	u32 caused_id = task_tgid_nr(current);

	if (!request_has(info, FS_NL_A_EVENT_ID))
		return -EINVAL;
	return find_filesystem(info, test_tell, &caused_id);
}

int request_ignore_self(struct sk_buff *skb, struct genl_info *info)
{
	struct pid *process = task_tgid(current);
	struct owner *owner;
	int error = -ENOSPC;

	mutex_lock(&control_lock);
	owner = request_owner(info);
	if (owner) {
		error = owner->ignored ? 0 : mark_ignore(process);
		if (!error && !owner->ignored)
			owner->ignored = process;
		owner_put(owner);
	}
	mutex_unlock(&control_lock);
	return request_refuse(info, error);
}

static int info_put_group(struct sk_buff *skb, const char *group, const struct event_stats *stats)
{
	struct nlattr *nest = nla_nest_start(skb, FS_NL_A_GROUP_STATS);

	if (!nest || nla_put_string(skb, FS_NL_STAT_GROUP, group) ||
	    nla_put_u64_64bit(skb, FS_NL_STAT_SEQ, stats->seq, FS_NL_STAT_PAD) ||
	    nla_put_u64_64bit(skb, FS_NL_STAT_LOST_BUFFER, stats->lost_buffer, FS_NL_STAT_PAD) ||
	    nla_put_u64_64bit(skb, FS_NL_STAT_LOST_MEMORY, stats->lost_memory, FS_NL_STAT_PAD) ||
	    nla_put_u64_64bit(skb, FS_NL_STAT_LOST_SEND, stats->lost_send, FS_NL_STAT_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int info_put_ring(struct sk_buff *skb, const struct ring *ring)
{
	struct event_stats stats = {
		.seq = READ_ONCE(ring->seq),
		.lost_buffer = ring_lost(ring),
		.lost_send = READ_ONCE(ring->lost_send),
	};

	return info_put_group(skb, ring->name, &stats);
}

int request_get_info(struct sk_buff *skb, struct genl_info *info)
{
	struct event_stats stats;
	struct sk_buff *reply;
	void *head;

	reply = family_reply_new(info, &head);
	if (!reply)
		return request_refuse(info, -ENOMEM);
	event_get_stats(&stats);
	if (nla_put_u32(reply, FS_NL_A_VERSION, FS_EVENTS_FAMILY_VERSION) ||
	    nla_put_u64_64bit(reply, FS_NL_A_EVENTS, EVENTS_ALL, FS_NL_A_PAD) ||
	    info_put_group(reply, FS_EVENTS_MCAST_GRP_NAME, &stats) ||
	    info_put_ring(reply, &ring_inode) || info_put_ring(reply, &ring_proc)) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, head);
	return genlmsg_reply(reply, info);
}
