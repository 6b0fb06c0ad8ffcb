/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/json.h"
#include "daemon/ctl/standard.h"
#include "daemon/ctl/table.h"

/* The relay of forks: who is told, and asking for it. */

#define RELAY_SIGNAL_DEFAULT 34 /* the first that is not the C library's own */

struct relay_line {
	uint32_t pid, uid;
	int32_t signal;
	uint64_t lost;
};

static int parse_number(const char *what, const char *text, long min, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(text, &end, 10);
	if (!errno && !*end && *text >= '0' && *text <= '9' && *ret >= min && *ret <= INT32_MAX)
		return CTL_DONE;
	standard_error("relay: \"%s\" is not %s", text, what);
	return CTL_USAGE;
}

static void print_json(const struct relay_line *relay)
{
	struct json json = { .file = stdout };

	json_open(&json, NULL, '{');
	json_u32(&json, "pid", relay->pid);
	json_i32(&json, "signal", relay->signal);
	json_u32(&json, "uid", relay->uid);
	json_u64(&json, "lost", relay->lost);
	json_close(&json, '}');
	json_end_line(&json);
}

static void add_row(struct table *table, const struct relay_line *relay)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu32, relay->pid);
	table_add(table, text, TABLE_PLAIN);
	snprintf(text, sizeof(text), "%" PRId32, relay->signal);
	table_add(table, text, TABLE_PLAIN);
	snprintf(text, sizeof(text), "%" PRIu32, relay->uid);
	table_add(table, text, TABLE_PLAIN);
	snprintf(text, sizeof(text), "%" PRIu64, relay->lost);
	table_add(table, text, relay->lost ? TABLE_RED : TABLE_PLAIN);
}

static int print_relays(const struct ctl *ctl, sd_bus_message *reply)
{
	static const char *const heads[] = { "PID", "SIGNAL", "UID", "LOST" };
	_cleanup_(table_freep) struct table *table = NULL;
	struct relay_line relay;
	int r;

	r = table_new(&table, "rrrr", ctl->style.colour);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		table_add(table, heads[i], TABLE_BOLD);

	r = sd_bus_message_enter_container(reply, 'a', "(uiut)");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(reply, "(uiut)", &relay.pid, &relay.signal, &relay.uid,
					&relay.lost)) > 0) {
		if (ctl->style.json)
			print_json(&relay);
		else
			add_row(table, &relay);
	}
	if (r < 0)
		return r;
	return ctl->style.json ? 0 : table_print(table, stdout);
}

static int list_relays(struct ctl *ctl)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = client_call(ctl->bus, CLIENT_MANAGER("ListRelays"), &error, &reply, NULL);
	if (r >= 0)
		r = print_relays(ctl, reply);
	return r < 0 ? client_failed(&error, r, "relay") : CTL_DONE;
}

int ctl_relay(struct ctl *ctl)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	long pid, number = RELAY_SIGNAL_DEFAULT;
	int r;

	if ((ctl->list || ctl->stop) ? ctl->n_args > 0 || (ctl->list && ctl->stop)
				     : ctl->n_args == 0) {
		standard_error("relay: give a process id, or --list, or --stop and a process id");
		return CTL_USAGE;
	}
	if (ctl->list)
		return list_relays(ctl);

	r = parse_number("a process id", ctl->stop ?: ctl->args[0], 1, &pid);
	if (r == CTL_DONE && ctl->n_args > 1)
		r = parse_number("the number of a signal", ctl->args[1], 1, &number);
	if (r != CTL_DONE)
		return r;

	if (ctl->stop)
		r = client_call(ctl->bus, CLIENT_MANAGER("StopRelay"), &error, NULL, "u",
				(uint32_t)pid);
	else
		r = client_call(ctl->bus, CLIENT_PERMITTED("RelayForks"), &error, NULL, "uia{sv}",
				(uint32_t)pid, (int32_t)number, 0);
	return r < 0 ? client_failed(&error, r, "relay") : CTL_DONE;
}
