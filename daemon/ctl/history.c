/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/feed.h"
#include "daemon/ctl/standard.h"
#include "daemon/names.h"
#include "include/fsevents_stream.h"

/* The past: GetEvents page by page. */

/* More than the daemon remembers; of more than that the rest is not told. */
#define READER_GAPS 64

struct gap {
	uint64_t first_id, last_id;
};

struct reader {
	const struct ctl *ctl;
	uint64_t since; /* the last event read */
	uint64_t newest;
	bool begun;
	struct gap
		gaps[READER_GAPS]; /* of this page, in order: the daemon was ended abruptly there */
	size_t n_gaps;
};

static int read_gaps(struct reader *reader, sd_bus_message *m)
{
	struct gap gap;
	int r;

	r = sd_bus_message_enter_container(m, 'v', "a(tt)");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(tt)");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(m, "(tt)", &gap.first_id, &gap.last_id)) > 0)
		if (reader->n_gaps < READER_GAPS)
			reader->gaps[reader->n_gaps++] = gap;
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Those that begin below @id, once each. */
static void tell_gaps(struct reader *reader, uint64_t id)
{
	size_t n = 0;

	for (; n < reader->n_gaps && reader->gaps[n].first_id < id; n++) {
		feed_print_lost(reader->gaps[n].first_id, reader->gaps[n].last_id,
				FSEVENTS_LOST_UNKNOWN, &reader->ctl->style);
		reader->since = reader->gaps[n].last_id;
	}
	reader->n_gaps -= n;
	memmove(reader->gaps, reader->gaps + n, reader->n_gaps * sizeof(reader->gaps[0]));
}

static int read_info(struct reader *reader, sd_bus_message *m, bool *ret_reset,
		     char epoch[static 64])
{
	int r, reset = 0;

	epoch[0] = '\0';
	reader->n_gaps = 0;
	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		const char *key, *text;

		r = sd_bus_message_read(m, "s", &key);
		if (r >= 0 && strcmp(key, "reset") == 0) {
			r = sd_bus_message_read(m, "v", "b", &reset);
		} else if (r >= 0 && strcmp(key, "epoch") == 0) {
			r = sd_bus_message_read(m, "v", "s", &text);
			if (r >= 0)
				snprintf(epoch, 64, "%s", text);
		} else if (r >= 0 && strcmp(key, "gaps") == 0) {
			r = read_gaps(reader, m);
		} else if (r >= 0) {
			r = sd_bus_message_skip(m, "v");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r < 0)
			return r;
	}
	*ret_reset = reset;
	return r;
}

/* What stands behind the events has to be known before they are told. */
static int look_ahead(struct reader *reader, sd_bus_message *m)
{
	uint64_t oldest;
	char epoch[64];
	bool reset;
	int r;

	r = sd_bus_message_read(m, "tt", &oldest, &reader->newest);
	if (r >= 0)
		r = sd_bus_message_skip(m, "a(ttossuta{sv})");
	if (r >= 0)
		r = read_info(reader, m, &reset, epoch);
	if (r < 0)
		return r;

	if (reset)
		feed_print_reset(epoch, &reader->ctl->style);
	else if (!reader->begun && reader->since != 0 && oldest > reader->since + 1)
		standard_error("events before #%" PRIu64
			       " are no longer kept: some may be missing here",
			       oldest);
	reader->begun = true;

	r = sd_bus_message_rewind(m, true);
	return r < 0 ? r : sd_bus_message_skip(m, "tt");
}

/* Return: number of events read, or a negative errno. */
static int read_page(struct reader *reader, sd_bus_message *m)
{
	int n = 0, r;

	r = look_ahead(reader, m);
	if (r < 0)
		return r;

	r = sd_bus_message_enter_container(m, 'a', "(ttossuta{sv})");
	if (r < 0)
		return r;
	for (;;) {
		struct feed_event told;

		r = client_read_event(m, &told);
		if (r < 0)
			return r;
		tell_gaps(reader, r > 0 ? told.event.id : UINT64_MAX);
		if (r == 0)
			return n;
		feed_print(&told, &reader->ctl->style);
		reader->since = told.event.id;
		feed_event_deinit(&told);
		n++;
	}
}

int ctl_history(struct ctl *ctl)
{
	struct reader reader = { .ctl = ctl, .since = ctl->since };
	int n;

	do {
		_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
		int r;

		r = client_call(ctl->bus, CLIENT_MANAGER("GetEvents"), &error, &reply, "ta{sv}",
				reader.since, 0);
		if (r < 0)
			return client_failed(&error, r, "cannot read the history");

		n = read_page(&reader, reply);
		if (n < 0)
			return client_failed(NULL, n, "cannot read the history");
		if (standard_flush() != 0)
			break;
	} while (n > 0 && reader.since < reader.newest);
	return CTL_DONE;
}
