/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/coalesce.h"
#include "daemon/core/threshold.h"

#define COALESCE_CHAINS 512

/* Micro-bytes, so that a microsecond of allowance is a whole number. */
#define TOKEN 1000000ULL

/* Events of one code that wait: the latest of them. */
struct waiting {
	struct event event;
	uint64_t count; /* events; 0: none */
	uint64_t sum; /* of their own counts */
	uint64_t seq; /* of the latest, in order of arrival */
	size_t size;
};

/* A kind of a filesystem. Exists while something waits or its window is open. */
struct kind {
	struct kind *next; /* in its chain */
	size_t index; /* in coalesce->kinds */
	struct fs_key fs;
	enum event_code code; /* the first of the two that undo each other */
	bool test;
	char name[THRESHOLD_NAME_MAX + 1];

	struct waiting waiting[2]; /* of ->code, and of the one that undoes it */
	enum event_code told; /* latest */
	uint64_t window_us; /* its length; 0 until the first was told */
	uint64_t end_us; /* of the window that is open */
	unsigned int turns; /* told at once within it */
	bool merged; /* something came that was not */
	uint64_t due_us; /* of what waits */
};

struct coalesce {
	struct kind *chains[COALESCE_CHAINS];
	struct kind *kinds[COALESCE_KEYS];
	size_t n_kinds;
	size_t hand; /* of the sweep */
	uint64_t seq;
	uint64_t tokens;
	uint64_t now_us; /* when ->tokens was right */
	struct coalesce_statistics statistics;
};

static const struct {
	enum event_code code, undone_by;
} code_pairs[] = {
	{ EVENT_THRESHOLD_BELOW, EVENT_THRESHOLD_ABOVE },
	{ EVENT_READ_ONLY, EVENT_READ_WRITE },
	{ EVENT_FROZEN, EVENT_THAWED },
	{ EVENT_MOUNTED, EVENT_UNMOUNTED },
	{ EVENT_STALLED, EVENT_RESPONDING },
};

int coalesce_new(struct coalesce **ret)
{
	struct coalesce *coalesce;

	assert(ret);

	coalesce = calloc(1, sizeof(*coalesce));
	if (!coalesce)
		return -ENOMEM;

	coalesce->tokens = COALESCE_BURST * TOKEN;
	*ret = coalesce;
	return 0;
}

static void waiting_clear(struct waiting *waiting)
{
	event_deinit(&waiting->event);
	*waiting = (struct waiting){};
}

static struct kind **coalesce_chain(struct coalesce *coalesce, const struct kind *kind)
{
	uint64_t hash = (uint64_t)kind->fs.major << 32 | kind->fs.minor;

	hash = hash * 31 + kind->fs.n;
	hash = hash * 31 + kind->code * 2ULL + kind->test;
	for (const char *p = kind->name; *p; p++)
		hash = hash * 31 + (uint8_t)*p;
	hash *= 0x9e3779b97f4a7c15ULL;
	return &coalesce->chains[hash >> 32 & (COALESCE_CHAINS - 1)];
}

static void coalesce_remove(struct coalesce *coalesce, struct kind *kind)
{
	struct kind **p = coalesce_chain(coalesce, kind);

	while (*p != kind)
		p = &(*p)->next;
	*p = kind->next;

	coalesce->kinds[kind->index] = coalesce->kinds[--coalesce->n_kinds];
	coalesce->kinds[kind->index]->index = kind->index;

	waiting_clear(&kind->waiting[0]);
	waiting_clear(&kind->waiting[1]);
	free(kind);
}

struct coalesce *coalesce_free(struct coalesce *coalesce)
{
	if (!coalesce)
		return NULL;

	while (coalesce->n_kinds > 0)
		coalesce_remove(coalesce, coalesce->kinds[0]);

	free(coalesce);
	return NULL;
}

static void coalesce_advance(struct coalesce *coalesce, uint64_t now_us)
{
	uint64_t room = COALESCE_BURST * TOKEN - coalesce->tokens;
	uint64_t passed;

	if (now_us <= coalesce->now_us)
		return;

	passed = now_us - coalesce->now_us;
	coalesce->tokens += passed > room / COALESCE_RATE ? room : passed * COALESCE_RATE;
	coalesce->now_us = now_us;
}

static bool kind_waits(const struct kind *kind)
{
	return kind->waiting[0].count > 0 || kind->waiting[1].count > 0;
}

/* The one to be told first of the two. */
static struct waiting *kind_first(struct kind *kind)
{
	struct waiting *a = &kind->waiting[0], *b = &kind->waiting[1];

	if (a->count == 0)
		return b;
	if (b->count == 0)
		return a;

	return a->seq < b->seq ? a : b;
}

static enum event_severity kind_severity(const struct kind *kind)
{
	enum event_severity severity = SEVERITY_INFO;

	for (unsigned int i = 0; i < 2; i++)
		if (kind->waiting[i].count > 0 && kind->waiting[i].event.severity > severity)
			severity = kind->waiting[i].event.severity;

	return severity;
}

/* Cheap to ask for any kind: what it is, apart from what happened to it. */
static void kind_describe(struct kind *ret, unsigned int *ret_side, const struct event *event)
{
	struct detail name;

	*ret = (struct kind){ .fs = event->fs, .code = event->code, .test = event->test };
	*ret_side = 0;

	for (size_t i = 0; i < sizeof(code_pairs) / sizeof(code_pairs[0]); i++) {
		if (event->code != code_pairs[i].undone_by)
			continue;
		ret->code = code_pairs[i].code;
		*ret_side = 1;
	}

	if (ret->code == EVENT_THRESHOLD_BELOW && details_find(&event->details, "name", &name) &&
	    name.n_value < sizeof(ret->name))
		memcpy(ret->name, name.value, name.n_value);
}

static struct kind *coalesce_find(struct coalesce *coalesce, const struct kind *like)
{
	struct kind *kind = *coalesce_chain(coalesce, like);

	while (kind && (kind->code != like->code || kind->test != like->test ||
			!fs_key_equal(&kind->fs, &like->fs) || strcmp(kind->name, like->name) != 0))
		kind = kind->next;

	return kind;
}

/* When there is no room: what only remembers goes before what waits, the milder before the worse. */
static bool kind_goes_before(struct kind *a, struct kind *b)
{
	enum event_severity severity_a, severity_b;

	if (kind_waits(a) != kind_waits(b))
		return !kind_waits(a);
	if (!kind_waits(a))
		return a->end_us < b->end_us;

	severity_a = kind_severity(a);
	severity_b = kind_severity(b);
	if (severity_a != severity_b)
		return severity_a < severity_b;

	return kind_first(a)->seq < kind_first(b)->seq;
}

/* Room for an event of a new kind. Return: false where all that waits is worse. */
static bool coalesce_make_room(struct coalesce *coalesce, enum event_severity severity)
{
	struct kind *victim = coalesce->kinds[0];
	uint64_t count;

	if (coalesce->n_kinds < COALESCE_KEYS)
		return true;

	for (size_t i = 1; i < coalesce->n_kinds; i++)
		if (kind_goes_before(coalesce->kinds[i], victim))
			victim = coalesce->kinds[i];

	if (kind_waits(victim) && kind_severity(victim) > severity)
		return false;

	count = victim->waiting[0].count + victim->waiting[1].count;
	coalesce->statistics.dropped += count;
	coalesce->statistics.waiting -= count;
	coalesce_remove(coalesce, victim);
	return true;
}

/* Forgets kinds that have been quiet, a few per push: more than can be added. */
static void coalesce_sweep(struct coalesce *coalesce)
{
	for (unsigned int i = 0; i < 2 && coalesce->n_kinds > 0; i++) {
		struct kind *kind = coalesce->kinds[coalesce->hand++ % coalesce->n_kinds];

		if (!kind_waits(kind) && kind->end_us <= coalesce->now_us)
			coalesce_remove(coalesce, kind);
	}
}

static int coalesce_add(struct coalesce *coalesce, const struct kind *like, struct kind **ret)
{
	struct kind *kind, **chain;

	kind = malloc(sizeof(*kind));
	if (!kind)
		return -ENOMEM;

	chain = coalesce_chain(coalesce, like);
	*kind = *like;
	kind->next = *chain;
	kind->index = coalesce->n_kinds;
	*chain = kind;
	coalesce->kinds[coalesce->n_kinds++] = kind;
	*ret = kind;
	return 0;
}

/* When an event that comes now is to be told. */
static void kind_schedule(struct kind *kind, uint64_t now_us, enum event_code code)
{
	if (kind_waits(kind)) {
		/* told together with what waits already, in its order */
		kind->merged = true;
		return;
	}

	kind->due_us = now_us;
	if (kind->window_us == 0)
		return;

	if (now_us >= kind->end_us) {
		/* After a quiet window it is as if nothing had been before. */
		kind->window_us = 0;
		kind->turns = 0;
		return;
	}

	if (code != kind->told && kind->turns < COALESCE_TURNS) {
		kind->turns++;
		return;
	}

	kind->due_us = kind->end_us;
	kind->merged = true;
}

int coalesce_push(struct coalesce *coalesce, uint64_t now_us, const struct event *event,
		  size_t size)
{
	struct waiting *waiting;
	struct event copy;
	struct kind like, *kind;
	unsigned int side;
	int r;

	assert(coalesce);
	assert(event);

	coalesce_advance(coalesce, now_us);
	coalesce_sweep(coalesce);
	kind_describe(&like, &side, event);

	kind = coalesce_find(coalesce, &like);
	if (!kind && !coalesce_make_room(coalesce, event->severity)) {
		coalesce->statistics.dropped++;
		return 0;
	}

	r = event_copy(&copy, event, false);
	if (r >= 0 && !kind) {
		r = coalesce_add(coalesce, &like, &kind);
		if (r < 0)
			event_deinit(&copy);
	}
	if (r < 0) {
		coalesce->statistics.dropped++;
		return r;
	}

	kind_schedule(kind, coalesce->now_us, event->code);

	waiting = &kind->waiting[side];
	event_deinit(&waiting->event);
	waiting->event = copy;
	waiting->count++;
	if (__builtin_add_overflow(waiting->sum, event_count(event), &waiting->sum))
		waiting->sum = UINT64_MAX;
	waiting->seq = ++coalesce->seq;
	/* More than a burst could never be sent. */
	waiting->size = size < COALESCE_BURST ? size : COALESCE_BURST;
	coalesce->statistics.waiting++;
	return 0;
}

static void kind_told(struct kind *kind, uint64_t now_us, enum event_code code)
{
	kind->told = code;
	if (kind_waits(kind))
		return;

	if (kind->window_us > 0 && now_us < kind->end_us)
		return;

	if (kind->window_us == 0)
		kind->window_us = COALESCE_WINDOW_US;
	else if (kind->merged)
		kind->window_us *= 2;
	if (kind->window_us > COALESCE_WINDOW_MAX_US)
		kind->window_us = COALESCE_WINDOW_MAX_US;

	kind->end_us = now_us + kind->window_us;
	kind->turns = 0;
	kind->merged = false;
}

/*
 * Of what is due, the one to be told next. While the allowance covers all
 * that is due, that is the oldest; else the oldest of the most severe.
 */
static struct kind *coalesce_choose(const struct coalesce *coalesce)
{
	struct kind *oldest = NULL, *worst = NULL;
	uint64_t size = 0;

	for (size_t i = 0; i < coalesce->n_kinds; i++) {
		struct kind *kind = coalesce->kinds[i];
		uint64_t seq;

		if (!kind_waits(kind) || kind->due_us > coalesce->now_us)
			continue;

		seq = kind_first(kind)->seq;
		size += kind->waiting[0].size + kind->waiting[1].size;
		if (!oldest || seq < kind_first(oldest)->seq)
			oldest = kind;
		if (!worst || kind_severity(kind) > kind_severity(worst) ||
		    (kind_severity(kind) == kind_severity(worst) && seq < kind_first(worst)->seq))
			worst = kind;
	}

	return size * TOKEN <= coalesce->tokens ? oldest : worst;
}

bool coalesce_pop(struct coalesce *coalesce, uint64_t now_us, struct event *ret,
		  uint64_t *ret_count)
{
	struct waiting *waiting;
	struct kind *kind;

	assert(coalesce);
	assert(ret);
	assert(ret_count);

	coalesce_advance(coalesce, now_us);

	kind = coalesce_choose(coalesce);
	if (!kind)
		return false;

	waiting = kind_first(kind);
	if (waiting->size * TOKEN > coalesce->tokens)
		return false;

	coalesce->tokens -= waiting->size * TOKEN;
	coalesce->statistics.told++;
	coalesce->statistics.merged += waiting->count - 1;
	coalesce->statistics.waiting -= waiting->count;

	*ret = waiting->event;
	*ret_count = waiting->sum;
	*waiting = (struct waiting){};

	kind_told(kind, coalesce->now_us, ret->code);
	return true;
}

uint64_t coalesce_due(const struct coalesce *coalesce)
{
	uint64_t due_us = UINT64_MAX, missing;
	struct kind *kind;

	assert(coalesce);

	for (size_t i = 0; i < coalesce->n_kinds; i++) {
		kind = coalesce->kinds[i];
		if (kind_waits(kind) && kind->due_us > coalesce->now_us && kind->due_us < due_us)
			due_us = kind->due_us;
	}

	kind = coalesce_choose(coalesce);
	if (!kind)
		return due_us;

	missing = kind_first(kind)->size * TOKEN;
	if (missing <= coalesce->tokens)
		return coalesce->now_us;

	missing =
		coalesce->now_us + (missing - coalesce->tokens + COALESCE_RATE - 1) / COALESCE_RATE;
	return missing < due_us ? missing : due_us;
}

void coalesce_statistics(const struct coalesce *coalesce, struct coalesce_statistics *ret)
{
	assert(coalesce);
	assert(ret);

	*ret = coalesce->statistics;
}
