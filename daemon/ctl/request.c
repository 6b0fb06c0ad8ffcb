/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <stdio.h>
#include <string.h>

#include "daemon/core/escape.h"
#include "daemon/core/event.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/standard.h"
#include "daemon/names.h"

/* The verbs that ask the daemon to do something. */

static void print_codes(void)
{
	for (enum event_code code = 0; code < _EVENT_CODE_N; code++)
		fprintf(stderr, "  %s\n", event_code_name(code));
}

int ctl_test(struct ctl *ctl)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_free_ char *path = NULL;
	enum event_code code;
	int r;

	if (event_code_from_name(ctl->args[1], &code) < 0) {
		standard_error("there is no event code \"%s\"; the codes are:", ctl->args[1]);
		print_codes();
		return CTL_USAGE;
	}

	r = client_resolve(ctl->bus, ctl->args[0], &path);
	if (r != CTL_DONE)
		return r;

	r = client_call(ctl->bus, CLIENT_PERMITTED("EmitTestEvent"), &error, NULL, "osa{sv}", path,
			ctl->args[1], 0);
	return r < 0 ? client_failed(&error, r, "test") : CTL_DONE;
}

int ctl_configure(struct ctl *ctl)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	const char *line = ctl->args[0];
	int r;

	if (!escape_is_utf8(line, strlen(line))) {
		standard_error("configure: LINE is not UTF-8: write other bytes as \\ooo");
		return CTL_USAGE;
	}
	r = client_call(ctl->bus, CLIENT_PERMITTED("Configure"), &error, NULL, "sa{sv}", line, 0);
	return r < 0 ? client_failed(&error, r, "configure") : CTL_DONE;
}

int ctl_reload(struct ctl *ctl)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r;

	r = client_call(ctl->bus, CLIENT_PERMITTED("Reload"), &error, NULL, NULL);
	return r < 0 ? client_failed(&error, r, "reload") : CTL_DONE;
}
