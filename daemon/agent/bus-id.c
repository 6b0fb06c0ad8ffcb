/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <string.h>

#include "daemon/agent/bus-id.h"

int bus_id_get(struct bus_id *ret, sd_bus *bus)
{
	sd_id128_t id;
	int r = sd_bus_get_bus_id(bus, &id);

	if (r < 0)
		return r;
	sd_id128_to_string(id, ret->text);
	return 0;
}

bool bus_id_leads(const struct bus_id *id, const char *text)
{
	size_t n = strlen(id->text);

	return strncmp(text, id->text, n) == 0 && (text[n] == ' ' || text[n] == '\n');
}
