/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "daemon/core/index.h"
#include "daemon/core/relay.h"

#define BUCKETS 64

/* One the forks of whose processes are relayed. */
struct relay_user {
	uid_t uid;
	size_t n_relays;
	LIST_ENTRY(relay_user) all;
};

struct relay {
	struct relays *relays;
	struct relay_user *user; /* NULL: to all */
	struct relay_options options;
	void *userdata;
	bool ready;
	uint64_t scan; /* the last one applied, or about to be, when it was added */
	unsigned int n_doubtful; /* scans that may have missed some of its user's */
	uint64_t batch; /* in which it was checked */
	uint64_t checked_ns;
	unsigned int n_unchecked; /* signals since */
	/* To be checked by the end of the batch, and whether a loss is the reason. */
	bool marked, marked_lost;
	bool lost_checked; /* in this batch, for a loss */
	uint64_t lost, sent;
	LIST_ENTRY(relay) all, bucket;
};

LIST_HEAD(relay_list, relay);

struct relays {
	const struct relay_ops *ops;
	void *userdata;
	struct relay_list all;
	struct relay_list buckets[BUCKETS]; /* by pid */
	LIST_HEAD(, relay_user) users;
	size_t n_relays, n_all, n_marked;
	size_t n_hasty; /* not ready, and not patient */
	uint64_t batch;
	uint64_t scan; /* counted */
};

int relays_new(struct relays **ret, const struct relay_ops *ops, void *userdata)
{
	struct relays *relays;

	assert(ret && ops);

	relays = calloc(1, sizeof(*relays));
	if (!relays)
		return -ENOMEM;
	relays->ops = ops;
	relays->userdata = userdata;

	*ret = relays;
	return 0;
}

static struct relay_user *find_user(const struct relays *relays, uid_t uid)
{
	struct relay_user *user;

	LIST_FOREACH(user, &relays->users, all)
		if (user->uid == uid)
			return user;

	return NULL;
}

/* Return: NULL without memory. */
static struct relay_user *user_ref(struct relays *relays, uid_t uid)
{
	struct relay_user *user = find_user(relays, uid);

	if (!user) {
		user = calloc(1, sizeof(*user));
		if (!user)
			return NULL;
		user->uid = uid;
		LIST_INSERT_HEAD(&relays->users, user, all);
	}
	user->n_relays++;
	return user;
}

static void user_unref(struct relay_user *user)
{
	if (!user || --user->n_relays > 0)
		return;

	LIST_REMOVE(user, all);
	free(user);
}

static void end(struct relay *relay, enum relay_end why)
{
	struct relays *relays = relay->relays;

	LIST_REMOVE(relay, all);
	LIST_REMOVE(relay, bucket);
	relays->n_relays--;
	if (relay->options.all)
		relays->n_all--;
	user_unref(relay->user);
	if (!relay->ready)
		relays->n_hasty -= !relay->options.patient;
	if (relay->marked)
		relays->n_marked--;
	relays->ops->ended(relay, why, relays->userdata);
	free(relay);
}

struct relays *relays_free(struct relays *relays)
{
	if (!relays)
		return NULL;

	while (!LIST_EMPTY(&relays->all))
		end(LIST_FIRST(&relays->all), RELAY_STOPPED);
	free(relays);
	return NULL;
}

static size_t bucket_of(uint32_t pid)
{
	return hash_number(pid) >> 32 & (BUCKETS - 1);
}

struct relay *relays_find(const struct relays *relays, uint32_t pid)
{
	struct relay *relay;

	assert(relays);

	LIST_FOREACH(relay, &relays->buckets[bucket_of(pid)], bucket)
		if (relay->options.pid == pid)
			return relay;

	return NULL;
}

int relay_add(struct relays *relays, const struct relay_options *options, void *userdata,
	      struct relay **ret)
{
	struct relay *relay, *former;

	assert(relays && options && ret);

	if (options->pid <= 1 || options->signal < RELAY_SIGNAL_MIN ||
	    options->signal > RELAY_SIGNAL_MAX)
		return -EINVAL;
	former = relays_find(relays, options->pid);
	if (!former && relays->n_relays >= RELAYS_MAX)
		return -ENOSPC;
	relay = calloc(1, sizeof(*relay));
	if (!relay)
		return -ENOMEM;
	if (!options->all) {
		relay->user = user_ref(relays, options->owner);
		if (!relay->user) {
			free(relay);
			return -ENOMEM;
		}
	}
	if (former)
		end(former, RELAY_STOPPED);

	relay->relays = relays;
	relay->options = *options;
	relay->userdata = userdata;
	relay->ready = options->all;
	relay->scan = relays->scan;
	LIST_INSERT_HEAD(&relays->all, relay, all);
	LIST_INSERT_HEAD(&relays->buckets[bucket_of(options->pid)], relay, bucket);
	relays->n_relays++;
	if (options->all)
		relays->n_all++;
	else
		relays->n_hasty += !options->patient;

	*ret = relay;
	return 0;
}

void relay_stop(struct relay *relay)
{
	assert(relay);

	end(relay, RELAY_STOPPED);
}

bool relay_hurry(struct relay *relay)
{
	assert(relay);

	if (relay->ready || !relay->options.patient)
		return false;

	relay->options.patient = false;
	relay->relays->n_hasty++;
	return true;
}

struct relay *relays_next(const struct relays *relays, const struct relay *relay)
{
	assert(relays);

	return relay ? LIST_NEXT(relay, all) : LIST_FIRST(&relays->all);
}

const struct relay_options *relay_options(const struct relay *relay)
{
	assert(relay);

	return &relay->options;
}

void *relay_userdata(const struct relay *relay)
{
	assert(relay);

	return relay->userdata;
}

uint64_t relay_lost(const struct relay *relay)
{
	assert(relay);

	return relay->lost;
}

uint64_t relay_sent(const struct relay *relay)
{
	assert(relay);

	return relay->sent;
}

bool relays_want_scan(const struct relays *relays)
{
	assert(relays);

	return relays->n_hasty > 0;
}

bool relays_want_table(const struct relays *relays)
{
	assert(relays);

	return relays->n_relays > relays->n_all;
}

bool relays_want_uid(const struct relays *relays, uint32_t uid)
{
	assert(relays);

	return find_user(relays, uid);
}

void relays_batch(struct relays *relays)
{
	assert(relays);

	relays->batch++;
}

static void mark(struct relay *relay, bool lost)
{
	if (!relay->marked)
		relay->relays->n_marked++;
	relay->marked = true;
	relay->marked_lost |= lost;
}

/* Return: false where it has ended. */
static bool check(struct relay *relay, uint64_t now_ns)
{
	struct relays *relays = relay->relays;
	enum relay_end why;

	if (relay->marked)
		relays->n_marked--;
	relay->lost_checked =
		relay->marked_lost || (relay->lost_checked && relay->batch == relays->batch);
	relay->marked = relay->marked_lost = false;
	relay->batch = relays->batch;
	relay->checked_ns = now_ns;
	relay->n_unchecked = 0;
	if (relays->ops->check(relay, &why, relays->userdata))
		return true;

	end(relay, why);
	return false;
}

/* After the first loss at once; the others of a batch are looked at with the rest. */
static bool must_check(const struct relay *relay, uint64_t now_ns)
{
	const struct relays *relays = relay->relays;

	if (relay->batch != relays->batch || relay->n_unchecked >= RELAY_CHECK_SIGNALS)
		return true;
	if (relay->marked_lost && !relay->lost_checked)
		return true;

	return now_ns - relay->checked_ns >= RELAY_CHECK_NS * (1 + relays->n_relays / 16);
}

void relays_batch_end(struct relays *relays)
{
	struct relay *relay, *next;
	uint64_t now_ns;

	assert(relays);

	if (relays->n_marked == 0)
		return;

	now_ns = relays->ops->now_ns(relays->userdata);
	for (relay = LIST_FIRST(&relays->all); relay; relay = next) {
		next = LIST_NEXT(relay, all);
		if (relay->marked)
			(void)check(relay, now_ns);
	}
}

static void send(struct relay *relay, const struct wire_proc_event *event)
{
	struct relays *relays = relay->relays;
	uint64_t now_ns;
	int r;

	if (event->monotonic_ns < relay->options.since_ns)
		return;
	now_ns = relays->ops->now_ns(relays->userdata);
	if (must_check(relay, now_ns) && !check(relay, now_ns))
		return;

	relay->n_unchecked++;

	r = relays->ops->send(relay, event->parent_tgid, event->tgid, relays->userdata);
	if (r == 0)
		relay->sent++;
	else if (r == RELAY_E_LOST)
		relay->lost++;
	else
		end(relay, RELAY_EXITED);
}

/* Something that happened to a process that may be registered. */
static void note_target(struct relays *relays, const struct wire_proc_event *event)
{
	struct relay *relay = relays_find(relays, event->tgid);

	if (!relay || event->monotonic_ns < relay->options.since_ns)
		return;

	if (event->kind == WIRE_PROC_EXEC)
		end(relay, RELAY_EXECED);
	else if (event->kind == WIRE_PROC_UID)
		end(relay, RELAY_UIDS_CHANGED);
	else if (event->kind == WIRE_PROC_EXIT)
		mark(relay, false);
}

void relays_note(struct relays *relays, const struct wire_proc_event *event)
{
	struct relay *relay, *next;

	assert(relays && event);

	if (relays->n_relays == 0)
		return;
	if (event->kind != WIRE_PROC_FORK) {
		note_target(relays, event);
		return;
	}
	if (relays->n_all == 0 || event->tid != event->tgid)
		return;

	for (relay = LIST_FIRST(&relays->all); relay; relay = next) {
		next = LIST_NEXT(relay, all);
		if (relay->options.all)
			send(relay, event);
	}
}

void relays_note_own(struct relays *relays, const struct wire_proc_event *event,
		     const struct process *parent)
{
	struct relay *relay, *next;

	assert(relays && event && parent);

	if (!relays_want_table(relays) || !parent->uid_known || parent->uid_mixed)
		return;
	if (!process_knows_uids(parent, event->monotonic_ns)) {
		relays_note_full(relays, parent->uid);
		return;
	}
	for (relay = LIST_FIRST(&relays->all); relay; relay = next) {
		next = LIST_NEXT(relay, all);
		if (!relay->options.all && relay->ready && relay->options.owner == parent->uid)
			send(relay, event);
	}
}

void relays_note_lost(struct relays *relays, uint64_t count)
{
	struct relay *relay;

	assert(relays);

	LIST_FOREACH(relay, &relays->all, all) {
		relay->lost += relay->options.all && count > 0 ? count : 1;
		mark(relay, true);
	}
}

void relays_note_full(struct relays *relays, uint32_t uid)
{
	struct relay *relay;

	assert(relays);

	LIST_FOREACH(relay, &relays->all, all)
		if (!relay->options.all && relay->options.owner == uid)
			relay->lost++;
}

void relays_scan_begun(struct relays *relays)
{
	assert(relays);

	relays->scan++;
}

/* Return: whether another scan may tell what this one did not. */
static bool waits_on(struct relay *relay, bool doubtful)
{
	if (relay->scan == relay->relays->scan)
		return true;
	if (!doubtful)
		return false;
	if (relay->n_doubtful < RELAY_DOUBTFUL_MAX) {
		relay->n_doubtful++;
		return true;
	}

	relay->lost++;
	return false;
}

void relays_ready(struct relays *relays, bool doubtful)
{
	struct relay *relay;

	assert(relays);

	LIST_FOREACH(relay, &relays->all, all) {
		if (relay->ready || waits_on(relay, doubtful))
			continue;
		relay->ready = true;
		relays->n_hasty -= !relay->options.patient;
		if (relays->ops->ready)
			relays->ops->ready(relay, relays->userdata);
	}
}
