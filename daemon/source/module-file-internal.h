/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inside of what the module tells of files: module-file.c reads and tells, module-file-mark.c asks for
 * whole filesystems, module-file-watch.c for inodes, which module-file-inode.c has.
 */

#include "daemon/core/wire-event.h"
#include "daemon/source/file-events-internal.h"
#include "daemon/source/module-socket.h"

#define MODULE_FILE_BUCKETS 4096 /* a power of two */

/* A watch of the module's. Its mask cannot change: another one takes its place. */
struct module_watch {
	uint32_t id;
	uint64_t mask;
	struct module_inode *inode;
	LIST_ENTRY(module_watch) in_bucket, in_inode;
};

struct module_inode {
	struct module_watches *owner;
	struct handle handle;
	uint64_t mask; /* FAN_...: what is asked for by now; 0: it is to end */
	unsigned int n_asked; /* requests that have no answer yet */
	struct module_watch *watch; /* NULL: none stands */
	LIST_HEAD(, module_watch) watches; /* and those that it replaced, until their last record */
	LIST_ENTRY(module_inode) in_bucket, in_owner;
};

/* What one member watches. */
struct module_watches {
	struct file_events_member *member;
	struct module_socket *socket;
	LIST_HEAD(, module_inode) inodes;
	uint32_t *withdrawn; /* watches that are to end */
	size_t n_withdrawn, n_room;
	struct pool_ticket *ticket; /* of the first ->n_sent of them; NULL: nothing is under way */
	size_t n_sent;
};

struct module_file {
	struct file_events *events;
	struct module_socket *socket;
	struct late_reader reader;
	uint64_t pause_us;
	uint64_t since_us; /* the first sign of what was not read yet; 0: there was none */
	uint32_t seq; /* of requests; the last one's */
	uint32_t barrier; /* of the last one that was to bring all */
	bool unsure; /* it may not have done so */
	struct wire_event_sequence sequence;
	bool lost_told; /* of an overrun whose gap has not shown yet */
	bool in_batch;
	uint64_t n; /* events of this batch */
	LIST_HEAD(, file_events_member) members;
	uint32_t last_number; /* of them */
	LIST_HEAD(, module_inode) inodes[MODULE_FILE_BUCKETS]; /* of all, by handle */
	LIST_HEAD(, module_watch) watches[MODULE_FILE_BUCKETS]; /* likewise, by number */
	/* Empty and not needed: freed by the next turn of the loop. */
	sd_event_source *end;
};

#define MODULE_FILE_BUFFER (16 << 20)
/* No more than the socket can have had: who is faster than they are read is not waited for. */
#define MODULE_FILE_WAITING_MAX (MODULE_FILE_BUFFER / sizeof(struct fs_event_file))

/** module_file_batch() - read and tell what is in the socket, or @max events of it */
void module_file_batch(struct module_file *file, uint64_t max);
/** module_file_find_marking() - whose request that was; NULL: nobody waits for its answer */
struct marking *module_file_find_marking(const struct module_file *file, uint32_t seq);
/** module_file_end_marking() - takes @marking and tells it */
void module_file_end_marking(struct marking *marking, int error);
void module_file_settle(struct module_file *file); /* some member left, or did not come */
/** module_file_wait() - another batch is due soon, whether something comes or not */
void module_file_wait(struct module_file *file);

static inline struct module_file *module_watches_file(const struct module_watches *watches)
{
	return watches->member->events->module;
}

/** module_watches_new() - Return: 0 or a negative errno */
int module_watches_new(struct module_watches **ret, struct file_events_member *member);
struct module_watches *module_watches_free(struct module_watches *watches);
/** module_watches_mark() - of @mark's inode; Return: as file_events_member_mark() */
int module_watches_mark(struct module_watches *watches, const struct file_events_mark *mark,
			bool remove);
/** module_watches_withdraw_later() - by the next module_watches_withdraw() */
void module_watches_withdraw_later(struct module_watches *watches, uint32_t id);
/** module_watches_answers() - take those that wait: who comes too late is withdrawn */
void module_watches_answers(struct module_watches *watches);
/** module_watches_withdraw() - what was not withdrawn yet */
void module_watches_withdraw(struct module_watches *watches);

/** module_inode_find() - NULL: @watches does not have it */
struct module_inode *module_inode_find(const struct module_watches *watches,
				       const struct handle_view *handle);
/** module_inode_new() - nothing is asked for yet; NULL: no memory */
struct module_inode *module_inode_new(struct module_watches *watches,
				      const struct handle_view *handle);
void module_inode_free(struct module_inode *inode);
/** module_inode_settle() - frees one that nobody wants any more, or that is not there */
void module_inode_settle(struct module_inode *inode);
/**
 * module_inode_set_watch() - this one stands from now on
 *
 * What happens until the one that it replaces has ended may be told by both, and is missed by
 * none: the records of that one are heard to the last.
 *
 * Return: 0, or -ENOMEM with @id withdrawn.
 */
int module_inode_set_watch(struct module_inode *inode, uint32_t id, uint64_t mask);

/** module_watch_find() - NULL: another listener's, or over */
struct module_watch *module_watch_find(const struct module_file *file, uint32_t id);
/** module_watch_end() - nothing more comes of it */
void module_watch_end(struct module_watch *watch);
/** module_file_forget_replaced() - records are missing: their last one may be among them */
void module_file_forget_replaced(struct module_file *file);
