/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "daemon/core/span.h"
#include "daemon/core/wire-uevent.h"

/* What of a message is asked for; ->p is NULL where it does not say. */
struct keys {
	struct span action, subsystem, major, minor, disk_ro;
};

static void keys_take(struct keys *keys, struct span line)
{
	const struct {
		const char *name;
		struct span *value;
	} known[] = {
		{ "ACTION=", &keys->action },	{ "SUBSYSTEM=", &keys->subsystem },
		{ "MAJOR=", &keys->major },	{ "MINOR=", &keys->minor },
		{ "DISK_RO=", &keys->disk_ro },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t n = strlen(known[i].name);

		if (line.n >= n && memcmp(line.p, known[i].name, n) == 0) {
			*known[i].value = (struct span){ line.p + n, line.n - n };
			return;
		}
	}
}

static int number_take(struct span span, uint32_t *ret)
{
	uint64_t number;

	if (!span.p || span_number(span, &number) < 0 || number > UINT32_MAX)
		return -EBADMSG;

	*ret = (uint32_t)number;
	return 0;
}

static int kind_decode(const struct keys *keys, enum uevent_kind *ret)
{
	if (span_equal(keys->action, "remove")) {
		*ret = UEVENT_REMOVED;
		return 0;
	}
	if (!span_equal(keys->action, "change"))
		return UEVENT_OTHER;

	if (keys->disk_ro.p && span_equal(keys->disk_ro, "1"))
		*ret = UEVENT_READ_ONLY;
	else if (keys->disk_ro.p && span_equal(keys->disk_ro, "0"))
		*ret = UEVENT_WRITABLE;
	else
		*ret = UEVENT_CHANGED;
	return 0;
}

int uevent_decode(const char *message, size_t n_message, struct uevent *ret)
{
	struct uevent event = {};
	struct keys keys = {};
	size_t n_header;
	int r;

	assert(message || n_message == 0);
	assert(ret);

	if (n_message == 0 || message[n_message - 1] != '\0')
		return -EBADMSG;
	n_header = strlen(message);
	if (!memchr(message, '@', n_header))
		return -EBADMSG;

	for (size_t offset = n_header + 1; offset < n_message;) {
		struct span line = { message + offset, strlen(message + offset) };

		keys_take(&keys, line);
		offset += line.n + 1;
	}
	if (!keys.action.p || !keys.subsystem.p)
		return -EBADMSG;
	if (!span_equal(keys.subsystem, "block"))
		return UEVENT_OTHER;

	r = kind_decode(&keys, &event.kind);
	if (r != 0)
		return r;
	r = number_take(keys.major, &event.major);
	if (r < 0)
		return r;
	r = number_take(keys.minor, &event.minor);
	if (r < 0)
		return r;

	*ret = event;
	return 0;
}
