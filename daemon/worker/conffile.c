/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/names.h"
#include "daemon/worker/conffile.h"

/* A directory whose names can be trusted; fd -1: it is not there, or refused. */
struct folder {
	const char *path;
	int fd;
	bool refused;
};

struct loader {
	struct conffile_set set;
	size_t n_bytes;
	uid_t uid;
};

void conffile_set_deinit(struct conffile_set *set)
{
	if (!set)
		return;

	for (size_t i = 0; i < set->n_texts; i++) {
		free((char *)set->texts[i].name);
		free((char *)set->texts[i].text);
		free((char *)set->texts[i].error);
	}
	free(set->texts);
	*set = (struct conffile_set){};
}

static void loader_deinit(struct loader *loader)
{
	conffile_set_deinit(&loader->set);
}

/* Takes over @text and @error; each may be NULL. */
static int add_text(struct loader *loader, const char *name, char *text, size_t n_text, char *error)
{
	_cleanup_free_ char *owned_text = text, *owned_error = error, *owned_name = NULL;
	struct config_text *texts;

	owned_name = strdup(name);
	texts = reallocarray(loader->set.texts, loader->set.n_texts + 1, sizeof(*texts));
	if (texts)
		loader->set.texts = texts;
	if (!owned_name || !texts)
		return -ENOMEM;

	texts[loader->set.n_texts++] = (struct config_text){
		.name = TAKE_PTR(owned_name),
		.text = TAKE_PTR(owned_text),
		.n_text = n_text,
		.error = TAKE_PTR(owned_error),
	};
	return 0;
}

static __attribute__((format(printf, 3, 4))) int refuse(struct loader *loader, const char *name,
							const char *format, ...)
{
	char *error = NULL;
	va_list args;
	int r;

	/* the parent of the file and of its drop-ins is the same one */
	for (size_t i = 0; i < loader->set.n_texts; i++)
		if (loader->set.texts[i].error && strcmp(loader->set.texts[i].name, name) == 0)
			return 0;

	va_start(args, format);
	r = vasprintf(&error, format, args);
	va_end(args);
	if (r < 0)
		return -ENOMEM;

	return add_text(loader, name, NULL, 0, error);
}

static int refuse_errno(struct loader *loader, const char *name, int error)
{
	return refuse(loader, name, "it cannot be read: %s", strerror(-error));
}

/* Return: what is wrong with owner and mode, NULL: nothing. */
static const char *judge(const struct loader *loader, const struct stat *st)
{
	bool own = loader->uid != 0 && st->st_uid == loader->uid;

	if (st->st_uid != 0 && !own)
		return "it is not owned by root";
	/* the mode of a link has no meaning */
	if (S_ISLNK(st->st_mode))
		return NULL;
	if (st->st_mode & S_IWOTH)
		return "everybody can write to it";
	if (st->st_mode & S_IWGRP && !own)
		return "its group can write to it";

	return NULL;
}

/* Return: 1 where it may be used, 0 where it was refused, or -ENOMEM. */
static int accept(struct loader *loader, const char *name, const char *what, const struct stat *st)
{
	const char *fault = judge(loader, st);
	int r;

	if (!fault)
		return 1;

	r = refuse(loader, name,
		   "%s (owner %u, mode %04o): allowed is %s that root owns and nobody "
		   "else can write to; nothing is read from it",
		   fault, (unsigned int)st->st_uid, st->st_mode & 07777, what);
	return r < 0 ? r : 0;
}

static void folder_deinit(struct folder *folder)
{
	closep(&folder->fd);
	folder->fd = -1;
}

/*
 * One that is not there gives fd -1 and no error. What stands above a
 * directory may be a link; the directory of drop-ins itself must not.
 */
static int folder_open(struct loader *loader, const char *path, int flags, struct folder *ret)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	*ret = (struct folder){ .path = path, .fd = -1 };
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | flags);
	if (fd < 0 && errno == ENOENT)
		return 0;

	ret->refused = true;
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return refuse(loader, path,
			      "it is not a directory: allowed is a directory, no link");
	if (fd < 0 || fstat(fd, &st) < 0)
		return refuse_errno(loader, path, -errno);

	r = accept(loader, path, "a directory", &st);
	if (r <= 0)
		return r;
	ret->refused = false;
	ret->fd = TAKE_FD(fd);
	return 0;
}

/* The directory that @path is in, as the caller wrote it. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	if (slash == path)
		return strdup("/");

	return strndup(path, (size_t)(slash - path));
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int folder_open_parent(struct loader *loader, const char *path, char **ret_path,
			      struct folder *ret)
{
	_cleanup_free_ char *parent = parent_of(path);
	int r;

	if (!parent)
		return -ENOMEM;
	r = folder_open(loader, parent, 0, ret);
	if (r < 0)
		return r;

	*ret_path = TAKE_PTR(parent);
	return 0;
}

/* Return: bytes read, at most CONFIG_FILE_MAX + 1, or a negative errno. */
static ssize_t read_all(int fd, char *ret)
{
	size_t n = 0;

	while (n <= CONFIG_FILE_MAX) {
		ssize_t k = read(fd, ret + n, CONFIG_FILE_MAX + 1 - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		n += (size_t)k;
	}

	return (ssize_t)n;
}

static int add_contents(struct loader *loader, const char *name, int fd)
{
	_cleanup_free_ char *text = NULL;
	char *fitting;
	ssize_t n;

	text = malloc(CONFIG_FILE_MAX + 1);
	if (!text)
		return -ENOMEM;
	n = read_all(fd, text);
	if (n < 0)
		return refuse_errno(loader, name, (int)n);
	if (n > CONFIG_FILE_MAX)
		return refuse(loader, name, "it is too large: allowed is at most 1 MiB");
	if (loader->n_bytes + (size_t)n > CONFFILE_BYTES_MAX)
		return refuse(loader, name,
			      "all files together are too large: allowed is at most %u MiB",
			      CONFFILE_BYTES_MAX >> 20);

	/* shrinking may fail only in theory, and then what there is serves */
	fitting = realloc(text, n > 0 ? (size_t)n : 1);
	if (fitting)
		text = fitting;
	loader->n_bytes += (size_t)n;
	return add_text(loader, name, TAKE_PTR(text), (size_t)n, NULL);
}

static int load_link(struct loader *loader, const struct folder *folder, const char *base,
		     const char *name)
{
	char target[16];
	char *empty;
	ssize_t n;

	n = readlinkat(folder->fd, base, target, sizeof(target));
	if (n < 0)
		return refuse_errno(loader, name, -errno);
	if ((size_t)n != strlen("/dev/null") || memcmp(target, "/dev/null", (size_t)n) != 0)
		return refuse(loader, name,
			      "it is a symbolic link: allowed is a regular file or a link "
			      "to /dev/null");

	empty = strdup("");
	return empty ? add_text(loader, name, empty, 0, NULL) : -ENOMEM;
}

/* The file was seen to be regular before: what is opened is judged once more. */
static int load_regular(struct loader *loader, const struct folder *folder, const char *base,
			const char *name)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	fd = openat(folder->fd, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return refuse_errno(loader, name, -errno);
	if (!S_ISREG(st.st_mode))
		return refuse(loader, name,
			      "it changed while it was read: allowed is a regular file");
	r = accept(loader, name, "a file", &st);
	if (r <= 0)
		return r;

	return add_contents(loader, name, fd);
}

/* @required: that it is not there is a fault. */
static int load_file(struct loader *loader, const struct folder *folder, const char *base,
		     bool required)
{
	_cleanup_free_ char *name = NULL;
	struct stat st;
	int r;

	if (strcmp(folder->path, ".") == 0)
		r = asprintf(&name, "%s", base);
	else
		r = asprintf(&name, "%s%s%s", folder->path, strcmp(folder->path, "/") ? "/" : "",
			     base);
	if (r < 0) {
		name = NULL;
		return -ENOMEM;
	}

	if (fstatat(folder->fd, base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT && !required)
			return 0;
		return refuse_errno(loader, name, -errno);
	}
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return refuse(loader, name,
			      "it is not a regular file: allowed is a regular file or a "
			      "link to /dev/null");
	r = accept(loader, name, "a file", &st);
	if (r <= 0)
		return r;

	return S_ISLNK(st.st_mode) ? load_link(loader, folder, base, name)
				   : load_regular(loader, folder, base, name);
}

static int is_dropin(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return entry->d_name[0] != '.' && n > strlen(".conf") &&
	       strcmp(entry->d_name + n - strlen(".conf"), ".conf") == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool folder_has(const struct folder *folder, const char *base)
{
	struct stat st;

	return folder && folder->fd >= 0 &&
	       fstatat(folder->fd, base, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

struct dropins {
	struct dirent **entries;
	int n_entries;
};

static void dropins_deinit(struct dropins *dropins)
{
	for (int i = 0; i < dropins->n_entries; i++)
		free(dropins->entries[i]);
	free(dropins->entries);
}

/* @mask: names that it has are left out; may be NULL. */
static int load_dropins(struct loader *loader, const struct folder *folder,
			const struct folder *mask)
{
	_cleanup_(dropins_deinit) struct dropins dropins = {};

	if (folder->fd < 0)
		return 0;

	dropins.n_entries = scandirat(folder->fd, ".", &dropins.entries, is_dropin, compare_names);
	if (dropins.n_entries < 0) {
		dropins.n_entries = 0;
		return errno == ENOMEM ? -ENOMEM : refuse_errno(loader, folder->path, -errno);
	}
	if (dropins.n_entries > CONFFILE_DROPINS_MAX)
		return refuse(loader, folder->path,
			      "it has too many files: allowed are at most %d that "
			      "end in .conf",
			      CONFFILE_DROPINS_MAX);

	for (int i = 0; i < dropins.n_entries; i++) {
		const char *base = dropins.entries[i]->d_name;
		int r;

		if (folder_has(mask, base))
			continue;
		r = load_file(loader, folder, base, false);
		if (r < 0)
			return r;
	}

	return 0;
}

/* A directory of drop-ins whose own parent is in order. */
static int dropins_open(struct loader *loader, const char *path, struct folder *ret)
{
	_cleanup_(folder_deinit) struct folder parent = { .fd = -1 };
	_cleanup_free_ char *parent_path = NULL;
	int r;

	*ret = (struct folder){ .path = path, .fd = -1 };
	if (!path || (access(path, F_OK) < 0 && errno == ENOENT))
		return 0;
	r = folder_open_parent(loader, path, &parent_path, &parent);
	if (r < 0 || parent.fd < 0)
		return r;

	return folder_open(loader, path, O_NOFOLLOW, ret);
}

static int load_main(struct loader *loader, const char *file, bool required)
{
	_cleanup_(folder_deinit) struct folder folder = { .fd = -1 };
	_cleanup_free_ char *path = NULL;
	int r;

	r = folder_open_parent(loader, file, &path, &folder);
	if (r < 0)
		return r;
	if (folder.fd < 0)
		return required && !folder.refused ? refuse_errno(loader, file, -ENOENT) : 0;

	return load_file(loader, &folder, base_of(file), required);
}

int conffile_load_paths(const struct conffile_paths *paths, struct conffile_set *ret)
{
	_cleanup_(loader_deinit) struct loader loader = { .uid = paths->uid };
	_cleanup_(folder_deinit) struct folder vendor = { .fd = -1 }, admin = { .fd = -1 };
	int r;

	assert(paths->file && paths->admin && ret);

	r = dropins_open(&loader, paths->vendor, &vendor);
	if (r == 0)
		r = dropins_open(&loader, paths->admin, &admin);
	if (r == 0)
		r = load_dropins(&loader, &vendor, &admin);
	if (r == 0)
		r = load_main(&loader, paths->file, paths->required);
	if (r == 0)
		r = load_dropins(&loader, &admin, NULL);
	if (r < 0)
		return r;

	*ret = loader.set;
	loader.set = (struct conffile_set){};
	return 0;
}

int conffile_load(const char *file, struct conffile_set *ret)
{
	_cleanup_free_ char *dropins = NULL;
	struct conffile_paths paths = {
		.vendor = CONFIG_DROPIN_VENDOR,
		.file = CONFIG_FILE,
		.admin = CONFIG_DROPIN_ADMIN,
		.uid = geteuid(),
	};

	assert(ret);

	if (file) {
		if (asprintf(&dropins, "%s.d", file) < 0) {
			dropins = NULL;
			return -ENOMEM;
		}
		paths.vendor = NULL;
		paths.file = file;
		paths.admin = dropins;
		paths.required = true;
	}

	return conffile_load_paths(&paths, ret);
}
