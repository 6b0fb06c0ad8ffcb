/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inside the source of file events: file-events.c has the groups and what is read from
 * them, file-events-mark.c their marks, module-file*.c what the module tells.
 */

#include <sys/queue.h>

#include "daemon/source/file-events.h"
#include "daemon/source/late-reader.h"

enum marking_kind {
	MARKING_ADD,
	MARKING_REMOVE,
	MARKING_IGNORE,
	MARKING_HUSH,
	MARKING_UNHUSH,
};

/* A mark that a worker is setting or taking away. */
struct marking {
	LIST_ENTRY(marking) link;
	struct file_events_member *member;
	struct pool_ticket *ticket;
	struct handle handle;
	enum marking_kind kind;
	/* Of the module. */
	uint64_t mask;
	char type[32];
	uint32_t major, minor;
	struct handle root;
	struct module_inode *inode; /* of ->handle */
	uint64_t added; /* likewise: what this one asked for, of ->mask */
	uint32_t watch_id; /* likewise: the answer */
	uint32_t seq; /* of the request; 0: not sent yet */
	bool answered;
	int error; /* likewise */
};

struct file_events_member {
	struct file_events *events;
	enum file_events_kind kind;
	const struct file_events_ops *ops;
	void *userdata;
	struct late_reader reader; /* owns the group */
	uint64_t pause_us;
	uint64_t since_us; /* the first sign of what was not read yet; 0: there was none */
	LIST_HEAD(, marking) markings;

	/* Of the module; ->reader is stopped. */
	LIST_ENTRY(file_events_member) in_module;
	uint32_t number; /* no other one has it */
	struct module_watches *watches; /* of single inodes; else NULL */
	uint32_t fs_id; /* 0: not known */
	uint64_t mask; /* asked for */
	bool in_batch;
};

struct module_file;

struct file_events {
	sd_event *loop;
	struct pool *pool;
	uint8_t *buffer;
	bool has_module;
	struct module_file *module; /* NULL: nobody is told by it */
	struct file_events_member
		*current; /* whose batch is being told; NULL as soon as it is freed */
	struct file_events_statistics statistics;
};

/** file_events_is_own() - of a process of ours; counted then */
bool file_events_is_own(struct file_events *events, int32_t pid);
uint64_t file_events_now(void); /* CLOCK_MONOTONIC */

/** file_events_member_look() - have the root of a filesystem told, without a mark */
int file_events_member_look(struct file_events_member *member, const struct file_events_mark *mark,
			    int fd, pool_reply_fn reply, struct marking *marking);
/** file_events_root_decode() - of the reply to that; Return: 0 or a negative errno */
int file_events_root_decode(enum pool_result result, const void *reply, size_t n_reply,
			    struct handle *ret);

static inline bool file_events_member_is_modules(const struct file_events_member *member)
{
	return member->kind == FILE_EVENTS_MODULE || member->kind == FILE_EVENTS_MODULE_INODES;
}

/** module_file_join() - Return: 0, -ENOENT: no such module, or another negative errno */
int module_file_join(struct file_events_member *member);
void module_file_leave(struct file_events_member *member);
int module_file_mark(struct file_events_member *member, const struct file_events_mark *mark,
		     bool remove);
void module_file_read(struct module_file *file); /* all that happened until now */
void module_file_set_pause(struct module_file *file);
void module_file_gone(struct module_file *file); /* each of its members is told */
struct module_file *module_file_free(struct module_file *file); /* without members */
DEFINE_FREEP(module_file, module_file_free)

/** file_events_member_free_markings() - those under way are not told any more */
void file_events_member_free_markings(struct file_events_member *member);
