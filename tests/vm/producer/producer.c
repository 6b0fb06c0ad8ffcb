// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * producer.ko - another module that produces events, as a filesystem would
 *
 * Writing "ID PATH" to /sys/module/producer/parameters/notify calls
 * fs_event_notify() for the filesystem of PATH; "ID" to .../send sends a message
 * of its own; .../fail is a message whose making fails.
 */

#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <net/netlink.h>

#include "../include/fs_event.h"
#include "../kmod/fs_event_notify.h"

static int producer_notify(const char *text, const struct kernel_param *param)
{
	struct path path;
	unsigned int id;
	char name[64];
	int error;

	if (sscanf(text, "%u %63s", &id, name) != 2)
		return -EINVAL;
	error = kern_path(name, 0, &path);
	if (error)
		return error;
	fs_event_notify(path.dentry->d_sb, id);
	path_put(&path);
	return 0;
}

static int producer_compose(struct sk_buff *skb, void *data)
{
	return nla_put_u64_64bit(skb, FS_NL_A_DATA, *(u64 *)data, FS_NL_A_PAD);
}

static int producer_send(const char *text, const struct kernel_param *param)
{
	unsigned int id;
	u64 data = 42;
	int error;

	error = kstrtouint(text, 0, &id);
	if (error)
		return error;
	return fs_netlink_send_event(nla_total_size_64bit(sizeof(data)), id, producer_compose,
				     &data);
}

static int producer_refuse(struct sk_buff *skb, void *data)
{
	return -EXDEV;
}

static int producer_fail(const char *text, const struct kernel_param *param)
{
	return fs_netlink_send_event(8, FS_WARN_ENOSPC, producer_refuse, NULL);
}

static const struct kernel_param_ops producer_notify_ops = { .set = producer_notify };
static const struct kernel_param_ops producer_send_ops = { .set = producer_send };
static const struct kernel_param_ops producer_fail_ops = { .set = producer_fail };
module_param_cb(notify, &producer_notify_ops, NULL, 0200);
MODULE_PARM_DESC(notify, "\"ID PATH\": fs_event_notify()");
module_param_cb(send, &producer_send_ops, NULL, 0200);
MODULE_PARM_DESC(send, "\"ID\": fs_netlink_send_event()");
module_param_cb(fail, &producer_fail_ops, NULL, 0200);
MODULE_PARM_DESC(fail, "anything: fs_netlink_send_event() whose callback fails");

static int __init producer_init(void)
{
	return 0;
}

static void __exit producer_exit(void)
{
}

module_init(producer_init);
module_exit(producer_exit);

MODULE_DESCRIPTION("Produces events through the exports of fsevents.ko, for its tests");
MODULE_LICENSE("GPL");
