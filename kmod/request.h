/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_REQUEST_H
#define FSEVENTS_REQUEST_H

/*
 * What each request of the family does; see include/fs_event.h for what it means
 *
 * All run in the sender's context. The attributes have passed the policy.
 */

struct fs_request;
struct genl_info;
struct sk_buff;
struct super_block;

int request_get_info(struct sk_buff *skb, struct genl_info *info);
int request_fs_set(struct sk_buff *skb, struct genl_info *info);
int request_fs_del(struct sk_buff *skb, struct genl_info *info);
int request_levels_set(struct sk_buff *skb, struct genl_info *info);
int request_watch_add(struct sk_buff *skb, struct genl_info *info);
int request_watch_del(struct sk_buff *skb, struct genl_info *info);
int request_proc_set(struct sk_buff *skb, struct genl_info *info);
int request_sync(struct sk_buff *skb, struct genl_info *info);
int request_test(struct sk_buff *skb, struct genl_info *info);
int request_ignore_self(struct sk_buff *skb, struct genl_info *info);

/* --- what they share */

/* Puts the text of -ENOMEM and -ENOSPC into the answer; returns @error. */
int request_refuse(struct genl_info *info, int error);
/* false: it is missing, and the answer says so. */
bool request_has(struct genl_info *info, int attribute);
/* What the sender asks of @sb; NULL: nothing, and the answer says so. Under the control lock. */
struct fs_request *request_find(struct super_block *sb, struct genl_info *info);

#endif
