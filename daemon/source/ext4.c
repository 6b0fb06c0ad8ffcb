/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "daemon/source/block.h"
#include "daemon/source/ext4.h"
#include "daemon/source/sysfs.h"

#define EXT4_SYSFS "/sys/fs/ext4/"
#define EXT4_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/* fs/ext4/ext4.h: what stands for an errno on disk, from EXT4_ERR_UNKNOWN = 1 on */
static const int ext4_codes[] = {
	0,     0,      EIO,    ENOMEM,	  EBADMSG, EUCLEAN, ENOSPC,    ENOKEY,	  EROFS,
	EFBIG, EEXIST, ERANGE, EOVERFLOW, EBUSY,   ENOTDIR, ENOTEMPTY, ESHUTDOWN, EFAULT,
};

struct ext4_errors {
	int directory_fd;
	int count_fd;
	sd_event_source *io;
	ext4_errors_fn changed;
	void *userdata;
	uint64_t known; /* errors that are in ->counters */
	struct fusion_counters counters;
};

static int count_read(const struct ext4_errors *errors, uint64_t *ret)
{
	char text[32];
	int r;

	r = sysfs_read_fd(errors->count_fd, text, sizeof(text));
	if (r < 0)
		return r;

	return sscanf(text, "%" SCNu64, ret) == 1 ? 0 : -EBADMSG;
}

/* Since Linux 5.10 the kernel says it. */
static int last_error_read(const struct ext4_errors *errors)
{
	uint64_t code;

	if (sysfs_read_number(errors->directory_fd, "last_error_errcode", &code) < 0 ||
	    code >= sizeof(ext4_codes) / sizeof(ext4_codes[0]))
		return 0;

	return ext4_codes[code];
}

static int on_count(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct ext4_errors *errors = userdata;
	uint64_t count;

	/* Unmounted: from now on poll() would always return at once. It is off already. */
	if (count_read(errors, &count) < 0)
		return 0;

	/* Last: it may free the object. */
	errors->changed(errors->userdata);
	return 0;
}

static int errors_open(struct ext4_errors *errors, uint32_t major, uint32_t minor)
{
	char path[sizeof(EXT4_SYSFS) + BLOCK_NAME_MAX], name[BLOCK_NAME_MAX];
	int r;

	r = block_name(major, minor, name);
	if (r < 0)
		return r;

	snprintf(path, sizeof(path), EXT4_SYSFS "%s", name);
	errors->directory_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (errors->directory_fd < 0)
		return -errno;

	errors->count_fd = openat(errors->directory_fd, "errors_count", O_RDONLY | O_CLOEXEC);
	return errors->count_fd < 0 ? -errno : 0;
}

static int errors_poll(struct ext4_errors *errors, sd_event *loop)
{
	int r;

	r = sd_event_add_io(loop, &errors->io, errors->count_fd, EPOLLPRI, on_count, errors);
	if (r < 0)
		return r;

	(void)sd_event_source_set_description(errors->io, "ext4-errors");
	r = sd_event_source_set_priority(errors->io, EXT4_PRIORITY);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(errors->io, SD_EVENT_ONESHOT);
	if (r < 0)
		return r;
	return sd_event_source_set_exit_on_failure(errors->io, true);
}

int ext4_errors_new(struct ext4_errors **ret, sd_event *loop, uint32_t major, uint32_t minor,
		    ext4_errors_fn changed, void *userdata)
{
	_cleanup_(ext4_errors_freep) struct ext4_errors *errors = NULL;
	struct fusion_counters counters;
	int r;

	assert(ret);
	assert(loop);
	assert(changed);

	errors = calloc(1, sizeof(*errors));
	if (!errors)
		return -ENOMEM;

	errors->directory_fd = errors->count_fd = -1;
	errors->changed = changed;
	errors->userdata = userdata;

	r = errors_open(errors, major, minor);
	/* It wakes up for what came after the last reading; without one, at once. */
	if (r == 0)
		r = ext4_errors_read(errors, &counters);
	if (r == 0)
		r = errors_poll(errors, loop);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(errors);
	return 0;
}

struct ext4_errors *ext4_errors_free(struct ext4_errors *errors)
{
	if (!errors)
		return NULL;

	sd_event_source_disable_unref(errors->io);
	closep(&errors->count_fd);
	closep(&errors->directory_fd);
	free(errors);
	return NULL;
}

int ext4_errors_read(struct ext4_errors *errors, struct fusion_counters *ret)
{
	uint64_t count;
	int r;

	assert(errors);
	assert(ret);

	r = count_read(errors, &count);
	if (r < 0)
		return r;

	/* One counter for all kinds: what is new is of the kind of the last one. */
	if (count > errors->known) {
		errors->counters.last_error = last_error_read(errors);
		if (fusion_error_kind(errors->counters.last_error) == FUSION_HINT_CORRUPTED)
			errors->counters.corrupted += count - errors->known;
		else
			errors->counters.io_error += count - errors->known;
	}

	errors->known = count;
	*ret = errors->counters;
	/* What came since this reading wakes up at once. */
	return errors->io ? sd_event_source_set_enabled(errors->io, SD_EVENT_ONESHOT) : 0;
}
