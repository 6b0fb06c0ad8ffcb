/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/screen.h"
#include "daemon/core/file-url.h"
#include "daemon/names.h"

#define KEY_OPEN "open"
#define KEY_DEFAULT "default" /* a click on the notice itself */
#define KEY_MUTE "mute"

/* As the specification has them. */
#define EXPIRES_BY_SERVER (-1)
#define EXPIRES_NEVER 0
#define CLOSED_BY_PERSON 2

#define TOKEN_MAX 256

/* Unique names are ":1.42"; longer ones there are not. */
#define SERVER_MAX 64

struct screen {
	sd_bus *bus;
	const struct screen_ops *ops;
	void *userdata;
	sd_bus_slot *asking, *showing;
	sd_bus_slot *matches[4];
	bool is_known; /* what the server can do */
	char server[SERVER_MAX];
	bool has_markup, has_actions;
	/* Comes right before the action that it is for. */
	uint32_t token_id;
	char token[TOKEN_MAX];
};

static int on_capabilities(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct screen *screen = userdata;
	const char *capability, *sender = sd_bus_message_get_sender(m);
	bool is_new;
	int r;

	screen->asking = sd_bus_slot_unref(screen->asking);
	if (sd_bus_message_is_method_error(m, NULL))
		return 0;
	screen->has_markup = screen->has_actions = false;
	r = sd_bus_message_enter_container(m, 'a', "s");
	while (r > 0) {
		r = sd_bus_message_read(m, "s", &capability);
		if (r <= 0)
			break;
		if (strcmp(capability, "body-markup") == 0)
			screen->has_markup = true;
		else if (strcmp(capability, "actions") == 0)
			screen->has_actions = true;
	}
	if (r < 0)
		return 0;
	screen->is_known = true;
	is_new = !sender || strcmp(sender, screen->server) != 0;
	snprintf(screen->server, sizeof(screen->server), "%s", sender ?: "");
	screen->ops->ready(is_new, screen->userdata);
	return 0;
}

const char *screen_server(const struct screen *screen)
{
	return screen->server;
}

bool screen_recall(struct screen *screen, const char *server)
{
	_cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
	const char *owner;
	int r;

	assert(!screen->is_known && !screen->asking);

	r = sd_bus_get_name_creds(screen->bus, NOTIFICATIONS_NAME, SD_BUS_CREDS_UNIQUE_NAME,
				  &creds);
	if (r >= 0)
		r = sd_bus_creds_get_unique_name(creds, &owner);
	if (r < 0 || strcmp(owner, server) != 0)
		return false;
	snprintf(screen->server, sizeof(screen->server), "%s", owner);
	return true;
}

bool screen_prepare(struct screen *screen)
{
	if (screen->is_known)
		return !screen->showing;
	if (screen->asking)
		return false;
	(void)sd_bus_call_method_async(screen->bus, &screen->asking, NOTIFICATIONS_NAME,
				       NOTIFICATIONS_PATH, NOTIFICATIONS_IFACE, "GetCapabilities",
				       on_capabilities, screen, NULL);
	return false;
}

static int on_shown(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct screen *screen = userdata;
	const sd_bus_error *error = sd_bus_message_get_error(m);
	uint32_t id = 0;

	screen->showing = sd_bus_slot_unref(screen->showing);
	if (error)
		agent_log("cannot show a notice: %s", error->message);
	else if (sd_bus_message_read(m, "u", &id) < 0)
		id = 0;
	screen->ops->shown(id, screen->userdata);
	return 0;
}

static const char *icon(enum screen_urgency urgency)
{
	switch (urgency) {
	case SCREEN_LOW:
		return "drive-harddisk";
	case SCREEN_NORMAL:
		return "dialog-warning";
	case SCREEN_CRITICAL:
		return "dialog-error";
	}
	assert(!"no such urgency");
	return "";
}

static int append_actions(const struct screen *screen, sd_bus_message *m,
			  const struct screen_notice *notice)
{
	int r;

	r = sd_bus_message_open_container(m, 'a', "s");
	if (r >= 0 && screen->has_actions && notice->can_open)
		r = sd_bus_message_append(m, "ssss", KEY_DEFAULT, "Open", KEY_OPEN, "Open");
	if (r >= 0 && screen->has_actions && notice->can_mute)
		r = sd_bus_message_append(m, "ss", KEY_MUTE, "Mute this filesystem");
	return r < 0 ? r : sd_bus_message_close_container(m);
}

int screen_show(struct screen *screen, const struct screen_notice *notice)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_free_ char *markup = NULL;
	int r;

	assert(screen->is_known && !screen->showing);

	if (screen->has_markup) {
		markup = markup_escape_new(notice->body);
		if (!markup)
			return -ENOMEM;
	}
	r = sd_bus_message_new_method_call(screen->bus, &m, NOTIFICATIONS_NAME, NOTIFICATIONS_PATH,
					   NOTIFICATIONS_IFACE, "Notify");
	if (r >= 0)
		r = sd_bus_message_append(m, "susss", "Filesystem Events", notice->replaces,
					  icon(notice->urgency), notice->title,
					  markup ?: notice->body);
	if (r >= 0)
		r = append_actions(screen, m, notice);
	if (r >= 0)
		r = sd_bus_message_append(m, "a{sv}i", 2, "urgency", "y", (int)notice->urgency,
					  "category", "s", "device.error",
					  notice->urgency == SCREEN_CRITICAL ? EXPIRES_NEVER
									     : EXPIRES_BY_SERVER);
	if (r >= 0)
		r = sd_bus_call_async(screen->bus, &screen->showing, m, on_shown, screen, 0);
	return r < 0 ? r : 0;
}

/* The answer is of no use: where there is no server, there is no notice either. */
static int send(struct screen *screen, sd_bus_message *m, bool starts)
{
	int r = sd_bus_message_set_expect_reply(m, false);

	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, starts);
	return r < 0 ? r : sd_bus_send(screen->bus, m, NULL);
}

void screen_close(struct screen *screen, uint32_t id)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_method_call(screen->bus, &m, NOTIFICATIONS_NAME, NOTIFICATIONS_PATH,
					   NOTIFICATIONS_IFACE, "CloseNotification");
	if (r >= 0)
		r = sd_bus_message_append(m, "u", id);
	if (r >= 0)
		r = send(screen, m, false);
	if (r < 0)
		agent_log("cannot close a notice: %s", strerror(-r));
}

void screen_open_folder(struct screen *screen, const char *path, const char *token)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_free_ char *url = file_url_new(path);
	int r = url ? 0 : -ENOMEM;

	if (r >= 0)
		r = sd_bus_message_new_method_call(screen->bus, &m, FILE_MANAGER_NAME,
						   FILE_MANAGER_PATH, FILE_MANAGER_IFACE,
						   "ShowFolders");
	if (r >= 0)
		r = sd_bus_message_append(m, "ass", 1, url, token);
	if (r >= 0)
		r = send(screen, m, true);
	if (r < 0)
		agent_log("cannot open a folder: %s", strerror(-r));
}

static int on_closed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct screen *screen = userdata;
	uint32_t id, reason;

	if (sd_bus_message_read(m, "uu", &id, &reason) >= 0 && id)
		screen->ops->closed(id, reason == CLOSED_BY_PERSON, screen->userdata);
	return 0;
}

static int on_token(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct screen *screen = userdata;
	const char *token;
	uint32_t id;

	if (sd_bus_message_read(m, "us", &id, &token) >= 0 && strlen(token) < TOKEN_MAX) {
		screen->token_id = id;
		snprintf(screen->token, sizeof(screen->token), "%s", token);
	}
	return 0;
}

static int on_action(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct screen *screen = userdata;
	const char *key, *token = "";
	uint32_t id;

	if (sd_bus_message_read(m, "us", &id, &key) < 0 || !id)
		return 0;
	if (screen->token_id == id)
		token = screen->token;
	if (strcmp(key, KEY_OPEN) == 0 || strcmp(key, KEY_DEFAULT) == 0)
		screen->ops->action(id, SCREEN_OPEN, token, screen->userdata);
	else if (strcmp(key, KEY_MUTE) == 0)
		screen->ops->action(id, SCREEN_MUTE, token, screen->userdata);
	screen->token_id = 0;
	return 0;
}

/* A server that goes takes what it showed with it, and the next may be another program. */
static int on_server(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct screen *screen = userdata;
	const char *name, *former, *owner;

	if (sd_bus_message_read(m, "sss", &name, &former, &owner) < 0)
		return 0;
	/* Started by the question itself: its answer is on the way. */
	if (!former[0] && screen->asking)
		return 0;
	screen->is_known = false;
	screen->server[0] = '\0';
	screen->asking = sd_bus_slot_unref(screen->asking);
	if (owner[0])
		(void)screen_prepare(screen);
	return 0;
}

int screen_new(struct screen **ret, sd_bus *bus, const struct screen_ops *ops, void *userdata)
{
	static const struct {
		const char *member;
		sd_bus_message_handler_t handler;
	} signals[] = {
		{ "NotificationClosed", on_closed },
		{ "ActivationToken", on_token },
		{ "ActionInvoked", on_action },
	};
	_cleanup_(screen_freep) struct screen *screen = calloc(1, sizeof(*screen));
	int r;

	if (!screen)
		return -ENOMEM;
	screen->bus = sd_bus_ref(bus);
	screen->ops = ops;
	screen->userdata = userdata;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		r = sd_bus_match_signal_async(bus, &screen->matches[i], NOTIFICATIONS_NAME,
					      NOTIFICATIONS_PATH, NOTIFICATIONS_IFACE,
					      signals[i].member, signals[i].handler, NULL, screen);
		if (r < 0)
			return r;
	}
	r = sd_bus_add_match_async(
		bus, &screen->matches[3],
		"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
		"member='NameOwnerChanged',arg0='" NOTIFICATIONS_NAME "'",
		on_server, NULL, screen);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(screen);
	return 0;
}

struct screen *screen_free(struct screen *screen)
{
	if (!screen)
		return NULL;
	for (size_t i = 0; i < sizeof(screen->matches) / sizeof(screen->matches[0]); i++)
		sd_bus_slot_unref(screen->matches[i]);
	sd_bus_slot_unref(screen->asking);
	sd_bus_slot_unref(screen->showing);
	sd_bus_unref(screen->bus);
	free(screen);
	return NULL;
}
