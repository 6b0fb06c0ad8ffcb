/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/index.h"
#include "daemon/core/mount-list.h"

struct builder {
	struct mount_list list;
	size_t n_allocated;
};

static int on_entry(const struct mountinfo_entry *info, void *userdata)
{
	struct builder *builder = userdata;
	struct mount_list *list = &builder->list;

	if (list->n_entries == builder->n_allocated) {
		size_t n = builder->n_allocated ? 2 * builder->n_allocated : 64;
		struct mount_entry *entries;

		entries = reallocarray(list->entries, n, sizeof(*entries));
		if (!entries)
			return -ENOMEM;

		list->entries = entries;
		builder->n_allocated = n;
	}

	list->entries[list->n_entries++] = (struct mount_entry){ .info = *info };
	return 0;
}

static int drop_repeated(struct mount_list *list)
{
	struct index ids;
	size_t n_kept = 0;
	int r;

	r = index_init(&ids, list->n_entries);
	if (r < 0)
		return r;

	for (size_t i = 0; i < list->n_entries; i++) {
		const struct mount_entry *entry = &list->entries[i];
		uint32_t *slot = index_first(&ids, hash_number(entry->info.id));

		while (*slot && list->entries[*slot - 1].info.id != entry->info.id)
			slot = index_next(&ids, slot);

		if (!*slot)
			*slot = (uint32_t)++n_kept;
		list->entries[*slot - 1] = *entry;
	}

	list->n_entries = n_kept;
	index_deinit(&ids);
	return 0;
}

static struct mount_device *find_device(struct mount_list *list, const struct index *index,
					const struct mountinfo_entry *info)
{
	uint64_t number = (uint64_t)info->major << 32 | info->minor;
	uint32_t *slot = index_first(index, hash_number(number));

	for (; *slot; slot = index_next(index, slot)) {
		struct mount_device *device = &list->devices[*slot - 1];
		const struct mountinfo_entry *first = &list->entries[device->first].info;

		if (first->major == info->major && first->minor == info->minor)
			return device;
	}

	*slot = (uint32_t)++list->n_devices;
	return &list->devices[*slot - 1];
}

static int group_by_device(struct mount_list *list)
{
	struct index index;
	int r;

	/* One more, since calloc() of nothing may give NULL. */
	list->devices = calloc(list->n_entries + 1, sizeof(*list->devices));
	if (!list->devices)
		return -ENOMEM;

	r = index_init(&index, list->n_entries);
	if (r < 0)
		return r;

	for (size_t i = 0; i < list->n_entries; i++) {
		struct mount_entry *entry = &list->entries[i];
		struct mount_device *device = find_device(list, &index, &entry->info);

		entry->next = 0;
		if (device->n_entries == 0)
			device->first = (uint32_t)i;
		else
			list->entries[device->last].next = (uint32_t)i + 1;

		device->last = (uint32_t)i;
		device->n_entries++;
	}

	index_deinit(&index);
	return 0;
}

int mount_list_init(struct mount_list *ret, const struct superblock_reading *reading,
		    size_t *ret_skipped)
{
	struct builder builder = {};
	struct mount_list *list = &builder.list;
	int r;

	assert(ret);
	assert(reading);

	r = mountinfo_parse(reading->text, reading->n_text, on_entry, &builder, ret_skipped);
	if (r >= 0)
		r = drop_repeated(list);
	if (r >= 0)
		r = group_by_device(list);
	if (r < 0) {
		mount_list_deinit(list);
		return r;
	}

	for (size_t i = 0; reading->unique_id && i < list->n_entries; i++)
		list->entries[i].unique_id =
			reading->unique_id(list->entries[i].info.id, reading->userdata);

	*ret = *list;
	return 0;
}

void mount_list_deinit(struct mount_list *list)
{
	assert(list);

	free(list->entries);
	free(list->devices);
	*list = (struct mount_list){};
}
