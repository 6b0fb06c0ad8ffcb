/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-bus.h>

#include "daemon/names.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/watches-section.h"
#include "include/fsevents_stream.h"

/* Between a sign that the path may lead elsewhere and the look. */
#define CHECK_US 100000

/* What was there before is looked for again soon, each time after twice the time. */
#define TRIES_MAX 7

#define LATENCY_US 250000

/* That the path leads elsewhere. */
#define SIGNS (FSEVENTS_DELETE_SELF | FSEVENTS_MOVE_SELF | FSEVENTS_ATTRIB)

static void check_later(struct section *section)
{
	watches_arm_unless(section->check, CHECK_US);
}

static void detach(struct watched **watched)
{
	if (!*watched)
		return;
	(*watched)->section = NULL;
	watched_remove(*watched);
	*watched = NULL;
}

/* What it has to tell is told before. */
static void drop_current(struct section *section)
{
	struct watched *watched = section->current;

	while (watched && !watch_queue_is_empty(watched->queue))
		watched_flush(watched);
	detach(&section->current);
}

static uint64_t where(const struct section *section, const char *path)
{
	const struct superblock *sb = superblock_table_resolve(section->watches->superblocks, path);

	return sb ? sb->generation : 0;
}

static bool is_current(const struct section *section, const struct watched *watched)
{
	const struct watched *current = section->current;
	struct handle_view a, b;

	if (!current || current->state != WATCHED_STANDING ||
	    current->generation != watched->generation)
		return false;
	a = handle_view(&current->handle);
	b = handle_view(&watched->handle);
	return handle_equal(&a, &b) && (a.n > 0 || current->inode == watched->inode);
}

void section_stands(struct section *section, struct watched *watched)
{
	bool back;

	assert(watched == section->next);

	section->doubt = false;
	section->tries = 0;
	if (is_current(section, watched)) {
		detach(&section->next);
		return;
	}

	back = section->current && section->current->generation != watched->generation;
	drop_current(section);
	section->current = section->next;
	section->next = NULL;
	section_tell_present(section, back || section->left);
	section->stood = true;
	section->absent = section->left = false;
}

static void on_absent(struct section *section, const char *why)
{
	drop_current(section);
	section->doubt = false;
	if (!section->absent)
		section_tell_absent(section, why);
	section->absent = true;
	if (section->stood && section->tries < TRIES_MAX)
		watches_arm_unless(section->check, CHECK_US << section->tries++);
}

void section_failed(struct section *section, struct watched *watched,
		    const struct bus_refusal *refusal)
{
	if (watched == section->next)
		section->next = NULL;
	watched->section = NULL;

	/* It could not be looked at; what is watched may be what is there. */
	if (section->current && strcmp(refusal->name, SD_BUS_ERROR_FILE_NOT_FOUND) != 0)
		section->doubt = true;
	else
		on_absent(section, refusal->text);
}

void section_left(struct section *section, struct watched *watched)
{
	if (watched != section->current)
		return;
	drop_current(section);
	section->left = true;
	check_later(section);
}

/* A mount that is too young is not touched. */
static bool is_young(const struct section *section, uint64_t *ret_wait_us)
{
	const struct superblock *sb =
		superblock_table_resolve(section->watches->superblocks, section->path);

	return sb && !volume_mount(sb, ret_wait_us) && *ret_wait_us > 0;
}

/*
 * What the path leads to is watched beside what was watched so far, and then
 * takes its place unless it is the same: no change in between is missed.
 */
static void look(struct section *section)
{
	const struct bus_watch_request request = {
		.path = section->path,
		.mask = section->mask | SIGNS,
		.recursive = section->recursive,
		.latency_us = LATENCY_US,
	};
	struct bus_refusal refusal;
	uint64_t wait_us;

	if (section->next) {
		check_later(section);
		return;
	}
	if (is_young(section, &wait_us)) {
		watches_arm(section->check, wait_us);
		return;
	}

	section->tried = where(section, section->path);
	if (watched_new_section(&section->next, section->watches, &request, section, &refusal) == 0)
		watched_step(section->next);
	else if (section->current)
		section->doubt = true;
	else
		on_absent(section, refusal.text);
}

static int on_check(sd_event_source *source, uint64_t us, void *userdata)
{
	look(userdata);
	return 0;
}

static int on_window(sd_event_source *source, uint64_t us, void *userdata)
{
	section_tell_left_out(userdata);
	return 0;
}

bool section_filter(struct section *section, const struct watched *watched,
		    const struct change *change, struct change *ret)
{
	if (watched != section->current)
		return false;
	if (change->n_name == 0 && change->mask & SIGNS)
		check_later(section);

	*ret = *change;
	ret->mask &= section->mask | ~WATCH_MASK_ALL;
	if (!(ret->mask & WATCH_MASK_ALL))
		return false;
	return !quiets_hold(section->watches, watched->path, ret);
}

/*
 * The mount table and the tick
 */

void sections_review(struct watches *watches)
{
	const struct watched *current;
	struct section *section;

	LIST_FOREACH(section, &watches->sections, all) {
		current = section->current;
		if (current ? where(section, current->path) != current->generation
			    : where(section, section->path) != section->tried)
			check_later(section);
	}
}

void sections_tick(struct watches *watches)
{
	struct section *section;

	if (watches->off || LIST_EMPTY(&watches->sections))
		return;
	quiets_look(watches);
	LIST_FOREACH(section, &watches->sections, all)
		if ((!section->current || section->doubt) && !section->next)
			check_later(section);
}

/*
 * The configuration
 */

static struct section *section_free(struct section *section)
{
	if (!section)
		return NULL;

	detach(&section->next);
	detach(&section->current);
	sd_event_source_disable_unref(section->check);
	sd_event_source_disable_unref(section->window);
	free(section->path);
	free(section);
	return NULL;
}
DEFINE_FREEP(section, section_free)

static int section_new(struct section **ret, struct watches *watches, const struct config_watch *as)
{
	_cleanup_(section_freep) struct section *section = NULL;
	int r;

	section = calloc(1, sizeof(*section));
	if (!section)
		return -ENOMEM;
	section->watches = watches;
	section->path = strdup(as->path);
	if (!section->path)
		return -ENOMEM;
	section->mask = as->mask;
	section->recursive = as->recursive;
	section->level = as->log_level;

	r = watches_add_timer(watches, &section->check, "watch-check", on_check, section);
	if (r >= 0)
		r = watches_add_timer(watches, &section->window, "watch-window", on_window,
				      section);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(section);
	return 0;
}

/* One that goes on as it is, but for what can be changed while it stands. */
static void section_change(struct section *section, const struct config_watch *as)
{
	struct bus_refusal refusal;

	section->level = as->log_level;
	if (section->mask == as->mask)
		return;

	section->mask = as->mask;
	/* Begun with another mask: again. */
	if (section->next) {
		detach(&section->next);
		check_later(section);
	}
	if (section->current)
		(void)watched_set_mask(section->current, section->mask | SIGNS, &refusal);
}

static struct section *find(const struct section_list *sections, const struct config_watch *as)
{
	struct section *section;

	LIST_FOREACH(section, sections, all)
		if (section->recursive == as->recursive && strcmp(section->path, as->path) == 0)
			return section;
	return NULL;
}

static void move(struct section *section, struct section_list *to)
{
	LIST_REMOVE(section, all);
	LIST_INSERT_HEAD(to, section, all);
}

/* Those that go on, and @added; what the configuration does not have any more ends. */
static void take(struct watches *watches, const struct config *config, struct section_list *added)
{
	struct section_list kept = LIST_HEAD_INITIALIZER(kept);
	const struct config_watch *as;
	struct section *section;
	size_t index = 0;

	while ((as = config_watch_next(config, &index))) {
		section = as->mask ? find(&watches->sections, as) : NULL;
		if (!section)
			continue;
		section_change(section, as);
		move(section, &kept);
	}
	sections_free(&watches->sections);

	while ((section = LIST_FIRST(&kept)))
		move(section, &watches->sections);
	while ((section = LIST_FIRST(added))) {
		move(section, &watches->sections);
		if (!watches->off)
			watches_arm(section->check, 0);
	}
}

void sections_free(struct section_list *sections)
{
	struct section *section;

	while ((section = LIST_FIRST(sections))) {
		LIST_REMOVE(section, all);
		section_free(section);
	}
}

int sections_configure(struct watches *watches, const struct config *config)
{
	struct section_list added = LIST_HEAD_INITIALIZER(added);
	const struct config_watch *as;
	struct section *section;
	size_t index = 0;
	int r;

	while ((as = config_watch_next(config, &index))) {
		if (as->mask == 0 || find(&watches->sections, as))
			continue;
		r = section_new(&section, watches, as);
		if (r < 0) {
			sections_free(&added);
			return r;
		}
		LIST_INSERT_HEAD(&added, section, all);
	}

	if (watches->off && !LIST_EMPTY(&added))
		journal_log(LOG_NOTICE, CATALOG_WATCH_ABSENT,
			    "Sections [watch PATH] are not followed: files are not watched: %s",
			    watches->off);
	take(watches, config, &added);
	if (!watches->off && !LIST_EMPTY(&watches->sections))
		quiets_look(watches);
	return 0;
}
