/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FSEVENTS_FAMILY_H
#define FSEVENTS_FAMILY_H

/*
 * The generic netlink family: groups, messages, and the table of requests
 *
 * What a request does is in request.h; here is how bytes become messages.
 */

#include <linux/types.h>
#include <net/netlink.h>

#include "../include/fs_event.h"

struct event;
struct fs_event_record;
struct genl_family;
struct genl_info;
struct sk_buff;

/* Of one element of FS_NL_A_LEVELS */
extern const struct nla_policy family_level_policy[FS_NL_LEVEL_MAX + 1];

enum family_group {
	FAMILY_GROUP_EVENT,
	FAMILY_GROUP_INODE,
	FAMILY_GROUP_PROC,
	FAMILY_GROUP_MAX,
};

bool family_has_listeners(enum family_group group);

/* Sends, and takes event->message. 0 (also: nobody listens), -ENOMEM, -ENOBUFS. */
int family_send_event(struct event *event);

/* Makes event->message of what @compose adds; 0, -ENOMEM, -EMSGSIZE or the error of @compose. */
int family_compose_event(struct event *event, size_t size,
			 int (*compose)(struct sk_buff *skb, void *data), void *data);
void family_discard_event(struct event *event);

struct family_batch {
	enum family_group group;
	u32 n_records;
	u32 n_bytes;
	struct sk_buff *skb; /* from here on family.c's own */
	void *head;
	struct nlattr *count;
	struct nlattr *records;
};

/* 0 or -ENOMEM. A batch that began must be ended. */
int family_batch_begin(struct family_batch *ret, enum family_group group, u64 first_seq, u64 lost);
/* The caller closes the batch before it passes FS_EVENT_MESSAGE_MAX. */
void family_batch_add(struct family_batch *batch, const struct fs_event_record *record);
/* 0 (also: nobody listens) or -ENOBUFS. */
int family_batch_end(struct family_batch *batch);

/* A message to be filled and given to genlmsg_reply(); NULL: no memory. */
struct sk_buff *family_reply_new(struct genl_info *info, void **ret_head);

int family_init(void);
/* From then on workers that begin send nothing. */
void family_stop(void);
/* From then on no request runs; the workers have ended. */
void family_exit(void);

#endif
