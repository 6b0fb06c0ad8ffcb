// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/module.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "event.h"
#include "family.h"
#include "request.h"

#define REGISTER_ATTEMPTS 16

/* Requests have what they may have and nothing else: what is not here is refused. */
static const struct nla_policy policy_none[FS_NL_A_MAX + 1] = {};

const struct nla_policy family_level_policy[FS_NL_LEVEL_MAX + 1] = {
	[FS_NL_LEVEL_NAME] = { .type = NLA_NUL_STRING, .len = FS_EVENT_LEVEL_NAME_MAX },
	[FS_NL_LEVEL_RESOURCE] = NLA_POLICY_MAX(NLA_U32, FS_LEVEL_INODES),
	[FS_NL_LEVEL_BELOW] = { .type = NLA_U64 },
	[FS_NL_LEVEL_ABOVE] = { .type = NLA_U64 },
	[FS_NL_LEVEL_PAD] = { .type = NLA_REJECT },
};

#define POLICY_FS                                                                                  \
	[FS_NL_A_FD] = { .type = NLA_U32 },                                                        \
	[FS_NL_A_FS_TYPE] = { .type = NLA_NUL_STRING, .len = FS_EVENT_TYPE_MAX },                  \
	[FS_NL_A_DEV_MAJOR] = { .type = NLA_U32 }, [FS_NL_A_DEV_MINOR] = { .type = NLA_U32 },      \
	[FS_NL_A_FS_ID] = NLA_POLICY_MIN(NLA_U32, 1)

static const struct nla_policy policy_fs_set[FS_NL_A_MAX + 1] = {
	POLICY_FS,
	[FS_NL_A_EVENTS] = { .type = NLA_U64 },
	[FS_NL_A_FILE_EVENTS] = { .type = NLA_U32 },
};

static const struct nla_policy policy_fs[FS_NL_A_MAX + 1] = { POLICY_FS };

static const struct nla_policy policy_levels[FS_NL_A_MAX + 1] = {
	POLICY_FS,
	[FS_NL_A_LEVELS] = NLA_POLICY_NESTED_ARRAY(family_level_policy),
};

static const struct nla_policy policy_watch_add[FS_NL_A_MAX + 1] = {
	POLICY_FS,
	[FS_NL_A_INODE] = { .type = NLA_U64 },
	[FS_NL_A_FILE_EVENTS] = { .type = NLA_U32 },
};

static const struct nla_policy policy_watch_del[FS_NL_A_MAX + 1] = {
	[FS_NL_A_WATCH_ID] = NLA_POLICY_MIN(NLA_U32, 1),
};

static const struct nla_policy policy_proc[FS_NL_A_MAX + 1] = {
	[FS_NL_A_PROC_EVENTS] = { .type = NLA_U32 },
};

static const struct nla_policy policy_test[FS_NL_A_MAX + 1] = {
	POLICY_FS,
	[FS_NL_A_EVENT_ID] = NLA_POLICY_RANGE(NLA_U32, 1, FS_EVENT_ID_MAX),
	[FS_NL_A_DATA] = { .type = NLA_U64 },
};

#define REQUEST(command, function, attributes)                                                     \
	{                                                                                          \
		.cmd = command, .doit = function, .policy = attributes, .maxattr = FS_NL_A_MAX,    \
		.flags = GENL_ADMIN_PERM,                                                          \
	}

static const struct genl_ops family_ops[] = {
	REQUEST(FS_NL_C_GET_INFO, request_get_info, policy_none),
	REQUEST(FS_NL_C_FS_SET, request_fs_set, policy_fs_set),
	REQUEST(FS_NL_C_FS_DEL, request_fs_del, policy_fs),
	REQUEST(FS_NL_C_LEVELS_SET, request_levels_set, policy_levels),
	REQUEST(FS_NL_C_WATCH_ADD, request_watch_add, policy_watch_add),
	REQUEST(FS_NL_C_WATCH_DEL, request_watch_del, policy_watch_del),
	REQUEST(FS_NL_C_PROC_SET, request_proc_set, policy_proc),
	REQUEST(FS_NL_C_SYNC, request_sync, policy_none),
	REQUEST(FS_NL_C_TEST, request_test, policy_test),
	REQUEST(FS_NL_C_IGNORE_SELF, request_ignore_self, policy_none),
};

/* Names of files and pids of all users pass here: not for everyone. */
static const struct genl_multicast_group family_groups[] = {
	[FAMILY_GROUP_EVENT] = { .name = FS_EVENTS_MCAST_GRP_NAME, .flags = COMPAT_GROUP_FLAGS },
	[FAMILY_GROUP_INODE] = { .name = FS_EVENTS_GRP_INODE, .flags = COMPAT_GROUP_FLAGS },
	[FAMILY_GROUP_PROC] = { .name = FS_EVENTS_GRP_PROC, .flags = COMPAT_GROUP_FLAGS },
};

static struct genl_family family_family __ro_after_init = {
	.name = FS_EVENTS_FAMILY_NAME,
	.version = FS_EVENTS_FAMILY_VERSION,
	.maxattr = FS_NL_A_MAX,
	.module = THIS_MODULE,
	.parallel_ops = true,
	.ops = family_ops,
	.n_ops = ARRAY_SIZE(family_ops),
	.resv_start_op = FS_NL_C_GET_INFO,
	.mcgrps = family_groups,
	.n_mcgrps = ARRAY_SIZE(family_groups),
};

static bool family_registered;

bool family_has_listeners(enum family_group group)
{
	return READ_ONCE(family_registered) && genl_has_listeners(&family_family, &init_net, group);
}

static int family_multicast(struct sk_buff *skb, enum family_group group)
{
	int error;

	if (!READ_ONCE(family_registered)) {
		nlmsg_free(skb);
		return 0;
	}
	error = genlmsg_multicast(&family_family, skb, 0, group, GFP_KERNEL);
	/* ESRCH: nobody is in the group, or all who are were full and learn it from their socket. */
	return error == -ESRCH ? 0 : error;
}

/* What each event has, and what it has beside that */
static int family_fill_event(struct sk_buff *skb, const struct event *event)
{
	if (nla_put_u32(skb, FS_NL_A_EVENT_ID, event->id) ||
	    nla_put_u32(skb, FS_NL_A_DEV_MAJOR, MAJOR(event->dev)) ||
	    nla_put_u32(skb, FS_NL_A_DEV_MINOR, MINOR(event->dev)) ||
	    nla_put_u64_64bit(skb, FS_NL_A_CAUSED_ID, event->caused_id, FS_NL_A_PAD) ||
	    nla_put_u64_64bit(skb, FS_NL_A_DATA, event->data, FS_NL_A_PAD))
		return -EMSGSIZE;
	if ((event->fs_id && nla_put_u32(skb, FS_NL_A_FS_ID, event->fs_id)) ||
	    (event->level[0] && nla_put_string(skb, FS_NL_A_LEVEL, event->level)) ||
	    (event->error && nla_put_u32(skb, FS_NL_A_ERRNO, event->error)) ||
	    (event->inode && nla_put_u64_64bit(skb, FS_NL_A_INODE, event->inode, FS_NL_A_PAD)) ||
	    (event->count && nla_put_u32(skb, FS_NL_A_COUNT, event->count)) ||
	    (event->test && nla_put_flag(skb, FS_NL_A_TEST)))
		return -EMSGSIZE;
	return 0;
}

static int family_fill_numbers(struct sk_buff *skb, const struct event *event)
{
	if (nla_put_u64_64bit(skb, FS_NL_A_SEQ, event->seq, FS_NL_A_PAD) ||
	    nla_put_u64_64bit(skb, FS_NL_A_TIME, event->time_ns, FS_NL_A_PAD) ||
	    nla_put_u64_64bit(skb, FS_NL_A_LOST, event->lost, FS_NL_A_PAD))
		return -EMSGSIZE;
	return 0;
}

#define NUMBERS_SIZE (3 * nla_total_size_64bit(sizeof(u64)))
#define EVENT_SIZE                                                                                 \
	(NUMBERS_SIZE + 3 * nla_total_size_64bit(sizeof(u64)) + 6 * nla_total_size(sizeof(u32)) +  \
	 nla_total_size(FS_EVENT_LEVEL_NAME_MAX + 1) + nla_total_size(0))

int family_send_event(struct event *event)
{
	struct sk_buff *skb = event->message;
	void *head = event->message_head;

	event->message = NULL;
	if (!skb) {
		if (!family_has_listeners(FAMILY_GROUP_EVENT))
			return 0;
		skb = genlmsg_new(EVENT_SIZE, GFP_KERNEL);
		if (!skb)
			return -ENOMEM;
		head = genlmsg_put(skb, 0, 0, &family_family, 0, FS_NL_C_EVENT);
		if (WARN_ON_ONCE(!head || family_fill_event(skb, event)))
			goto err_free;
	}
	if (WARN_ON_ONCE(family_fill_numbers(skb, event)))
		goto err_free;
	genlmsg_end(skb, head);
	return family_multicast(skb, FAMILY_GROUP_EVENT);

err_free:
	nlmsg_free(skb);
	return -ENOMEM;
}

int family_compose_event(struct event *event, size_t size,
			 int (*compose)(struct sk_buff *skb, void *data), void *data)
{
	struct sk_buff *skb;
	void *head;
	int error = -EMSGSIZE;

	size += NUMBERS_SIZE + nla_total_size(sizeof(u32));
	if (size > FS_EVENT_MESSAGE_MAX - NLMSG_HDRLEN - GENL_HDRLEN)
		return -EMSGSIZE;
	skb = genlmsg_new(size, GFP_ATOMIC);
	if (!skb)
		return -ENOMEM;
	head = genlmsg_put(skb, 0, 0, &family_family, 0, FS_NL_C_EVENT);
	if (!head || (event->id && nla_put_u32(skb, FS_NL_A_EVENT_ID, event->id)))
		goto err_free;
	error = compose(skb, data);
	if (error)
		goto err_free;
	/* The tail may be larger than asked for: what was not asked for was not to be used. */
	if (skb_tailroom(skb) < NUMBERS_SIZE) {
		error = -EMSGSIZE;
		goto err_free;
	}
	event->message = skb;
	event->message_head = head;
	return 0;

err_free:
	nlmsg_free(skb);
	return error;
}

void family_discard_event(struct event *event)
{
	nlmsg_free(event->message);
	event->message = NULL;
}

/* The payload of the next attribute begins at a multiple of 8 bytes of the message. */
static int family_align(struct sk_buff *skb)
{
	size_t offset = skb_tail_pointer(skb) - (unsigned char *)nlmsg_hdr(skb);

	if (IS_ALIGNED(offset + NLA_HDRLEN, 8))
		return 0;
	return nla_reserve(skb, FS_NL_A_PAD, 0) ? 0 : -EMSGSIZE;
}

int family_batch_begin(struct family_batch *ret, enum family_group group, u64 first_seq, u64 lost)
{
	struct family_batch batch = { .group = group };

	batch.skb = genlmsg_new(FS_EVENT_MESSAGE_MAX - NLMSG_HDRLEN - GENL_HDRLEN, GFP_KERNEL);
	if (!batch.skb)
		return -ENOMEM;
	batch.head = genlmsg_put(batch.skb, 0, 0, &family_family, 0, FS_NL_C_RECORDS);
	if (WARN_ON_ONCE(!batch.head) ||
	    nla_put_u64_64bit(batch.skb, FS_NL_A_SEQ, first_seq, FS_NL_A_PAD) ||
	    nla_put_u64_64bit(batch.skb, FS_NL_A_LOST, lost, FS_NL_A_PAD))
		goto err_free;
	batch.count = nla_reserve(batch.skb, FS_NL_A_N_RECORDS, sizeof(u32));
	if (!batch.count || family_align(batch.skb))
		goto err_free;
	batch.records = nla_reserve(batch.skb, FS_NL_A_RECORDS, 0);
	if (!batch.records)
		goto err_free;
	*ret = batch;
	return 0;

err_free:
	nlmsg_free(batch.skb);
	return -ENOMEM;
}

void family_batch_add(struct family_batch *batch, const struct fs_event_record *record)
{
	/* One record alone always has room: see the bound on names in process.c. */
	if (WARN_ON_ONCE(skb_tailroom(batch->skb) < record->size))
		return;
	skb_put_data(batch->skb, record, record->size);
	batch->n_bytes += record->size;
	batch->n_records++;
}

int family_batch_end(struct family_batch *batch)
{
	batch->records->nla_len = nla_attr_size(batch->n_bytes);
	memcpy(nla_data(batch->count), &batch->n_records, sizeof(batch->n_records));
	genlmsg_end(batch->skb, batch->head);
	return family_multicast(batch->skb, batch->group);
}

struct sk_buff *family_reply_new(struct genl_info *info, void **ret_head)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*ret_head = genlmsg_put_reply(skb, info, &family_family, 0, info->genlhdr->cmd);
	if (!*ret_head) {
		nlmsg_free(skb);
		return NULL;
	}
	return skb;
}

static bool family_is_joined(void)
{
	int group;

	for (group = 0; group < FAMILY_GROUP_MAX; group++)
		if (genl_has_listeners(&family_family, &init_net, group))
			return true;
	return false;
}

/*
 * Anybody may join a number that is no group yet, and stays in when it becomes one
 * that he could not join. Only the end of a family throws everybody out. So this one
 * begins with empty groups or not at all: from then on whoever joins is asked first.
 */
int family_init(void)
{
	int error, i;

	for (i = 0; i < REGISTER_ATTEMPTS; i++) {
		error = genl_register_family(&family_family);
		if (error)
			return error;
		if (!family_is_joined()) {
			WRITE_ONCE(family_registered, true);
			return 0;
		}
		genl_unregister_family(&family_family);
	}
	pr_err("somebody keeps joining groups before they are there; not loaded\n");
	return -EBUSY;
}

void family_stop(void)
{
	WRITE_ONCE(family_registered, false);
}

void family_exit(void)
{
	genl_unregister_family(&family_family);
}
