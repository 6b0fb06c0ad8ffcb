/* SPDX-License-Identifier: GPL-2.0-or-later */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/hub-sim.h"

void sim_init(struct sim *sim)
{
	memset(sim, 0, sizeof(*sim));
	sim->n_inodes = SIM_ROOT;
	sim->inodes[SIM_ROOT] = (struct sim_inode){ true, true, false, 1, { 5, 5, 5 } };
	sim->delete_self = true;
}

struct handle sim_handle(uint32_t inode)
{
	struct handle handle = { .type = 1, .n = inode ? 8 : 0 };
	uint32_t words[2] = { inode, 7 };

	memcpy(handle.bytes, words, sizeof(words));
	return handle;
}

static bool is_merged(const struct sim_event *a, const struct sim_event *b)
{
	return a->pid == b->pid && a->at == b->at && a->to == b->to && a->target == b->target &&
	       (a->mask & FAN_ONDIR) == (b->mask & FAN_ONDIR) &&
	       (a->mask & FAN_RENAME) == (b->mask & FAN_RENAME) &&
	       strcmp(a->at_name, b->at_name) == 0 && strcmp(a->to_name, b->to_name) == 0;
}

static void event_print(const char *what, uint64_t when, const struct sim_event *event)
{
	printf("%s %lu: %08x pid %d %u/%s %u/%s target %u\n", what, (unsigned long)when,
	       event->mask, event->pid, event->at, event->at_name, event->to, event->to_name,
	       event->target);
}

void sim_event(struct sim *sim, const struct sim_event *event)
{
	if (sim->talk)
		event_print("does", sim->when, event);
	for (uint32_t i = 0; i < sim->n_events; i++)
		if (is_merged(&sim->events[i], event)) {
			sim->events[i].mask |= event->mask;
			return;
		}
	assert(sim->n_events < SIM_EVENTS);
	sim->events[sim->n_events] = *event;
	sim->events[sim->n_events++].when = sim->when;
}

static void event_of_name(struct sim *sim, uint32_t mask, int32_t pid, uint32_t dir,
			  const char *name, uint32_t target)
{
	struct sim_event event = { .mask = mask, .pid = pid, .at = dir, .target = target };

	if (target && sim->inodes[target].is_directory)
		event.mask |= FAN_ONDIR;
	if (dir && sim->inodes[dir].ignored && *name && !(event.mask & FAN_ONDIR) &&
	    (sim->inodes[dir].silent || !(mask & (FAN_MOVED_FROM | FAN_MOVED_TO)))) {
		sim->n_dropped++;
		return;
	}
	if (sim->hushed && !dir)
		return;
	snprintf(event.at_name, sizeof(event.at_name), "%s", name);
	sim_event(sim, &event);
}

struct sim_entry *sim_find(const struct sim *sim, uint32_t dir, const char *name)
{
	for (size_t i = 0; i < SIM_ENTRIES; i++)
		if (sim->entries[i].dir == dir && sim->entries[i].target &&
		    strcmp(sim->entries[i].name, name) == 0)
			return (struct sim_entry *)&sim->entries[i];
	return NULL;
}

struct sim_entry *sim_entry_of(const struct sim *sim, uint32_t directory)
{
	for (size_t i = 0; i < SIM_ENTRIES; i++)
		if (sim->entries[i].target == directory)
			return (struct sim_entry *)&sim->entries[i];
	return NULL;
}

static bool is_empty(const struct sim *sim, uint32_t dir)
{
	for (size_t i = 0; i < SIM_ENTRIES; i++)
		if (sim->entries[i].target && sim->entries[i].dir == dir)
			return false;
	return true;
}

static bool is_within(const struct sim *sim, uint32_t dir, uint32_t above)
{
	const struct sim_entry *entry;

	while (dir != above) {
		entry = sim_entry_of(sim, dir);
		if (!entry)
			return false;
		dir = entry->dir;
	}
	return true;
}

static bool entry_add(struct sim *sim, uint32_t dir, const char *name, uint32_t target)
{
	for (size_t i = 0; i < SIM_ENTRIES; i++)
		if (!sim->entries[i].target) {
			sim->entries[i].dir = dir;
			sim->entries[i].target = target;
			snprintf(sim->entries[i].name, sizeof(sim->entries[i].name), "%s", name);
			return true;
		}
	return false;
}

static bool is_usable(const struct sim *sim, uint32_t dir)
{
	return dir < SIM_INODES && sim->inodes[dir].exists && sim->inodes[dir].is_directory;
}

uint32_t sim_make(struct sim *sim, int32_t pid, uint32_t dir, const char *name, bool is_directory)
{
	uint32_t inode = sim->n_inodes + 1;

	if (!is_usable(sim, dir) || sim_find(sim, dir, name) || inode == SIM_INODES ||
	    !entry_add(sim, dir, name, inode))
		return 0;
	sim->when++;
	sim->n_inodes = inode;
	sim->inodes[inode] = (struct sim_inode){ true, is_directory, false, 1, { 5, 5, 5 } };
	event_of_name(sim, FAN_CREATE, pid, dir, name, inode);
	return inode;
}

bool sim_link(struct sim *sim, int32_t pid, uint32_t file, uint32_t dir, const char *name)
{
	if (!is_usable(sim, dir) || sim_find(sim, dir, name) || !sim->inodes[file].exists ||
	    sim->inodes[file].is_directory || !entry_add(sim, dir, name, file))
		return false;
	sim->when++;
	sim->inodes[file].n_links++;
	event_of_name(sim, FAN_ATTRIB, pid, 0, "", file);
	event_of_name(sim, FAN_CREATE, pid, dir, name, file);
	return true;
}

/* A name of it went. */
static void inode_drop(struct sim *sim, int32_t pid, uint32_t inode)
{
	struct sim_inode *one = &sim->inodes[inode];

	if (--one->n_links == 0)
		one->exists = false;
	if (!one->is_directory)
		event_of_name(sim,
			      FAN_ATTRIB | (sim->delete_self && !one->exists ? FAN_DELETE_SELF : 0),
			      pid, 0, "", inode);
}

bool sim_remove(struct sim *sim, int32_t pid, uint32_t dir, const char *name)
{
	struct sim_entry *entry = sim_find(sim, dir, name);
	uint32_t target;

	if (!entry || (sim->inodes[entry->target].is_directory && !is_empty(sim, entry->target)))
		return false;
	sim->when++;
	target = entry->target;
	entry->target = 0;
	inode_drop(sim, pid, target);
	event_of_name(sim, FAN_DELETE, pid, dir, name, target);
	return true;
}

static void rename_event(struct sim *sim, int32_t pid, const struct sim_entry *from,
			 const struct sim_entry *to, uint32_t target)
{
	struct sim_event event = {
		.mask = FAN_RENAME, .pid = pid, .at = from->dir, .to = to->dir, .target = target
	};

	if (sim->inodes[target].is_directory)
		event.mask |= FAN_ONDIR;
	snprintf(event.at_name, sizeof(event.at_name), "%s", from->name);
	snprintf(event.to_name, sizeof(event.to_name), "%s", to->name);
	if (event.mask & FAN_ONDIR ||
	    (!sim->inodes[from->dir].silent && !sim->inodes[to->dir].silent))
		sim_event(sim, &event);
	if (sim->hushed) {
		sim->n_halves += sim->inodes[from->dir].silent != sim->inodes[to->dir].silent;
		event_of_name(sim, FAN_MOVED_FROM, pid, from->dir, from->name, target);
		event_of_name(sim, FAN_MOVED_TO, pid, to->dir, to->name, target);
	}
}

bool sim_rename(struct sim *sim, int32_t pid, uint32_t from, const char *former, uint32_t to,
		const char *name)
{
	struct sim_entry *entry = sim_find(sim, from, former), *victim = sim_find(sim, to, name);
	struct sim_entry old, new = { .dir = to };
	uint32_t replaced = victim ? victim->target : 0;

	if (!entry || !is_usable(sim, to) || replaced == entry->target)
		return false;
	old = *entry;
	if (sim->inodes[old.target].is_directory && is_within(sim, to, old.target))
		return false;
	if (replaced &&
	    (sim->inodes[replaced].is_directory != sim->inodes[old.target].is_directory ||
	     !is_empty(sim, replaced)))
		return false;

	sim->when++;
	if (victim)
		victim->target = 0;
	snprintf(new.name, sizeof(new.name), "%s", name);
	new.target = old.target;
	*entry = new;
	rename_event(sim, pid, &old, &new, old.target);
	if (replaced && sim->inodes[replaced].is_directory) {
		sim->inodes[replaced].exists = false;
		event_of_name(sim, FAN_ATTRIB | FAN_ONDIR, pid, replaced, "", 0);
	} else if (replaced) {
		inode_drop(sim, pid, replaced);
	}
	return true;
}

bool sim_exchange(struct sim *sim, int32_t pid, uint32_t a, const char *name_a, uint32_t b,
		  const char *name_b)
{
	struct sim_entry *first = sim_find(sim, a, name_a), *second = sim_find(sim, b, name_b);
	uint32_t target;

	if (!first || !second || first->target == second->target)
		return false;
	if (sim->inodes[first->target].is_directory && is_within(sim, b, first->target))
		return false;
	if (sim->inodes[second->target].is_directory && is_within(sim, a, second->target))
		return false;
	sim->when++;
	rename_event(sim, pid, first, second, first->target);
	rename_event(sim, pid, second, first, second->target);
	target = first->target;
	first->target = second->target;
	second->target = target;
	return true;
}

bool sim_close(struct sim *sim, int32_t pid, uint32_t dir, const char *name)
{
	struct sim_entry *entry = sim_find(sim, dir, name);

	if (!entry || sim->inodes[entry->target].is_directory)
		return false;
	sim->when++;
	event_of_name(sim, FAN_CLOSE_WRITE, pid, dir, name, entry->target);
	return true;
}

bool sim_chmod(struct sim *sim, int32_t pid, uint32_t dir, unsigned int user, uint8_t mode)
{
	if (!is_usable(sim, dir))
		return false;
	sim->when++;
	sim->inodes[dir].mode[user] = mode;
	event_of_name(sim, FAN_ATTRIB | FAN_ONDIR, pid, dir, "", 0);
	return true;
}

static struct file_name name_of(const struct handle *dir, const char *name)
{
	return (struct file_name){ handle_view(dir), name, strlen(name) };
}

void sim_feed(struct sim *sim, struct hub *hub, uint32_t n)
{
	for (uint32_t i = 0; i < n && i < sim->n_events; i++) {
		const struct sim_event *one = &sim->events[i];
		struct handle at = sim_handle(one->at), to = sim_handle(one->to);
		struct handle target = sim_handle(one->target);
		const struct file_event event = {
			.mask = one->mask,
			.pid = one->pid,
			.at = name_of(&at, one->at_name),
			.to = name_of(&to, one->to_name),
			.target = handle_view(&target),
		};

		if (sim->talk)
			event_print("fed", one->when, one);
		hub_feed(hub, &event, one->when);
	}
	if (n >= sim->n_events) {
		sim->n_events = 0;
		hub_emptied(hub);
		return;
	}
	sim->n_events -= n;
	memmove(sim->events, sim->events + n, sim->n_events * sizeof(sim->events[0]));
}

/* What was answered, kept until it is given. */
struct reply {
	struct hub_answer answer;
	struct hub_link links[32];
	struct handle handles[32];
	char names[32][16];
};

static void chain_answer(const struct sim *sim, uint32_t inode, struct reply *reply)
{
	const struct sim_entry *entry;
	size_t n = 0;

	if (!sim->inodes[inode].exists) {
		reply->answer.error = -ESTALE;
		return;
	}
	for (;; inode = entry->dir) {
		assert(n < 32);
		entry = sim_entry_of(sim, inode);
		reply->handles[n] = sim_handle(inode);
		reply->links[n].handle = handle_view(&reply->handles[n]);
		if (entry)
			memcpy(reply->names[n], entry->name, sizeof(entry->name));
		reply->links[n].name = reply->names[n];
		reply->links[n].n_name = strlen(reply->names[n]);
		n++;
		if (!entry)
			break;
	}
	assert(inode == SIM_ROOT);
	reply->answer.links = reply->links;
	reply->answer.n_links = n;
}

static void answer_one(const struct sim *sim, const struct hub_question *question,
		       struct reply *reply)
{
	const struct sim_entry *entry;
	uint32_t inode;
	char name[16];
	uint8_t mode;

	memset(reply, 0, sizeof(*reply));
	memcpy(&inode, question->handle.bytes, sizeof(inode));
	assert(question->handle.n == 8 && inode < SIM_INODES);
	switch (question->kind) {
	case HUB_ASK_CHAIN:
		chain_answer(sim, inode, reply);
		break;
	case HUB_ASK_ACCESS:
		assert(question->credential->uid >= 1000);
		mode = sim->inodes[inode].mode[question->credential->uid - 1000];
		reply->answer.error = sim->inodes[inode].exists ? 0 : -ESTALE;
		reply->answer.may_read = mode & 4;
		reply->answer.may_search = mode & 1;
		break;
	case HUB_ASK_ENTRY:
		assert(question->n_name < sizeof(name));
		memcpy(name, question->name, question->n_name);
		name[question->n_name] = '\0';
		entry = sim_find(sim, inode, name);
		reply->answer.error = entry ? 0 : sim->inodes[inode].exists ? -ENOENT : -ESTALE;
		if (entry) {
			reply->answer.inode = entry->target;
			reply->answer.is_directory = sim->inodes[entry->target].is_directory;
		}
		break;
	}
	if (sim->error)
		reply->answer.error = sim->error;
}

bool sim_ask(struct sim *sim, struct hub *hub, void (*between)(struct sim *sim, void *userdata),
	     void *userdata)
{
	static struct reply replies[HUB_QUESTIONS_MAX];
	const struct hub_question *questions;
	size_t n;

	do
		n = hub_questions(hub, &questions);
	while (n == 0 && hub_is_behind(hub));
	sim->n_questions += n;
	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		answer_one(sim, &questions[i], &replies[i]);
	if (between)
		between(sim, userdata);
	sim_feed(sim, hub, UINT32_MAX);
	assert(hub_questions(hub, &questions) == 0);
	for (size_t i = 0; i < n; i++)
		hub_answer(hub, i, &replies[i].answer);
	hub_answered(hub);
	return true;
}

void sim_ignore(struct sim *sim, struct hub *hub)
{
	struct handle_view handle;

	if (sim->talk && sim->marking)
		printf("marks %u, %s\n", sim->marking, sim->marked ? "answered" : "now");
	if (!sim->marking) {
		if (!hub_ignorable(hub, &handle))
			return;
		assert(handle.n == 8);
		memcpy(&sim->marking, handle.bytes, sizeof(sim->marking));
		sim->silence = hub_is_hushed(hub);
		assert(!hub_ignorable(hub, &handle));
	} else if (!sim->marked) {
		sim->inodes[sim->marking].ignored = sim->inodes[sim->marking].exists;
		sim->inodes[sim->marking].silent = sim->inodes[sim->marking].exists && sim->silence;
		sim->n_ignored += sim->inodes[sim->marking].exists;
		sim->marked = true;
	} else {
		hub_ignored(hub, !sim->inodes[sim->marking].exists	? HUB_IGNORED_NOT
				 : sim->forgetful && sim->when % 8 == 0 ? HUB_IGNORED_PERHAPS
									: HUB_IGNORED);
		sim->marking = 0;
		sim->marked = false;
	}
}

void sim_heed(struct sim *sim)
{
	if (sim->talk)
		printf("heeds\n");
	sim->n_heeded++;
	for (uint32_t i = 0; i < SIM_INODES; i++)
		sim->inodes[i].ignored = sim->inodes[i].silent = false;
}

void sim_hush(struct sim *sim, struct hub *hub)
{
	switch (sim->n_hush) {
	case 0:
		if (!hub_hushable(hub, &sim->hush))
			return;
		break;
	case 1:
		/* Not everybody who was asked says so. */
		if (sim->forgetful && sim->when % 8 == 1) {
			hub_hushed(hub, HUB_IGNORED_NOT);
			sim->n_hush = 0;
			return;
		}
		sim->hushed = sim->hush;
		sim->n_hushed += sim->hush;
		break;
	default:
		hub_hushed(hub, sim->forgetful && sim->when % 8 == 0 ? HUB_IGNORED_PERHAPS
								     : HUB_IGNORED);
		sim->n_hush = 0;
		return;
	}
	sim->n_hush++;
}

void sim_settle(struct sim *sim, struct hub *hub)
{
	unsigned int n_rounds = 0;

	sim_feed(sim, hub, UINT32_MAX);
	while (sim_ask(sim, hub, NULL, NULL))
		assert(++n_rounds < 10000);
}
