/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/standard.h"
#include "daemon/names.h"

/* Calling the daemon: the connection, one call, and what its failure means. */

#define CLIENT_PAUSE_US (50 * 1000)

/* Time for a person to find the password: the daemon gives up after 120 seconds, and says so. */
#define CLIENT_INTERACTIVE_US (130 * 1000 * 1000)

int client_connect(sd_bus **ret, const char *address)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r;

	if (strcmp(address, "system") == 0) {
		r = sd_bus_open_system(&bus);
	} else if (strcmp(address, "session") == 0) {
		r = sd_bus_open_user(&bus);
	} else {
		r = sd_bus_new(&bus);
		if (r >= 0)
			r = sd_bus_set_address(bus, address);
		if (r >= 0)
			r = sd_bus_set_bus_client(bus, true);
		if (r >= 0)
			r = sd_bus_negotiate_fds(bus, true);
		if (r >= 0)
			r = sd_bus_start(bus);
	}
	if (r < 0)
		return r;

	*ret = TAKE_PTR(bus);
	return 0;
}

int client_open(sd_bus **ret, const char *address)
{
	bool is_name = strcmp(address, "system") == 0 || strcmp(address, "session") == 0;
	int r;

	/* Of "transport:key=value" sd-bus passes over what it does not understand. */
	r = is_name || strchr(address, ':') ? client_connect(ret, address) : -EINVAL;
	if (r >= 0)
		return CTL_DONE;

	if (r == -EINVAL) {
		standard_error("--bus: \"%s\" is neither system, session nor a D-Bus address",
			       address);
		return CTL_USAGE;
	}
	standard_error("cannot connect to the bus \"%s\": %s", address,
		       r == -ENOMEDIUM ? "the environment does not say where it is" : strerror(-r));
	return CTL_NOT_RUNNING;
}

bool client_is_gone(const sd_bus_error *error, int r)
{
	static const char *const names[] = {
		SD_BUS_ERROR_SERVICE_UNKNOWN,
		SD_BUS_ERROR_NAME_HAS_NO_OWNER,
		SD_BUS_ERROR_NO_REPLY, /* it left without an answer */
		SD_BUS_ERROR_DISCONNECTED,
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (sd_bus_error_has_name(error, names[i]))
			return true;
	return r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE || r == -ESHUTDOWN;
}

int client_failed(const sd_bus_error *error, int r, const char *what)
{
	if (client_is_gone(error, r)) {
		standard_error("the daemon is not running");
		return CTL_NOT_RUNNING;
	}

	standard_error("%s: %s", what, error && error->message ? error->message : strerror(-r));
	return CTL_FAILED;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int client_settle(sd_bus *bus)
{
	uint64_t now = now_us(), end = now + CLIENT_PAUSE_US;

	/* sd-bus answers pings by itself. */
	for (; now < end; now = now_us()) {
		int r = sd_bus_process(bus, NULL);

		if (r == 0)
			r = sd_bus_wait(bus, end - now);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

static int make_call(sd_bus_message **ret, sd_bus *bus, const struct client_method *method,
		     const char *types, va_list ap)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, method->path, method->interface,
					   method->member);
	if (r < 0)
		return r;
	r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0 && method->permitted)
		r = sd_bus_message_set_allow_interactive_authorization(m, true);
	if (r >= 0 && types)
		r = sd_bus_message_appendv(m, types, ap);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(m);
	return 0;
}

int client_call(sd_bus *bus, const struct client_method *method, sd_bus_error *error,
		sd_bus_message **ret_reply, const char *types, ...)
{
	for (int attempt = 1;; attempt++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
		va_list ap;
		int r;

		va_start(ap, types);
		r = make_call(&m, bus, method, types, ap);
		va_end(ap);
		if (r < 0)
			return r;

		r = sd_bus_call(bus, m, method->permitted ? CLIENT_INTERACTIVE_US : 0, error,
				ret_reply);
		if (r >= 0 || attempt == CLIENT_ATTEMPTS ||
		    !sd_bus_error_has_name(error, SD_BUS_ERROR_LIMITS_EXCEEDED))
			return r;

		if (client_settle(bus) < 0)
			return r;
		sd_bus_error_free(error);
	}
}
