/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/process-methods.h"

static void subscriber_remove(struct warning_subscribers *subscribers, size_t i)
{
	free(subscribers->items[i].name);
	subscribers->items[i] = subscribers->items[--subscribers->n];
}

void warning_subscribers_leave(struct bus *bus, const char *name)
{
	struct warning_subscribers *subscribers = &bus->warning_subscribers;

	for (size_t i = 0; i < subscribers->n; i++) {
		if (strcmp(subscribers->items[i].name, name) != 0)
			continue;
		subscriber_remove(subscribers, i);
		return;
	}
}

void warning_subscribers_forget(struct bus *bus)
{
	while (bus->warning_subscribers.n)
		subscriber_remove(&bus->warning_subscribers, 0);
}

int method_subscribe_process_warnings(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct bus *bus = userdata;
	struct warning_subscribers *subscribers = &bus->warning_subscribers;
	struct bus_sender sender;
	size_t n_uid = 0;
	char *name;
	int r;

	r = options_none(call);
	if (r != 0)
		return r;
	if (!bus->ops->process)
		return bus_refuse(call, SD_BUS_ERROR_NOT_SUPPORTED,
				  "No processes are followed here");

	bus_sender(bus, call, &sender);
	for (size_t i = 0; i < subscribers->n; i++) {
		if (strcmp(subscribers->items[i].name, sender.name) == 0)
			return sd_bus_reply_method_return(call, NULL);
		n_uid += subscribers->items[i].uid == sender.uid;
	}
	if (subscribers->n == WARNING_SUBSCRIBERS_MAX ||
	    (sender.uid != 0 && n_uid == WARNING_SUBSCRIBERS_PER_UID))
		return bus_refuse(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
				  "Too many have subscribed; close a connection first");

	name = strdup(sender.name);
	if (!name)
		return -ENOMEM;
	subscribers->items[subscribers->n++] = (struct warning_subscriber){
		.name = name,
		.uid = sender.uid,
	};
	peers_keep(bus->peers, sender.name);
	return sd_bus_reply_method_return(call, NULL);
}

static int append_text(sd_bus_message *signal, const char *key, const char *text)
{
	return text ? sd_bus_message_append(signal, "{sv}", key, "s", text) : 0;
}

static int append_number(sd_bus_message *signal, const char *key, uint64_t number)
{
	return number ? sd_bus_message_append(signal, "{sv}", key, "t", number) : 0;
}

static int append_details(sd_bus_message *signal, const struct bus_process_warning *warning)
{
	const struct {
		const char *key, *text;
	} texts[] = {
		{ "rule", warning->rule },
		{ "comm", warning->comm },
		{ "unit", warning->unit },
	};
	const struct {
		const char *key;
		uint64_t number;
	} numbers[] = {
		{ "rate", warning->rate },
		{ "limit", warning->limit },
		{ "culprit-forks", warning->culprit_forks },
		{ "suppressed", warning->suppressed },
	};
	int r;

	r = sd_bus_message_open_container(signal, 'a', "{sv}");
	for (size_t i = 0; r >= 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		r = append_text(signal, texts[i].key, texts[i].text);
	for (size_t i = 0; r >= 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		r = append_number(signal, numbers[i].key, numbers[i].number);
	if (r >= 0 && strncmp(warning->code, "exit-", 5) == 0)
		r = sd_bus_message_append(signal, "{sv}", "status", "i", warning->status);
	return r < 0 ? r : sd_bus_message_close_container(signal);
}

static int warning_send(struct bus *bus, const char *name,
			const struct bus_process_warning *warning)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	r = sd_bus_message_new_signal(bus->sd, &signal, BUS_PATH_ROOT, BUS_IFACE_MANAGER,
				      "ProcessWarning");
	if (r < 0)
		return r;
	r = sd_bus_message_set_destination(signal, name);
	if (r < 0)
		return r;
	r = sd_bus_message_append(signal, "ttssuu", warning->id, warning->realtime_usec,
				  warning->code, warning->severity, warning->pid, warning->uid);
	if (r < 0)
		return r;
	r = append_details(signal, warning);
	if (r < 0)
		return r;
	return sd_bus_send(bus->sd, signal, NULL);
}

void bus_process_warning(struct bus *bus, const struct bus_process_warning *warning)
{
	struct warning_subscribers *subscribers = &bus->warning_subscribers;

	assert(bus);
	assert(warning && warning->code && warning->severity);

	for (size_t i = 0; i < subscribers->n; i++) {
		const struct warning_subscriber *one = &subscribers->items[i];

		if (one->uid != 0 && (one->uid != warning->uid || one->uid == (uid_t)-1))
			continue;
		if (!bus_takes_more(bus) || !peers_may_tell(bus->peers, one->name) ||
		    warning_send(bus, one->name, warning) < 0) {
			bus->statistics.signals_skipped++;
			continue;
		}
		bus->statistics.signals++;
		peers_told(bus->peers, one->name, 512);
	}
}
