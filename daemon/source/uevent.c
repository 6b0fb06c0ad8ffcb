/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "daemon/source/netlink.h"
#include "daemon/source/uevent.h"

#define UEVENT_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)
#define UEVENT_GROUP_KERNEL 1 /* 2 is what udev sends on */
#define UEVENT_SOCKET_SIZE (1 << 20)

/* UEVENT_BUFFER_SIZE of the kernel is 2,048, and a header comes before it. */
#define UEVENT_BUFFER 8192

/* Taken in one wake-up; the rest wakes it again. */
#define UEVENT_BATCH 128

struct uevents {
	struct netlink *netlink;
	sd_event_source *io;
	const struct uevents_ops *ops;
	void *userdata;
	struct uevents_statistics statistics;
};

static void message_take(struct uevents *uevents, const char *message, size_t n)
{
	struct uevent event;
	int r;

	uevents->statistics.messages++;
	r = uevent_decode(message, n, &event);
	if (r < 0)
		uevents->statistics.malformed++;
	else if (r == 0)
		uevents->ops->event(&event, uevents->userdata);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct uevents *uevents = userdata;
	char buffer[UEVENT_BUFFER];
	bool lost = false;
	size_t n;
	int r = 0;

	for (unsigned int i = 0; i < UEVENT_BATCH && r >= 0; i++) {
		r = netlink_receive(uevents->netlink, buffer, sizeof(buffer), &n);
		if (r == NETLINK_EMPTY)
			break;

		if (r == 0)
			message_take(uevents, buffer, n);
		else if (r == NETLINK_FOREIGN)
			uevents->statistics.foreign++;
		else if (r == NETLINK_TRUNCATED)
			uevents->statistics.malformed++;
		else if (r == NETLINK_OVERRUN)
			uevents->statistics.overruns++;
		/* Not to be taken for lack of memory, perhaps: not known what it was. */
		lost = lost || r == NETLINK_OVERRUN || r == NETLINK_TRUNCATED || r < 0;
	}

	if (lost)
		uevents->ops->lost(uevents->userdata);
	return 0;
}

int uevents_new(struct uevents **ret, sd_event *loop, const struct uevents_ops *ops, void *userdata)
{
	_cleanup_(uevents_freep) struct uevents *uevents = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(ops && ops->event && ops->lost);

	uevents = calloc(1, sizeof(*uevents));
	if (!uevents)
		return -ENOMEM;
	uevents->ops = ops;
	uevents->userdata = userdata;

	r = netlink_new(&uevents->netlink, NETLINK_KOBJECT_UEVENT, UEVENT_GROUP_KERNEL,
			UEVENT_SOCKET_SIZE);
	if (r < 0)
		return r;

	r = sd_event_add_io(loop, &uevents->io, netlink_fd(uevents->netlink), EPOLLIN, on_readable,
			    uevents);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(uevents->io, "uevents");
	r = sd_event_source_set_priority(uevents->io, UEVENT_PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(uevents->io, true);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(uevents);
	return 0;
}

struct uevents *uevents_free(struct uevents *uevents)
{
	if (!uevents)
		return NULL;

	sd_event_source_disable_unref(uevents->io);
	netlink_free(uevents->netlink);
	free(uevents);
	return NULL;
}

void uevents_statistics(const struct uevents *uevents, struct uevents_statistics *ret)
{
	assert(uevents);
	assert(ret);

	*ret = uevents->statistics;
}
