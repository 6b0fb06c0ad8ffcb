/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inside the source of the module: module.c has its coming and going and its
 * events, module-member.c what is asked for.
 */

#include <sys/queue.h>

#include "daemon/source/module.h"

#define MODULE_BUCKETS 256 /* a power of two */

struct module_member {
	TAILQ_ENTRY(module_member) link;
	LIST_ENTRY(module_member) chain; /* while ->fs_id */
	struct module *module;
	const struct module_member_ops *ops;
	void *userdata;
	struct module_interest interest;
	struct pool_ticket *ticket; /* a request is under way */
	uint32_t seq; /* of it */
	bool by_root; /* it names a descriptor */
	bool has_no_type; /* its type does not lead to it, a descriptor did */
	bool has_answer; /* it was read with another's */
	int error;
	struct wire_event_answer answer;
	bool again; /* ask once more after it */
	bool turned; /* it was frozen or thawed since then: newer than the answer */
	uint32_t fs_id; /* 0: not known */
};

struct module {
	sd_event *loop;
	struct pool *pool;
	const struct module_ops *ops;
	void *userdata;
	struct netlink *control; /* tells of families that come and go */
	sd_event_source *control_io;
	sd_event_source *settle; /* on while it came a moment ago and may go at once */
	struct module_link *link; /* NULL: the module is not there */
	sd_event_source *events_io;
	struct wire_event_sequence sequence;
	uint32_t seq; /* of requests */
	TAILQ_HEAD(, module_member) members;
	LIST_HEAD(, module_member) buckets[MODULE_BUCKETS];
	/* The next to be told, so that who is told may free any member. */
	struct module_member *next;
	struct module_statistics statistics;
};

/** module_member_forget() - nothing is asked for any more: the module is gone, or the filesystem */
void module_member_forget(struct module_member *member);
