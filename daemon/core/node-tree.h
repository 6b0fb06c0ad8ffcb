/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Directories of one filesystem
 *
 * A node for each one known: by its handle, with its parent and its name there.
 * Paths are not kept: a rename changes one node. Nodes that nothing holds (no child,
 * no watch) are forgotten, the longest unused first, when there are too many. What
 * is known of its permissions stands at the node; the tree only counts its memory.
 *
 * Several trees may have a budget of memory together: where it is used up, the largest of
 * them forgets, whichever grows.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/core/handle.h"

struct hub_watch;

enum node_state {
	NODE_PLACED, /* at its parent; without one: the root of the filesystem */
	NODE_UNPLACED, /* where it is has to be asked for */
	NODE_GONE, /* it does not exist any more, and where it was is not known */
	NODE_FAILED, /* could not be asked for, for the events before ->failed */
	NODE_OUTSIDE, /* likewise: nowhere that can be reached */
};

/* What one user may do there; see hub-verdict.c. */
struct node_verdict {
	uint32_t serial; /* of the user in the hub; 0: none */
	uint32_t seq; /* low bits of the last event before it was known */
	uint8_t bits;
};

struct node {
	struct node *parent;
	char *name; /* behind the handle, or its own memory */
	TAILQ_ENTRY(node) link; /* of those that may be forgotten */
	LIST_HEAD(, hub_watch) watches; /* with this root */
	struct node_verdict *more; /* n_more */
	struct node_verdict verdict; /* the first one */
	uint32_t hash;
	uint32_t n_held; /* children, watches, and who uses it at the moment */
	uint32_t n_watched; /* children with watches */
	uint32_t failed; /* low bits of an event's number */
	struct node *near; /* NODE_UNPLACED and later: held; it was somewhere below that ... */
	uint32_t near_seq; /* ... as of this event, by its low bits */
	uint32_t left; /* likewise: a directory was moved out from below it */
	uint64_t search; /* the last one of the hub that came by */
	uint32_t second; /* see hub-ignore.c */
	uint16_t heat; /* likewise: events in that second */
	int32_t type; /* of the handle */
	uint16_t n_more;
	uint16_t n_name;
	uint8_t n_handle;
	uint8_t n_room; /* for a name behind the handle */
	uint8_t state; /* enum node_state */
	bool dead; /* was removed, and is still known by its last place */
	bool ignored; /* see hub-ignore.c */
	uint8_t bytes[]; /* of the handle */
};

/* Zeroed but for ->n_max: no tree. */
struct node_budget {
	size_t n_max, n_bytes;
	LIST_HEAD(, node_tree) trees;
};

struct node_tree {
	struct node **slots; /* open addressing, at most half full */
	size_t n_slots;
	size_t n_nodes, n_max;
	size_t n_bytes; /* of the nodes */
	struct node_budget *budget; /* NULL: none */
	LIST_ENTRY(node_tree) in_budget;
	uint64_t evicted;
	bool dead_evicted; /* one of those that are ->dead; set back by who looks at it */
	TAILQ_HEAD(node_list, node) free; /* held by nothing; the longest unused first */
};

/** node_tree_init() - of at most @n_max nodes; @budget: borrowed, NULL: none */
void node_tree_init(struct node_tree *tree, size_t n_max, struct node_budget *budget);
/** node_tree_deinit() - no node may have a watch */
void node_tree_deinit(struct node_tree *tree);

struct node *node_tree_find(struct node_tree *tree, const struct handle_view *handle);

/**
 * node_tree_add() - a directory that is not known yet; in state NODE_UNPLACED
 *
 * @n_name:	how long its name will be, as far as is known: then it costs no memory of its own
 *
 * May forget others, in each tree of its budget, never one that is held; where all are, there is one
 * more than wanted.
 *
 * Return: 0 or -ENOMEM.
 */
int node_tree_add(struct node_tree *tree, const struct handle_view *handle, size_t n_name,
		  struct node **ret);

/**
 * node_tree_move() - to where it is; NODE_PLACED from now on
 * @parent:	NULL: it is the root
 *
 * Return: 0, -ELOOP (that is itself or below it) or -ENOMEM.
 */
int node_tree_move(struct node_tree *tree, struct node *node, struct node *parent, const char *name,
		   size_t n_name);
/** node_tree_unplace() - away from its parent, with what is below it */
void node_tree_unplace(struct node_tree *tree, struct node *node);
/** node_tree_unplace_near() - likewise; it is somewhere below @near, as of event @seq; NULL: not known */
void node_tree_unplace_near(struct node_tree *tree, struct node *node, struct node *near,
			    uint64_t seq);
/** node_tree_remove() - held by nothing */
void node_tree_remove(struct node_tree *tree, struct node *node);
/** node_tree_forget() - all nodes without a watch; the others are unplaced and have no verdicts */
void node_tree_forget(struct node_tree *tree);

/** node_hold() - it is not forgotten until node_release() */
void node_hold(struct node_tree *tree, struct node *node);
void node_release(struct node_tree *tree, struct node *node);
/* Its first watch came, its last one went. */
void node_watched(struct node_tree *tree, struct node *node);
void node_unwatched(struct node_tree *tree, struct node *node);
/** node_touch() - it was used */
void node_touch(struct node_tree *tree, struct node *node);
/** node_grow() - have room for @n in ->more; the new ones are zeroed; Return: 0 or -ENOMEM */
int node_grow(struct node_tree *tree, struct node *node, uint16_t n);

static inline struct handle_view node_handle(const struct node *node)
{
	return (struct handle_view){ .type = node->type,
				     .n = node->n_handle,
				     .bytes = node->bytes };
}
