/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a user may make the daemon hold
 *
 * Counts per uid of a few kinds of things, charged before they are made and
 * released through a handle, so that a release cannot be forgotten or done
 * twice. Pure.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/cleanup.h"

enum quota_kind {
	QUOTA_STREAMS,
	QUOTA_REPLY_BYTES, /* sent to it and not proven read */
	QUOTA_GROUPS, /* of processes */
	QUOTA_RELAYS, /* of forks */
	QUOTA_QUEUE_BYTES, /* of groups and watches: told and not sent yet */
	QUOTA_WATCHES, /* of files and directories */
	QUOTA_DIRECTORIES, /* that are watched one by one, below one of those */
	QUOTA_WATCH_GROUPS, /* filesystems that these are in, for each way of watching */

	_QUOTA_KIND_N,
};

enum {
	_QUOTA_E_SUCCESS,

	QUOTA_E_EXCEEDED, /* the limit of this user, or of all together */
};

struct quota;

/* A charge; zeroed: none. Once charged it is moved, not copied. */
struct quota_charge {
	struct quota *quota;
	uid_t uid;
	enum quota_kind kind;
	uint64_t amount;
};

struct quota_limit {
	uint64_t per_uid;
	uint64_t total;
	uint64_t reserved; /* of the total, for uid 0 alone */
};

/** quota_new() - @limits: by enum quota_kind, copied; Return: 0 or -ENOMEM */
int quota_new(struct quota **ret, const struct quota_limit limits[static _QUOTA_KIND_N]);
/** quota_set_limit() - from now on; what is charged already stays */
void quota_set_limit(struct quota *quota, enum quota_kind kind, struct quota_limit limit);

struct quota *quota_free(struct quota *quota); /* asserts that nothing is charged */
DEFINE_FREEP(quota, quota_free)

/**
 * quota_charge() - hold @amount more for a user
 * @charge:	zeroed; the handle for quota_release(). It must not
 *		outlive @quota. An amount of 0 charges nothing and always succeeds.
 *
 * Memory is used per user only while that user is charged for something.
 *
 * Return: 0, QUOTA_E_EXCEEDED, or -ENOMEM; @charge is untouched unless 0.
 */
int quota_charge(struct quota *quota, struct quota_charge *charge, uid_t uid, enum quota_kind kind,
		 uint64_t amount);

/** quota_move() - @from is another's from now on; @to is zeroed before, and @from after */
void quota_move(struct quota_charge *to, struct quota_charge *from);

/** quota_release() - give back; harmless for a zeroed and for a released charge */
void quota_release(struct quota_charge *charge);

/** quota_used() - what one user is charged now */
uint64_t quota_used(const struct quota *quota, uid_t uid, enum quota_kind kind);

/** quota_total() - what all users together are charged now */
uint64_t quota_total(const struct quota *quota, enum quota_kind kind);
