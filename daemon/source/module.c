/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "daemon/source/module-internal.h"
#include "daemon/source/netlink.h"

#define MODULE_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/* Messages in one turn of the loop. */
#define MODULE_BATCH 64

#define CONTROL_BUFFER (64 << 10)
#define CONTROL_MESSAGE 4096

/* The module gives a number up at once when somebody is in its groups already, and takes another. */
#define MODULE_SETTLE_US (50 * 1000)

/* By its identity; and one that is being asked for, by its device number. */
static struct module_member *member_find(struct module *module, const struct wire_event *event)
{
	struct module_member *member;

	LIST_FOREACH(member, &module->buckets[event->fs_id & (MODULE_BUCKETS - 1)], chain)
		if (member->fs_id == event->fs_id)
			return member;
	TAILQ_FOREACH(member, &module->members, link)
		if (member->ticket && member->interest.major == event->dev_major &&
		    member->interest.minor == event->dev_minor)
			return member;
	return NULL;
}

static void module_lose(struct module *module, uint64_t n)
{
	struct module_member *member;

	module->statistics.lost += n;
	module->ops->lost(n, module->userdata);
	for (member = TAILQ_FIRST(&module->members); member; member = module->next) {
		module->next = TAILQ_NEXT(member, link);
		module_member_ask(member);
	}
}

static void event_take(struct module *module, const struct wire_event *event)
{
	struct module_member *member;
	uint64_t n_lost;

	module->statistics.events++;
	if (event->seq != 0) {
		n_lost = wire_event_sequence_note(&module->sequence, event->seq, 1);
		if (n_lost > 0)
			module_lose(module, n_lost);
	}
	if (event->test) {
		module->statistics.tests++;
		return;
	}

	member = member_find(module, event);
	if (!member) {
		module->statistics.unknown++;
		return;
	}
	if (event->id == FS_EVENT_FROZEN || event->id == FS_EVENT_THAWED)
		member->turned = true;
	if (event->id == FS_EVENT_UNMOUNTED)
		module_member_forget(member);
	member->ops->event(event, member->userdata);
}

static void datagram_take(struct module *module, const void *data, size_t n)
{
	struct wire_message message;
	struct wire_event event;
	size_t offset = 0;
	int r = 0;

	/* Who is told may have found that the module is gone. */
	while (module->link && (r = wire_message_next(data, n, &offset, &message)) > 0) {
		if (message.is_ack || message.family != module_link_family(module->link) ||
		    message.command != FS_NL_C_EVENT)
			continue;
		r = wire_event_decode(message.attributes, message.n_attributes, &event);
		if (r > 0)
			event_take(module, &event);
		else
			module->statistics.malformed++;
	}
	if (module->link && r < 0)
		module->statistics.malformed++;
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct module *module = userdata;
	const void *data;
	size_t n;
	int r;

	for (unsigned int i = 0; i < MODULE_BATCH; i++) {
		r = module_link_receive(module->link, MODULE_SOCKET_EVENTS, &data, &n);
		if (r == NETLINK_EMPTY)
			break;
		if (r < 0)
			return r;
		if (r == NETLINK_OVERRUN) {
			/* What is missing shows with the next number; there may be none for long. */
			module->statistics.overruns++;
			module_lose(module, 0);
		} else if (r == NETLINK_FOREIGN) {
			module->statistics.foreign++;
		} else if (r == NETLINK_TRUNCATED) {
			module->statistics.malformed++;
		} else {
			datagram_take(module, data, n);
		}
	}

	return 0;
}

static int source_prepare(sd_event_source *source, const char *description)
{
	int r;

	(void)sd_event_source_set_description(source, description);
	r = sd_event_source_set_priority(source, MODULE_PRIORITY);
	return r < 0 ? r : sd_event_source_set_exit_on_failure(source, true);
}

static int io_add(struct module *module, sd_event_source **ret, int fd, const char *description,
		  sd_event_io_handler_t handler)
{
	int r;

	r = sd_event_add_io(module->loop, ret, fd, EPOLLIN, handler, module);
	return r < 0 ? r : source_prepare(*ret, description);
}

static void module_leave(struct module *module)
{
	struct module_member *member;

	if (!module->link)
		return;

	module->events_io = sd_event_source_disable_unref(module->events_io);
	module->link = module_link_free(module->link);
	module->sequence = (struct wire_event_sequence){};
	module->ops->changed(false, module->userdata);
	for (member = TAILQ_FIRST(&module->members); member; member = module->next) {
		module->next = TAILQ_NEXT(member, link);
		module_member_forget(member);
		member->ops->answered(-ENODEV, NULL, member->userdata);
	}
}

/* Return: 0, also where it is not there or not for us, or a negative errno. */
static int module_join(struct module *module)
{
	struct module_member *member;
	int r;

	r = module_link_new(&module->link);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	r = io_add(module, &module->events_io, module_link_fd(module->link, MODULE_SOCKET_EVENTS),
		   "module-events", on_events);
	if (r < 0)
		return r;

	module->ops->changed(true, module->userdata);
	for (member = TAILQ_FIRST(&module->members); member; member = module->next) {
		module->next = TAILQ_NEXT(member, link);
		module_member_ask(member);
	}
	return 0;
}

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct module *module = userdata;

	return module->link ? 0 : module_join(module);
}

static int settle_begin(struct module *module)
{
	int r = sd_event_source_set_time_relative(module->settle, MODULE_SETTLE_US);

	return r < 0 ? r : sd_event_source_set_enabled(module->settle, SD_EVENT_ONESHOT);
}

static int control_take(struct module *module, const void *data, size_t n)
{
	struct wire_message message;
	struct wire_family family;
	size_t offset = 0;
	int r = 0;

	while (r >= 0 && wire_message_next(data, n, &offset, &message) > 0) {
		if (message.is_ack || message.family != GENL_ID_CTRL ||
		    wire_family_decode(message.attributes, message.n_attributes, &family) <= 0 ||
		    strcmp(family.name, FS_EVENTS_FAMILY_NAME) != 0)
			continue;
		if (message.command == CTRL_CMD_DELFAMILY) {
			/* The module may try several numbers; what was found is the last. */
			if (module->link && module_link_family(module->link) == family.id)
				module_leave(module);
		} else if (message.command == CTRL_CMD_NEWFAMILY) {
			/* It may have been found while this was on its way. */
			if (module->link && module_link_family(module->link) == family.id)
				continue;
			module_leave(module);
			r = settle_begin(module);
		}
	}

	return r;
}

static int on_control(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct module *module = userdata;
	uint8_t buffer[CONTROL_MESSAGE];
	size_t n;
	int r;

	for (unsigned int i = 0; i < MODULE_BATCH; i++) {
		r = netlink_receive(module->control, buffer, sizeof(buffer), &n);
		if (r < 0)
			return r;
		if (r == NETLINK_EMPTY)
			break;
		if (r == NETLINK_FOREIGN)
			module->statistics.foreign++;
		/* What came or went meanwhile is not known. */
		if (r == NETLINK_OVERRUN) {
			module->statistics.overruns++;
			module_leave(module);
			r = module_join(module);
		} else if (r == 0) {
			r = control_take(module, buffer, n);
		}
		if (r < 0)
			return r;
	}

	return 0;
}

int module_new(struct module **ret, sd_event *loop, struct pool *pool, const struct module_ops *ops,
	       void *userdata)
{
	struct module *module;

	assert(ret);
	assert(loop);
	assert(pool);
	assert(ops && ops->changed && ops->lost);

	module = calloc(1, sizeof(*module));
	if (!module)
		return -ENOMEM;
	module->loop = sd_event_ref(loop);
	module->pool = pool;
	module->ops = ops;
	module->userdata = userdata;
	TAILQ_INIT(&module->members);
	for (size_t i = 0; i < MODULE_BUCKETS; i++)
		LIST_INIT(&module->buckets[i]);

	*ret = module;
	return 0;
}

int module_start(struct module *module)
{
	int r;

	assert(module);

	/* First this, so that nothing comes unnoticed between the two. */
	r = netlink_new(&module->control, NETLINK_GENERIC, 1U << (GENL_ID_CTRL - 1),
			CONTROL_BUFFER);
	if (r < 0)
		return r;
	r = io_add(module, &module->control_io, netlink_fd(module->control), "module-control",
		   on_control);
	if (r < 0)
		return r;
	r = sd_event_add_time(module->loop, &module->settle, CLOCK_MONOTONIC, UINT64_MAX, 1,
			      on_settled, module);
	if (r >= 0)
		r = source_prepare(module->settle, "module-settle");
	return r < 0 ? r : module_join(module);
}

struct module *module_free(struct module *module)
{
	if (!module)
		return NULL;

	assert(TAILQ_EMPTY(&module->members));

	sd_event_source_disable_unref(module->events_io);
	sd_event_source_disable_unref(module->control_io);
	sd_event_source_disable_unref(module->settle);
	module_link_free(module->link);
	netlink_free(module->control);
	sd_event_unref(module->loop);
	free(module);
	return NULL;
}

bool module_is_present(const struct module *module)
{
	assert(module);

	return module->link;
}

void module_statistics(const struct module *module, struct module_statistics *ret)
{
	assert(module);
	assert(ret);

	*ret = module->statistics;
}
