/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The session's notification server and file manager
 *
 * Speaks org.freedesktop.Notifications: asks what the server can do, shows one
 * notice at a time, takes notices back, and passes on what a person does with
 * them. Knows no filesystem.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "daemon/core/cleanup.h"

enum screen_urgency {
	SCREEN_LOW = 0,
	SCREEN_NORMAL = 1,
	SCREEN_CRITICAL = 2,
};

struct screen_notice {
	uint32_t replaces; /* 0: a new one */
	enum screen_urgency urgency;
	const char *title, *body; /* plain text, UTF-8 */
	bool can_open, can_mute;
};

enum screen_action {
	SCREEN_OPEN,
	SCREEN_MUTE,
};

struct screen_ops {
	/* The server can be asked now. @is_new: what was shown before is not on the screen any more. */
	void (*ready)(bool is_new, void *userdata);
	/* In answer to screen_show(), exactly once: the number; 0: it could not be shown. */
	void (*shown)(uint32_t id, void *userdata);
	void (*closed)(uint32_t id, bool by_person, void *userdata);
	/* @token: for the window that opens, may be empty */
	void (*action)(uint32_t id, enum screen_action action, const char *token, void *userdata);
};

struct screen;

/** screen_new() - @bus: the session's; lives at least as long */
int screen_new(struct screen **ret, sd_bus *bus, const struct screen_ops *ops, void *userdata);
struct screen *screen_free(struct screen *screen);
DEFINE_FREEP(screen, screen_free);

/** screen_server() - which server shows what was shown, by its unique name; empty: none; borrowed */
const char *screen_server(const struct screen *screen);

/**
 * screen_recall() - go on where another agent was
 * @server:	as screen_server() said then
 *
 * Asks the bus, and waits for its answer.
 *
 * Return: whether that server is still there, and its numbers hold.
 */
bool screen_recall(struct screen *screen, const char *server);

/** screen_prepare() - Return: whether screen_show() may be called; else ->ready() comes, if a server does */
bool screen_prepare(struct screen *screen);

/** screen_show() - one at a time; Return: 0, or a negative errno: ->shown() does not come */
int screen_show(struct screen *screen, const struct screen_notice *notice);

/** screen_close() - take a notice back */
void screen_close(struct screen *screen, uint32_t id);

/** screen_open_folder() - show a folder in the file manager; @path: bytes, absolute */
void screen_open_folder(struct screen *screen, const char *path, const char *token);
