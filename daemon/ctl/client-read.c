/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ctl/client.h"
#include "daemon/names.h"

/* D-Bus messages into plain values: every reader leaves the message behind what it read. */

#define READ_WRITERS_MAX 64

int client_read_fd(sd_bus_message *reply, int *ret)
{
	int fd, r;

	r = sd_bus_message_read(reply, "h", &fd);
	if (r < 0)
		return r;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

static int read_writers(sd_bus_message *m, const char *key, struct details *details)
{
	struct detail_writer writers[READ_WRITERS_MAX];
	const char *comm;
	uint64_t n_bytes;
	uint32_t pid;
	size_t n = 0;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "(uts)");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(m, "(uts)", &pid, &n_bytes, &comm)) > 0) {
		if (n == READ_WRITERS_MAX)
			continue;
		writers[n] = (struct detail_writer){ .pid = pid, .bytes = n_bytes };
		strncpy(writers[n++].comm, comm, sizeof(writers[0].comm) - 1);
	}
	if (r < 0)
		return r;
	r = sd_bus_message_exit_container(m);
	if (r < 0)
		return r;
	return details_add_writers(details, key, writers, n, DETAIL_PRIVATE);
}

static int read_bytes(sd_bus_message *m, const char *key, struct details *details)
{
	const void *bytes;
	size_t n;
	int r;

	r = sd_bus_message_read_array(m, 'y', &bytes, &n);
	if (r < 0)
		return r;
	/* The final NUL of a bytestring is not part of the name. */
	if (n > 0 && ((const char *)bytes)[n - 1] == '\0')
		n--;
	return details_add_bytes(details, key, bytes, n, 0);
}

static int read_basic(sd_bus_message *m, char type, const char *key, struct details *details)
{
	union {
		const char *s;
		uint32_t u;
		uint64_t t;
		int32_t i;
		int b;
	} value;
	int r;

	r = sd_bus_message_read_basic(m, type, &value);
	if (r < 0)
		return r;

	switch (type) {
	case 's':
		return details_add_string(details, key, value.s, 0);
	case 'u':
		return details_add_u32(details, key, value.u, 0);
	case 't':
		return details_add_u64(details, key, value.t, 0);
	case 'i':
		return details_add_i32(details, key, value.i, 0);
	default:
		return details_add_bool(details, key, value.b, 0);
	}
}

static int read_variant(sd_bus_message *m, const char *key, struct details *details)
{
	const char *contents;
	char type;
	int r;

	r = sd_bus_message_peek_type(m, &type, &contents);
	if (r < 0)
		return r;
	r = sd_bus_message_enter_container(m, 'v', contents);
	if (r < 0)
		return r;

	if (strcmp(contents, "ay") == 0)
		r = read_bytes(m, key, details);
	else if (strcmp(contents, "a(uts)") == 0)
		r = read_writers(m, key, details);
	else if (strlen(contents) == 1 && strchr("sutib", contents[0]))
		r = read_basic(m, contents[0], key, details);
	else
		r = sd_bus_message_skip(m, contents);
	if (r < 0 && r != -E2BIG)
		return r;
	return sd_bus_message_exit_container(m);
}

static bool key_is_usable(const char *key)
{
	size_t n = strlen(key);

	return n > 0 && n <= DETAIL_KEY_MAX;
}

/* What does not fit the bound that is known here is left out, as is what has no known type. */
static int read_details(sd_bus_message *m, struct details *details)
{
	const char *key;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &key);
		if (r >= 0)
			r = key_is_usable(key) ? read_variant(m, key, details)
					       : sd_bus_message_skip(m, "v");
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static bool details_flag(const struct details *details, const char *key)
{
	struct detail detail;

	return details_find(details, key, &detail) && detail.type == DETAIL_BOOL &&
	       detail.n_value && detail.value[0];
}

int client_read_event(sd_bus_message *m, struct feed_event *ret)
{
	_cleanup_(feed_event_deinit) struct feed_event told = {};
	const char *path, *code, *severity;
	struct event *event = &told.event;
	int r;

	r = sd_bus_message_enter_container(m, 'r', "ttossuta{sv}");
	if (r <= 0)
		return r;
	r = sd_bus_message_read(m, "ttossut", &event->id, &event->realtime_us, &path, &code,
				&severity, &event->pid, &event->data);
	if (r >= 0)
		r = read_details(m, &event->details);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r < 0)
		return r;

	snprintf(told.path, sizeof(told.path), "%s", path);
	(void)fs_key_parse(path, &event->fs);
	feed_event_set_names(&told, code, severity);
	event->test = details_flag(&event->details, "test");
	*ret = told;
	told = (struct feed_event){};
	return 1;
}

static int read_last_event(sd_bus_message *m, struct client_filesystem *fs)
{
	struct feed_event *told = &fs->last_event;
	struct event *event = &told->event;
	const char *code, *severity;
	int r;

	r = sd_bus_message_enter_container(m, 'r', "ttssuta{sv}");
	if (r < 0)
		return r;
	r = sd_bus_message_read(m, "ttssut", &event->id, &event->realtime_us, &code, &severity,
				&event->pid, &event->data);
	if (r < 0)
		return r;
	r = read_details(m, &event->details);
	if (r < 0)
		return r;

	snprintf(told->path, sizeof(told->path), "%s", fs->path);
	(void)fs_key_parse(fs->path, &event->fs);
	feed_event_set_names(told, code, severity);
	event->test = details_flag(&event->details, "test");
	return sd_bus_message_exit_container(m);
}

int client_read_mount_points(sd_bus_message *m, char ***ret, size_t *ret_n)
{
	char **mount_points = NULL;
	const void *bytes;
	size_t n = 0, n_bytes;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "ay");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read_array(m, 'y', &bytes, &n_bytes)) > 0) {
		char **grown = realloc(mount_points, (n + 1) * sizeof(*grown));

		if (grown) {
			mount_points = grown;
			grown[n] = n_bytes ? strndup(bytes, n_bytes) : strdup("");
		}
		if (!grown || !grown[n++]) {
			client_mount_points_free(mount_points, grown ? n - 1 : n);
			return -ENOMEM;
		}
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r < 0) {
		client_mount_points_free(mount_points, n);
		return r;
	}

	*ret = mount_points;
	*ret_n = n;
	return 0;
}

static int read_thresholds(sd_bus_message *m, struct client_filesystem *fs)
{
	const char *name, *resource, *severity;
	uint64_t level, hysteresis;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "(sstts)");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(m, "(sstts)", &name, &resource, &level, &hysteresis,
					&severity)) > 0) {
		struct client_threshold *grown =
			realloc(fs->thresholds, (fs->n_thresholds + 1) * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		fs->thresholds = grown;
		grown[fs->n_thresholds++] = (struct client_threshold){
			strdup(name), strdup(resource), strdup(severity), level, hysteresis,
		};
		if (!grown[fs->n_thresholds - 1].name || !grown[fs->n_thresholds - 1].resource ||
		    !grown[fs->n_thresholds - 1].severity)
			return -ENOMEM;
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_string(sd_bus_message *m, char **ret)
{
	const char *value;
	int r;

	r = sd_bus_message_read(m, "s", &value);
	if (r < 0)
		return r;
	free(*ret);
	*ret = strdup(value);
	return *ret ? 0 : -ENOMEM;
}

static int read_bool(sd_bus_message *m, bool *ret)
{
	int value, r;

	r = sd_bus_message_read(m, "b", &value);
	if (r >= 0)
		*ret = value;
	return r;
}

static int read_property(sd_bus_message *m, const char *name, struct client_filesystem *fs)
{
	static const struct {
		const char *name;
		const char *type;
		size_t offset;
	} plain[] = {
#define PLAIN(_name, _type, _field) { _name, _type, offsetof(struct client_filesystem, _field) }
		PLAIN("Major", "u", major),
		PLAIN("Minor", "u", minor),
		PLAIN("Generation", "t", generation),
		PLAIN("BlockSize", "t", block_size),
		PLAIN("ErrorCount", "t", error_count),
		PLAIN("Type", "s", type),
		PLAIN("Source", "s", source),
		PLAIN("Where", "s", where),
		PLAIN("ReadOnlyReason", "s", read_only_reason),
		PLAIN("State", "s", state),
		PLAIN("Crossed", "as", crossed),
		PLAIN("Events", "as", events),
		PLAIN("Capabilities", "as", capabilities),
#undef PLAIN
	};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		void *field = (char *)fs + plain[i].offset;

		if (strcmp(plain[i].name, name) != 0)
			continue;
		if (strcmp(plain[i].type, "s") == 0)
			return read_string(m, field);
		if (strcmp(plain[i].type, "as") == 0)
			return sd_bus_message_read_strv(m, field);
		return sd_bus_message_read_basic(m, plain[i].type[0], field);
	}

	if (strcmp(name, "ReadOnly") == 0)
		return read_bool(m, &fs->read_only);
	if (strcmp(name, "MountPoints") == 0)
		return client_read_mount_points(m, &fs->mount_points, &fs->n_mount_points);
	if (strcmp(name, "Thresholds") == 0)
		return read_thresholds(m, fs);
	if (strcmp(name, "LastEvent") == 0)
		return read_last_event(m, fs);
	return sd_bus_message_skip(m, NULL);
}

/* Whatever a daemon leaves out is an empty text to those who print it. */
static int fill_strings(struct client_filesystem *fs)
{
	char **const strings[] = { &fs->type, &fs->source, &fs->where, &fs->read_only_reason,
				   &fs->state };

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		if (!*strings[i]) {
			*strings[i] = strdup("");
			if (!*strings[i])
				return -ENOMEM;
		}
	return 0;
}

static int read_properties(sd_bus_message *m, struct client_filesystem *fs)
{
	const char *name, *contents;
	char type;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sv}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &name);
		if (r >= 0)
			r = sd_bus_message_peek_type(m, &type, &contents);
		if (r >= 0)
			r = sd_bus_message_enter_container(m, 'v', contents);
		if (r >= 0)
			r = read_property(m, name, fs);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* The interfaces of one object; ->path is set when it is a filesystem. */
static int read_interfaces(sd_bus_message *m, const char *path, struct client_filesystem *fs)
{
	const char *interface;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
		r = sd_bus_message_read(m, "s", &interface);
		if (r < 0)
			return r;
		if (strcmp(interface, BUS_IFACE_FILESYSTEM) == 0) {
			fs->path = strdup(path);
			r = fs->path ? read_properties(m, fs) : -ENOMEM;
			if (r >= 0)
				r = fill_strings(fs);
		} else {
			r = sd_bus_message_skip(m, "a{sv}");
		}
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

int client_read_objects(sd_bus_message *m, struct client_filesystems *list)
{
	const char *path;
	int r;

	r = sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}")) > 0) {
		struct client_filesystem *grown =
			realloc(list->items, (list->n_items + 1) * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->items = grown;
		grown[list->n_items] = (struct client_filesystem){};

		r = sd_bus_message_read(m, "o", &path);
		if (r >= 0)
			r = read_interfaces(m, path, &grown[list->n_items]);
		/* Counted even when it is half-read, so that it is freed. */
		if (grown[list->n_items].path)
			list->n_items++;
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}
