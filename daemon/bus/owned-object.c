/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/bus/bus-internal.h"

static void owned_path(const struct owned_objects *objects, uint64_t id,
		       char ret[static OWNED_PATH_MAX])
{
	snprintf(ret, OWNED_PATH_MAX, "%s/%" PRIu64, objects->class->root, id);
}

static struct owned_object *owned_find(const struct owned_objects *objects, uint64_t id)
{
	struct owned_object *object;

	LIST_FOREACH(object, &objects->chains[id % OWNED_CHAINS], chain)
		if (object->id == id)
			return object;
	return NULL;
}

void owned_init(struct owned_objects *objects, struct bus *bus, const struct owned_class *class)
{
	assert(objects && bus && class);
	assert(strlen(class->root) + sizeof("/18446744073709551615") <= OWNED_PATH_MAX);

	*objects = (struct owned_objects){ .bus = bus, .class = class };
}

static void object_free(struct owned_object *object)
{
	LIST_REMOVE(object, chain);
	free(object);
}

/* The object goes first: while it is removed nothing more is told of it. */
static void object_remove(struct owned_object *object)
{
	struct owned_objects *objects = object->objects;
	uint64_t id = object->id;

	object_free(object);
	objects->class->remove(objects->bus, id);
}

void owned_leave(struct owned_objects *objects, const char *owner)
{
	struct owned_object *object, *next;

	assert(objects && owner);

	for (size_t i = 0; i < OWNED_CHAINS; i++) {
		for (object = LIST_FIRST(&objects->chains[i]); object; object = next) {
			next = LIST_NEXT(object, chain);
			if (strcmp(object->owner, owner) == 0)
				object_remove(object);
		}
	}
}

void owned_forget(struct owned_objects *objects)
{
	assert(objects);

	for (size_t i = 0; i < OWNED_CHAINS; i++)
		while (!LIST_EMPTY(&objects->chains[i]))
			object_free(LIST_FIRST(&objects->chains[i]));
}

/* NULL: the owner has left, or there is no memory. */
static struct owned_object *object_add(struct owned_objects *objects, const char *owner,
				       uint64_t id)
{
	struct bus *bus = objects->bus;
	struct owned_object *object;
	uid_t uid;

	if (!bus->peers || !peers_find_uid(bus->peers, owner, &uid))
		return NULL;
	object = malloc(sizeof(*object) + strlen(owner) + 1);
	if (!object)
		return NULL;

	object->objects = objects;
	object->id = id;
	memcpy(object->owner, owner, strlen(owner) + 1);
	LIST_INSERT_HEAD(&objects->chains[id % OWNED_CHAINS], object, chain);
	peers_keep(bus->peers, owner);
	return object;
}

void owned_reply(struct owned_objects *objects, struct bus_reply *reply, uint64_t id)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
	struct bus_refusal gone = { .name = SD_BUS_ERROR_LIMITS_EXCEEDED };
	sd_bus_message *call = bus_reply_call(reply);
	struct owned_object *object = NULL;
	char path[OWNED_PATH_MAX];

	snprintf(gone.text, sizeof(gone.text), "%s", objects->class->no_room);
	if (call)
		object = object_add(objects, sd_bus_message_get_sender(call), id);
	if (!object) {
		objects->class->remove(objects->bus, id);
		bus_reply_refuse(reply, &gone);
		return;
	}

	owned_path(objects, id, path);
	if (sd_bus_message_new_method_return(call, &answer) < 0 ||
	    sd_bus_message_append(answer, "o", path) < 0) {
		object_remove(object);
		bus_reply_refuse(reply, &gone);
		return;
	}
	bus_reply_send(reply, answer);
}

/* Another's is none. */
static int on_find(sd_bus *sd, const char *path, const char *interface, void *userdata,
		   void **ret_found, sd_bus_error *error)
{
	sd_bus_message *call = sd_bus_get_current_message(sd);
	const char *sender = call ? sd_bus_message_get_sender(call) : NULL;
	struct owned_objects *objects = userdata;
	size_t n_root = strlen(objects->class->root);
	struct owned_object *object;
	char shown[OWNED_PATH_MAX];

	if (strncmp(path, objects->class->root, n_root) != 0 || path[n_root] != '/')
		return 0;

	/* The number may stand there in other ways: only one is its path. */
	object = owned_find(objects, strtoull(path + n_root + 1, NULL, 10));
	if (object && sender && strcmp(object->owner, sender) == 0) {
		owned_path(objects, object->id, shown);
		if (strcmp(shown, path) == 0) {
			*ret_found = object;
			return 1;
		}
	}
	return sd_bus_error_setf(error, SD_BUS_ERROR_UNKNOWN_OBJECT, "You have no %s %s; %s",
				 objects->class->noun, path, objects->class->none);
}

int owned_register(struct owned_objects *objects, sd_bus *sd)
{
	const struct owned_class *class = objects->class;

	/* Not among the children that can be listed: those are seen by all. */
	return sd_bus_add_fallback_vtable(sd, NULL, class->root, class->interface, class->vtable,
					  on_find, objects);
}

int owned_signal_new(sd_bus_message **ret, struct owned_objects *objects, uint64_t id,
		     const char *member)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	const struct owned_object *object = owned_find(objects, id);
	struct bus *bus = objects->bus;
	char path[OWNED_PATH_MAX];
	int r;

	if (!object)
		return -ENOENT;
	if (!bus_takes_more(bus) || !peers_may_tell(bus->peers, object->owner))
		return -EAGAIN;

	owned_path(objects, id, path);
	r = sd_bus_message_new_signal(bus->sd, &signal, path, objects->class->interface, member);
	if (r < 0)
		return r;
	r = sd_bus_message_set_destination(signal, object->owner);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(signal);
	return 0;
}

int owned_signal_send(struct bus *bus, sd_bus_message *signal, size_t n)
{
	int r;

	r = sd_bus_send(bus->sd, signal, NULL);
	if (r < 0)
		return r;
	bus->statistics.signals++;
	peers_told(bus->peers, sd_bus_message_get_destination(signal), n);
	return 0;
}

/*
 * Methods
 */

int owned_method_start(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct owned_object *object = userdata;
	struct owned_objects *objects = object->objects;
	struct bus_refusal refusal = {};

	if (objects->class->start(objects->bus, object->id, &refusal) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, NULL);
}

int owned_method_remove(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	object_remove(userdata);
	return sd_bus_reply_method_return(call, NULL);
}

int owned_method_open_stream(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct owned_object *object = userdata;
	struct owned_objects *objects = object->objects;
	struct bus_refusal refusal = {};
	_cleanup_close_ int fd = -1;
	int r;

	r = options_none(call);
	if (r == 0)
		r = bus_refuse_descriptor(call);
	if (r != 0)
		return r;

	if (objects->class->stream(objects->bus, object->id, &fd, &refusal) < 0)
		return bus_refuse_with(call, &refusal);
	return sd_bus_reply_method_return(call, "h", fd);
}
