/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The write gate
 *
 * One-shot fanotify filesystem marks (MODIFY|CREATE|DELETE|DELETE_SELF|ONDIR)
 * that say "somebody wrote here" once and are flushed at once, so that an
 * idle filesystem costs no wake-up and a busy one no event per write. fanotify
 * groups are few (128 for root by default): up to GATE_GROUPS groups are kept
 * and shared; when a shared one opens, all its members are told.
 * Setting a mark is a worker's job; this asks the pool for it.
 *
 * Not seen: stores through a mapping into a hole, and what a loop device
 * writes to its file. So a slow timer goes on beside an armed gate.
 *
 * What the daemon itself and its workers write (the history, after an event)
 * does not open a gate: events are read before the mark is flushed, and while all are
 * the daemon's own the mark simply stays. Each costs one reading; flushing
 * first would cost arming again, a check, and for ever so if a check led to
 * another write.
 *
 * It says no more than that: how long to pause before arming again, so that
 * gate and checks play no ping-pong, is the schedule's.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/superblock.h"
#include "daemon/worker/pool.h"

#define GATE_GROUPS 32

struct gate;
struct gate_member; /* one filesystem */

struct gate_ops {
	void (*opened)(void *userdata); /* somebody wrote; it is armed no more */
	/*
	 * 0, or why it could not be: -ESTALE, -EOPNOTSUPP, -EXDEV, -ENODEV and
	 * so on of the mark; -EMFILE and so on of fanotify_init();
	 * -ETIMEDOUT, -EBUSY, -EDQUOT, -EIO for POOL_STALLED, POOL_BLOCKED,
	 * POOL_LIMIT, POOL_BROKEN.
	 */
	void (*armed)(int error, void *userdata);
};

/** gate_new() - opens nothing yet; all its members must be freed before it */
int gate_new(struct gate **ret, sd_event *loop, struct pool *pool);
struct gate *gate_free(struct gate *gate);
DEFINE_FREEP(gate, gate_free)

int gate_member_new(struct gate_member **ret, struct gate *gate, const struct gate_ops *ops,
		    void *userdata);
struct gate_member *
gate_member_free(struct gate_member *member); /* also with an arming under way */
DEFINE_FREEP(gate_member, gate_member_free)

/**
 * gate_member_arm() - ask for the mark; ->armed() is called later, once
 * @mount:	to reach the filesystem by
 * @lane, @lane_key, @owner_uid: as in struct pool_submission
 *
 * Return: 0, -EALREADY (armed or being armed), -ENOBUFS, -ENOMEM.
 */
int gate_member_arm(struct gate_member *member, const struct mount *mount, enum pool_lane lane,
		    uint64_t lane_key, uid_t owner_uid);
bool gate_member_is_armed(const struct gate_member *member);

struct gate_statistics {
	unsigned int groups;
	unsigned int armed;
	uint64_t opened; /* of groups */
	uint64_t own; /* wake-ups for what the daemon itself wrote */
};

void gate_statistics(const struct gate *gate, struct gate_statistics *ret);
