/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/core/fusion-internal.h"

const char *const fusion_ext_types[] = { "ext2", "ext3", "ext4", NULL };
const char *const fusion_btrfs_types[] = { "btrfs", NULL };
const char *const fusion_xfs_types[] = { "xfs", NULL };

void fusion_init(struct fusion *fusion, const char *type)
{
	assert(fusion);
	assert(type);

	*fusion = (struct fusion){ .type = type };
}

bool fusion_is_type(const struct fusion *fusion, const char *const *types)
{
	for (; *types; types++)
		if (strcmp(fusion->type, *types) == 0)
			return true;
	return false;
}

struct fusion_fact *fusion_fact_add(struct fusion_facts *facts, enum event_code code,
				    enum fusion_source source)
{
	struct fusion_fact *fact = &facts->facts[facts->n];

	assert(facts->n < FUSION_FACTS_MAX);

	facts->n++;
	*fact = (struct fusion_fact){
		.code = code,
		.severity = event_code_severity(code),
		.source = source,
		.count = 1,
	};
	return fact;
}

void fusion_wait(struct fusion *fusion, uint64_t now_us)
{
	if (fusion->settle_us == 0)
		fusion->settle_us = now_us + FUSION_SETTLE_US;
}

enum fusion_hint_kind fusion_error_kind(int error)
{
	switch (error) {
	case 0:
	case EUCLEAN:
	case EBADMSG:
		return FUSION_HINT_CORRUPTED;
	case ENOMEM:
	case ESHUTDOWN:
		return FUSION_HINT_LOOK;
	default:
		return FUSION_HINT_IO_ERROR;
	}
}

/* Times are compared as they come: what did not happen is never near. */
static bool is_near(uint64_t a_us, uint64_t b_us)
{
	if (a_us == 0 || b_us == 0)
		return false;
	return a_us > b_us ? a_us - b_us <= FUSION_CAUSE_US : b_us - a_us <= FUSION_CAUSE_US;
}

/*
 * Why the superblock's flag is set. The kernel says so where it was forced, and
 * where nobody listens, an error shortly before is the cause; but an
 * administrator may repair by a remount just then, which ext4 says, and btrfs
 * does not.
 */
static bool is_forced(const struct fusion *fusion)
{
	if (fusion->forced_us != 0 &&
	    (fusion->forced_us >= fusion->flag_us || is_near(fusion->forced_us, fusion->flag_us)))
		return true;
	if (is_near(fusion->remounted_us, fusion->flag_us) ||
	    (fusion->heard && fusion_is_type(fusion, fusion_btrfs_types)))
		return false;
	return fusion->error_us <= fusion->flag_us + FUSION_SETTLE_US &&
	       is_near(fusion->error_us, fusion->flag_us) &&
	       (fusion_is_type(fusion, fusion_ext_types) ||
		fusion_is_type(fusion, fusion_btrfs_types));
}

/* Reasons of one class are one state: a change within it is not told. */
static unsigned int reason_class(enum read_only_reason reason)
{
	switch (reason) {
	case READ_ONLY_NO:
		return 0;
	case READ_ONLY_ADMIN:
		return 1;
	case READ_ONLY_DEVICE:
		return 2;
	case READ_ONLY_ERROR:
	case READ_ONLY_EMERGENCY:
		return 3;
	case READ_ONLY_SHUTDOWN:
		return 4;
	}

	return 0;
}

/* What the reason is, by all that is known now. */
static enum read_only_reason reason_now(const struct fusion *fusion)
{
	if (fusion->shutdown && fusion->looked)
		return READ_ONLY_SHUTDOWN;
	if (fusion->seen != READ_ONLY_ADMIN)
		return fusion->seen;

	/* What an error has made so stays so while the flag is set. */
	if (reason_class(fusion->reason) == reason_class(READ_ONLY_ERROR))
		return fusion->reason;
	return is_forced(fusion) ? READ_ONLY_ERROR : READ_ONLY_ADMIN;
}

/* Take over the reason of now, and tell it where it is another state. */
static void reason_tell(struct fusion *fusion, bool initial, struct fusion_facts *facts)
{
	enum read_only_reason reason = reason_now(fusion), was = fusion->reason;
	bool is_worse = reason_class(reason) > reason_class(fusion->worst);
	struct fusion_fact *fact;

	fusion->reason = reason;
	if (reason == READ_ONLY_NO || is_worse)
		fusion->worst = reason;
	if (reason_class(reason) >= reason_class(READ_ONLY_ERROR))
		fusion->failed = true;

	if (reason == READ_ONLY_NO) {
		if (was == READ_ONLY_NO)
			return;
		fact = fusion_fact_add(facts, EVENT_READ_WRITE, fusion->seen_source);
		/* What was the cause of that state is none of the next one's. */
		fusion->forced_us = fusion->error_us = 0;
	} else if (!is_worse || (initial && reason == READ_ONLY_ADMIN)) {
		return;
	} else if (reason == READ_ONLY_SHUTDOWN) {
		fact = fusion_fact_add(facts, EVENT_SHUTDOWN, fusion->shutdown_source);
	} else {
		fact = fusion_fact_add(facts, EVENT_READ_ONLY, fusion->seen_source);
		if (reason == READ_ONLY_ADMIN)
			fact->severity = SEVERITY_NOTICE;
	}
	fact->reason = reason;
	fact->initial = initial;
}

static void shutdown_note(struct fusion *fusion, uint64_t now_us, enum fusion_source source)
{
	if (fusion->shutdown)
		return;

	fusion->shutdown = true;
	fusion->shutdown_source = source;
	fusion_wait(fusion, now_us);
}

static bool root_is_broken(int error)
{
	switch (error) {
	case EIO:
	case EREMOTEIO:
	case EUCLEAN:
	case EBADMSG:
		return true;
	default:
		/* no permission, no server, no such program: of no disk */
		return false;
	}
}

static void error_take(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint)
{
	struct fusion_hint rest = *hint;

	if (rest.count == 0)
		rest.count = 1;
	rest.count = fusion_ledger_claim(fusion, now_us, &rest);
	fusion->failed = true;
	fusion->error_us = now_us;
	if (rest.count > 0)
		fusion_failure_add(fusion, now_us, &rest);
}

static bool can_tell(const struct fusion_look *look, enum event_code code)
{
	return look->codes & 1U << code;
}

/* Damage too is an error of I/O where nothing else tells of damage. */
static void root_fail(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look)
{
	struct fusion_hint hint = {
		.kind = fusion_error_kind(look->root_error),
		.source = FUSION_SOURCE_ROOT,
		.error = look->root_error,
		.count = 1,
	};

	if (!can_tell(look, EVENT_CORRUPTED))
		hint.kind = FUSION_HINT_IO_ERROR;
	/* What carries a filesystem without one is told of by itself. */
	if (hint.kind == FUSION_HINT_CORRUPTED || can_tell(look, EVENT_IO_ERROR))
		error_take(fusion, now_us, &hint);
}

/* xfs answers so once it is shut down; others cannot read their root. */
static void root_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look)
{
	bool is_first = !fusion->root_seen;
	bool is_xfs = fusion_is_type(fusion, fusion_xfs_types), was = fusion->root_failed;

	if (!look->root_known)
		return;
	/* Said too early, of what was mounted there before. */
	if (is_xfs && look->root_error == 0 && !look->shutdown && !fusion->looked)
		fusion->shutdown = false;

	fusion->root_seen = true;
	fusion->root_failed = root_is_broken(look->root_error);
	if (look->root_error == ESHUTDOWN || (is_xfs && look->root_error == EIO)) {
		if (can_tell(look, EVENT_SHUTDOWN))
			shutdown_note(fusion, now_us, FUSION_SOURCE_ROOT);
	} else if (fusion->root_failed && !was) {
		/* That nothing can be read any more follows from what made it so. */
		if (is_first && fusion->flag)
			fusion->forced_us = now_us;
		else if (reason_class(fusion->reason) < reason_class(READ_ONLY_ERROR))
			root_fail(fusion, now_us, look);
	}
}

static void flags_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look)
{
	bool is_device = look->device_known && look->device_read_only;

	fusion->heard = look->heard;
	if (look->read_only_known) {
		if (look->read_only && !fusion->flag)
			fusion->flag_us = now_us;
		fusion->flag = look->read_only;
		fusion->flag_source = look->read_only_source;
	}
	if (look->shutdown)
		shutdown_note(fusion, now_us, fusion->flag_source);
	/* Later, a remount commits too while the flag is set. */
	if (!fusion->looked && fusion->flag && look->committing)
		fusion->forced_us = now_us;

	fusion->seen_source = fusion->flag_source;
	if (look->emergency) {
		fusion->seen = READ_ONLY_EMERGENCY;
	} else if (is_device && (!fusion->flag || fusion->reason == READ_ONLY_DEVICE)) {
		/* On such a device a read-only mount is as it should be, if it came first. */
		fusion->seen = READ_ONLY_DEVICE;
		fusion->seen_source = FUSION_SOURCE_BLOCK;
	} else if (fusion->flag) {
		fusion->seen = READ_ONLY_ADMIN;
	} else {
		/* back from that, the device said so */
		if (fusion->reason == READ_ONLY_DEVICE)
			fusion->seen_source = FUSION_SOURCE_BLOCK;
		fusion->seen = READ_ONLY_NO;
	}
}

/* What was said before anybody looked: errors before what they led to. */
static void early_tell(struct fusion *fusion, uint64_t now_us, struct fusion_facts *facts)
{
	if (fusion->frozen)
		fusion_fact_add(facts, EVENT_FROZEN, FUSION_SOURCE_MODULE);
	if (fusion->settle_us == 0 || now_us < fusion->settle_us)
		return;

	if (fusion->shutdown)
		fusion_failure_drop(fusion);
	fusion_failure_settle(fusion, facts);
	fusion->settle_us = 0;
}

/* Where nobody tells it any more: what is written to has been thawed. */
static void frozen_look(struct fusion *fusion, const struct fusion_look *look,
			struct fusion_facts *facts)
{
	const struct usage *usage = look->usage;

	if (!fusion->frozen || !usage)
		return;
	if (!fusion->frozen_known) {
		fusion->frozen_known = true;
		fusion->frozen_free = usage->free;
		fusion->frozen_files = usage->files_available;
	} else if (!can_tell(look, EVENT_THAWED) &&
		   (fusion->frozen_free != usage->free ||
		    fusion->frozen_files != usage->files_available)) {
		fusion->frozen = false;
		(void)fusion_fact_add(facts, EVENT_THAWED, FUSION_SOURCE_STATFS);
	}
}

size_t fusion_look(struct fusion *fusion, uint64_t now_us, const struct fusion_look *look,
		   struct fusion_fact ret[static FUSION_FACTS_MAX])
{
	struct fusion_facts facts = { .facts = ret };
	bool is_first, initial;

	assert(fusion);
	assert(look);

	/* A worker looks at the root, and may answer later than the rest. */
	is_first = !fusion->looked;
	initial = is_first || (!fusion->root_seen && look->root_known &&
			       (root_is_broken(look->root_error) || look->root_error == ESHUTDOWN));
	fusion->look_owed = fusion->look_wanted = false;
	flags_look(fusion, now_us, look);
	root_look(fusion, now_us, look);
	fusion_ledger_look(fusion, now_us, look, &facts);

	fusion->looked = true;
	if (is_first)
		early_tell(fusion, now_us, &facts);
	if (initial || reason_now(fusion) == READ_ONLY_NO)
		reason_tell(fusion, initial, &facts);
	else if (reason_now(fusion) != fusion->reason)
		fusion_wait(fusion, now_us);

	frozen_look(fusion, look, &facts);
	fusion_space_look(fusion, now_us, look, !fusion->usage_seen, &facts);
	fusion->usage_seen = fusion->usage_seen || look->usage;
	return facts.n;
}

static bool look_ask(struct fusion *fusion, uint64_t now_us)
{
	if (now_us < fusion->look_us) {
		fusion->look_owed = true;
		return false;
	}

	fusion->look_us = now_us + FUSION_LOOK_US;
	fusion->look_owed = fusion->look_wanted = false;
	return true;
}

static void frozen_tell(struct fusion *fusion, bool frozen, const struct fusion_hint *hint,
			struct fusion_facts *facts)
{
	struct fusion_fact *fact;

	if (fusion->frozen == frozen)
		return;

	fusion->frozen = frozen;
	fusion->frozen_known = false;
	if (!fusion->looked)
		return;
	fact = fusion_fact_add(facts, frozen ? EVENT_FROZEN : EVENT_THAWED, hint->source);
	fact->pid = hint->pid;
}

static void hint_take(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint)
{
	enum fusion_hint_kind kind = hint->kind;

	/* Some kernels report so without any (f2fs): what a look shows is true. */
	if (hint->error == ESHUTDOWN && kind != FUSION_HINT_SHUTDOWN)
		kind = FUSION_HINT_LOOK;

	switch (kind) {
	case FUSION_HINT_LOOK:
		if (hint->error != 0 && hint->error != ESHUTDOWN)
			fusion->error_us = now_us;
		break;
	case FUSION_HINT_REMOUNTED:
		fusion->remounted_us = now_us;
		break;
	case FUSION_HINT_FORCED_READ_ONLY:
		fusion->forced_us = now_us;
		if (fusion->looked && reason_now(fusion) != fusion->reason)
			fusion_wait(fusion, now_us);
		break;
	case FUSION_HINT_CORRUPTED:
	case FUSION_HINT_IO_ERROR:
	case FUSION_HINT_WRITEBACK_ERROR:
		error_take(fusion, now_us, hint);
		break;
	case FUSION_HINT_SHUTDOWN:
		shutdown_note(fusion, now_us, hint->source);
		break;
	case FUSION_HINT_FROZEN:
	case FUSION_HINT_THAWED:
	case FUSION_HINT_NO_SPACE:
	case FUSION_HINT_NO_METADATA:
	case FUSION_HINT_NO_INODES:
		break;
	}
}

size_t fusion_hint(struct fusion *fusion, uint64_t now_us, const struct fusion_hint *hint,
		   struct fusion_fact ret[static FUSION_FACTS_MAX], bool *ret_look)
{
	struct fusion_facts facts = { .facts = ret };
	bool look = false;

	assert(fusion);
	assert(hint);
	assert(ret_look);

	if (hint->kind == FUSION_HINT_FROZEN || hint->kind == FUSION_HINT_THAWED) {
		frozen_tell(fusion, hint->kind == FUSION_HINT_FROZEN, hint, &facts);
	} else if (hint->kind >= FUSION_HINT_NO_SPACE) {
		fusion_space_hint(fusion, now_us, hint, &facts);
	} else {
		hint_take(fusion, now_us, hint);
		look = look_ask(fusion, now_us);
	}

	*ret_look = look;
	return facts.n;
}

uint64_t fusion_due(const struct fusion *fusion)
{
	uint64_t due_us;

	assert(fusion);

	due_us = fusion_failure_due(fusion);
	if (fusion->settle_us != 0 && fusion->settle_us < due_us)
		due_us = fusion->settle_us;
	if (fusion->ledger.grace_us != 0 && fusion->ledger.grace_us < due_us)
		due_us = fusion->ledger.grace_us;
	if (fusion->look_owed && fusion->look_us < due_us)
		due_us = fusion->look_us;
	if (fusion->space_waits && fusion->space_due_us < due_us)
		due_us = fusion->space_due_us;
	return due_us;
}

/* What waited: first the errors, then what the kernel did after them. */
static void settle(struct fusion *fusion, uint64_t now_us, struct fusion_facts *facts)
{
	bool is_turning = fusion->looked && reason_now(fusion) != fusion->reason;

	if (is_turning && fusion->ledger.grace_us != 0)
		fusion_ledger_settle(fusion, now_us);
	if (fusion->shutdown)
		fusion_failure_drop(fusion);
	fusion_failure_settle(fusion, facts);
	if (is_turning)
		reason_tell(fusion, false, facts);
	fusion->settle_us = 0;
}

size_t fusion_tell(struct fusion *fusion, uint64_t now_us,
		   struct fusion_fact ret[static FUSION_FACTS_MAX])
{
	struct fusion_facts facts = { .facts = ret };

	assert(fusion);

	if (fusion->ledger.grace_us != 0 && now_us >= fusion->ledger.grace_us)
		fusion_ledger_settle(fusion, now_us);
	if (fusion->settle_us != 0 && now_us >= fusion->settle_us)
		settle(fusion, now_us, &facts);
	fusion_failure_tell(fusion, now_us, &facts);
	fusion_space_tell(fusion, now_us, &facts);

	if (fusion->look_owed && now_us >= fusion->look_us) {
		fusion->look_us = now_us + FUSION_LOOK_US;
		fusion->look_owed = false;
		fusion->look_wanted = true;
	}
	return facts.n;
}

bool fusion_wants_look(struct fusion *fusion)
{
	bool wanted;

	assert(fusion);

	wanted = fusion->look_wanted;
	fusion->look_wanted = false;
	return wanted;
}
