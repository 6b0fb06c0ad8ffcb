/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/fdinfo.h"
#include "daemon/bus/process-methods.h"
#include "daemon/core/escape.h"
#include "daemon/core/group.h"

/* What a call asks for; the same whenever it is read again. */
struct asked {
	int fd; /* a pidfd, borrowed from the message; -1: by ->pid */
	uint32_t pid;
	int32_t signal; /* of a relay */
	struct bus_track track;
};

static void *process_userdata(struct bus *bus)
{
	return bus->ops->process_userdata(bus->userdata);
}

static void strv_freep(char ***list)
{
	for (size_t i = 0; *list && (*list)[i]; i++)
		free((*list)[i]);
	free(*list);
}

static int read_event(sd_bus_message *call, const char *name, uint32_t *events)
{
	static const struct {
		const char *name;
		enum group_event_kind kind;
	} kinds[] = {
		{ "fork", GROUP_FORK },
		{ "exec", GROUP_EXEC },
		{ "exit", GROUP_EXIT },
	};
	char shown[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, name) != 0)
			continue;
		*events |= 1U << kinds[i].kind;
		return 0;
	}

	escape(shown, sizeof(shown), name, strlen(name), 0);
	return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
			  "Unknown event \"%s\"; there are: fork, exec, exit", shown);
}

/* Return: 0, 1 when the call was refused, or a negative errno. */
static int read_track(sd_bus_message *call, struct bus_track *ret)
{
	_cleanup_(strv_freep) char **events = NULL;
	int accounting = 0, hold = 0;
	const struct option options[] = {
		{ "events", "as", { .list = &events } },
		{ "accounting", "b", { .flag = &accounting } },
		{ "hold", "b", { .flag = &hold } },
	};
	int r;

	*ret = (struct bus_track){};
	r = options_read(call, options, sizeof(options) / sizeof(options[0]));
	for (size_t i = 0; r == 0 && events && events[i]; i++)
		r = read_event(call, events[i], &ret->events);
	ret->accounting = accounting;
	ret->hold = hold;
	return r;
}

/* Return: as read_track(). */
static int read_process(sd_bus_message *call, struct asked *ret)
{
	char type;
	int r;

	ret->fd = -1;
	r = sd_bus_message_peek_type(call, &type, NULL);
	if (r < 0)
		return r;
	if (type == 'u') {
		r = sd_bus_message_read_basic(call, 'u', &ret->pid);
		return r < 0 ? r : 0;
	}

	/* Descriptors are taken out of messages where there is no room for them. */
	r = sd_bus_message_read_basic(call, 'h', &ret->fd);
	if (r == -EBADMSG)
		return bus_refuse(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
				  "The descriptor could not be received; try again later");
	if (r < 0)
		return r;
	if (!fdinfo_is_pidfd(ret->fd))
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The descriptor must be one of pidfd_open()");
	return 0;
}

static int asked_read(struct asked *ret, sd_bus_message *call, bool relay)
{
	int r;

	*ret = (struct asked){};
	r = sd_bus_message_rewind(call, true);
	if (r >= 0)
		r = read_process(call, ret);
	if (r != 0)
		return r;
	if (!relay)
		return read_track(call, &ret->track);

	r = sd_bus_message_read_basic(call, 'i', &ret->signal);
	return r < 0 ? r : options_none(call);
}

/* Its number is its own for as long as a descriptor of ours says that it lives. */
static int hold_pidfd(struct bus *bus, int fd, struct process_target **ret,
		      struct bus_refusal *refusal)
{
	struct process_target *target;
	uint32_t pid, still;

	if (fdinfo_pid(&pid, fd) >= 0) {
		if (bus->ops->process->target(pid, &target, refusal, process_userdata(bus)) < 0)
			return -1;
		if (fdinfo_pid(&still, fd) >= 0 && still == pid) {
			*ret = target;
			return 0;
		}
		bus->ops->process->target_free(target, process_userdata(bus));
	}

	refusal->name = SD_BUS_ERROR_INVALID_ARGS;
	snprintf(refusal->text, sizeof(refusal->text), "The process has ended");
	return -1;
}

static int hold(struct bus *bus, const struct asked *asked, struct process_target **ret,
		struct bus_refusal *refusal)
{
	if (asked->fd >= 0)
		return hold_pidfd(bus, asked->fd, ret, refusal);
	return bus->ops->process->target(asked->pid, ret, refusal, process_userdata(bus));
}

/* @target: taken over. Return: as handlers do. */
static int begin(struct bus *bus, sd_bus_message *call, const struct asked *asked,
		 struct process_target *target, bool authorized)
{
	const struct bus_process_ops *ops = bus->ops->process;
	struct bus_sender sender;
	struct bus_reply *reply;
	int r;

	r = bus_reply_new(&reply, bus, call);
	if (r != 0) {
		ops->target_free(target, process_userdata(bus));
		return r;
	}

	bus_sender(bus, call, &sender);
	if (asked->signal)
		ops->relay(target, asked->signal, authorized, &sender, reply,
			   process_userdata(bus));
	else
		ops->track(target, &asked->track, authorized, &sender, reply,
			   process_userdata(bus));
	return 1;
}

/* What a call with a pid is about, while it is asked whether the caller may. */
struct aim {
	struct process_target *target; /* NULL: there was none */
	struct bus_refusal refusal; /* and what is said of that to who may know */
	bool relay;
};

static void aim_release(struct bus *bus, void *userdata)
{
	struct aim *aim = userdata;

	bus->ops->process->target_free(aim->target, process_userdata(bus));
	free(aim);
}

/* It is what was held before the question, and is looked at as it is now. */
static int aim_run(struct bus *bus, sd_bus_message *call, void *userdata)
{
	struct aim *aim = userdata;
	struct asked asked;
	int r;

	r = asked_read(&asked, call, aim->relay);
	if (r == 0 && aim->target)
		r = begin(bus, call, &asked, TAKE_PTR(aim->target), true);
	else if (r == 0)
		r = bus_refuse_with(call, &aim->refusal);
	aim_release(bus, aim);
	return r;
}

static int refuse_unsupported(sd_bus_message *call)
{
	return bus_refuse(call, SD_BUS_ERROR_NOT_SUPPORTED, "No processes are followed here");
}

/* One's own process goes without a question; any other, and none, with the same one. */
static int ask(struct bus *bus, sd_bus_message *call, bool relay)
{
	struct bus_sender sender;
	struct asked asked;
	struct aim *aim;
	int r;

	if (!bus->ops->process)
		return refuse_unsupported(call);
	r = asked_read(&asked, call, relay);
	if (r != 0)
		return r;
	if (relay && (asked.signal < 1 || asked.signal > 64))
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS, "There is no signal %d",
				  asked.signal);

	aim = calloc(1, sizeof(*aim));
	if (!aim)
		return -ENOMEM;
	aim->relay = relay;
	if (hold(bus, &asked, &aim->target, &aim->refusal) < 0)
		aim->target = NULL;

	bus_sender(bus, call, &sender);
	if (sender.uid != 0 && aim->target &&
	    bus->ops->process->target_is_of(aim->target, sender.uid, process_userdata(bus))) {
		r = begin(bus, call, &asked, TAKE_PTR(aim->target), false);
		aim_release(bus, aim);
		return r;
	}
	return bus_authorize_held(bus, call, relay ? AUTHORIZE_RELAY : AUTHORIZE_TRACK_OTHERS,
				  &(struct bus_errand){
					  .held = aim,
					  .run_held = aim_run,
					  .release = aim_release,
				  });
}

int method_track_process(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return ask(userdata, call, false);
}

int method_track_pidfd(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return ask(userdata, call, false);
}

int method_relay_forks(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return ask(userdata, call, true);
}

int method_relay_forks_pidfd(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return ask(userdata, call, true);
}

int method_stop_relay(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus_refusal refusal = {};
	struct bus *bus = userdata;
	struct bus_sender sender;
	uint32_t pid;
	int r;

	if (!bus->ops->process)
		return refuse_unsupported(call);
	r = sd_bus_message_read_basic(call, 'u', &pid);
	if (r < 0)
		return r;

	bus_sender(bus, call, &sender);
	if (bus->ops->process->stop_relay(pid, &sender, &refusal, process_userdata(bus)) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}

struct relay_list {
	sd_bus_message *answer;
	int error;
};

static void add_relay(const struct bus_relay *relay, void *ctx)
{
	struct relay_list *list = ctx;

	if (list->error >= 0)
		list->error = sd_bus_message_append(list->answer, "(uiut)", relay->pid,
						    relay->signal, relay->uid, relay->lost);
}

int method_list_relays(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
	struct bus *bus = userdata;
	struct bus_sender sender;
	struct relay_list list = {};
	int r;

	if (!bus->ops->process)
		return refuse_unsupported(call);
	r = sd_bus_message_new_method_return(call, &answer);
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(answer, 'a', "(uiut)");
	if (r < 0)
		return r;

	list.answer = answer;
	bus_sender(bus, call, &sender);
	bus->ops->process->relays(&sender, add_relay, &list, process_userdata(bus));
	if (list.error < 0)
		return list.error;

	r = sd_bus_message_close_container(answer);
	if (r < 0)
		return r;
	r = sd_bus_message_send(answer);
	return r < 0 ? r : 1;
}
