/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/node-tree.h"

static struct node *add(struct node_tree *tree, uint32_t number, struct node *parent,
			const char *name)
{
	const struct handle_view handle = { 1, sizeof(number), (const uint8_t *)&number };
	struct node *node;

	assert_null(node_tree_find(tree, &handle));
	assert_int_equal(node_tree_add(tree, &handle, strlen(name), &node), 0);
	assert_int_equal(node->state, NODE_UNPLACED);
	assert_int_equal(node_tree_move(tree, node, parent, name, strlen(name)), 0);
	return node;
}

static struct node *find(struct node_tree *tree, uint32_t number)
{
	const struct handle_view handle = { 1, sizeof(number), (const uint8_t *)&number };

	return node_tree_find(tree, &handle);
}

static void test_places(void **state)
{
	struct node *root, *a, *b, *c;
	struct node_tree tree;
	char long_name[200];

	node_tree_init(&tree, 100, NULL);
	assert_null(find(&tree, 1));
	root = add(&tree, 1, NULL, "");
	a = add(&tree, 2, root, "a");
	b = add(&tree, 3, a, "b");
	c = add(&tree, 4, b, "c");
	assert_ptr_equal(find(&tree, 4), c);
	assert_int_equal(node_tree_move(&tree, a, c, "x", 1), -ELOOP);
	assert_int_equal(node_tree_move(&tree, a, a, "x", 1), -ELOOP);
	assert_ptr_equal(a->parent, root);

	memset(long_name, 'n', sizeof(long_name));
	assert_int_equal(node_tree_move(&tree, c, root, long_name, sizeof(long_name)), 0);
	assert_int_equal(c->n_name, sizeof(long_name));
	assert_int_equal(node_tree_move(&tree, c, a, "y", 1), 0);
	assert_memory_equal(c->name, "y", 1);
	assert_int_equal(b->n_held, 0);
	assert_int_equal(a->n_held, 2);

	node_tree_unplace(&tree, a);
	assert_null(a->parent);
	assert_ptr_equal(b->parent, a);
	node_tree_forget(&tree);
	assert_int_equal(tree.n_nodes, 0);
	node_tree_deinit(&tree);
}

/* Found at every size, on the way up and down. */
static void test_sizes(void **state)
{
	struct node_tree tree;
	struct node *root;

	node_tree_init(&tree, 10000, NULL);
	root = add(&tree, 1, NULL, "");
	for (uint32_t i = 2; i < 3000; i++)
		add(&tree, i, root, "directory");
	for (uint32_t i = 2; i < 3000; i++)
		if (i % 7 != 0)
			node_tree_remove(&tree, find(&tree, i));
	for (uint32_t i = 2; i < 3000; i++)
		assert_int_equal(find(&tree, i) != NULL, i % 7 == 0);
	for (uint32_t i = 7; i < 3000; i += 7)
		node_tree_remove(&tree, find(&tree, i));
	assert_int_equal(root->n_held, 0);
	assert_true(tree.n_slots <= 64);
	node_tree_deinit(&tree);
}

static void test_evicted(void **state)
{
	struct node *root, *kept;
	struct node_tree tree;

	node_tree_init(&tree, 10, NULL);
	root = add(&tree, 1, NULL, "");
	kept = add(&tree, 2, root, "kept");
	for (uint32_t i = 3; i <= 10; i++)
		add(&tree, i, root, "d");
	node_hold(&tree, kept);
	node_touch(&tree, find(&tree, 3));
	add(&tree, 11, root, "d");
	assert_null(find(&tree, 4));
	assert_non_null(find(&tree, 3));
	assert_ptr_equal(find(&tree, 2), kept);
	assert_int_equal(tree.n_nodes, 10);
	assert_int_equal(tree.evicted, 1);

	/* all held: one more than wanted */
	for (uint32_t i = 1; i <= 11; i++)
		if (find(&tree, i))
			node_hold(&tree, find(&tree, i));
	add(&tree, 12, root, "d");
	assert_int_equal(tree.n_nodes, 11);
	for (uint32_t i = 1; i <= 11; i++)
		if (find(&tree, i))
			node_release(&tree, find(&tree, i));
	node_release(&tree, kept);
	node_tree_deinit(&tree);
}

static void grow_to(struct node_tree *tree, uint32_t first, uint32_t n)
{
	struct node *root = add(tree, first, NULL, "");

	for (uint32_t i = 1; i < n; i++)
		add(tree, first + i, root, "directory");
}

/* The largest one makes room for all, and what is held by each of them is kept. */
static void test_budget(void **state)
{
	struct node_budget budget = { .n_max = 64 << 10 };
	struct node_tree trees[3];
	struct node *node;
	size_t before, n;

	for (size_t i = 0; i < 3; i++)
		node_tree_init(&trees[i], 10000, &budget);
	grow_to(&trees[0], 1, 1000);
	n = trees[0].n_nodes;
	assert_true(n > 100 && n < 1000);
	assert_int_equal(budget.n_bytes, trees[0].n_bytes);
	assert_true(budget.n_bytes <= budget.n_max + 1024);

	grow_to(&trees[1], 1, 50);
	assert_int_equal(trees[1].n_nodes, 50);
	assert_int_equal(trees[1].evicted, 0);
	assert_true(trees[0].n_nodes < n);
	grow_to(&trees[2], 1, 1000);
	assert_int_equal(trees[1].n_nodes, 50);
	assert_in_range(trees[0].n_nodes, trees[2].n_nodes - 2, trees[2].n_nodes + 2);
	assert_int_equal(budget.n_bytes, trees[0].n_bytes + trees[1].n_bytes + trees[2].n_bytes);
	assert_true(budget.n_bytes <= budget.n_max + 1024);

	/* Verdicts of many users and names that have no room count, too. */
	node = find(&trees[1], 7);
	before = budget.n_bytes;
	assert_int_equal(node_grow(&trees[1], node, 64), 0);
	assert_int_equal(node->more[63].serial, 0);
	assert_true(budget.n_bytes >= before + 64 * sizeof(struct node_verdict));
	before = budget.n_bytes;
	assert_int_equal(node_tree_move(&trees[1], node, find(&trees[1], 1),
					"a name that is too long for its room", 36),
			 0);
	assert_true(budget.n_bytes >= before + 36);
	node_tree_forget(&trees[1]);
	assert_int_equal(trees[1].n_bytes, 0);

	node_tree_deinit(&trees[0]);
	node_tree_deinit(&trees[2]);
	assert_int_equal(budget.n_bytes, 0);
	node_tree_deinit(&trees[1]);
	assert_true(LIST_EMPTY(&budget.trees));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_evicted),
		cmocka_unit_test(test_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
