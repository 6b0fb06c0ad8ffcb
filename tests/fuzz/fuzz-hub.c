/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A hub that is fed what no kernel says, and answered what no filesystem is like
 *
 * Chains in circles, handles of other things, answers without links, names with '/'.
 * Two things hold nevertheless, and so two kinds of names are never told: those in
 * directories that no event and no answer brings below a watch begin with 'X', and those in
 * the one that the user may not list with 'S', which is for root alone.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <linux/fanotify.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/hub.h"
#include "include/fsevents_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WATCHES 4
#define USER 1000
#define IDS 32
#define OUTSIDE 24 /* this and those behind it are never below a watch */
#define SECRET 5 /* USER may not list it */
#define NODES_MAX 64
#define PENDING_MAX 48
#define LINKS_MAX 12

struct input {
	const uint8_t *data;
	size_t n;
};

struct receiver {
	struct hub_watch *watch;
	struct credential *credential;
};

struct state {
	struct input input;
	struct hub *hub;
	struct receiver receivers[WATCHES];
	struct credential *credentials[3];
	const struct hub_question *questions;
	size_t n_questions;
	uint64_t n_fed;
	bool ignoring; /* one is under way */
	bool hushing; /* likewise */
	uint64_t n_heeded;
};

static uint8_t take(struct input *input)
{
	if (input->n == 0)
		return 0;
	input->n--;
	return *input->data++;
}

static struct handle handle_of(uint8_t id)
{
	struct handle handle = { .type = id & 1 ? 1 : 0x81,
				 .n = id == 31 ? HANDLE_MAX : 4 + id % 9U };

	handle.bytes[0] = id;
	return handle;
}

static bool is_outside(uint8_t id)
{
	return id >= OUTSIDE;
}

/* A name in the directory @dir. */
static size_t name_in(uint8_t dir, uint8_t which, char *ret)
{
	static const char *const names[] = { "a", "b", "c", "d", "long-name", "#1", "a/b", "" };
	size_t n = 0;

	if (is_outside(dir))
		ret[n++] = 'X';
	else if (dir == SECRET)
		ret[n++] = 'S';
	strcpy(ret + n, names[which & 7]);
	return strlen(ret);
}

static void name_check(const struct receiver *receiver, const char *name, size_t n)
{
	assert(n == 0 || name);
	assert(n < CHANGE_NAME_MAX);
	assert(!memchr(name ?: "", 'X', n));
	if (!credential_is_root(receiver->credential))
		assert(!memchr(name ?: "", 'S', n));
}

static void on_changed(const struct change *change, void *userdata)
{
	struct receiver *receiver = userdata;

	assert(receiver->watch);
	name_check(receiver, change->name, change->n_name);
	name_check(receiver, change->former, change->n_former);
	assert(change->mask & FSEVENTS_MOVE || change->n_former == 0);
	assert(__builtin_popcount(change->mask &
				  (FSEVENTS_CREATE | FSEVENTS_DELETE | FSEVENTS_MOVE)) <= 1);
}

static void on_lost(uint64_t count, const char *under, size_t n_under, void *userdata)
{
	struct receiver *receiver = userdata;

	assert(receiver->watch);
	assert(count == 0);
	name_check(receiver, under, n_under);
}

static bool on_owner(int32_t pid, uid_t *ret, void *userdata)
{
	*ret = pid & 1 ? USER : 0;
	return pid & 2;
}

static void on_heed(void *userdata)
{
	struct state *state = userdata;

	state->n_heeded++;
}

static const struct hub_ops ops = { on_changed, on_lost, on_owner, on_heed };

static uint32_t mask_of(uint8_t bits)
{
	static const uint32_t masks[] = {
		FAN_CREATE,
		FAN_DELETE,
		FAN_RENAME,
		FAN_CREATE | FAN_DELETE,
		FAN_ATTRIB,
		FAN_ATTRIB | FAN_DELETE_SELF,
		FAN_CLOSE_WRITE | FAN_MODIFY,
		FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ATTRIB | FAN_DELETE_SELF | FAN_MOVE_SELF,
	};

	/* Halves of renames, too. */
	return masks[bits & 7] | (bits & 8 ? FAN_ONDIR : 0) |
	       (bits & 128  ? FAN_MOVED_FROM
		: bits & 64 ? FAN_MOVED_TO
			    : 0);
}

static void feed(struct state *state)
{
	uint8_t bits = take(&state->input), at = take(&state->input) % IDS;
	uint8_t to = take(&state->input) % IDS, target = take(&state->input) % IDS;
	uint8_t names = take(&state->input);
	struct handle at_handle = handle_of(at), to_handle = handle_of(to);
	struct handle target_handle = handle_of(target);
	char at_name[32] = "", to_name[32] = "";
	struct file_event event = { .mask = mask_of(bits), .pid = bits >> 6 };

	/* What is outside stays there. */
	if (is_outside(target) && (!is_outside(at) || !is_outside(to)))
		target_handle.n = 0;
	event.at.name = at_name;
	event.to.name = to_name;
	if (names != 0xff) {
		event.at.dir = handle_view(&at_handle);
		event.at.n_name = (names & 7) == 7 ? 0 : name_in(at, names, at_name);
	}
	if (event.mask & FAN_RENAME && !(bits & 32)) {
		event.to.dir = handle_view(&to_handle);
		event.to.n_name = name_in(to, names >> 3, to_name);
	}
	if (!(bits & 16))
		event.target = handle_view(&target_handle);
	hub_feed(state->hub, &event, state->n_fed++);
}

static void overflow(struct state *state)
{
	const struct file_event event = { .overflow = true };

	hub_feed(state->hub, &event, state->n_fed++);
}

static void watch(struct state *state)
{
	uint8_t which = take(&state->input), root = take(&state->input) % OUTSIDE;
	struct receiver *receiver = &state->receivers[which % WATCHES];
	struct handle handle = handle_of(root);
	struct hub_watch_options options = {
		.root = handle_view(&handle),
		.is_directory = true,
		.mask = which & 64 ? FSEVENTS_CREATE : WATCH_MASK_ALL,
		.credential = state->credentials[(which >> 2) % 3],
		.prefix = which & 128 ? "prefix/of it" : NULL,
		.userdata = receiver,
	};

	if (receiver->watch) {
		if (which & 32)
			hub_watch_set_mask(receiver->watch, options.mask);
		else
			receiver->watch = hub_watch_free(receiver->watch);
		return;
	}
	receiver->credential = options.credential;
	assert(hub_watch_new(&receiver->watch, state->hub, &options) == 0);
}

/* From the directory itself up. What is outside is only below what is. */
static size_t chain(struct state *state, uint8_t id, struct hub_link *links, struct handle *handles,
		    char names[][32])
{
	size_t n = take(&state->input) % (LINKS_MAX + 1);
	bool outside = false;

	for (size_t i = 0; i < n; i++) {
		uint8_t byte = take(&state->input), above;

		if (i > 0 || byte & 64)
			id = byte % IDS;
		if (outside && !is_outside(id))
			id = OUTSIDE;
		outside = is_outside(id);
		handles[i] = handle_of(id);
		if ((byte & 0xbf) == 0xbf)
			handles[i].n = 0;
		links[i].handle = handle_view(&handles[i]);
		links[i].name = names[i];
		/* The directory above gives it its name, and follows. */
		above = state->input.n > 0 ? state->input.data[0] % IDS : 0;
		if (outside && !is_outside(above))
			above = OUTSIDE;
		links[i].n_name = name_in(i + 1 < n ? above : OUTSIDE, byte >> 5, names[i]);
	}
	return n;
}

static void answer(struct state *state, size_t i)
{
	static const int errors[] = { 0, 0, 0, 0, 0, -ESTALE, -ENOENT, -EXDEV, -EIO, 7 };
	const struct hub_question *question = &state->questions[i];
	uint8_t bits = take(&state->input), id = question->handle.bytes[0];
	struct handle handles[LINKS_MAX];
	struct hub_link links[LINKS_MAX];
	char names[LINKS_MAX][32];
	struct hub_answer one = { .error = errors[bits % 10], .links = links };

	assert(question->handle.n > 0 && question->handle.n <= HANDLE_MAX);
	switch (question->kind) {
	case HUB_ASK_CHAIN:
		one.n_links = chain(state, id, links, handles, names);
		break;
	case HUB_ASK_ACCESS:
		assert(!credential_is_root(question->credential));
		one.may_read = bits & 16;
		one.may_search = bits & 32;
		if (id == SECRET) {
			one.may_read = false;
			/* Gone, it would be as those above it. */
			one.error = one.error == 0 ? 0 : -EIO;
		}
		break;
	case HUB_ASK_ENTRY:
		assert(question->name[question->n_name] == '\0');
		one.is_directory = bits & 16;
		one.inode = bits >> 5;
		break;
	}
	hub_answer(state->hub, i, &one);
}

static void ask(struct state *state, bool all)
{
	if (state->n_questions == 0) {
		state->n_questions = hub_questions(state->hub, &state->questions);
		assert(state->n_questions <= HUB_QUESTIONS_MAX);
		return;
	}
	for (size_t i = 0; i < state->n_questions && (all || take(&state->input) & 1); i++)
		answer(state, i);
	hub_answered(state->hub);
	state->n_questions = 0;
}

static void ignore(struct state *state)
{
	struct handle_view handle;
	uint64_t n_heeded = state->n_heeded;
	uint8_t outcome;

	if (!state->ignoring) {
		state->ignoring = hub_ignorable(state->hub, &handle);
		assert(!state->ignoring || (handle.n > 0 && handle.n <= HANDLE_MAX));
		return;
	}
	outcome = take(&state->input);
	/* Mostly it works. */
	outcome = outcome & 12 ? HUB_IGNORED : outcome;
	state->ignoring = false;
	hub_ignored(state->hub, outcome);
	assert(outcome != HUB_IGNORED_PERHAPS || state->n_heeded == n_heeded + 1);
}

static void hush(struct state *state)
{
	uint8_t outcome;
	bool on;

	assert(!state->ignoring || !hub_hushable(state->hub, &on));
	if (!state->hushing) {
		state->hushing = hub_hushable(state->hub, &on);
		return;
	}
	outcome = take(&state->input);
	state->hushing = false;
	hub_hushed(state->hub, outcome & 12 ? HUB_IGNORED : outcome);
}

static void check(struct state *state, struct hub_statistics *last)
{
	struct hub_statistics now;

	hub_statistics(state->hub, &now);
	assert(now.events == state->n_fed);
	assert(now.n_pending <= PENDING_MAX);
	assert(now.n_nodes <= NODES_MAX + WATCHES + 4);
	assert(now.delivered >= last->delivered && now.denied >= last->denied);
	assert(now.lost >= last->lost && now.evicted >= last->evicted);
	*last = now;
}

static void step(struct state *state)
{
	switch (take(&state->input) % 16) {
	case 0:
		hub_emptied(state->hub);
		break;
	case 1:
		watch(state);
		break;
	case 2:
		overflow(state);
		break;
	case 3:
	case 4:
	case 5:
		ask(state, true);
		break;
	case 6:
		ask(state, false);
		break;
	case 7:
		ignore(state);
		break;
	case 8:
		hush(state);
		break;
	default:
		feed(state);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const gid_t gids[] = { 7, 8 };
	struct state state = { .input = { data, size } };
	uint8_t kind = take(&state.input);
	const struct hub_options options = { .tree = !(kind & 1),
					     .n_nodes_max = NODES_MAX,
					     .n_pending_max = PENDING_MAX,
					     .n_slice = kind & 2 ? 50 : 0,
					     .n_ignore_heat = 2,
					     .second_us = 16 };
	struct hub_statistics last = {};
	struct credentials *credentials;

	assert(credentials_new(&credentials) == 0);
	assert(credential_get(credentials, 0, NULL, 0, &state.credentials[0]) == 0);
	assert(credential_get(credentials, USER, NULL, 0, &state.credentials[1]) == 0);
	assert(credential_get(credentials, USER, gids, 2, &state.credentials[2]) == 0);
	assert(hub_new(&state.hub, &options, &ops, &state) == 0);
	while (state.input.n > 0) {
		step(&state);
		check(&state, &last);
	}

	/* Whatever it was told, it comes to an end. */
	for (unsigned int i = 0; state.n_questions > 0 || last.n_pending > 0; i++) {
		assert(i < 4 * HUB_QUESTIONS_MAX * PENDING_MAX);
		ask(&state, true);
		check(&state, &last);
	}
	for (size_t i = 0; i < WATCHES; i++)
		hub_watch_free(state.receivers[i].watch);
	hub_free(state.hub);
	for (size_t i = 0; i < 3; i++)
		credential_unref(state.credentials[i]);
	credentials_free(credentials);
	return 0;
}
