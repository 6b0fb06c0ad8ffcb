/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/core/escape.h"

/* Calls that are being worked on, per user and in all. */
#define REPLIES_PER_UID 32
#define REPLIES_ROOT 256
#define REPLIES_MAX 1024

struct bus_reply {
	struct bus_reply *next;
	struct bus_reply **link; /* what points here */
	struct bus *bus;
	sd_bus_message *call; /* NULL: the connection is gone */
	uid_t uid;
};

int bus_refuse(sd_bus_message *call, const char *name, const char *format, ...)
{
	char text[1024];
	va_list arguments;
	int r;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	r = sd_bus_reply_method_errorf(call, name, "%s", text);
	return r < 0 ? r : 1;
}

int bus_refuse_code(sd_bus_message *call, const char *name)
{
	char shown[64], known[512];
	size_t used = 0;

	escape(shown, sizeof(shown), name, strlen(name), 0);
	for (unsigned int code = 0; code < _EVENT_CODE_N; code++)
		used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
					 code ? ", " : "", event_code_name((enum event_code)code));

	return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
			  "Unknown event code \"%s\"; there are: %s", shown, known);
}

int bus_refuse_with(sd_bus_message *call, const struct bus_refusal *refusal)
{
	return bus_refuse(call, refusal->name ? refusal->name : SD_BUS_ERROR_FAILED, "%s",
			  refusal->text[0] ? refusal->text : "It cannot be done");
}

int bus_refuse_descriptor(sd_bus_message *call)
{
	if (sd_bus_can_send(sd_bus_message_get_bus(call), 'h') > 0)
		return 0;
	return bus_refuse(call, SD_BUS_ERROR_NOT_SUPPORTED, "This bus cannot pass descriptors");
}

static void reply_unlink(struct bus_reply *reply)
{
	if (!reply->link)
		return;
	*reply->link = reply->next;
	if (reply->next)
		reply->next->link = reply->link;
	reply->link = NULL;
	reply->next = NULL;
}

static void reply_free(struct bus_reply *reply)
{
	reply_unlink(reply);
	sd_bus_message_unref(reply->call);
	free(reply);
}

int bus_reply_new(struct bus_reply **ret, struct bus *bus, sd_bus_message *call)
{
	struct bus_sender sender;
	struct bus_reply *reply;
	size_t n = 0, n_uid = 0;

	assert(ret);
	assert(bus);
	assert(call);

	bus_sender(bus, call, &sender);
	for (reply = bus->replies; reply; reply = reply->next) {
		n++;
		n_uid += reply->uid == sender.uid;
	}
	if (n >= REPLIES_MAX || n_uid >= (sender.uid == 0 ? REPLIES_ROOT : REPLIES_PER_UID)) {
		int r = bus_refuse(
			call, SD_BUS_ERROR_LIMITS_EXCEEDED,
			"Too many questions are being worked on; wait for an answer first");

		return r < 0 ? r : 1;
	}

	reply = calloc(1, sizeof(*reply));
	if (!reply)
		return -ENOMEM;
	reply->bus = bus;
	reply->call = sd_bus_message_ref(call);
	reply->uid = sender.uid;
	reply->next = bus->replies;
	reply->link = &bus->replies;
	if (reply->next)
		reply->next->link = &reply->next;
	bus->replies = reply;

	*ret = reply;
	return 0;
}

sd_bus_message *bus_reply_call(const struct bus_reply *reply)
{
	assert(reply);

	return reply->call;
}

struct bus *bus_reply_bus(const struct bus_reply *reply)
{
	assert(reply);

	return reply->bus;
}

void bus_replies_forget(struct bus *bus)
{
	while (bus->replies) {
		struct bus_reply *reply = bus->replies;

		reply_unlink(reply);
		reply->call = sd_bus_message_unref(reply->call);
	}
}

static int send_usage(sd_bus_message *call, const struct filesystem *fs, const struct usage *usage)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
	uint64_t seconds;
	double rate;
	int r;

	r = sd_bus_message_new_method_return(call, &answer);
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(answer, 'a', "{st}");
	if (r < 0)
		return r;
	r = sd_bus_message_append(answer, "{st}{st}{st}{st}{st}", "blocks", usage->blocks,
				  "available", usage->available, "free", usage->free, "files",
				  usage->files, "files-available", usage->files_available);
	if (r < 0)
		return r;

	rate = fs->schedule.fill_rate;
	r = sd_bus_message_append(answer, "{st}", "fill-rate",
				  rate > 0 ? (uint64_t)rate : UINT64_C(0));
	if (r < 0)
		return r;
	seconds = schedule_seconds_to_full(&fs->schedule, usage);
	if (seconds != UINT64_MAX) {
		r = sd_bus_message_append(answer, "{st}", "seconds-to-full", seconds);
		if (r < 0)
			return r;
	}

	r = sd_bus_message_close_container(answer);
	if (r < 0)
		return r;
	return sd_bus_message_send(answer);
}

void bus_reply_usage(struct bus_reply *reply, const struct filesystem *fs,
		     const struct usage *usage)
{
	assert(reply);
	assert(fs);
	assert(usage);

	if (reply->call)
		(void)send_usage(reply->call, fs, usage);
	reply_free(reply);
}

void bus_reply_send(struct bus_reply *reply, sd_bus_message *answer)
{
	assert(reply);

	if (reply->call && answer)
		(void)sd_bus_message_send(answer);
	else if (reply->call)
		(void)sd_bus_reply_method_return(reply->call, NULL);
	reply_free(reply);
}

void bus_reply_done(struct bus_reply *reply)
{
	bus_reply_send(reply, NULL);
}

void bus_reply_refuse(struct bus_reply *reply, const struct bus_refusal *refusal)
{
	assert(reply);
	assert(refusal);

	if (reply->call)
		(void)bus_refuse_with(reply->call, refusal);
	reply_free(reply);
}
