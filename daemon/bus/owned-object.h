/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Objects that belong to a name on the bus
 *
 * Groups of processes and watches: the owner alone sees its object, may use it
 * and is sent its signals, which are charged to it. What is behind an object is
 * known by its number, to struct owned_class. Objects outlive a connection to the
 * bus that is lost, as long as their owner is still there when the next one stands.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-bus.h>

/* Of a table by number: these are given one after the other. */
#define OWNED_CHAINS 1024

#define OWNED_PATH_MAX 64

struct bus;
struct bus_refusal;
struct bus_reply;

struct owned_class {
	const char *root; /* path that has the objects below it */
	const char *interface;
	const sd_bus_vtable *vtable; /* userdata: the struct owned_object */
	const char *noun;
	const char *no_room; /* said where one cannot be given an object */
	const char *none; /* said behind "You have no NOUN PATH; " */

	/* What is behind @id: 0, or -1 with @refusal filled. */
	int (*start)(struct bus *bus, uint64_t id, struct bus_refusal *refusal);
	int (*stream)(struct bus *bus, uint64_t id, int *ret_fd, struct bus_refusal *refusal);
	/* The object is gone already: nothing more can be told of it. */
	void (*remove)(struct bus *bus, uint64_t id);
};

struct owned_object {
	struct owned_objects *objects;
	uint64_t id;
	LIST_ENTRY(owned_object) chain;
	char owner[]; /* unique name */
};

/* Embedded in the bus. */
struct owned_objects {
	struct bus *bus;
	const struct owned_class *class;
	LIST_HEAD(, owned_object) chains[OWNED_CHAINS];
};

/** owned_init() - none yet; @class: borrowed for good */
void owned_init(struct owned_objects *objects, struct bus *bus, const struct owned_class *class);

/** owned_register() - on a connection, for the calls to all of them; Return: as sd_bus_add_fallback_vtable() */
int owned_register(struct owned_objects *objects, sd_bus *sd);

/**
 * owned_reply() - answer with a new object, whose owner is who asked
 *
 * Where that has left, or there is no memory, what is behind it is removed.
 */
void owned_reply(struct owned_objects *objects, struct bus_reply *reply, uint64_t id);

/** owned_leave() - the owner has left the bus: what it has is removed */
void owned_leave(struct owned_objects *objects, const char *owner);

/** owned_forget() - at the end, when nobody can be told to remove them */
void owned_forget(struct owned_objects *objects);

/**
 * owned_signal_new() - to the owner of an object
 *
 * Return: 0, -ENOENT (there is no such object), -EAGAIN (not now), or another negative errno.
 */
int owned_signal_new(sd_bus_message **ret, struct owned_objects *objects, uint64_t id,
		     const char *member);
/** owned_signal_send() - @n: bytes of its body, about; Return: 0 or a negative errno */
int owned_signal_send(struct bus *bus, sd_bus_message *signal, size_t n);

/* Methods that all have: of vtables. */
int owned_method_start(sd_bus_message *call, void *userdata, sd_bus_error *error);
int owned_method_remove(sd_bus_message *call, void *userdata, sd_bus_error *error);
int owned_method_open_stream(sd_bus_message *call, void *userdata, sd_bus_error *error);
