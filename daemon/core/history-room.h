/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The room in the history
 *
 * Which event gives way when there are too many: the rules at the top of
 * history.h, and nothing of ids and of looking them up. Of use to history.c
 * alone.
 */

#include <stddef.h>

#include "daemon/core/event.h"

/* Who shares room with whom. Those up to HISTORY_MOUNTS have a fixed budget. */
enum history_class {
	HISTORY_TESTS,
	HISTORY_USERS,
	HISTORY_MOUNTS,
	HISTORY_INFO,
	HISTORY_NOTICE,
	HISTORY_WARNING,
	HISTORY_CRITICAL,
	HISTORY_DAMAGE,

	_HISTORY_CLASS_N,
};

struct history_bucket;

struct history_entry {
	struct event event;
	struct history_bucket *bucket;
	struct history_entry *next; /* younger one of the same bucket */
	size_t cost;
};

/* Buckets as a binary heap: on top the one that gives way next. */
struct history_heap {
	struct history_bucket **items;
	size_t n_items;
	size_t n_room;
	size_t cost; /* of all entries */
	size_t budget; /* of classes with a fixed one */
};

#define HISTORY_CHAINS 1024

struct history_room {
	struct history_heap heaps[_HISTORY_CLASS_N];
	struct history_bucket *chains[HISTORY_CHAINS];
	size_t shared; /* room of the classes without a budget */
};

void history_room_init(struct history_room *room, size_t size);
void history_room_deinit(struct history_room *room); /* asserts that it is empty */

/**
 * history_room_add() - let an entry in, younger than all others
 * @entry:	its ->event is set, the rest is filled in here; owned by the caller
 *
 * Return: 0, or -ENOMEM.
 */
int history_room_add(struct history_room *room, struct history_entry *entry);

/** history_room_grown() - the details of an entry were added to */
void history_room_grown(struct history_room *room, struct history_entry *entry);

/**
 * history_room_overflow() - take out the entry that gives way
 * @class:	where something was added
 *
 * To be called until it returns NULL: all is within its bounds again. One
 * that was just added is never given while others of its class remain.
 */
struct history_entry *history_room_overflow(struct history_room *room, enum history_class class);

/** history_room_pop() - take out any entry; NULL: there is none */
struct history_entry *history_room_pop(struct history_room *room);

/** history_room_class() - where an entry belongs */
enum history_class history_room_class(const struct history_entry *entry);
