/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/mountinfo.h"
#include "daemon/worker/mount-table.h"

#define MOUNTINFO_MAX (64U << 20)

struct search {
	uint32_t id;
	struct mount_facts facts;
};

static int look(const struct mountinfo_entry *entry, void *userdata)
{
	struct search *search = userdata;
	const char *option;

	if (entry->id != search->id)
		return 0;
	option = strstr(entry->options, "idmapped");
	search->facts.idmapped = option && (option == entry->options || option[-1] == ',');
	search->facts.where = strdup(entry->where);
	return search->facts.where ? -EALREADY : -ENOMEM;
}

static int table_read(char **ret, size_t *ret_n)
{
	_cleanup_close_ int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t n = 0, size = 0;
	ssize_t k = 1;

	if (fd < 0)
		return -errno;

	while (k > 0) {
		if (n == size) {
			char *larger;

			if (size >= MOUNTINFO_MAX)
				return -EFBIG;
			size = size ? 2 * size : 64U << 10;
			larger = realloc(text, size);
			if (!larger)
				return -ENOMEM;
			text = larger;
		}
		k = read(fd, text + n, size - n);
		if (k < 0)
			return -errno;
		n += (size_t)k;
	}

	*ret = TAKE_PTR(text);
	*ret_n = n;
	return 0;
}

int mount_table_find(uint32_t id, struct mount_facts *ret)
{
	_cleanup_free_ char *text = NULL;
	struct search search = { .id = id };
	size_t n = 0;
	int r;

	assert(ret);

	r = table_read(&text, &n);
	if (r < 0)
		return r;
	r = mountinfo_parse(text, n, look, &search, NULL);
	if (r != -EALREADY)
		return r < 0 ? r : -ENOENT;
	*ret = search.facts;
	return 0;
}
