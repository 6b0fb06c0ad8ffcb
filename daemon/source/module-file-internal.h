/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inside of what the module tells of files: module-file.c reads and tells, module-file-mark.c asks for
 * whole filesystems, module-file-watch.c for inodes.
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

/** module_watches_new() - what one member watches; Return: 0 or a negative errno */
int module_watches_new(struct module_watches **ret, struct file_events_member *member);
struct module_watches *module_watches_free(struct module_watches *watches);
/** module_watches_are_none() - it has asked for none */
bool module_watches_are_none(const struct module_watches *watches);
/** module_watches_mark() - of @mark's inode; Return: as file_events_member_mark() */
int module_watches_mark(struct module_watches *watches, const struct file_events_mark *mark,
			bool remove);
/** module_watches_withdraw() - what was not withdrawn yet */
void module_watches_withdraw(struct module_watches *watches);
struct file_events_member *module_watches_member(const struct module_watches *watches);

/** module_watch_find() - NULL: another listener's, or over */
struct module_watch *module_watch_find(const struct module_file *file, uint32_t id);
/** module_watch_end() - nothing more comes of it */
void module_watch_end(struct module_watch *watch);
/** module_file_forget_replaced() - records are missing: their last one may be among them */
void module_file_forget_replaced(struct module_file *file);
