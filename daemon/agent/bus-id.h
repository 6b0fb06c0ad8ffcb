/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which bus it is
 *
 * Names of connections, and numbers that their owners gave, mean nothing on
 * another bus: what is kept of a session says first of which bus it is.
 */

#include <stdbool.h>
#include <systemd/sd-bus.h>

struct bus_id {
	char text[SD_ID128_STRING_MAX];
};

/** bus_id_get() - of a bus that is connected; Return: 0 or a negative errno */
int bus_id_get(struct bus_id *ret, sd_bus *bus);

/** bus_id_leads() - whether a text begins with it, and a space or a newline after it */
bool bus_id_leads(const struct bus_id *id, const char *text);
