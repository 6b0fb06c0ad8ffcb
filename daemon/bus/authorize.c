/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/polkit.h"

/* A refusal begins with what it would be to do. */
static const struct {
	const char *action;
	const char *doing;
} authorizations[] = {
	[AUTHORIZE_CONFIGURE] = { ACTION_CONFIGURE, "Changing what is watched and told" },
	[AUTHORIZE_TEST] = { ACTION_TEST, "Sending test events" },
	[AUTHORIZE_WATCH_INODE] = { ACTION_WATCH_INODE, "Watching by the number of an inode" },
	/* The same whether there is such a process or not. */
	[AUTHORIZE_TRACK_OTHERS] = { ACTION_TRACK_OTHERS,
				     "You have no such process, and following those of others" },
	[AUTHORIZE_RELAY] = { ACTION_RELAY,
			      "You have no such process, and relaying forks to those of others" },
	[AUTHORIZE_READ_DETAILS] = { ACTION_READ_DETAILS, "Reading private details of events" },
};

/* A call while it is asked whether it may be carried out. */
struct asking {
	struct bus *bus;
	sd_bus_message *call;
	enum authorization action;
	struct bus_errand errand;
};

void bus_sender(struct bus *bus, sd_bus_message *call, struct bus_sender *ret)
{
	const char *name = sd_bus_message_get_sender(call);
	bool may_read = false;

	assert(bus);
	assert(ret);

	/* Who cannot be told is nobody. */
	*ret = (struct bus_sender){ .uid = (uid_t)-1, .name = name ? name : "" };
	if (!name || !bus->peers || !peers_find_uid(bus->peers, name, &ret->uid))
		return;
	ret->read_details =
		ret->uid == 0 || (peers_find_details(bus->peers, name, &may_read) && may_read);
}

static int refuse(struct bus *bus, sd_bus_message *call, enum authorization action,
		  enum polkit_verdict verdict)
{
	static const char *const reasons[] = {
		[POLKIT_NO] = "you do not have it",
		[POLKIT_CHALLENGE] = "somebody has to give it, who cannot be asked for this call",
		[POLKIT_LATE] = "nobody gave it in time",
		[POLKIT_ABSENT] = "there is no polkit to ask, and only root has it without",
	};

	bus->statistics.denied++;
	return bus_refuse(call,
			  verdict == POLKIT_CHALLENGE
				  ? SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED
				  : SD_BUS_ERROR_ACCESS_DENIED,
			  "%s takes the permission %s: %s", authorizations[action].doing,
			  authorizations[action].action, reasons[verdict]);
}

static void release(struct bus *bus, const struct bus_errand *errand)
{
	if (errand->held)
		errand->release(bus, errand->held);
}

static int run(struct bus *bus, sd_bus_message *call, const struct bus_errand *errand)
{
	int r;

	/* It was perhaps read before, to see what to ask. */
	r = sd_bus_message_rewind(call, true);
	if (r >= 0)
		return errand->held ? errand->run_held(bus, call, errand->held)
				    : errand->run(bus, call);
	release(bus, errand);
	return r;
}

static void asking_free(struct asking *asking)
{
	sd_bus_message_unref(asking->call);
	free(asking);
}

static void on_dropped(void *userdata)
{
	struct asking *asking = userdata;

	release(asking->bus, &asking->errand);
	asking_free(asking);
}

static void on_verdict(enum polkit_verdict verdict, void *userdata)
{
	struct asking *asking = userdata;
	int r;

	if (verdict == POLKIT_YES) {
		r = run(asking->bus, asking->call, &asking->errand);
	} else {
		release(asking->bus, &asking->errand);
		r = refuse(asking->bus, asking->call, asking->action, verdict);
	}

	/* As sd-bus does it with what a handler returns. */
	if (r < 0)
		(void)sd_bus_reply_method_errno(asking->call, r, NULL);
	asking_free(asking);
}

/* Whatever it says, the call goes on; what it may see is known from then on. */
static void on_details_verdict(enum polkit_verdict verdict, void *userdata)
{
	struct asking *asking = userdata;

	peers_set_details(asking->bus->peers, sd_bus_message_get_sender(asking->call),
			  verdict == POLKIT_YES);
	on_verdict(POLKIT_YES, asking);
}

static int ask(const struct asking *template, const struct polkit_question *question)
{
	struct polkit_question asked = *question;
	struct asking *asking;
	int r;

	asking = malloc(sizeof(*asking));
	if (!asking)
		return -ENOMEM;
	*asking = *template;
	asked.action = authorizations[asking->action].action;
	asked.dropped = on_dropped;
	asked.userdata = asking;

	r = polkit_ask(asking->bus->polkit, &asked);
	if (r != 0) {
		free(asking);
		return r;
	}
	sd_bus_message_ref(asking->call);
	return 0;
}

int bus_authorize_held(struct bus *bus, sd_bus_message *call, enum authorization action,
		       const struct bus_errand *errand)
{
	const struct asking asking = {
		.bus = bus,
		.call = call,
		.action = action,
		.errand = *errand,
	};
	struct polkit_question question = {
		.timeout_us = POLKIT_PERSON_US,
		.answered = on_verdict,
	};
	struct bus_sender sender;
	int r;

	assert(bus);
	assert(call);

	bus_sender(bus, call, &sender);
	if (sender.uid == 0)
		return run(bus, call, errand);
	if (sender.uid == (uid_t)-1) {
		release(bus, errand);
		return refuse(bus, call, action, POLKIT_NO);
	}

	question.caller = sender.name;
	question.uid = sender.uid;
	question.interactive = sd_bus_message_get_allow_interactive_authorization(call) > 0;
	r = ask(&asking, &question);
	if (r == 0)
		return 1;

	release(bus, errand);
	if (r == POLKIT_E_LIMIT) {
		bus->statistics.denied++;
		return bus_refuse(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
				  "Too many permissions are being asked for; wait for an answer "
				  "first");
	}
	return r;
}

int bus_authorize(struct bus *bus, sd_bus_message *call, enum authorization action,
		  int (*then)(struct bus *bus, sd_bus_message *call))
{
	assert(then);

	return bus_authorize_held(bus, call, action, &(struct bus_errand){ .run = then });
}

int bus_learn_details(struct bus *bus, sd_bus_message *call,
		      int (*then)(struct bus *bus, sd_bus_message *call))
{
	const struct asking asking = {
		.bus = bus,
		.call = call,
		.action = AUTHORIZE_READ_DETAILS,
		.errand = { .run = then },
	};
	struct polkit_question question = {
		.timeout_us = POLKIT_RULES_US,
		.answered = on_details_verdict,
	};
	struct bus_sender sender;
	bool may_read;
	int r;

	assert(bus);
	assert(call);
	assert(then);

	bus_sender(bus, call, &sender);
	if (sender.uid == 0 || sender.uid == (uid_t)-1 ||
	    peers_find_details(bus->peers, sender.name, &may_read))
		return then(bus, call);

	question.caller = sender.name;
	question.uid = sender.uid;
	r = ask(&asking, &question);
	/* What everybody may read is never refused for it. */
	if (r == POLKIT_E_LIMIT)
		return then(bus, call);
	return r < 0 ? r : 1;
}
