/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/core/escape.h"

#define EVENTS_MAX 256

/* Of the whole reply; what stands beside the events takes less than the margin. */
#define REPLY_BYTES (64U << 10)
#define REPLY_MARGIN 2048

struct query {
	uint64_t since_id;
	uint32_t limit;
	uint32_t codes;
	uint32_t severities;
	bool one_filesystem;
	struct fs_key fs;
};

static void strv_freep(char ***list)
{
	for (char **at = *list; at && *at; at++)
		free(*at);
	free(*list);
}

static int read_codes(sd_bus_message *call, char **names, struct query *query)
{
	query->codes = 0;
	for (; names && *names; names++) {
		enum event_code code;

		if (event_code_from_name(*names, &code) < 0)
			return bus_refuse_code(call, *names);
		query->codes |= 1U << code;
	}
	return 0;
}

static int read_severities(sd_bus_message *call, char **names, struct query *query)
{
	query->severities = 0;
	for (; names && *names; names++) {
		enum event_severity severity;
		char shown[64];

		escape(shown, sizeof(shown), *names, strlen(*names), 0);
		if (event_severity_from_name(*names, &severity) < 0)
			return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
					  "Unknown severity \"%s\"; there are: info, notice, "
					  "warning, critical",
					  shown);
		query->severities |= 1U << severity;
	}
	return 0;
}

/* Return: 0, 1 when the call was refused, negative errno. */
static int query_read(struct query *query, sd_bus_message *call)
{
	_cleanup_(strv_freep) char **codes = NULL;
	_cleanup_(strv_freep) char **severities = NULL;
	const char *path = NULL;
	bool has_codes = false, has_severities = false;
	const struct option options[] = {
		{ .name = "limit", .type = "u", .u = &query->limit },
		{ .name = "filesystem",
		  .type = "o",
		  .text = &path,
		  .ret_given = &query->one_filesystem },
		{ .name = "codes", .type = "as", .list = &codes, .ret_given = &has_codes },
		{ .name = "severities",
		  .type = "as",
		  .list = &severities,
		  .ret_given = &has_severities },
	};
	int r;

	*query = (struct query){
		.limit = EVENTS_MAX,
		.codes = UINT32_MAX,
		.severities = UINT32_MAX,
	};

	r = sd_bus_message_read_basic(call, 't', &query->since_id);
	if (r < 0)
		return r;
	r = options_read(call, options, sizeof(options) / sizeof(options[0]));
	if (r != 0)
		return r;

	if (query->limit == 0 || query->limit > EVENTS_MAX)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The option \"limit\" is from 1 to %d", EVENTS_MAX);
	/* Of one that is gone there may still be events. */
	if (path && fs_key_parse(path, &query->fs) < 0)
		return bus_refuse(call, SD_BUS_ERROR_INVALID_ARGS,
				  "The option \"filesystem\" is the object path of a filesystem");
	if (has_codes) {
		r = read_codes(call, codes, query);
		if (r != 0)
			return r;
	}
	return has_severities ? read_severities(call, severities, query) : 0;
}

/* What stands beside the events. */
struct answer_info {
	const char *epoch;
	bool reset;
	uint64_t since_id; /* the answer begins behind it */
	uint64_t
		to; /* the last id that it says something of: what is above comes with the next call */
};

static bool query_matches(const struct query *query, const struct event *event)
{
	return (query->codes & 1U << event->code) && (query->severities & 1U << event->severity) &&
	       (!query->one_filesystem || fs_key_equal(&query->fs, &event->fs));
}

/* At most; lengths, padding and NULs counted with room to spare. */
static size_t event_size(const struct event *event)
{
	return 96 + FS_PATH_MAX + 2 * 24 + marshal_details_size(&event->details);
}

static int append_event(sd_bus_message *answer, const struct event *event, bool private)
{
	char path[FS_PATH_MAX];
	int r;

	fs_key_path(&event->fs, path);
	r = sd_bus_message_open_container(answer, 'r', "ttossuta{sv}");
	if (r < 0)
		return r;
	r = sd_bus_message_append(answer, "ttossut", event->id, event->realtime_us, path,
				  event_code_name(event->code),
				  event_severity_name(event->severity), event->pid, event->data);
	if (r < 0)
		return r;
	r = marshal_details(answer, &event->details, private, 1, event->test);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(answer);
}

/* @ret_to: as answer_info.to */
static int append_events(sd_bus_message *answer, const struct history *history,
			 const struct query *query, bool private, uint64_t *ret_to)
{
	const struct event *event = NULL;
	size_t n = 0, n_bytes = REPLY_MARGIN;
	uint64_t at = query->since_id, last = at, to = history_newest(history);
	int r;

	r = sd_bus_message_open_container(answer, 'a', "(ttossuta{sv})");
	if (r < 0)
		return r;

	while ((event = history_after(history, at))) {
		at = event->id;
		if (!query_matches(query, event))
			continue;
		n_bytes += event_size(event);
		/* A single one always fits: details have a bound of their own. */
		if (n == query->limit || (n > 0 && n_bytes > REPLY_BYTES)) {
			to = last;
			break;
		}
		r = append_event(answer, event, private);
		if (r < 0)
			return r;
		last = event->id;
		n++;
	}

	*ret_to = to;
	return sd_bus_message_close_container(answer);
}

/* Where runs of the daemon ended abruptly, among the ids asked for and told of. */
static int append_gaps(sd_bus_message *answer, const struct history *history, uint64_t since_id,
		       uint64_t to)
{
	struct history_gap gap;
	int r;

	/* What is missing before the oldest event is no loss to whoever asks for all. */
	if (since_id == 0 && history_oldest(history) > 0)
		since_id = history_oldest(history) - 1;

	r = sd_bus_message_open_container(answer, 'e', "sv");
	if (r < 0)
		return r;
	r = sd_bus_message_append(answer, "s", "gaps");
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(answer, 'v', "a(tt)");
	if (r < 0)
		return r;
	r = sd_bus_message_open_container(answer, 'a', "(tt)");
	if (r < 0)
		return r;

	for (; history_gap_after(history, since_id, &gap) && gap.first_id <= to;
	     since_id = gap.last_id) {
		if (gap.first_id <= since_id)
			gap.first_id = since_id + 1;
		r = sd_bus_message_append(answer, "(tt)", gap.first_id, gap.last_id);
		if (r < 0)
			return r;
	}

	for (unsigned int i = 0; i < 3; i++) {
		r = sd_bus_message_close_container(answer);
		if (r < 0)
			return r;
	}
	return 0;
}

static int append_info(sd_bus_message *answer, const struct history *history,
		       const struct answer_info *info)
{
	int r;

	r = sd_bus_message_open_container(answer, 'a', "{sv}");
	if (r < 0)
		return r;
	r = sd_bus_message_append(answer, "{sv}", "epoch", "s", info->epoch ? info->epoch : "");
	if (r < 0)
		return r;
	r = sd_bus_message_append(answer, "{sv}", "reset", "b", info->reset);
	if (r < 0)
		return r;
	r = sd_bus_message_append(answer, "{sv}", "more", "b", info->to < history_newest(history));
	if (r < 0)
		return r;
	r = append_gaps(answer, history, info->since_id, info->to);
	if (r < 0)
		return r;
	return sd_bus_message_close_container(answer);
}

int events_query(struct bus *bus, sd_bus_message *call)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
	const struct history *history;
	struct bus_sender sender;
	struct answer_info info = {};
	struct query query;
	int r;

	r = query_read(&query, call);
	if (r != 0)
		return r;

	history = bus->ops->history(bus->userdata);
	info.epoch = bus->ops->epoch(bus->userdata);
	bus_sender(bus, call, &sender);

	/* Whoever knows a later id knows another history. */
	info.reset = query.since_id > history_newest(history) ||
		     (query.since_id > 0 && bus->ops->epoch_first_id &&
		      query.since_id + 1 < bus->ops->epoch_first_id(bus->userdata));
	if (info.reset)
		query.since_id = 0;
	info.since_id = query.since_id;

	r = sd_bus_message_new_method_return(call, &answer);
	if (r < 0)
		return r;
	r = sd_bus_message_append(answer, "tt", history_oldest(history), history_newest(history));
	if (r < 0)
		return r;
	r = append_events(answer, history, &query, sender.read_details, &info.to);
	if (r < 0)
		return r;
	r = append_info(answer, history, &info);
	if (r < 0)
		return r;
	r = sd_bus_message_send(answer);
	return r < 0 ? r : 1;
}
