/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Fusion of what is known of a filesystem's health
 *
 * One truth for each filesystem from many hints: what a look at it showed
 * (statmount, statfs, errno of its root, counters in sysfs) and what sources
 * said meanwhile (fanotify, ext4, kernel messages, block devices). One failure
 * is one fact, whatever the number and order of the hints, and what holds is
 * said again by nothing but a change. Pure; the time is monotonic and passed
 * in, and no hint is trusted further than its source.
 *
 * Errors of one code and one object (an inode, or none) are one failure for
 * FUSION_SAME_US after the first. Those that come later begin a window, which
 * doubles from 2 s to FUSION_WINDOW_MAX_US while they go on: its first is told
 * at once, the others at its end, each with the count of all since the fact
 * before. So a storm is a bounded number of facts, and none of it is lost from
 * the counts. A hint without an inode belongs to any failure of its code that
 * is open; at most FUSION_OBJECTS objects are told apart, further ones count
 * as one.
 *
 * What an error counter (ext4's errors_count, btrfs' error_stats) shows beyond
 * what hints told is told after FUSION_GRACE_US, in which a hint may still
 * claim it; a hint that comes later than that pays its debt first.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/event.h"
#include "daemon/core/usage.h"

#define FUSION_SAME_US 1000000ULL
#define FUSION_WINDOW_MAX_US 60000000ULL
#define FUSION_GRACE_US 200000ULL
#define FUSION_SETTLE_US 15000ULL
#define FUSION_OBJECTS 8

/* Why writes fail: the property ReadOnlyReason. Ordered, the larger one wins. */
enum read_only_reason {
	READ_ONLY_NO,
	READ_ONLY_ADMIN, /* a remount, or mounted so */
	READ_ONLY_DEVICE, /* its block device takes no writes */
	READ_ONLY_ERROR, /* the kernel made it read-only after an error */
	READ_ONLY_EMERGENCY, /* likewise, and no flag shows it (ext4's emergency_ro) */
	READ_ONLY_SHUTDOWN, /* the filesystem was shut down */
};

enum fusion_hint_kind {
	FUSION_HINT_LOOK, /* something changed: look again */
	FUSION_HINT_REMOUNTED, /* somebody remounted it: look, the flags are the administrator's */
	FUSION_HINT_FORCED_READ_ONLY, /* the kernel said that an error made it read-only */
	FUSION_HINT_CORRUPTED,
	FUSION_HINT_IO_ERROR,
	FUSION_HINT_WRITEBACK_ERROR,
	FUSION_HINT_SHUTDOWN,
	FUSION_HINT_FROZEN,
	FUSION_HINT_THAWED,
};

/* Where knowledge comes from: "source" in the details of an event. */
enum fusion_source {
	FUSION_SOURCE_FANOTIFY, /* "fanotify": FAN_FS_ERROR */
	FUSION_SOURCE_EXT4, /* "ext4": errors_count in sysfs */
	FUSION_SOURCE_BTRFS, /* "btrfs": error_stats in sysfs */
	FUSION_SOURCE_STATMOUNT, /* "statmount": options and flags of the superblock */
	FUSION_SOURCE_STATFS, /* "statfs" */
	FUSION_SOURCE_ROOT, /* "root": errno of looking at the root directory */
	FUSION_SOURCE_MOUNTINFO, /* "mountinfo" */
	FUSION_SOURCE_BLOCK, /* "block": the device's own flag, or its uevent */
	FUSION_SOURCE_KMSG, /* "kmsg": a message of the kernel itself */
	FUSION_SOURCE_MODULE, /* "module" */
};

const char *fusion_source_name(enum fusion_source source);

struct fusion_hint {
	enum fusion_hint_kind kind;
	enum fusion_source source;
	int error; /* errno, positive; 0: not known */
	uint32_t pid; /* 0: nobody's, or not known */
	uint64_t count; /* errors that it stands for, at least 1 */
	bool has_inode;
	uint64_t inode;
};

/* Errors by kind, cumulative; of counters that outlive the mount. */
struct fusion_counters {
	uint64_t corrupted;
	uint64_t io_error;
	int last_error; /* errno of the latest, 0: not known */
};

/* What one look showed; nothing is concluded yet. */
struct fusion_look {
	bool read_only_known; /* ->read_only was read from the superblock, not from a mount */
	bool read_only; /* the superblock's flag */
	enum fusion_source read_only_source;
	bool emergency; /* the option emergency_ro */
	bool shutdown; /* the option shutdown */
	bool device_known;
	bool device_read_only;
	bool root_known;
	int root_error; /* errno of looking at the root, positive; 0: fine */
	bool counters_known;
	struct fusion_counters counters;
	enum fusion_source counters_source;
	const struct usage *usage; /* NULL: not asked or no answer */
	bool data_left_known; /* btrfs: besides usage */
	uint64_t
		data_left; /* bytes that data could still take; > 0 with none available: metadata is full */
};

/* One thing to tell. */
struct fusion_fact {
	enum event_code code;
	enum event_severity severity;
	enum fusion_source source;
	enum read_only_reason reason; /* with read-only */
	int error; /* errno, positive; 0: none or not known */
	uint32_t pid;
	uint64_t count; /* errors since the fact before of this failure, at least 1 */
	bool has_inode;
	uint64_t inode;
	bool initial; /* it was so when the filesystem was seen first */
};

#define FUSION_FACTS_MAX 32

/* One failure that is open: errors of it are counted rather than told. */
struct fusion_failure {
	bool used;
	bool has_inode;
	uint64_t inode;
	uint64_t window_us; /* length of the window it is in */
	uint64_t end_us; /* when that ends */
	uint64_t pending; /* errors since the fact before */
	struct fusion_hint last; /* the latest of them */
};

enum { FUSION_ERROR_KINDS = 3 }; /* corrupted, io-error, writeback-error */

/* Open so that it can be embedded; nobody but fusion.c looks inside. */
struct fusion {
	const char *type; /* of the filesystem; borrowed from its superblock */
	bool looked; /* once, at least */
	enum read_only_reason reason; /* in force, as told */
	enum read_only_reason seen; /* what the last look showed */
	uint64_t settle_us; /* when a change of it is told; 0: none waits */
	uint64_t forced_us; /* when the kernel last said "forced", or an error came; 0: never */
	bool forced;
	bool shutdown;
	bool frozen;
	bool failed;
	bool full_data, full_metadata, full_inodes;
	uint64_t error_count;
	struct fusion_counters told; /* of the counters: claimed by hints, or told */
	struct fusion_counters shown; /* by the last look */
	uint64_t grace_us; /* when the difference is told; 0: there is none */
	enum fusion_source counters_source;
	struct fusion_failure failures[FUSION_ERROR_KINDS][FUSION_OBJECTS];
};

/** fusion_init() - nothing known yet; @type lives as long as @fusion */
void fusion_init(struct fusion *fusion, const char *type);

/**
 * fusion_look() - take in what a look showed
 * @ret:	facts in the order to tell them, cause before effect
 *
 * The first look is the state that was found: what is wrong already is told
 * once, marked initial; read-only by the administrator is not.
 *
 * Return: the number of facts.
 */
size_t fusion_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look,
		   struct fusion_fact ret[static FUSION_FACTS_MAX]);

/**
 * fusion_hint() - take in what a source said
 * @ret_look:	whether to look at the filesystem now; may be set together with facts
 *
 * Before the first look, hints are kept in mind and tell nothing but errors.
 *
 * Return: the number of facts.
 */
size_t fusion_hint(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint,
		   struct fusion_fact ret[static FUSION_FACTS_MAX], bool *ret_look);

/** fusion_due() - when fusion_tell() is worth calling; UINT64_MAX: nothing waits */
uint64_t fusion_due(const struct fusion *fusion);

/** fusion_tell() - what was held back until now; Return: the number of facts */
size_t fusion_tell(struct fusion *fusion, uint64_t now_us,
		   struct fusion_fact ret[static FUSION_FACTS_MAX]);

/** fusion_reason() - why writes fail, READ_ONLY_NO: they do not */
enum read_only_reason fusion_reason(const struct fusion *fusion);

/** fusion_has_failed() - an error was seen; until unmount */
bool fusion_has_failed(const struct fusion *fusion);
bool fusion_is_frozen(const struct fusion *fusion);

/** fusion_is_full() - no data, metadata or inodes were left at the last look */
bool fusion_is_full(const struct fusion *fusion);

/** fusion_error_count() - errors of all kinds since it was seen first, and those it came with */
uint64_t fusion_error_count(const struct fusion *fusion);

/** read_only_reason_name() - as in the property ReadOnlyReason; "" for READ_ONLY_NO */
const char *read_only_reason_name(enum read_only_reason reason);
