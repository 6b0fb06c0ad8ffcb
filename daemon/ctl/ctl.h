/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * fseventsctl
 *
 * The client verbs of the one executable, chosen by the name it is called
 * by. Speaks D-Bus to the daemon and knows nothing of its inside.
 *
 * Exit status: 0 done, 1 failed, 2 wrong use, 3 the daemon is not running.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "daemon/ctl/feed.h"

enum ctl_exit {
	CTL_DONE = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NOT_RUNNING = 3,
};

/* What a verb gets. */
struct ctl {
	sd_bus *bus; /* NULL for verbs that need none */
	const char *address; /* what it was opened with */
	struct feed_style style;
	bool has_since;
	uint64_t since;
	bool list; /* relay: --list */
	const char *stop; /* relay: --stop, else NULL */
	bool openmetrics; /* status: --openmetrics */
	bool recursive; /* watch: -r */
	bool cross_mounts; /* watch: --cross-mounts */
	const char *events; /* watch: -e, else NULL */
	const char *latency; /* watch: --latency, else NULL */
	char **args; /* without the verb */
	int n_args;
	int n_after_dashes; /* of all arguments, those behind "--" */
};

/** ctl_is_called() - whether argv[0] asks for the client */
bool ctl_is_called(const char *argv0);
int ctl_main(int argc, char **argv);

/* The verbs; each Return: enum ctl_exit, having said on stderr what failed. */
int ctl_status(struct ctl *ctl);
int ctl_list(struct ctl *ctl);
int ctl_show(struct ctl *ctl);
int ctl_monitor(struct ctl *ctl);
int ctl_history(struct ctl *ctl);
int ctl_track(struct ctl *ctl);
int ctl_watch(struct ctl *ctl);
int ctl_relay(struct ctl *ctl);
int ctl_test(struct ctl *ctl);
int ctl_configure(struct ctl *ctl);
int ctl_check_config(struct ctl *ctl);
int ctl_reload(struct ctl *ctl);
