/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Feeds a superblock table with several readings and checks after each that
 * the table is consistent in itself and with what it told.
 *
 * The input is readings with the byte 0x1e between them. A reading that
 * begins with "!" has other unique ids than the ones before, one that begins
 * with "?" has none.
 */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/mount-tree.h"
#include "daemon/core/mountinfo.h"
#include "daemon/core/superblock.h"
#include "tests/fuzz/input.h"

#define READING_SEPARATOR 0x1e

struct fuzz {
	struct superblock_table *table;
	uint64_t unique_offset;
	size_t n_added, n_removed, n_told;
	uint64_t last_generation;
};

struct lines {
	const char *begin, *end;
	size_t n_entries;
};

static void on_added(struct superblock *sb, void *userdata)
{
	struct fuzz *fuzz = userdata;

	assert(sb->generation > fuzz->last_generation);
	assert(superblock_table_find(fuzz->table, &sb->key) == sb);
	fuzz->last_generation = sb->generation;
	sb->userdata = fuzz;
	fuzz->n_added++;
	fuzz->n_told++;
}

static void on_changed(struct superblock *sb, void *userdata)
{
	struct fuzz *fuzz = userdata;

	assert(sb->userdata == fuzz);
	assert(superblock_table_find(fuzz->table, &sb->key) == sb);
	fuzz->n_told++;
}

static void on_removed(struct superblock *sb, void *userdata)
{
	struct fuzz *fuzz = userdata;

	assert(sb->userdata == fuzz);
	assert(!superblock_table_find(fuzz->table, &sb->key));
	assert(sb->n_mounts > 0 && sb->mounts[0]->where[0] == '/');
	sb->userdata = NULL;
	fuzz->n_removed++;
	fuzz->n_told++;
}

static const struct superblock_ops ops = {
	.added = on_added,
	.changed = on_changed,
	.removed = on_removed,
};

static uint64_t unique_id(uint32_t mnt_id, void *userdata)
{
	const struct fuzz *fuzz = userdata;

	return fuzz->unique_offset ? fuzz->unique_offset + mnt_id : 0;
}

static int on_entry(const struct mountinfo_entry *entry, void *userdata)
{
	const char *const strings[] = {
		entry->root, entry->where,  entry->options,
		entry->type, entry->source, entry->super_options,
	};
	struct lines *lines = userdata;

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		assert(strings[i] >= lines->begin && strings[i] < lines->end);
		assert(memchr(strings[i], '\0', (size_t)(lines->end - strings[i])));
	}

	assert(entry->where[0] == '/');
	lines->n_entries++;
	return 0;
}

static void check_lines(const uint8_t *data, size_t size)
{
	char *copy = input_copy(data, size);
	struct lines lines = { .begin = copy, .end = copy + size };
	size_t n_lines = 0, skipped = 0;

	for (size_t i = 0; i < size; i++)
		n_lines += data[i] == '\n' || i == size - 1;

	assert(mountinfo_parse(copy, size, on_entry, &lines, &skipped) == 0);
	assert(lines.n_entries + skipped == n_lines);
	free(copy);
}

static void check_mount(struct fuzz *fuzz, struct superblock *sb, const struct mount *mount)
{
	struct superblock *owner = NULL;
	char *normal = mount_path_normalise(mount->where);

	assert(superblock_table_find_mount(fuzz->table, mount->id, &owner) == mount);
	assert(owner == sb);
	assert(mount->unique_id == unique_id(mount->id, fuzz));

	/* What says that its mount point leads to it is right; normalising changes nothing twice. */
	if (normal) {
		char *again = mount_path_normalise(normal);

		assert(!again || strcmp(again, normal) == 0);
		if (mount->reachable && strcmp(normal, mount->where) == 0)
			assert(superblock_table_resolve(fuzz->table, mount->where) == sb);
		free(again);
	}

	free(normal);
}

static void check_table(struct fuzz *fuzz)
{
	struct superblock *sb = NULL;
	uint64_t last = 0;
	size_t n = 0;

	while ((sb = superblock_table_next(fuzz->table, sb))) {
		const struct mount *display = superblock_display_mount(sb);

		assert(sb->generation > last);
		assert(sb->userdata == fuzz);
		assert(sb->n_mounts > 0);
		assert(superblock_table_find_device(fuzz->table, sb->key.major, sb->key.minor) ==
		       sb);
		assert(superblock_table_find(fuzz->table, &sb->key) == sb);
		assert(!display || display->reachable);
		assert(!superblock_is_default(sb) || superblock_class(sb) != SUPERBLOCK_PSEUDO);

		for (size_t i = 0; i < sb->n_mounts; i++)
			check_mount(fuzz, sb, sb->mounts[i]);

		last = sb->generation;
		n++;
	}

	assert(n == superblock_table_count(fuzz->table));
	assert(fuzz->n_added - fuzz->n_removed == n);
}

static void feed(struct fuzz *fuzz, const uint8_t *data, size_t size)
{
	struct superblock_reading reading = {
		.text = input_copy(data, size),
		.n_text = size,
		.unique_id = unique_id,
		.userdata = fuzz,
	};

	fuzz->n_told = 0;
	assert(superblock_table_update(fuzz->table, &reading, NULL) == 0);
	free(reading.text);
	check_table(fuzz);
}

static void feed_reading(struct fuzz *fuzz, const uint8_t *data, size_t size)
{
	char *path;

	if (size > 0 && (data[0] == '!' || data[0] == '?')) {
		fuzz->unique_offset = data[0] == '!' ? fuzz->unique_offset + (1ULL << 32) : 0;
		data++;
		size--;
	}

	check_lines(data, size);
	feed(fuzz, data, size);

	/* Nothing changed: nothing is told. */
	feed(fuzz, data, size);
	assert(fuzz->n_told == 0);

	path = strndup((const char *)data, size);
	if (path)
		(void)superblock_table_resolve(fuzz->table, path);
	free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;
	struct fuzz fuzz = {};

	if (superblock_table_new(&fuzz.table, &ops, &fuzz) < 0)
		abort();

	while (size > 0 && data < end) {
		const uint8_t *next = memchr(data, READING_SEPARATOR, (size_t)(end - data));

		if (!next)
			next = end;
		feed_reading(&fuzz, data, (size_t)(next - data));
		data = next + 1;
	}

	feed(&fuzz, NULL, 0);
	assert(fuzz.n_added == fuzz.n_removed);
	superblock_table_free(fuzz.table);
	return 0;
}
