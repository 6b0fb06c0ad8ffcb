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
 * What a hint or a look brings is told FUSION_SETTLE_US later, together with
 * what belongs to it: the cause before the effect, whichever was seen first, a
 * shutdown instead of the errors that came with it, and an error with the
 * object that a second hint names. Only read-write, space, and frozen are told
 * at once, and what the first look finds.
 *
 * Errors of one code and one object (an inode, or none) are one failure for a
 * time after the first: FUSION_SAME_US, and FUSION_DEVICE_US where a device
 * fails, because that goes on failing. Fewer than FUSION_STORM of them are
 * echoes of what was told, and only counted; more are told with their count at
 * the end of that time. Those that come later begin a window, which doubles
 * from 2 s to FUSION_WINDOW_MAX_US while they go on: its first is told, the
 * others at its end, each with the count of all since the fact before. So a
 * storm is a bounded number of facts, and none of it is lost from the counts. A
 * hint without an inode belongs to any failure of its code that is open; at most
 * FUSION_OBJECTS objects are told apart, further ones count as one.
 *
 * Who found no space, or no inode, is told at once with the process, and not
 * again before enough was there or FUSION_WINDOW_MAX_US have passed: a large
 * request may fail while much is left. A hint that repeats another names who
 * found what is used up, and by itself is no news: enough may be there by now.
 * Where somebody tells that, what a look finds used up waits FUSION_CULPRIT_US
 * for it.
 *
 * What an error counter (ext4's errors_count, btrfs' error_stats) shows beyond
 * what hints told is told after FUSION_GRACE_US, in which a hint may still
 * claim it; a hint that comes later than that pays its debt first. It counts
 * with a failure of its code that is open, or was within FUSION_CAUSE_US, and
 * is a failure by itself only where there is none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/event.h"
#include "daemon/core/usage.h"

#define FUSION_SAME_US 1000000ULL
#define FUSION_DEVICE_US 10000000ULL
/* One lost writeback of ext4 comes as a dozen messages of the kernel. */
#define FUSION_STORM 16
#define FUSION_WINDOW_MAX_US 60000000ULL
#define FUSION_GRACE_US 200000ULL
#define FUSION_SETTLE_US 15000ULL
/* ext4 commits its journal up to three times before it refuses a process. */
#define FUSION_CULPRIT_US 2000000ULL
#define FUSION_OBJECTS 8
/* How long an error is the cause of what follows it. */
#define FUSION_CAUSE_US 10000000ULL
/* Looks that hints ask for are as far apart as this. */
#define FUSION_LOOK_US 10000ULL

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
	FUSION_HINT_NO_SPACE, /* a process found none */
	FUSION_HINT_NO_METADATA, /* ... for metadata */
	FUSION_HINT_NO_INODES,
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
	bool repeats; /* it was some time ago, and another hint told the first of them */
	bool has_inode;
	uint64_t inode;
};

/**
 * fusion_error_kind() - which error a filesystem means by an errno (of fanotify)
 *
 * What a check of its data found is corrupted, a shutdown or a lack of memory is a
 * reason to look, and anything else an error of I/O. A counter that grows by one
 * of the former counts an error of I/O as well.
 */
enum fusion_hint_kind fusion_error_kind(int error);

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
	bool committing; /* btrfs: a commit is under way, or was aborted */
	bool heard; /* all that the kernel said lately came as hints */
	bool device_known;
	bool device_read_only;
	bool root_known;
	int root_error; /* errno of looking at the root, positive; 0: fine */
	uint32_t codes; /* what may be told of it: capability_codes() */
	bool counters_known;
	struct fusion_counters counters;
	enum fusion_source counters_source;
	bool culprits; /* who finds no space comes as a hint */
	const struct usage *usage; /* NULL: not asked or no answer */
	bool data_left_known; /* btrfs: besides usage */
	uint64_t data_left; /* bytes that data could still take */
	bool metadata_left_known; /* likewise */
	uint64_t metadata_left; /* bytes for metadata, with space of no block group */
	bool mixed_left_known; /* instead of both, where it keeps them together */
	uint64_t mixed_left; /* bytes for either */
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

/* One failure: errors of it are counted rather than told. */
struct fusion_failure {
	bool used;
	bool waits; /* to be told when things have settled */
	bool has_inode;
	uint64_t inode;
	uint64_t window_us; /* length of the window it is in; 0: still the same failure */
	uint64_t end_us; /* when that ends */
	uint64_t pending; /* errors since the fact before */
	struct fusion_hint last; /* the one that says most of them */
};

enum { FUSION_ERROR_KINDS = 3 }; /* corrupted, io-error, writeback-error */

/* What an error counter of the filesystem shows, and how much of it is known already. */
struct fusion_ledger {
	bool known; /* the counter was seen */
	enum fusion_source source;
	struct fusion_counters shown; /* by the last look */
	struct fusion_counters told; /* when the difference was told last */
	uint64_t
		claimed; /* of shown, both kinds: by hints, or told; ahead of it while a look is due */
	uint64_t claimed_us; /* when a hint claimed last */
	uint64_t debt; /* of claimed: told, hints may still come */
	uint64_t debt_us; /* when it was made */
	uint64_t grace_us; /* when the difference is told; 0: there is none */
};

/* Open so that it can be embedded; nobody but fusion*.c looks inside. */
struct fusion {
	const char *type; /* of the filesystem; borrowed from its superblock */
	bool looked; /* once, at least */
	uint64_t settle_us; /* when what waits is told; 0: nothing does */

	enum read_only_reason reason; /* in force */
	enum read_only_reason worst; /* that was told since it took writes last */
	enum read_only_reason seen; /* what the last look showed; ERROR and ADMIN both are ADMIN */
	enum fusion_source seen_source;
	bool flag; /* the superblock's, as far as it was known */
	enum fusion_source flag_source;
	uint64_t flag_us; /* since when */
	uint64_t forced_us; /* when the kernel last said "forced"; these three: 0 = never */
	uint64_t error_us; /* when an error came last */
	uint64_t remounted_us; /* when somebody remounted it last */
	bool heard; /* when it was looked at last */
	bool shutdown; /* seen, or said; until unmount */
	enum fusion_source shutdown_source;
	bool root_seen, usage_seen; /* once, at least */
	bool root_failed; /* its root could not be looked at, the last time */

	bool frozen;
	bool failed;
	bool full_data, full_metadata, full_inodes;
	uint64_t no_space_us,
		no_inodes_us; /* when that was last told of a process; 0: not since there was enough */
	uint32_t space_waits; /* bits 1 << enum event_code: found used up, and not told yet */
	uint64_t space_due_us; /* when it is; while ->space_waits */
	bool frozen_known; /* the next two: as they were when it was frozen */
	uint64_t frozen_free, frozen_files;

	uint64_t look_us; /* no look is asked for before; 0: any time */
	bool look_owed; /* one is asked for then */
	bool look_wanted;

	uint64_t others; /* errors that no counter counts */
	uint64_t echoes; /* of failures that are forgotten: only fusion_error_count() has them */
	struct fusion_ledger ledger;
	struct fusion_failure failures[FUSION_ERROR_KINDS][FUSION_OBJECTS];
};

/** fusion_init() - nothing known yet; @type lives as long as @fusion */
void fusion_init(struct fusion *fusion, const char *type);

/**
 * fusion_look() - take in what a look showed
 * @ret:	facts in the order to tell them, cause before effect
 *
 * The first look is the state that was found: what is wrong already is told
 * once, marked initial; read-only by the administrator is not. What the first
 * look does not know is found by the first one that does.
 *
 * Return: the number of facts.
 */
size_t fusion_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look,
		   struct fusion_fact ret[static FUSION_FACTS_MAX]);

/**
 * fusion_hint() - take in what a source said
 * @ret_look:	whether to look at the filesystem now; may be set together with facts
 *
 * Before the first look, hints are kept in mind, and nothing is told but errors,
 * by fusion_tell(). Whoever has nobody to tell until then does not call it: the
 * look tells them all, and takes back a shutdown that it disproves.
 * In a storm a look is asked for each FUSION_LOOK_US; fusion_wants_look() has
 * the last one.
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

/**
 * fusion_wants_look() - a look that hints asked for was put off and is due
 *
 * To be asked after fusion_tell(). Return: true once for each.
 */
bool fusion_wants_look(struct fusion *fusion);

/** fusion_reason() - why writes fail, READ_ONLY_NO: they do not */
enum read_only_reason fusion_reason(const struct fusion *fusion);

/** fusion_has_failed() - an error was seen, or what the kernel does after one; until unmount */
bool fusion_has_failed(const struct fusion *fusion);
bool fusion_is_frozen(const struct fusion *fusion);

/**
 * fusion_is_full() - no data, metadata or inodes were left
 *
 * Until clearly more is there than was found missing: 1/128 of the size, at
 * least 64 blocks or 16 inodes (half of all where there are fewer), 8 MiB for
 * metadata, 2 MiB where btrfs keeps it together with data. As long as nothing can
 * be written, it is not full.
 */
bool fusion_is_full(const struct fusion *fusion);

/**
 * fusion_metadata_distance() - bytes of metadata to where enospc-metadata is told, or over
 * @left:	as in a look
 *
 * Return: UINT64_MAX where that waits for something else.
 */
uint64_t fusion_metadata_distance(const struct fusion *fusion, uint64_t left);

/** fusion_error_count() - errors of all kinds since it was seen first, and those it came with */
uint64_t fusion_error_count(const struct fusion *fusion);

/** read_only_reason_name() - as in the property ReadOnlyReason; "" for READ_ONLY_NO */
const char *read_only_reason_name(enum read_only_reason reason);
