/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/output/unread.h"

/* As the streams had. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/*
 * Less than any packet takes. The kernel tells that a packet was freed while
 * one byte of it still counts.
 */
#define NOTHING 64

struct rest {
	int fd;
	sd_event_source *io;
	struct quota_charge charge;
	LIST_ENTRY(rest) all;
};

struct unread {
	sd_event *loop;
	LIST_HEAD(, rest) rests;
};

static bool is_read(int fd)
{
	int n = 0;

	return ioctl(fd, SIOCOUTQ, &n) < 0 || n < NOTHING;
}

static struct rest *rest_free(struct rest *rest)
{
	if (!rest)
		return NULL;

	sd_event_source_disable_unref(rest->io);
	if (rest->fd >= 0)
		close(rest->fd);
	quota_release(&rest->charge);
	free(rest);
	return NULL;
}

DEFINE_FREEP(rest, rest_free)

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct rest *rest = userdata;

	if (!is_read(fd))
		return 0;
	LIST_REMOVE(rest, all);
	rest_free(rest);
	return 0;
}

int unread_new(struct unread **ret, sd_event *loop)
{
	struct unread *unread;

	assert(ret);
	assert(loop);

	unread = calloc(1, sizeof(*unread));
	if (!unread)
		return -ENOMEM;

	unread->loop = sd_event_ref(loop);
	LIST_INIT(&unread->rests);
	*ret = unread;
	return 0;
}

struct unread *unread_free(struct unread *unread)
{
	struct rest *rest;

	if (!unread)
		return NULL;

	while ((rest = LIST_FIRST(&unread->rests))) {
		LIST_REMOVE(rest, all);
		rest_free(rest);
	}
	sd_event_unref(unread->loop);
	free(unread);
	return NULL;
}

void unread_keep(struct unread *unread, int fd, struct quota_charge *charge)
{
	_cleanup_(rest_freep) struct rest *rest = NULL;
	int r;

	assert(unread);
	assert(fd >= 0);
	assert(charge);

	/* Before the look: nothing is sent any more, and the client sees the end. */
	(void)shutdown(fd, SHUT_RDWR);
	if (!is_read(fd))
		rest = calloc(1, sizeof(*rest));
	if (!rest) {
		close(fd);
		quota_release(charge);
		return;
	}

	rest->fd = fd;
	quota_move(&rest->charge, charge);

	/* Shut both ways it is hung up for ever: what counts is that something changes. */
	r = sd_event_add_io(unread->loop, &rest->io, fd, EPOLLOUT | EPOLLET, on_io, rest);
	if (r >= 0)
		r = sd_event_source_set_priority(rest->io, PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(rest->io, true);
	if (r < 0)
		return;
	(void)sd_event_source_set_description(rest->io, "unread");

	LIST_INSERT_HEAD(&unread->rests, rest, all);
	(void)TAKE_PTR(rest);
}
