/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Metrics
 *
 * The filesystems in the text format of OpenMetrics 1.0, for what collects
 * figures from many machines. Names and units are part of the contract:
 * fseventsctl(1) lists them.
 */

#include "daemon/ctl/client.h"

/** metrics_print() - to the standard output, "# EOF" at the end; those without usage have no figures of it */
void metrics_print(const struct client_filesystems *list);
