/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/core/escape.h"
#include "daemon/core/sentence.h"
#include "daemon/ctl/json.h"
#include "daemon/ctl/table.h"
#include "daemon/ctl/track.h"

#define DEPTH_MAX 20 /* deeper ones stand below each other */

struct node {
	uint32_t pid;
	unsigned int depth;
};

struct tree {
	FILE *file;
	struct feed_style style;
	uint64_t start_us;
	bool has_leader;
	void *nodes; /* of tsearch(3), those that live */
};

static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

int tree_new(struct tree **ret, FILE *file, const struct feed_style *style, uint64_t start_us)
{
	struct tree *tree;

	tree = calloc(1, sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	tree->file = file;
	tree->style = *style;
	tree->start_us = start_us;
	*ret = tree;
	return 0;
}

struct tree *tree_free(struct tree *tree)
{
	if (!tree)
		return NULL;

	tdestroy(tree->nodes, free);
	free(tree);
	return NULL;
}

static unsigned int depth_of(struct tree *tree, uint32_t pid)
{
	const struct node key = { .pid = pid };
	struct node *const *found = tfind(&key, &tree->nodes, compare_nodes);

	return found ? (*found)->depth : 0;
}

/* Without memory it stands at the left. */
static void node_set(struct tree *tree, uint32_t pid, unsigned int depth)
{
	struct node *node, **found;

	node = malloc(sizeof(*node));
	if (!node)
		return;
	*node = (struct node){ .pid = pid, .depth = depth < DEPTH_MAX ? depth : DEPTH_MAX };

	found = tsearch(node, &tree->nodes, compare_nodes);
	if (found && *found != node)
		(*found)->depth = node->depth;
	if (!found || *found != node)
		free(node);
}

static void node_remove(struct tree *tree, uint32_t pid)
{
	const struct node key = { .pid = pid };
	struct node *const *found = tfind(&key, &tree->nodes, compare_nodes);
	struct node *node = found ? *found : NULL;

	if (!node)
		return;
	(void)tdelete(&key, &tree->nodes, compare_nodes);
	free(node);
}

/* "   1.234567    " and its place in the tree */
static void print_start(struct tree *tree, uint64_t realtime_us, unsigned int depth, uint32_t pid)
{
	uint64_t us = realtime_us > tree->start_us ? realtime_us - tree->start_us : 0;

	fprintf(tree->file, "%5" PRIu64 ".%03u  %*s%" PRIu32 "  ", us / 1000000,
		(unsigned int)(us / 1000 % 1000), (int)(2 * depth), "", pid);
}

static void print_coloured(struct tree *tree, enum table_colour colour, const char *text)
{
	bool wanted = tree->style.colour && colour != TABLE_PLAIN;

	fprintf(tree->file, "%s%s%s\n", table_colour_start(wanted, colour), text,
		table_colour_end(wanted));
}

static void print_exit(struct tree *tree, int status)
{
	int number = WTERMSIG(status);
	const char *name = sigabbrev_np(number);
	char text[64];

	if (!WIFSIGNALED(status))
		snprintf(text, sizeof(text), "exited %d", WEXITSTATUS(status));
	else if (name)
		snprintf(text, sizeof(text), "killed by SIG%s%s", name,
			 WCOREDUMP(status) ? ", dumped core" : "");
	else
		snprintf(text, sizeof(text), "killed by signal %d", number);
	print_coloured(tree, status ? TABLE_RED : TABLE_PLAIN, text);
}

static void print_exec(struct tree *tree, const struct track_event *event)
{
	_cleanup_free_ char *shown = escape_new(event->file, event->n_file, 0);

	print_coloured(tree, TABLE_BOLD,
		       event->n_file && shown ? shown : "(executes, its file is not known)");
}

static const char *kind_name(uint32_t kind)
{
	switch ((enum track_kind)kind) {
	case TRACK_FORK:
		return "fork";
	case TRACK_EXEC:
		return "exec";
	case TRACK_EXIT:
		return "exit";
	}
	return "unknown";
}

static void json_event(struct tree *tree, const struct track_event *event)
{
	struct json json = { .file = tree->file };

	json_open(&json, NULL, '{');
	json_string(&json, "event", kind_name(event->kind));
	json_u64(&json, "seq", event->seq);
	json_u32(&json, "pid", event->pid);
	json_u32(&json, event->kind == TRACK_FORK ? "child" : "parent", event->other);
	json_u64(&json, "realtime-usec", event->realtime_us);
	if (event->kind == TRACK_EXIT)
		json_i32(&json, "status", event->status);
	if (event->kind == TRACK_EXEC)
		json_bytes(&json, "file", event->file, event->n_file);
	json_close(&json, '}');
	json_end_line(&json);
}

static void print_event(struct tree *tree, const struct track_event *event)
{
	char text[64];

	switch ((enum track_kind)event->kind) {
	case TRACK_FORK:
		print_start(tree, event->realtime_us, depth_of(tree, event->pid) + 1, event->other);
		snprintf(text, sizeof(text), "forked by %" PRIu32, event->pid);
		print_coloured(tree, TABLE_PLAIN, text);
		break;
	case TRACK_EXEC:
		print_start(tree, event->realtime_us, depth_of(tree, event->pid), event->pid);
		print_exec(tree, event);
		break;
	case TRACK_EXIT:
		print_start(tree, event->realtime_us, depth_of(tree, event->pid), event->pid);
		print_exit(tree, event->status);
		break;
	}
}

void tree_event(struct tree *tree, const struct track_event *event)
{
	if (tree->style.json)
		json_event(tree, event);
	else
		print_event(tree, event);

	if (event->kind == TRACK_FORK)
		node_set(tree, event->other, depth_of(tree, event->pid) + 1);
	else if (event->kind == TRACK_EXIT)
		node_remove(tree, event->pid);
}

void tree_member(struct tree *tree, uint32_t pid)
{
	struct json json = { .file = tree->file };
	unsigned int depth = tree->has_leader;

	tree->has_leader = true;
	node_set(tree, pid, depth);
	if (!tree->style.json) {
		print_start(tree, tree->start_us, depth, pid);
		print_coloured(tree, TABLE_PLAIN, "is there");
		return;
	}
	json_open(&json, NULL, '{');
	json_string(&json, "event", "member");
	json_u32(&json, "pid", pid);
	json_close(&json, '}');
	json_end_line(&json);
}

void tree_lost(struct tree *tree, uint64_t count)
{
	struct json json = { .file = tree->file };
	char text[64];

	if (tree->style.json) {
		json_open(&json, NULL, '{');
		json_string(&json, "event", "lost");
		json_u64(&json, "count", count);
		json_close(&json, '}');
		json_end_line(&json);
		return;
	}
	if (count)
		snprintf(text, sizeof(text), "... %" PRIu64 " event%s lost", count,
			 count == 1 ? " was" : "s were");
	else
		snprintf(text, sizeof(text), "... events were lost");
	print_coloured(tree, TABLE_RED, text);
}

static void json_summary(struct tree *tree, const struct track_totals *totals, uint64_t real_us,
			 bool ended)
{
	struct json json = { .file = tree->file };

	json_open(&json, NULL, '{');
	json_string(&json, "event", ended ? "empty" : "left");
	json_u32(&json, "leader", totals->leader);
	json_u64(&json, "real-usec", real_us);
	json_u64(&json, "forks", totals->forks);
	json_u64(&json, "execs", totals->execs);
	json_u64(&json, "exits", totals->exits);
	json_u64(&json, "lost", totals->lost);
	json_bool(&json, "incomplete", totals->incomplete);
	if (totals->accounting) {
		json_u64(&json, "user-usec", totals->user_us);
		json_u64(&json, "system-usec", totals->system_us);
		json_u64(&json, "read-bytes", totals->read_bytes);
		json_u64(&json, "write-bytes", totals->write_bytes);
		json_u64(&json, "peak-rss", totals->peak_rss_kib);
	}
	json_close(&json, '}');
	json_end_line(&json);
}

static void print_time(struct tree *tree, const char *name, uint64_t us)
{
	fprintf(tree->file, "%-10s %" PRIu64 ".%03u s\n", name, us / 1000000,
		(unsigned int)(us / 1000 % 1000));
}

static void print_size(struct tree *tree, const char *name, uint64_t bytes)
{
	char size[SENTENCE_SIZE_MAX];

	sentence_size(size, bytes);
	fprintf(tree->file, "%-10s %s\n", name, size);
}

void tree_summary(struct tree *tree, const struct track_totals *totals, uint64_t real_us,
		  bool ended)
{
	if (tree->style.json) {
		json_summary(tree, totals, real_us, ended);
		return;
	}

	fputc('\n', tree->file);
	print_time(tree, "real", real_us);
	if (totals->accounting) {
		print_time(tree, "user", totals->user_us);
		print_time(tree, "sys", totals->system_us);
		print_size(tree, "read", totals->read_bytes);
		print_size(tree, "written", totals->write_bytes);
		print_size(tree, "peak", totals->peak_rss_kib * 1024);
	}
	fprintf(tree->file, "%-10s %" PRIu64 " forked, %" PRIu64 " executed, %" PRIu64 " ended\n",
		"processes", totals->forks, totals->execs, totals->exits);
	if (totals->lost)
		fprintf(tree->file, "%-10s %" PRIu64 " event%s\n", "lost", totals->lost,
			totals->lost == 1 ? "" : "s");
	if (totals->incomplete)
		fputs("incomplete: not all processes, or not all that they took, is in these "
		      "figures\n",
		      tree->file);
	if (!ended)
		fputs("Some of them still run.\n", tree->file);
}
