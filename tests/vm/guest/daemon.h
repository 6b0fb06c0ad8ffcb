/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A bus and the daemon on it, inside of the virtual machine, and what its client prints
 */

#include <stdbool.h>

#define DAEMON "/bin/fseventsd"
#define BUS "unix:path=/run/bus"

extern char said[1 << 18]; /* what the last command printed */

/* Both, with the module unloaded. */
void daemon_begin(void);
/* It must have lived until now, and end well. */
void daemon_end(void);

/* What a command prints, into ->said; it may fail, as long as nobody answers. */
void ask(const char *command);
/* Between two looks; false: it has taken too long since *until_ms, which is 0 at first. */
bool pause_until(long long *until_ms);
/* Until what @command prints has all of @wanted (words between spaces), and has no @unwanted. */
void wait_for(int line, const char *command, const char *wanted, const char *unwanted);

#define WAIT(command, wanted, unwanted) wait_for(__LINE__, command, wanted, unwanted)

/* Without what is selected and what happened last: those have names of codes, too. */
#define SHOW(where)                                                                                \
	"fseventsctl --bus=" BUS " show --json " where                                             \
	" 2>&1 | sed 's/\"events\":[^]]*]//; s/\"last-event\".*//'"
#define HISTORY "fseventsctl --bus=" BUS " history --json 2>&1"
#define SOURCES                                                                                    \
	"dbus-send --bus=" BUS " --print-reply=literal --dest=org.fsevents1 /org/fsevents1 "       \
	"org.freedesktop.DBus.Properties.Get string:org.fsevents1.Manager string:Sources 2>&1 "    \
	"| tr -d ' \\n'"
