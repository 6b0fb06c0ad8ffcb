/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A filesystem that is none, with the kernel's queue of events before it
 *
 * Directories, files and links change at once; what fanotify would say of it is
 * queued and merged as the kernel does it. Questions of a hub are answered from what
 * is there at that moment.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/hub.h"

#define SIM_INODES 4096
#define SIM_ENTRIES 512
#define SIM_EVENTS 8192
#define SIM_USERS 3

struct sim_inode {
	bool exists, is_directory, outside;
	uint32_t n_links;
	uint8_t mode[SIM_USERS]; /* 4: read, 1: search; by uid - 1000 */
	bool ignored; /* what happens to files in it is not told */
	bool silent; /* nor are their renames */
};

struct sim_entry {
	uint32_t dir, target; /* numbers of inodes; 0: free */
	char name[16];
};

struct sim_event {
	uint32_t mask, at, to, target;
	int32_t pid;
	uint64_t when;
	char at_name[16], to_name[16];
};

struct sim {
	struct sim_inode inodes[SIM_INODES];
	struct sim_entry entries[SIM_ENTRIES];
	struct sim_event events[SIM_EVENTS];
	uint32_t n_inodes, n_events;
	uint64_t when; /* operations so far */
	bool talk; /* of what is done and fed */
	bool delete_self; /* the mark has it */
	int error; /* of all questions, if not 0 */
	size_t n_questions;
	uint32_t marking; /* an inode that is about to be ignored; 0: none */
	bool forgetful; /* not everybody who marked one says so */
	bool marked; /* and it is, but the hub has not heard of it */
	bool hushed; /* of files only names are told, and renames as halves, too */
	unsigned int n_hush; /* steps of that being changed; 0: it is not */
	bool hush, silence; /* what is being done */
	uint64_t n_ignored, n_dropped, n_heeded, n_hushed,
		n_halves; /* renames of which half is told */
};

#define SIM_ROOT 2

void sim_init(struct sim *sim);
/* All by the process @pid; Return: the inode, or 0: it cannot be done. */
uint32_t sim_make(struct sim *sim, int32_t pid, uint32_t dir, const char *name, bool is_directory);
bool sim_link(struct sim *sim, int32_t pid, uint32_t file, uint32_t dir, const char *name);
bool sim_remove(struct sim *sim, int32_t pid, uint32_t dir, const char *name);
bool sim_rename(struct sim *sim, int32_t pid, uint32_t from, const char *former, uint32_t to,
		const char *name);
bool sim_exchange(struct sim *sim, int32_t pid, uint32_t a, const char *name_a, uint32_t b,
		  const char *name_b);
bool sim_close(struct sim *sim, int32_t pid, uint32_t dir, const char *name);
bool sim_chmod(struct sim *sim, int32_t pid, uint32_t dir, unsigned int user, uint8_t mode);
void sim_event(struct sim *sim, const struct sim_event *event);

struct sim_entry *sim_find(const struct sim *sim, uint32_t dir, const char *name);
/** sim_entry_of() - where a directory is; NULL: the root, or gone */
struct sim_entry *sim_entry_of(const struct sim *sim, uint32_t directory);

struct handle sim_handle(uint32_t inode);
/** sim_feed() - the first @n events that wait; all: also that nothing more does */
void sim_feed(struct sim *sim, struct hub *hub, uint32_t n);
/** sim_ask() - answers as of now; @between: what happens before they are given */
bool sim_ask(struct sim *sim, struct hub *hub, void (*between)(struct sim *sim, void *userdata),
	     void *userdata);
/** sim_ignore() - a step of whoever has to ignore what the hub wants ignored */
void sim_ignore(struct sim *sim, struct hub *hub);
/** sim_hush() - likewise, of whoever has to make the kernel silent of files */
void sim_hush(struct sim *sim, struct hub *hub);
/** sim_heed() - nothing is ignored */
void sim_heed(struct sim *sim);
/** sim_settle() - feed and ask until nothing waits */
void sim_settle(struct sim *sim, struct hub *hub);
