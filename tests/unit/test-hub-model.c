/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Random operations of several processes, and receivers that keep a list of the
 * names that they know by nothing but what they are told. Whenever nothing waits, that
 * list is what they could list themselves.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "include/fsevents_stream.h"
#include "tests/unit/hub-sim.h"

#define WATCHES 5
#define PATHS 512
#define PATH_BYTES 160
#define OPERATIONS 120 /* between two times that nothing waits */
#define DRAINS 12
#define SEEDS 60
#define MODES 4 /* by the seed: whether modes of directories change, and what is watched */
#define SEEN 65536

struct names {
	size_t n;
	char paths[PATHS][PATH_BYTES];
};

struct receiver {
	struct model *model;
	struct hub_watch *watch;
	struct credential *credential;
	uint32_t root;
	int user; /* -1: root */
	struct names known;
	struct names ahead; /* told as they are, with the inode: "path/#inode" */
	struct names again; /* to be looked through when nothing waits */
	struct names merged; /* told so, or moved from there */
	bool all_again;
	uint64_t n_told, n_lost;
	uint64_t cookie; /* of the last one */
	bool seen[SEEN]; /* by name and inode */
};

struct snapshot {
	struct sim_inode inodes[SIM_INODES];
	struct sim_entry entries[SIM_ENTRIES];
};

struct model {
	uint64_t random;
	struct sim sim;
	struct hub *hub;
	struct receiver receivers[WATCHES];
	struct snapshot *past; /* of this drain, by operation */
	uint64_t first;
	/* Modes change; then what is told may have become visible only after it happened. */
	bool chmod;
	bool narrow; /* no watch is on the root */
	uint32_t far; /* where much happened last, if anywhere; it may be gone */
	bool talk;
};

static unsigned int draw(struct model *model, unsigned int n)
{
	model->random ^= model->random << 13;
	model->random ^= model->random >> 7;
	model->random ^= model->random << 17;
	return (unsigned int)((model->random >> 20) % n);
}

static void names_add(struct names *names, const char *path)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->paths[i], path) == 0)
			return;
	assert_true(names->n < PATHS);
	snprintf(names->paths[names->n++], PATH_BYTES, "%s", path);
}

static bool is_below(const char *path, const char *above)
{
	size_t n = strlen(above);

	return n == 0 || (strncmp(path, above, n) == 0 && (path[n] == '\0' || path[n] == '/'));
}

static void names_drop(struct names *names, const char *above)
{
	for (size_t i = 0; i < names->n;)
		if (is_below(names->paths[i], above))
			memmove(names->paths[i], names->paths[--names->n], PATH_BYTES);
		else
			i++;
}

/* Whether it or something above it is among them. */
static bool names_cover(const struct names *names, const char *path)
{
	for (size_t i = 0; i < names->n; i++)
		if (is_below(path, names->paths[i]))
			return true;
	return false;
}

static bool names_has(const struct names *names, const char *path)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->paths[i], path) == 0)
			return true;
	return false;
}

static bool may(const struct snapshot *now, uint32_t dir, int user, uint8_t bits)
{
	return user < 0 || (now->inodes[dir].mode[user] & bits) == bits;
}

/* What @user finds by listing @dir, called @path, and all below it. */
static void list(const struct snapshot *now, uint32_t dir, int user, const char *path,
		 struct names *ret)
{
	if (!may(now, dir, user, 4))
		return;
	for (size_t i = 0; i < SIM_ENTRIES; i++) {
		const struct sim_entry *entry = &now->entries[i];
		char below[PATH_BYTES];

		if (!entry->target || entry->dir != dir)
			continue;
		snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "", entry->name);
		names_add(ret, below);
		if (now->inodes[entry->target].is_directory && may(now, dir, user, 5))
			list(now, entry->target, user, below, ret);
	}
}

static size_t seen_of(const char *name, uint64_t inode)
{
	return (size_t)(hash_number(hash_bytes(HASH_BYTES_INIT + inode, name, strlen(name))) >> 48);
}

static void see(const struct snapshot *now, uint32_t dir, struct receiver *receiver)
{
	if (!may(now, dir, receiver->user, 4))
		return;
	for (size_t i = 0; i < SIM_ENTRIES; i++) {
		const struct sim_entry *entry = &now->entries[i];

		if (!entry->target || entry->dir != dir)
			continue;
		receiver->seen[seen_of(entry->name, entry->target)] = true;
		if (now->inodes[entry->target].is_directory && may(now, dir, receiver->user, 5))
			see(now, entry->target, receiver);
	}
}

static const struct snapshot *present(struct model *model)
{
	static struct snapshot now;

	memcpy(now.inodes, model->sim.inodes, sizeof(now.inodes));
	memcpy(now.entries, model->sim.entries, sizeof(now.entries));
	return &now;
}

/* The directory that was called @path then; 0: none. */
static uint32_t look(const struct snapshot *now, uint32_t root, const char *path)
{
	char copy[PATH_BYTES], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((name = strsep(&rest, "/"))) {
		uint32_t found = 0;

		for (size_t i = 0; i < SIM_ENTRIES && *name; i++)
			if (now->entries[i].target && now->entries[i].dir == root &&
			    strcmp(now->entries[i].name, name) == 0)
				found = now->entries[i].target;
		if (!found)
			return 0;
		root = found;
	}
	return now->inodes[root].is_directory ? root : 0;
}

/* Whether @user may go down from @root to it. */
static bool is_reached(const struct snapshot *now, uint32_t dir, uint32_t root, int user)
{
	while (dir != root) {
		uint32_t above = 0;

		for (size_t i = 0; i < SIM_ENTRIES; i++)
			if (now->entries[i].target == dir)
				above = now->entries[i].dir;
		if (!above || !may(now, above, user, 5))
			return false;
		dir = above;
	}
	return true;
}

/* A directory came from elsewhere: it is looked through, as it was when it came. */
static void came(struct receiver *receiver, const struct change *change, const char *path)
{
	const struct model *model = receiver->model;
	const struct snapshot *then = &model->past[change->realtime_us - model->first];
	struct names found = {};

	names_drop(&receiver->known, path);
	names_add(&receiver->known, path);
	/* It may have been something else before, which goes on under another name. */
	if (change->mask & FSEVENTS_MERGED)
		names_add(&receiver->again, path);
	if (!(change->mask & FSEVENTS_DIRECTORY))
		return;
	if (change->inode &&
	    is_reached(then, (uint32_t)change->inode, receiver->root, receiver->user))
		list(then, (uint32_t)change->inode, receiver->user, path, &found);
	for (size_t i = 0; i < found.n; i++)
		names_add(&receiver->known, found.paths[i]);
	/* What was in it when it came may have changed before this was told. */
	if (found.n > 0 || model->chmod)
		names_add(&receiver->again, path);
}

/* What is below @former is below @path now, and the other way round with @swap. */
static void names_move(struct names *names, const char *former, const char *path, bool swap)
{
	struct names moved = {};
	char buffer[PATH_BYTES * 2];

	for (size_t i = 0; i < names->n; i++) {
		const char *one = names->paths[i];

		if (is_below(one, former))
			snprintf(buffer, sizeof(buffer), "%s%s", path, one + strlen(former));
		else if (!is_below(one, path))
			snprintf(buffer, sizeof(buffer), "%s", one);
		else if (swap)
			snprintf(buffer, sizeof(buffer), "%s%s", former, one + strlen(path));
		else
			continue;
		names_add(&moved, buffer);
	}
	*names = moved;
}

static void went_to(struct receiver *receiver, const struct change *change, const char *former,
		    const char *path)
{
	bool known = names_has(&receiver->known, former);
	/* What is to be looked through takes that along. */
	bool again = names_cover(&receiver->again, former);

	names_move(&receiver->known, former, path, false);
	names_move(&receiver->again, former, path, false);
	if (again)
		names_add(&receiver->again, path);
	if (!known)
		came(receiver, change, path);
}

static void exchange(struct receiver *receiver, const char *former, const char *path)
{
	bool had_former = names_has(&receiver->known, former);
	bool had_path = names_has(&receiver->known, path);
	bool again_former = names_cover(&receiver->again, former);
	bool again_path = names_cover(&receiver->again, path);

	names_move(&receiver->known, former, path, true);
	names_move(&receiver->again, former, path, true);
	if (!had_former || again_former)
		names_add(&receiver->again, path);
	if (!had_path || again_path)
		names_add(&receiver->again, former);
	/* Both are there, also where one was told missing, as it was later. */
	names_add(&receiver->known, path);
	names_add(&receiver->known, former);
}

/* What was told to be at a name, though it came there later, is not moved by what was there before. */
static void note_ahead(struct receiver *receiver, const struct change *change, const char *former,
		       const char *path)
{
	char at[PATH_BYTES * 2];
	int n = snprintf(at, sizeof(at), "%s/#", former);

	for (size_t i = 0; change->mask & FSEVENTS_MOVE && i < receiver->ahead.n; i++)
		if (strncmp(receiver->ahead.paths[i], at, (size_t)n) == 0 &&
		    strtoull(receiver->ahead.paths[i] + n, NULL, 10) != change->inode)
			fail_msg("'%s' moved to '%s' is inode %lu, but was told to be '%s'", former,
				 path, (unsigned long)change->inode, receiver->ahead.paths[i]);

	if (change->mask & FSEVENTS_MOVE)
		names_drop(&receiver->ahead, former);
	/* Of an exchange the other one is told next. */
	if (change->mask & (FSEVENTS_CREATE | FSEVENTS_DELETE | FSEVENTS_MOVE) && !change->cookie)
		names_drop(&receiver->ahead, path);
	snprintf(at, sizeof(at), "%s/#%lu", path, (unsigned long)change->inode);
	if (change->mask & FSEVENTS_CREATE && change->mask & FSEVENTS_MERGED && change->inode)
		names_add(&receiver->ahead, at);
}

/*
 * A reader can place what is told: each directory above it was told, or one of them with
 * FSEVENTS_MERGED. That a name is gone may be found out when its directory is gone as well.
 */
static void check_way(const struct receiver *receiver, const char *path)
{
	char above[PATH_BYTES];

	if (receiver->all_again || receiver->model->chmod)
		return;
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(above, sizeof(above), "%.*s", (int)(p - path), path);
		if (names_has(&receiver->merged, above))
			return;
		if (!names_has(&receiver->known, above))
			fail_msg("'%s' was told, but never '%s'", path, above);
	}
}

static bool is_known(const struct receiver *receiver, const char *path)
{
	return names_has(&receiver->known, path) && !names_cover(&receiver->merged, path);
}

static void note_merged(struct receiver *receiver, const struct change *change, const char *former,
			const char *path)
{
	bool brings = change->mask & FSEVENTS_MOVE && !is_known(receiver, former);
	bool takes = change->cookie && !is_known(receiver, path);

	if (change->mask & FSEVENTS_MOVE)
		names_move(&receiver->merged, former, path, change->cookie);
	else if (change->mask & (FSEVENTS_CREATE | FSEVENTS_DELETE))
		names_drop(&receiver->merged, path);
	if (change->mask & FSEVENTS_MERGED || brings)
		names_add(&receiver->merged, path);
	if (takes)
		names_add(&receiver->merged, former);
}

static void on_changed(const struct change *change, void *userdata)
{
	struct receiver *receiver = userdata;
	char path[PATH_BYTES], former[PATH_BYTES] = "";
	const char *name;

	snprintf(path, sizeof(path), "%.*s", (int)change->n_name, change->name);
	snprintf(former, sizeof(former), "%.*s", (int)change->n_former, change->former ?: "");
	if (receiver->model->talk)
		print_message("  %td: %08x '%s' '%s' inode %lu cookie %lu at %lu\n",
			      receiver - receiver->model->receivers, change->mask, path, former,
			      (unsigned long)change->inode, (unsigned long)change->cookie,
			      (unsigned long)change->realtime_us);
	receiver->n_told++;
	name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	if (*name && change->inode && !receiver->model->chmod &&
	    !receiver->seen[seen_of(name, change->inode)])
		fail_msg("'%s', inode %lu, could never be seen", path,
			 (unsigned long)change->inode);

	assert_true(__builtin_popcount(change->mask & 0x00010300) <= 1);
	note_ahead(receiver, change, former, path);
	if (!(change->mask & FSEVENTS_MERGED && change->mask & FSEVENTS_DELETE)) {
		check_way(receiver, path);
		check_way(receiver, former);
	}
	if (!change->cookie || change->cookie != receiver->cookie)
		note_merged(receiver, change, former, path);
	if (change->mask & FSEVENTS_CREATE)
		came(receiver, change, path);
	else if (change->mask & FSEVENTS_DELETE)
		names_drop(&receiver->known, path);
	else if (change->mask & FSEVENTS_MOVE && change->cookie &&
		 change->cookie == receiver->cookie)
		exchange(receiver, former, path);
	else if (change->mask & FSEVENTS_MOVE && !change->cookie)
		went_to(receiver, change, former, path);
	else if (change->mask & FSEVENTS_ATTRIB && change->mask & FSEVENTS_DIRECTORY)
		names_add(&receiver->again, path);
	receiver->cookie = change->cookie;
}

static void on_lost(uint64_t count, const char *under, size_t n_under, void *userdata)
{
	struct receiver *receiver = userdata;

	if (receiver->model->talk)
		print_message("  %td: lost '%.*s'\n", receiver - receiver->model->receivers,
			      (int)n_under, under ?: "");
	receiver->n_lost++;
	receiver->all_again = true;
	receiver->ahead.n = 0;
}

static bool on_owner(int32_t pid, uid_t *ret, void *userdata)
{
	*ret = 1000;
	return pid == 1;
}

static void on_heed(void *userdata)
{
	struct model *model = userdata;

	sim_heed(&model->sim);
}

static const struct hub_ops ops = { on_changed, on_lost, on_owner, on_heed };

static uint32_t any_directory(struct model *model)
{
	uint32_t directories[SIM_ENTRIES + 1] = { SIM_ROOT };
	unsigned int n = 1;

	for (size_t i = 0; i < SIM_ENTRIES; i++) {
		uint32_t target = model->sim.entries[i].target;

		if (target && model->sim.inodes[target].is_directory)
			directories[n++] = target;
	}
	return directories[draw(model, n)];
}

/* Not the root; or that, where there is none. */
static uint32_t any_below(struct model *model)
{
	uint32_t directory = SIM_ROOT;

	for (unsigned int i = 0; i < 20 && directory == SIM_ROOT; i++)
		directory = any_directory(model);
	return directory;
}

static bool is_root_of_watch(const struct model *model, uint32_t inode)
{
	for (size_t i = 0; i < WATCHES; i++)
		if (model->receivers[i].root == inode)
			return true;
	return false;
}

/* A closed directory that is gone before it was asked for counts as open: keep them. */
static bool is_kept(const struct model *model, uint32_t dir, const char *name)
{
	const struct sim_entry *entry = sim_find(&model->sim, dir, name);
	bool closed = false;

	for (size_t i = 0; entry && !model->chmod && i < SIM_USERS; i++)
		if (model->sim.inodes[entry->target].mode[i] != 5)
			closed = true;
	return closed || (entry && is_root_of_watch(model, entry->target));
}

static const struct sim_entry *any_entry(struct model *model)
{
	for (unsigned int i = 0; i < 200; i++) {
		const struct sim_entry *entry = &model->sim.entries[draw(model, 64)];

		if (entry->target)
			return entry;
	}
	return NULL;
}

static bool change_names(struct model *model, int32_t pid, const struct sim_entry *entry)
{
	static const char *const names[] = { "a", "b", "c" };
	const char *name = names[draw(model, 3)];
	uint32_t dir = model->far && draw(model, 4) == 0 ? model->far : any_directory(model);
	struct sim *sim = &model->sim;
	uint32_t made;

	switch (draw(model, 12)) {
	case 0:
	case 1:
		return sim_make(sim, pid, dir, name, false);
	case 2:
		made = sim->n_inodes < 12 || draw(model, 2) ? sim_make(sim, pid, dir, name, true)
							    : 0;
		if (made && draw(model, 3) == 0)
			sim->inodes[made].mode[draw(model, SIM_USERS)] =
				(uint8_t)(draw(model, 8) & 5);
		return made;
	case 3:
	case 4:
		return entry && !is_kept(model, entry->dir, entry->name) &&
		       sim_remove(sim, pid, entry->dir, entry->name);
	case 5:
	case 6:
		return entry && !is_kept(model, dir, name) &&
		       sim_rename(sim, pid, entry->dir, entry->name, dir, name);
	case 7:
		return entry && !is_kept(model, entry->dir, name) &&
		       sim_rename(sim, pid, entry->dir, entry->name, entry->dir, name);
	case 8:
		return entry && sim_exchange(sim, pid, entry->dir, entry->name, dir, name);
	case 9:
		return entry && sim_link(sim, pid, entry->target, dir, name);
	case 10:
		return entry && sim_close(sim, pid, entry->dir, entry->name);
	default:
		return model->chmod && !is_root_of_watch(model, dir) && draw(model, 4) == 0 &&
		       sim_chmod(sim, pid, dir, draw(model, SIM_USERS),
				 (uint8_t)(draw(model, 8) & 5));
	}
}

static void remember(struct model *model)
{
	assert_true(model->sim.when - model->first <= OPERATIONS);
	memcpy(&model->past[model->sim.when - model->first], present(model),
	       sizeof(struct snapshot));
	for (size_t i = 0; i < WATCHES; i++)
		see(present(model), model->receivers[i].root, &model->receivers[i]);
}

static void operate(struct model *model)
{
	const struct sim_entry *entry = any_entry(model);
	uint64_t before = model->sim.when;

	change_names(model, (int32_t)draw(model, 3) + 1, entry);
	if (model->sim.when == before)
		return;
	remember(model);
}

static void operate_between(struct sim *sim, void *userdata)
{
	struct model *model = userdata;

	for (unsigned int n = draw(model, 4); n > 0; n--)
		if (model->sim.when - model->first < OPERATIONS)
			operate(model);
}

static int path_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void check(struct model *model, struct receiver *receiver, unsigned int seed)
{
	const struct snapshot *now = present(model);
	struct names found = {}, *known = &receiver->known;

	for (size_t i = 0; i < receiver->again.n; i++) {
		const char *path = receiver->again.paths[i];
		uint32_t dir = *path ? look(now, receiver->root, path) : receiver->root;
		bool there = !*path || names_has(known, path);

		names_drop(known, path);
		if (there && *path)
			names_add(known, path);
		if (there && dir && is_reached(now, dir, receiver->root, receiver->user))
			list(now, dir, receiver->user, path, known);
	}
	if (receiver->all_again) {
		known->n = 0;
		list(now, receiver->root, receiver->user, "", known);
	}
	receiver->again.n = receiver->ahead.n = receiver->merged.n = 0;
	receiver->all_again = false;

	list(now, receiver->root, receiver->user, "", &found);
	qsort(found.paths, found.n, PATH_BYTES, path_compare);
	qsort(known->paths, known->n, PATH_BYTES, path_compare);
	for (size_t i = 0; i < found.n || i < known->n; i++)
		if (i >= found.n || i >= known->n || strcmp(found.paths[i], known->paths[i]) != 0)
			fail_msg("seed %u, watch %td: '%s' is there, '%s' is known", seed,
				 receiver - model->receivers, i < found.n ? found.paths[i] : "-",
				 i < known->n ? known->paths[i] : "-");
}

static void watch_begin(struct model *model, struct receiver *receiver)
{
	struct handle root = sim_handle(receiver->root);
	const struct hub_watch_options options = {
		.root = handle_view(&root),
		.is_directory = true,
		/* Who wants to know of all attributes hears all of it. */
		.mask = model->narrow && !model->chmod ? WATCH_MASK_ALL & ~FSEVENTS_ATTRIB
						       : WATCH_MASK_ALL,
		.credential = receiver->credential,
		.userdata = receiver,
	};

	assert_int_equal(hub_watch_new(&receiver->watch, model->hub, &options), 0);
	receiver->known.n = receiver->ahead.n = receiver->merged.n = 0;
	memset(receiver->seen, 0, sizeof(receiver->seen));
	list(present(model), receiver->root, receiver->user, "", &receiver->known);
	see(present(model), receiver->root, receiver);
}

/* Of one that goes, another one comes elsewhere. */
static void watch_another(struct model *model)
{
	struct receiver *receiver = &model->receivers[draw(model, WATCHES)];

	receiver->watch = hub_watch_free(receiver->watch);
	receiver->root = any_below(model);
	watch_begin(model, receiver);
}

static void watch(struct model *model, struct credentials *credentials)
{
	for (size_t i = 0; i < WATCHES; i++) {
		struct receiver *receiver = &model->receivers[i];

		receiver->model = model;
		receiver->root = i < 2 && !model->narrow ? SIM_ROOT : any_directory(model);
		/* Then there is something outside of them all. */
		if (model->narrow && receiver->root == SIM_ROOT)
			receiver->root = model->receivers[0].root ?: any_below(model);
		receiver->user = i == 0 ? -1 : (int)(i - 1) % SIM_USERS;
		assert_int_equal(credential_get(credentials,
						receiver->user < 0 ? 0
								   : (uid_t)receiver->user + 1000,
						NULL, 0, &receiver->credential),
				 0);
		watch_begin(model, receiver);
	}
}

static bool is_empty(const struct sim *sim, uint32_t dir)
{
	for (size_t i = 0; i < SIM_ENTRIES; i++)
		if (sim->entries[i].target && sim->entries[i].dir == dir)
			return false;
	return true;
}

/* One that is ignored comes to where it is watched, and something happens in it. */
static void bring_in(struct model *model)
{
	for (uint32_t i = 1; i < SIM_INODES; i++) {
		const struct sim_entry *entry = sim_entry_of(&model->sim, i);

		if (!entry || !model->sim.inodes[i].ignored || !is_empty(&model->sim, i) ||
		    model->sim.when + 2 - model->first > OPERATIONS)
			continue;
		if (!sim_rename(&model->sim, 1, entry->dir, entry->name,
				model->receivers[draw(model, WATCHES)].root, "brought"))
			continue;
		remember(model);
		if (sim_make(&model->sim, 1, i, "a", false))
			remember(model);
		return;
	}
}

/* Where nobody watches; 0: there is none. */
static uint32_t any_outside(struct model *model)
{
	for (unsigned int i = 0; i < 50; i++) {
		uint32_t dir = any_below(model), above = dir;

		while (above != SIM_ROOT && !is_root_of_watch(model, above))
			above = sim_entry_of(&model->sim, above)->dir;
		if (above == SIM_ROOT && dir != SIM_ROOT)
			return dir;
	}
	return 0;
}

/* So much happens in one directory, while nothing happens elsewhere, that all is silent. */
static void hush(struct model *model)
{
	struct sim *sim = &model->sim;
	uint32_t dir = any_outside(model);

	if (!dir)
		dir = sim_make(sim, 1, SIM_ROOT, "far", true);
	if (!dir)
		return;
	remember(model);
	model->far = dir;
	for (unsigned int i = 0; i < 20; i++) {
		if (sim_make(sim, 1, dir, "hot", false))
			remember(model);
		if (sim_remove(sim, 1, dir, "hot"))
			remember(model);
		sim_settle(sim, model->hub);
		sim_ignore(sim, model->hub);
		sim_hush(sim, model->hub);
	}
}

static void drain(struct model *model, unsigned int seed)
{
	unsigned int n_rounds = 0;

	model->first = model->sim.when;
	memcpy(&model->past[0], present(model), sizeof(struct snapshot));
	if (model->narrow && draw(model, 3) == 0)
		watch_another(model);
	if (model->narrow && draw(model, 3) == 0)
		hush(model);
	for (unsigned int n = draw(model, OPERATIONS); n > 0; n--) {
		if (model->sim.when - model->first < OPERATIONS)
			operate(model);
		if (draw(model, 10) == 0) {
			sim_feed(&model->sim, model->hub, draw(model, 8));
			if (draw(model, 2))
				sim_ask(&model->sim, model->hub, operate_between, model);
		}
		if (model->narrow && draw(model, 3) == 0)
			sim_ignore(&model->sim, model->hub);
		if (model->narrow && draw(model, 8) == 0)
			sim_hush(&model->sim, model->hub);
		if (model->narrow && draw(model, 10) == 0)
			bring_in(model);
		/* The kernel needed the memory. */
		if (model->narrow && draw(model, 40) == 0)
			model->sim.inodes[any_directory(model)].ignored = false;
	}
	sim_feed(&model->sim, model->hub, UINT32_MAX);
	while (sim_ask(&model->sim, model->hub, operate_between, model))
		assert_true(++n_rounds < 1000);
	if (model->sim.n_events > 0)
		sim_settle(&model->sim, model->hub);
	for (size_t i = 0; i < WATCHES; i++)
		check(model, &model->receivers[i], seed);
}

static void run(struct model *model, struct credentials *credentials, unsigned int seed)
{
	const struct hub_options options = { .tree = true,
					     .n_nodes_max = seed % 3 ? 0 : 64,
					     .n_slice = seed % 5 ? 0 : 200,
					     .n_ahead_max = seed % 7 ? 0 : 8,
					     .n_ignore_heat = 2,
					     .second_us = 8 };
	struct snapshot *past = model->past;
	struct hub_statistics statistics;

	memset(model, 0, sizeof(*model));
	model->past = past;
	model->random = 0x9e3779b97f4a7c15U * (seed + 1);
	model->chmod = seed % 2;
	model->talk = getenv("HUB_MODEL_SEED") != NULL;
	sim_init(&model->sim);
	model->sim.talk = model->talk;
	model->sim.delete_self = seed % 4;
	model->narrow = model->sim.forgetful = seed / 2 % 2;
	assert_int_equal(hub_new(&model->hub, &options, &ops, model), 0);
	for (unsigned int i = 0; i < 40; i++) {
		operate(model);
		model->first = model->sim.when;
	}
	model->sim.n_events = 0;
	watch(model, credentials);
	for (unsigned int i = 0; i < DRAINS; i++)
		drain(model, seed);

	hub_statistics(model->hub, &statistics);
	assert_int_equal(statistics.n_pending, 0);
	for (size_t i = 0; i < WATCHES; i++) {
		hub_watch_free(model->receivers[i].watch);
		credential_unref(model->receivers[i].credential);
	}
	hub_free(model->hub);
}

static void test_model(void **state)
{
	const char *only = getenv("HUB_MODEL_SEED");
	const char *many = getenv("HUB_MODEL_SEEDS");
	const char *first = getenv("HUB_MODEL_FIRST"), *step = getenv("HUB_MODEL_STEP");
	unsigned int n_seeds = many ? (unsigned int)atoi(many) : SEEDS;
	unsigned int modes = 0;
	struct credentials *credentials;
	uint64_t n_told = 0, n_lost = 0, n_questions = 0;
	uint64_t n_ignored = 0, n_dropped = 0, n_heeded = 0, n_hushed = 0, n_halves = 0;
	struct model *model;

	model = calloc(1, sizeof(*model));
	assert_non_null(model);
	model->past = calloc(OPERATIONS + 1, sizeof(struct snapshot));
	assert_non_null(model->past);
	assert_int_equal(credentials_new(&credentials), 0);
	for (unsigned int seed = first ? (unsigned int)atoi(first) : 0; seed < n_seeds;
	     seed += step ? (unsigned int)atoi(step) : 1) {
		if (only && (unsigned int)atoi(only) != seed)
			continue;
		run(model, credentials, seed);
		modes |= 1U << seed % MODES;
		n_questions += model->sim.n_questions;
		n_ignored += model->sim.n_ignored;
		n_dropped += model->sim.n_dropped;
		n_heeded += model->sim.n_heeded;
		n_hushed += model->sim.n_hushed;
		n_halves += model->sim.n_halves;
		for (size_t i = 0; i < WATCHES; i++) {
			n_told += model->receivers[i].n_told;
			n_lost += model->receivers[i].n_lost;
		}
	}
	print_message("%lu told, %lu lost, %lu questions\n", (unsigned long)n_told,
		      (unsigned long)n_lost, (unsigned long)n_questions);
	print_message("%lu times ignored, %lu dropped, %lu times heeded, %lu times hushed, "
		      "%lu halves of renames\n",
		      (unsigned long)n_ignored, (unsigned long)n_dropped, (unsigned long)n_heeded,
		      (unsigned long)n_hushed, (unsigned long)n_halves);
	assert_true(n_told > 0);
	/* Not every mode has all of it. */
	if (modes == (1U << MODES) - 1) {
		assert_true(n_dropped > 0 && n_heeded > 0);
		assert_true(n_hushed > 0 && n_halves > 0);
	}
	credentials_free(credentials);
	free(model->past);
	free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
