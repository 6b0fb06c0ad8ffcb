/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The companion module
 *
 * Asks fsevents.ko for the events of filesystems and brings each to its member.
 * The module may be loaded later, go, and come again: generic netlink tells
 * that, and the members ask anew. Requests are sent by a worker, since the
 * module waits up to a second where another filesystem of the type is stuck;
 * they name it by type and device number and touch no mount. Where the module
 * finds none of that name, which is so of btrfs before Linux 6.8, its owner may
 * have it named by a descriptor, which the worker has for that moment; from then on
 * by its identity. What they ask for ends with the socket.
 *
 * Numbers that are missing are told as a loss, an overrun of which nothing
 * shows yet as one of unknown size, and after either the members ask once more, because the
 * answer says what holds. What does not come from the kernel is dropped and
 * counted, and so are tests of others.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/wire-event.h"
#include "daemon/source/module-link.h"
#include "daemon/worker/pool.h"

struct module;
struct module_member; /* one filesystem */

struct module_ops {
	/* It is there, or it is gone; members are told by themselves. */
	void (*changed)(bool present, void *userdata);
	void (*lost)(uint64_t n, void *userdata); /* 0: not known how many */
};

struct module_member_ops {
	/* The member may be freed by it. */
	void (*event)(const struct wire_event *event, void *userdata);
	/*
	 * 0: from here on events come, and @answer says which and what holds. Or why
	 * not: -EOPNOTSUPP (not of this type), -ENOENT (not found by type and device:
	 * module_member_ask_root() may), -EBUSY and others (ask again later), -ENODEV:
	 * the module is gone, and asked once more as soon as it comes.
	 */
	void (*answered)(int error, const struct wire_event_answer *answer, void *userdata);
};

/** module_new() - only builds; Return: 0 or a negative errno */
int module_new(struct module **ret, sd_event *loop, struct pool *pool, const struct module_ops *ops,
	       void *userdata);
/** module_start() - look for it now, and from now on; its absence is no error; Return: 0 or a negative errno */
int module_start(struct module *module);
/** module_free() - all members must be freed before */
struct module *module_free(struct module *module);
DEFINE_FREEP(module, module_free)

bool module_is_present(const struct module *module);

/**
 * module_member_new() - ask for the events of a filesystem, now or when the module comes
 * @interest:	copied; its type is borrowed for the member's life
 *
 * Return: 0 or -ENOMEM.
 */
int module_member_new(struct module_member **ret, struct module *module,
		      const struct module_interest *interest, const struct module_member_ops *ops,
		      void *userdata);

/** module_member_ask() - once more, as after a refusal; nothing while the module is not there */
void module_member_ask(struct module_member *member);

/* How a worker reaches it. */
struct module_root {
	const char *where;
	uint64_t mount_id;
	bool mount_id_is_unique;
	enum pool_lane lane;
	uint64_t lane_key;
	uid_t owner_uid;
};

/**
 * module_member_ask_root() - the same by a descriptor, while nothing else is asked
 * @root:	not kept
 *
 * Opens the root of the mount for a moment, in which it cannot be unmounted. The
 * answer is told as always, and is never -ENOENT.
 *
 * Return: 0, or a negative errno: there will be no answer.
 */
int module_member_ask_root(struct module_member *member, const struct module_root *root);

/** module_member_free() - also from within a callback of its own */
struct module_member *module_member_free(struct module_member *member);
DEFINE_FREEP(module_member, module_member_free)

struct module_statistics {
	uint64_t events;
	uint64_t lost;
	uint64_t overruns;
	uint64_t foreign;
	uint64_t malformed;
	uint64_t unknown; /* of no member */
	uint64_t tests;
};
void module_statistics(const struct module *module, struct module_statistics *ret);
