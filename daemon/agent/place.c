/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/place.h"

#define PLACE_DIRECTORY "fsevents-agent"

/* A home that does not answer keeps the session from nothing. */
#define PLACE_END_MS 2000

enum place_kind {
	PLACE_STATE,
	PLACE_RUNTIME,

	_PLACE_KIND_N,
};

static const struct {
	const char *name;
	enum place_kind kind;
} files[] = {
	[PLACE_SEEN] = { "seen", PLACE_STATE },
	[PLACE_MUTED] = { "muted", PLACE_STATE },
	[PLACE_SHOWN] = { "shown", PLACE_RUNTIME },
	[PLACE_FOLDERS] = { "folders", PLACE_RUNTIME },
};

struct place_writer {
	struct place *place;
	pid_t child; /* 0: none */
	sd_event_source *source;
	char *next; /* to be written after the child has ended */
};

struct place {
	sd_event *loop;
	char *directories[_PLACE_KIND_N]; /* that of the session may be NULL */
	struct place_writer writers[_PLACE_FILE_N];
	bool told;
};

/*
 * As the specification of base directories says, what is not absolute does not count.
 * Return: 0, -ENOENT or -ENOMEM
 */
static int find_directory(const char *variable, const char *below, char **ret)
{
	const char *top = getenv(variable);

	if (!top || top[0] != '/')
		return -ENOENT;
	return asprintf(ret, "%s/%s" PLACE_DIRECTORY, top, below) < 0 ? -ENOMEM : 0;
}

int place_new(struct place **ret, sd_event *loop)
{
	_cleanup_(place_freep) struct place *place = calloc(1, sizeof(*place));
	int r;

	if (!place)
		return -ENOMEM;
	for (size_t i = 0; i < _PLACE_FILE_N; i++)
		place->writers[i].place = place;
	r = find_directory("XDG_STATE_HOME", "", &place->directories[PLACE_STATE]);
	if (r == -ENOENT)
		r = find_directory("HOME", ".local/state/", &place->directories[PLACE_STATE]);
	if (r >= 0)
		r = find_directory("XDG_RUNTIME_DIR", "", &place->directories[PLACE_RUNTIME]);
	if (r < 0 && !(r == -ENOENT && place->directories[PLACE_STATE]))
		return r;
	place->loop = sd_event_ref(loop);
	*ret = TAKE_PTR(place);
	return 0;
}

static void writer_finish(struct place *place, struct place_writer *writer)
{
	enum place_file file = (enum place_file)(writer - place->writers);
	_cleanup_close_ int fd = -1;
	struct pollfd item;

	if (!writer->child && writer->next) {
		place_write_later(place, file, writer->next);
		free(writer->next);
		writer->next = NULL;
	}
	if (!writer->child)
		return;
	fd = pidfd_open(writer->child, 0);
	item = (struct pollfd){ .fd = fd, .events = POLLIN };
	(void)poll(&item, 1, PLACE_END_MS);
}

struct place *place_free(struct place *place)
{
	if (!place)
		return NULL;
	for (size_t i = 0; i < _PLACE_FILE_N; i++) {
		struct place_writer *writer = &place->writers[i];

		if (place->loop)
			writer_finish(place, writer);
		sd_event_source_disable_unref(writer->source);
		free(writer->next);
	}
	sd_event_unref(place->loop);
	for (size_t i = 0; i < _PLACE_KIND_N; i++)
		free(place->directories[i]);
	free(place);
	return NULL;
}

static int place_path(const struct place *place, enum place_file file, const char *suffix,
		      char **ret)
{
	const char *directory = place->directories[files[file].kind];

	if (!directory)
		return -ENOENT;
	return asprintf(ret, "%s/%s%s", directory, files[file].name, suffix) < 0 ? -ENOMEM : 0;
}

int place_read(struct place *place, enum place_file file, char **ret)
{
	_cleanup_free_ char *path = NULL, *text = malloc(PLACE_TEXT_MAX + 1);
	_cleanup_close_ int fd = -1;
	size_t n = 0;
	int r;

	if (!text)
		return -ENOMEM;
	r = place_path(place, file, "", &path);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;

	for (;;) {
		ssize_t got = read(fd, text + n, PLACE_TEXT_MAX + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
		if (n > PLACE_TEXT_MAX)
			return -EFBIG;
	}
	text[n] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}

/* The directory with those above it, as far as they are missing. */
static int make_directories(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
		*slash = '/';
		/* One above may be there and not be ours to make. */
		if (r < 0 && r != -EACCES && r != -EROFS)
			return r;
	}
	return 0;
}

static int write_all(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		ssize_t put = write(fd, text, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		text += put;
		n -= (size_t)put;
	}
	return 0;
}

int place_write(struct place *place, enum place_file file, const char *text)
{
	_cleanup_free_ char *path = NULL, *fresh = NULL;
	_cleanup_close_ int fd = -1;
	char suffix[32];
	int r;

	snprintf(suffix, sizeof(suffix), ".%d", getpid());
	r = place_path(place, file, "", &path);
	if (r >= 0)
		r = place_path(place, file, suffix, &fresh);
	if (r >= 0)
		r = make_directories(fresh);
	if (r < 0)
		return r;

	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text);
	/* A name that leads to nothing after a crash would have lost what was there before. */
	if (r >= 0 && fdatasync(fd) < 0)
		r = -errno;
	if (r >= 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(fresh);
	return r;
}

static int on_written(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	struct place_writer *writer = userdata;
	struct place *place = writer->place;
	enum place_file file = (enum place_file)(writer - place->writers);
	_cleanup_free_ char *next = TAKE_PTR(writer->next);

	writer->child = 0;
	writer->source = sd_event_source_disable_unref(writer->source);
	if (info->si_status != 0 && !place->told) {
		agent_log("cannot write %s/%s: %s", place->directories[files[file].kind],
			  files[file].name,
			  info->si_code == CLD_EXITED ? strerror(info->si_status) : "killed");
		place->told = true;
	}
	if (next)
		place_write_later(place, file, next);
	return 0;
}

void place_write_later(struct place *place, enum place_file file, const char *text)
{
	struct place_writer *writer = &place->writers[file];
	int r;

	if (!place->directories[files[file].kind])
		return;
	if (writer->child) {
		char *next = strdup(text);

		if (next) {
			free(writer->next);
			writer->next = next;
		}
		return;
	}

	writer->child = fork();
	if (writer->child == 0) {
		/* One that waits for a disk for ever must keep no connection alive. */
		(void)close_range(3, ~0U, 0);
		r = place_write(place, file, text);
		_exit(-r);
	}
	if (writer->child < 0) {
		agent_log("cannot start who writes %s: %s", files[file].name, strerror(errno));
		writer->child = 0;
		return;
	}
	r = sd_event_add_child(place->loop, &writer->source, writer->child, WEXITED, on_written,
			       writer);
	/* At the end nothing comes from the loop any more, and it is waited for otherwise. */
	if (r < 0 && r != -ESTALE)
		agent_log("cannot wait for who writes %s: %s", files[file].name, strerror(-r));
}
