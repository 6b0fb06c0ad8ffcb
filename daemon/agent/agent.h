/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * fsevents-agent
 *
 * Shows in a desktop session what the daemon tells of filesystems. One of the
 * programs in the one executable, chosen by the name it is called by. It runs
 * as the user, holds no privilege and no descriptor on a filesystem, and goes
 * on when daemon, bus or notification server are restarted.
 *
 * Exit status: 0 done, 1 failed, 2 wrong use.
 */

#include <stdbool.h>

/** agent_is_called() - whether argv[0] asks for the agent */
bool agent_is_called(const char *argv0);
int agent_main(int argc, char **argv);

/** agent_log() - "fsevents-agent: ..." on stderr; what does not print becomes \ooo */
void agent_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
