/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <syslog.h>

#include "daemon/bus/bus-internal.h"
#include "daemon/bus/polkit.h"
#include "daemon/core/escape.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"

#define AUTHORITY_RULE                                                                             \
	"type='signal',sender='" POLKIT_NAME "',path='" POLKIT_PATH "',interface='" POLKIT_IFACE   \
	"',member='" POLKIT_CHANGED "'"

#define ALLOW_USER_INTERACTION 1U

struct open_question {
	LIST_ENTRY(open_question) all;
	struct polkit *polkit;
	struct polkit_question question;
	char *caller;
	uint64_t id;
	uint64_t deadline_us;
	sd_bus_slot *slot;
};

struct polkit {
	struct bus *bus;
	LIST_HEAD(, open_question) open;
	uint64_t last_id;
	char *owner; /* unique name that answered last; NULL: none has */
	sd_bus_slot *match;
};

static uint64_t now_us(const struct polkit *polkit)
{
	uint64_t now;

	(void)sd_event_now(polkit->bus->loop, CLOCK_MONOTONIC, &now);
	return now;
}

static int append_id(sd_bus_message *call, uint64_t id)
{
	char text[24];

	/* It has to tell the questions of one connection apart. */
	snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	return sd_bus_message_append(call, "s", text);
}

static struct open_question *open_question_free(struct open_question *open)
{
	if (!open)
		return NULL;

	sd_bus_slot_unref(open->slot);
	free(open->caller);
	free(open);
	return NULL;
}

DEFINE_FREEP(open_question, open_question_free)

/* So that nobody is asked for a password that leads to nothing. */
static void open_question_cancel(const struct open_question *open)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	sd_bus *sd = open->polkit->bus->sd;

	if (sd_bus_message_new_method_call(sd, &call, POLKIT_NAME, POLKIT_PATH, POLKIT_IFACE,
					   "CancelCheckAuthorization") < 0 ||
	    sd_bus_message_set_expect_reply(call, false) < 0 ||
	    sd_bus_message_set_auto_start(call, false) < 0 || append_id(call, open->id) < 0)
		return;
	(void)sd_bus_send(sd, call, NULL);
}

static int read_verdict(sd_bus_message *answer, enum polkit_verdict *ret)
{
	int authorized, challenge, r;

	r = sd_bus_message_enter_container(answer, 'r', "bba{ss}");
	if (r < 0)
		return r;
	r = sd_bus_message_read(answer, "bb", &authorized, &challenge);
	if (r < 0)
		return r;

	*ret = authorized ? POLKIT_YES : challenge ? POLKIT_CHALLENGE : POLKIT_NO;
	return 0;
}

static void remember_owner(struct polkit *polkit, sd_bus_message *answer)
{
	const char *sender = sd_bus_message_get_sender(answer);
	char *owner;

	if (!sender || (polkit->owner && strcmp(polkit->owner, sender) == 0))
		return;
	owner = strdup(sender);
	if (!owner)
		return;
	free(polkit->owner);
	polkit->owner = owner;
}

/* The bus answers for those who are not there: what has a unique name came from somebody. */
static void tell_confused(const struct open_question *open, sd_bus_message *answer)
{
	const char *sender = sd_bus_message_get_sender(answer);
	const sd_bus_error *error = sd_bus_message_get_error(answer);
	const char *said = error && error->message ? error->message : "not an answer at all";
	char shown[256];

	if (!sender || sender[0] != ':')
		return;
	escape(shown, sizeof(shown), said, strlen(said), 0);
	journal_log_limited(LOG_WARNING, CATALOG_POLKIT_CONFUSED, "",
			    "polkit cannot say whether uid %u has %s: %s", open->question.uid,
			    open->question.action, shown);
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	_cleanup_(open_question_freep) struct open_question *open = userdata;
	enum polkit_verdict verdict = POLKIT_ABSENT;

	LIST_REMOVE(open, all);

	if (!sd_bus_message_is_method_error(answer, NULL)) {
		/* The bus speaks for those who cannot; it has errors only. */
		remember_owner(open->polkit, answer);
		if (read_verdict(answer, &verdict) < 0) {
			verdict = POLKIT_ABSENT;
			tell_confused(open, answer);
		}
	} else if (now_us(open->polkit) >= open->deadline_us) {
		verdict = POLKIT_LATE;
		open_question_cancel(open);
	} else {
		tell_confused(open, answer);
	}

	open->question.answered(verdict, open->question.userdata);
	return 0;
}

static int send_question(struct open_question *open)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	const struct polkit_question *question = &open->question;
	sd_bus *sd = open->polkit->bus->sd;
	int r;

	r = sd_bus_message_new_method_call(sd, &call, POLKIT_NAME, POLKIT_PATH, POLKIT_IFACE,
					   "CheckAuthorization");
	if (r < 0)
		return r;
	r = sd_bus_message_append(call, "(sa{sv})sa{ss}u", "system-bus-name", 1, "name", "s",
				  open->caller, question->action, 0,
				  question->interactive ? ALLOW_USER_INTERACTION : 0U);
	if (r < 0)
		return r;
	r = append_id(call, open->id);
	if (r < 0)
		return r;
	return sd_bus_call_async(sd, &open->slot, call, on_answer, open, question->timeout_us);
}

static bool has_room(const struct polkit *polkit, uid_t uid)
{
	const struct open_question *open;
	size_t n = 0, n_uid = 0;

	LIST_FOREACH(open, &polkit->open, all) {
		n++;
		n_uid += open->question.uid == uid;
	}
	return n < POLKIT_MAX && n_uid < POLKIT_PER_UID;
}

int polkit_ask(struct polkit *polkit, const struct polkit_question *question)
{
	_cleanup_(open_question_freep) struct open_question *open = NULL;
	int r;

	assert(polkit);
	assert(question && question->action && question->caller);
	assert(question->answered && question->dropped);

	if (!has_room(polkit, question->uid))
		return POLKIT_E_LIMIT;

	open = calloc(1, sizeof(*open));
	if (!open)
		return -ENOMEM;
	open->polkit = polkit;
	open->question = *question;
	open->id = ++polkit->last_id;
	open->deadline_us = now_us(polkit) + question->timeout_us;
	open->caller = strdup(question->caller);
	if (!open->caller)
		return -ENOMEM;
	open->question.caller = open->caller;
	r = send_question(open);
	if (r < 0)
		return r;

	polkit->bus->statistics.asked++;
	LIST_INSERT_HEAD(&polkit->open, open, all);
	(void)TAKE_PTR(open);
	return 0;
}

bool polkit_is_asked(const struct polkit *polkit, const char *caller)
{
	const struct open_question *open;

	assert(caller);

	if (!polkit)
		return false;
	LIST_FOREACH(open, &polkit->open, all)
		if (strcmp(open->caller, caller) == 0)
			return true;
	return false;
}

static void open_question_drop(struct open_question *open)
{
	LIST_REMOVE(open, all);
	open->question.dropped(open->question.userdata);
	open_question_free(open);
}

void polkit_leave(struct polkit *polkit, const char *caller)
{
	struct open_question *open, *next;

	assert(caller);

	for (open = polkit ? LIST_FIRST(&polkit->open) : NULL; open; open = next) {
		next = LIST_NEXT(open, all);
		if (strcmp(open->caller, caller) != 0)
			continue;
		open_question_cancel(open);
		open_question_drop(open);
	}
}

bool polkit_speaks(const struct polkit *polkit, const struct envelope *signal)
{
	assert(signal);

	return polkit && polkit->owner && signal->sender && signal->interface && signal->member &&
	       strcmp(signal->sender, polkit->owner) == 0 &&
	       strcmp(signal->interface, POLKIT_IFACE) == 0 &&
	       strcmp(signal->member, POLKIT_CHANGED) == 0;
}

static int on_changed(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
	const struct polkit *polkit = userdata;

	peers_forget_details(polkit->bus->peers);
	return 0;
}

static int on_match(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	/* Where the bus has none for us, what was learnt is believed for its time. */
	return 0;
}

int polkit_new(struct polkit **ret, struct bus *bus)
{
	_cleanup_(polkit_freep) struct polkit *polkit = NULL;
	int r;

	assert(ret);
	assert(bus && bus->sd);

	polkit = calloc(1, sizeof(*polkit));
	if (!polkit)
		return -ENOMEM;
	polkit->bus = bus;
	LIST_INIT(&polkit->open);
	r = sd_bus_add_match_async(bus->sd, &polkit->match, AUTHORITY_RULE, on_changed, on_match,
				   polkit);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(polkit);
	return 0;
}

struct polkit *polkit_free(struct polkit *polkit)
{
	if (!polkit)
		return NULL;

	while (!LIST_EMPTY(&polkit->open))
		open_question_drop(LIST_FIRST(&polkit->open));
	sd_bus_slot_unref(polkit->match);
	free(polkit->owner);
	free(polkit);
	return NULL;
}
