/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The inside of the bus layer
 *
 * What its files share. One struct bus lives as long as the daemon; pump, sd,
 * peers and everything registered with sd live as long as one connection.
 */

#include "daemon/bus/announce.h"
#include "daemon/bus/bus.h"
#include "daemon/bus/owned-object.h"
#include "daemon/bus/peer.h"
#include "daemon/bus/process-warning.h"
#include "daemon/bus/pump.h"
#include "daemon/bus/stranger.h"
#include "daemon/names.h"

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"
#define DRIVER_INTERFACE "org.freedesktop.DBus"

/* So much may wait for the bus before signals are skipped. */
#define BUS_SIGNALS_MAX (1U << 20)

struct polkit;

struct bus {
	sd_event *loop;
	char *address;
	struct quota *quota; /* borrowed */
	const struct bus_ops *ops;
	void *userdata;

	struct strangers *strangers;
	struct announcer *announcer;
	struct bus_reply *replies;
	struct owned_objects groups;
	struct warning_subscribers warning_subscribers;
	struct owned_objects watches;

	sd_event_source *retry;
	uint64_t backoff_us;
	unsigned int name_attempts;
	bool started;
	bool was_owned; /* the name was owned once: a taken one is waited for */

	struct pump *pump; /* NULL: not connected */
	sd_bus *sd;
	sd_bus_slot *name_slot;
	struct peers *peers;
	struct polkit *polkit;
	bool owned;

	char **kept; /* names with streams, groups or watches, of the connection before */
	size_t n_kept;
	sd_id128_t bus_id; /* of the bus that they are on */

	struct pump_statistics former; /* of connections that are gone */
	struct bus_statistics statistics;
};

/* Objects; called for each connection. */
int manager_object_add(struct bus *bus, sd_bus *sd);
int filesystem_object_add(struct bus *bus, sd_bus *sd);

/*
 * The vtables, also for bus_introspect(). Userdata of the first is the bus, of
 * the second the filesystem; a slot's own userdata is the bus in both.
 */
extern const sd_bus_vtable manager_vtable[];
extern const sd_bus_vtable filesystem_vtable[];
extern const sd_bus_vtable group_vtable[];
extern const sd_bus_vtable watch_vtable[];
extern const struct owned_class group_class, watch_class;

/** bus_of_call() - from within a method or property of ours */
struct bus *bus_of_call(sd_bus *sd);

/** bus_refuse() - answer a call with an error; Return: 1, or a negative errno, as handlers do */
int bus_refuse(sd_bus_message *call, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** bus_refuse_code() - the same for a name that is no event code */
int bus_refuse_code(sd_bus_message *call, const char *name);

/** bus_owner_gone() - a name that was kept has left the bus: all that it has goes */
void bus_owner_gone(struct bus *bus, const char *name);

/** bus_takes_more() - connected, and the bus reads what is sent */
bool bus_takes_more(const struct bus *bus);

/** bus_refuse_with() - the same with what the manager filled */
int bus_refuse_with(sd_bus_message *call, const struct bus_refusal *refusal);

/** bus_refuse_descriptor() - where its bus cannot pass one; Return: 0: it can; else as bus_refuse() */
int bus_refuse_descriptor(sd_bus_message *call);

/** bus_reply_new() - answer later; Return: 0, or 1 when it was refused (too many) and answered so */
int bus_reply_new(struct bus_reply **ret, struct bus *bus, sd_bus_message *call);

/** bus_reply_call() - what it answers, borrowed; NULL: the connection is gone */
sd_bus_message *bus_reply_call(const struct bus_reply *reply);
struct bus *bus_reply_bus(const struct bus_reply *reply);

/** bus_reply_send() - answer with @answer, or where it is NULL with one that has nothing in it; frees @reply */
void bus_reply_send(struct bus_reply *reply, sd_bus_message *answer);

/** bus_replies_forget() - the connection is gone: what is still asked leads to nothing */
void bus_replies_forget(struct bus *bus);

/** bus_sender() - who calls; always known by the time a call is dispatched */
void bus_sender(struct bus *bus, sd_bus_message *call, struct bus_sender *ret);

enum authorization {
	AUTHORIZE_CONFIGURE,
	AUTHORIZE_TEST,
	AUTHORIZE_WATCH_INODE,
	AUTHORIZE_TRACK_OTHERS,
	AUTHORIZE_RELAY, /* to processes of others, and all their forks */
	AUTHORIZE_READ_DETAILS, /* see bus_learn_details() */
};

/**
 * bus_authorize() - may the caller do that?
 * @then:	called when it may, now or later, with the same unchanged call, to
 *		be read from its beginning; it answers and looks its objects up
 *		itself, since they may have gone meanwhile
 *
 * Root may; others are asked for at polkit, where a person may be asked if the
 * call allows it, and have to wait without anybody else waiting. Otherwise the
 * call is answered with AccessDenied, InteractiveAuthorizationRequired or
 * LimitsExceeded. When the caller leaves nothing is called.
 *
 * To be called before anything is looked at that the caller may not see.
 * Return: as handlers do.
 */
int bus_authorize(struct bus *bus, sd_bus_message *call, enum authorization action,
		  int (*then)(struct bus *bus, sd_bus_message *call));

/* What is to be done once the caller may. */
struct bus_errand {
	int (*run)(struct bus *bus, sd_bus_message *call); /* without ->held */

	void *held; /* what must stay what it is until then */
	int (*run_held)(struct bus *bus, sd_bus_message *call, void *held); /* takes it over */
	void (*release)(struct bus *bus, void *held); /* when it is not run */
};

/** bus_authorize_held() - the same with something that is held meanwhile; takes over what is held */
int bus_authorize_held(struct bus *bus, sd_bus_message *call, enum authorization action,
		       const struct bus_errand *errand);

/**
 * bus_learn_details() - find out whether bus_sender() is to say ->read_details
 * @then:	called in any case, now or later: who may not reads what everybody may
 *
 * No person is asked, and a verdict is believed for PEER_DETAILS_US, or until
 * polkit says that its opinions have changed: a caller that reads the history in
 * pieces, or over and over, asks once.
 * Return: as handlers do.
 */
int bus_learn_details(struct bus *bus, sd_bus_message *call,
		      int (*then)(struct bus *bus, sd_bus_message *call));

/** bus_find_path() - the filesystem of an object path; NULL: none (any more) */
struct filesystem *bus_find_path(struct bus *bus, const char *path);

/* SetThresholds and SetEvents, once the caller may. */
int filesystem_set_thresholds(struct bus *bus, sd_bus_message *call);
int filesystem_set_events(struct bus *bus, sd_bus_message *call);

/*
 * Options: the a{sv} that ends most calls.
 */
struct option {
	const char *name;
	const char *type; /* a basic one but s/o, or "o" or "as" */
	union {
		int *flag; /* "b": 0 or 1 */
		uint32_t *u;
		uint64_t *t;
		const char **text; /* borrowed from the message */
		char ***list; /* owned by the caller, strings too */
	};
	bool *ret_given; /* may be NULL */
};

/**
 * options_read() - read an a{sv}
 *
 * Unknown, mistyped and repeated ones are refused by name, with the list of those
 * there are.
 * Return: 0, 1 when the call was refused (answered), or negative errno.
 */
int options_read(sd_bus_message *call, const struct option *options, size_t n);

/** options_none() - for methods that have none yet */
int options_none(sd_bus_message *call);

/* Marshalling. */
int marshal_details(sd_bus_message *message, const struct details *details, bool private,
		    uint64_t count, bool test);
size_t marshal_details_size(const struct details *details);
int marshal_codes(sd_bus_message *message, uint32_t codes);
int marshal_escaped(sd_bus_message *message, const char *bytes);

/** events_query() - GetEvents */
int events_query(struct bus *bus, sd_bus_message *call);
