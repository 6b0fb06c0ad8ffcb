/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "daemon/core/mount-options.h"

#define OWNER_KEY "user_id="
#define OWNER_INVALID ((uid_t)-2)

bool mount_options_read_only(const char *options)
{
	assert(options);

	return strncmp(options, "ro", 2) == 0 && (options[2] == ',' || options[2] == '\0');
}

const char *mount_options_next(const char **options, size_t *ret_n)
{
	const char *option = *options;
	size_t n;

	if (*option == '\0')
		return NULL;

	n = strcspn(option, ",");
	*options = option + n + (option[n] == ',');
	*ret_n = n;
	return option;
}

bool mount_type_is_fuse(const char *type)
{
	assert(type);

	return strcmp(type, "fuse") == 0 || strcmp(type, "fuseblk") == 0 ||
	       strncmp(type, "fuse.", 5) == 0 || strncmp(type, "fuseblk.", 8) == 0;
}

static uid_t parse_owner(const char *text, size_t n)
{
	uint64_t number = 0;

	if (n == 0)
		return OWNER_INVALID;

	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return OWNER_INVALID;

		number = number * 10 + (uint64_t)(text[i] - '0');
		if (number >= OWNER_INVALID)
			return OWNER_INVALID;
	}

	return (uid_t)number;
}

uid_t mount_options_owner(const char *type, const char *super_options)
{
	size_t n_key = strlen(OWNER_KEY), n;
	const char *option;
	uid_t owner = 0;

	assert(type);
	assert(super_options);

	if (!mount_type_is_fuse(type))
		return 0;

	/* The last one: those of security modules come before the filesystem's own. */
	while ((option = mount_options_next(&super_options, &n))) {
		if (n >= n_key && strncmp(option, OWNER_KEY, n_key) == 0)
			owner = parse_owner(option + n_key, n - n_key);
	}

	return owner;
}
