/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The bus layer alone, with a manager of cardboard: a few filesystems that
 * are not there, on the bus whose address is given. Commands come as lines on
 * standard input, answers go to standard output:
 *
 *	add			one more filesystem
 *	remove			the last one goes
 *	grow N			have N filesystems, without telling
 *	change N		as many changes of State of the first filesystem
 *	signal N BYTES		as many events with so much text
 *	stats			print the statistics, one line
 *	and those of bus-processes.h and bus-watches.h
 *	rss			print VmRSS in kB
 *	quit
 *
 * GetUsage of the second filesystem is never answered.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/bus/bus.h"
#include "daemon/core/cleanup.h"
#include "daemon/names.h"
#include "daemon/output/journal.h"
#include "tests/io/bus-processes.h"
#include "tests/io/bus-watches.h"

#define FILESYSTEMS_MAX 2000

struct fake {
	struct filesystem fs;
	struct superblock sb;
	struct mount mount;
	struct mount *mounts[1];
	char where[64];
};

struct fixture {
	sd_event *loop;
	struct bus *bus;
	struct quota *quota;
	struct history *history;
	struct fake *fakes[FILESYSTEMS_MAX];
	size_t n;
	uint32_t next_n;
	struct bus_reply *unanswered;
	uint64_t streams, detailed;
	unsigned int owners_gone;
	char line[256];
	size_t n_line;
};

static struct fake *fake_new(uint32_t n)
{
	static const struct threshold_spec spec = {
		.name = "low",
		.resource = RESOURCE_SPACE,
		.level = { .kind = LEVEL_BYTES, .value = 1000 },
		.severity = SEVERITY_WARNING,
	};
	struct fake *fake = calloc(1, sizeof(*fake));

	if (!fake || threshold_set_replace(&fake->fs.thresholds, &spec, 1) < 0)
		abort();

	/* The first has a name that no string can have as it is. */
	snprintf(fake->where, sizeof(fake->where), n == 0 ? "/mnt/\xff\n" : "/mnt/fake%u", n);
	fake->mount = (struct mount){
		.id = 100 + n,
		.root = (char *)"/",
		.where = fake->where,
		.options = (char *)"rw",
		.reachable = true,
	};
	fake->mounts[0] = &fake->mount;
	fake->sb = (struct superblock){
		.key = { .major = 7, .minor = n, .n = n + 1 },
		.generation = 40 + n,
		.type = (char *)"ext4",
		.source = (char *)"/dev/loop\x1b[31m",
		.super_options = (char *)"rw",
		.mounts = fake->mounts,
		.n_mounts = 1,
	};
	fake->fs.sb = &fake->sb;
	fake->fs.usage = (struct usage){
		.block_size = 4096,
		.blocks = 1000,
		.free = 500,
		.available = 400,
		.files = 100,
		.files_available = 50,
	};
	fake->fs.usage_known = true;
	fake->fs.events = EVENT_CODES_ALL;
	fake->fs.capabilities = 1U << EVENT_THRESHOLD_BELOW;
	return fake;
}

static void fake_free(struct fake *fake)
{
	filesystem_deinit(&fake->fs);
	free(fake);
}

static int refuse(struct bus_refusal *refusal, const char *name, const char *text)
{
	refusal->name = name;
	snprintf(refusal->text, sizeof(refusal->text), "%s", text);
	return -1;
}

static struct filesystem *op_find(const struct fs_key *key, void *userdata)
{
	struct fixture *fixture = userdata;

	for (size_t i = 0; i < fixture->n; i++)
		if (fs_key_equal(&fixture->fakes[i]->sb.key, key))
			return &fixture->fakes[i]->fs;
	return NULL;
}

static struct filesystem *op_next(const struct filesystem *fs, void *userdata)
{
	struct fixture *fixture = userdata;

	if (!fs)
		return fixture->n ? &fixture->fakes[0]->fs : NULL;
	for (size_t i = 0; i + 1 < fixture->n; i++)
		if (&fixture->fakes[i]->fs == fs)
			return &fixture->fakes[i + 1]->fs;
	return NULL;
}

static struct filesystem *op_resolve(const char *path, void *userdata)
{
	struct fixture *fixture = userdata;

	for (size_t i = 0; i < fixture->n; i++)
		if (strcmp(fixture->fakes[i]->where, path) == 0)
			return &fixture->fakes[i]->fs;
	return NULL;
}

static struct filesystem *op_find_device(uint32_t major, uint32_t minor, void *userdata)
{
	struct fixture *fixture = userdata;

	for (size_t i = 0; i < fixture->n; i++)
		if (fixture->fakes[i]->sb.key.major == major &&
		    fixture->fakes[i]->sb.key.minor == minor)
			return &fixture->fakes[i]->fs;
	return NULL;
}

/* The mount that $FIXTURE_MOUNT_ID names is the first filesystem's. */
static struct filesystem *op_find_mount(uint32_t mnt_id, void *userdata)
{
	struct fixture *fixture = userdata;
	const char *id = getenv("FIXTURE_MOUNT_ID");

	return id && strtoul(id, NULL, 10) == mnt_id ? &fixture->fakes[0]->fs : NULL;
}

static void op_get_usage(struct filesystem *fs, struct bus_reply *reply, void *userdata)
{
	struct bus_refusal refusal = {};

	if (fs->sb->key.minor != 1) {
		bus_reply_usage(reply, fs, &fs->usage);
		return;
	}
	refuse(&refusal, BUS_ERROR_STALLED, "It does not answer");
	bus_reply_refuse(reply, &refusal);
}

static int op_set_thresholds(struct filesystem *fs, const struct bus_threshold *items, size_t n,
			     struct bus_refusal *refusal, void *userdata)
{
	struct threshold_spec specs[THRESHOLDS_MAX];

	for (size_t i = 0; i < n; i++) {
		specs[i] = (struct threshold_spec){
			.resource = items[i].inodes ? RESOURCE_INODES : RESOURCE_SPACE,
			.level = { .kind = items[i].inodes ? LEVEL_INODES : LEVEL_BYTES,
				   .value = items[i].level },
		};
		snprintf(specs[i].name, sizeof(specs[i].name), "%s", items[i].name);
		(void)event_severity_from_name(items[i].severity, &specs[i].severity);
	}
	return threshold_set_replace(&fs->thresholds, specs, n) < 0
		       ? refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "Out of memory")
		       : 0;
}

static int op_set_events(struct filesystem *fs, uint32_t events, struct bus_refusal *refusal,
			 void *userdata)
{
	fs->events = events;
	return 0;
}

static int op_configure(const char *line, struct bus_refusal *refusal, void *userdata)
{
	return *line == '!' ? refuse(refusal, SD_BUS_ERROR_INVALID_ARGS, "No such mount") : 0;
}

static char *op_get_configuration(void *userdata)
{
	return strdup("# nothing\n");
}

static void op_reload(struct bus_reply *reply, void *userdata)
{
	bus_reply_done(reply);
}

static int op_test(struct filesystem *fs, enum event_code code, struct bus_refusal *refusal,
		   void *userdata)
{
	struct fixture *fixture = userdata;
	struct event event = {
		.realtime_us = 1,
		.code = code,
		.severity = SEVERITY_NOTICE,
		.fs = fs->sb->key,
		.test = true,
	};

	if (details_add_bytes(&event.details, "where", fs->sb->mounts[0]->where,
			      strlen(fs->sb->mounts[0]->where), 0) < 0 ||
	    details_add_string(&event.details, "path", "/mnt/secret-name", DETAIL_PRIVATE) < 0)
		abort();
	(void)history_push(fixture->history, &event);
	event_deinit(&fs->last_event);
	if (event_copy(&fs->last_event, &event, true) < 0)
		abort();
	fs->has_last_event = true;
	bus_signal(fixture->bus, &event, 1);
	event_deinit(&event);
	return 0;
}

static const struct history *op_history(void *userdata)
{
	struct fixture *fixture = userdata;

	return fixture->history;
}

static const char *op_epoch(void *userdata)
{
	return "0123456789abcdef0123456789abcdef";
}

/* A stream of one packet and its end. */
static int op_open_events(uint64_t since_id, const struct bus_sender *sender, int *ret_fd,
			  struct bus_refusal *refusal, void *userdata)
{
	struct fixture *fixture = userdata;
	int pair[2];

	if (since_id == UINT64_MAX)
		return refuse(refusal, SD_BUS_ERROR_LIMITS_EXCEEDED, "Too many streams are open");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return refuse(refusal, SD_BUS_ERROR_NO_MEMORY, "No descriptors");
	(void)!write(pair[0], "stream", 6);
	close(pair[0]);
	*ret_fd = pair[1];
	fixture->streams++;
	fixture->detailed += sender->read_details;
	return 0;
}

static void op_owner_gone(const char *name, void *userdata)
{
	struct fixture *fixture = userdata;

	fixture->owners_gone++;
}

static void op_sources(void (*add)(const char *, const char *, void *), void *ctx, void *userdata)
{
	add("space", "statfs", ctx);
}

static void op_limits(void (*add)(const char *, uint64_t, void *), void *ctx, void *userdata)
{
	add("thresholds-per-filesystem", THRESHOLDS_MAX, ctx);
}

static void op_statistics(bool root, void (*add)(const char *, uint64_t, void *), void *ctx,
			  void *userdata)
{
	struct fixture *fixture = userdata;

	add("filesystems", fixture->n, ctx);
	if (root)
		add("calls-denied", 1, ctx);
}

static void op_connected(bool connected, void *userdata)
{
	printf(connected ? "connected\n" : "lost\n");
	fflush(stdout);
}

static void *op_no_userdata(void *userdata)
{
	return NULL;
}

static const struct bus_ops ops = {
	.process = &fixture_process_ops,
	.process_userdata = op_no_userdata,
	.watch = &fixture_watch_ops,
	.watch_userdata = op_no_userdata,
	.find = op_find,
	.next = op_next,
	.resolve = op_resolve,
	.find_device = op_find_device,
	.find_mount = op_find_mount,
	.get_usage = op_get_usage,
	.set_thresholds = op_set_thresholds,
	.set_events = op_set_events,
	.configure = op_configure,
	.get_configuration = op_get_configuration,
	.reload = op_reload,
	.test = op_test,
	.history = op_history,
	.epoch = op_epoch,
	.open_events = op_open_events,
	.owner_gone = op_owner_gone,
	.sources = op_sources,
	.limits = op_limits,
	.statistics = op_statistics,
	.connected = op_connected,
};

static void fixture_signal(struct fixture *fixture, unsigned long n, size_t n_bytes)
{
	struct event event = {
		.realtime_us = 1,
		.code = EVENT_CORRUPTED,
		.severity = SEVERITY_CRITICAL,
		.fs = fixture->fakes[0]->sb.key,
	};
	char text[DETAILS_MAX / 2] = "";

	if (n_bytes >= sizeof(text))
		n_bytes = sizeof(text) - 1;
	memset(text, 'x', n_bytes);
	if (details_add_string(&event.details, "text", text, 0) < 0)
		abort();

	while (n-- > 0) {
		struct event one;

		if (event_copy(&one, &event, true) < 0)
			abort();
		(void)history_push(fixture->history, &one);
		bus_signal(fixture->bus, &one, 2);
		event_deinit(&one);
	}
	event_deinit(&event);
}

static void print_rss(void)
{
	char line[128];
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "VmRSS:", 6) == 0)
			printf("rss %lu\n", strtoul(line + 6, NULL, 10));
	if (file)
		fclose(file);
}

static void print_stats(struct fixture *fixture)
{
	struct bus_statistics s;

	bus_statistics(fixture->bus, &s);
	printf("stats signals=%llu skipped=%llu refused=%llu denied=%llu reconnects=%llu "
	       "descriptors=%llu streams=%llu gone=%u asked=%llu detailed=%llu\n",
	       (unsigned long long)s.signals, (unsigned long long)s.signals_skipped,
	       (unsigned long long)s.replies_refused, (unsigned long long)s.denied,
	       (unsigned long long)s.reconnects, (unsigned long long)s.descriptors_refused,
	       (unsigned long long)fixture->streams, fixture->owners_gone,
	       (unsigned long long)s.asked, (unsigned long long)fixture->detailed);
}

static void fixture_do(struct fixture *fixture, const char *line)
{
	unsigned long a = 0, b = 0;
	char verb[16] = "";

	(void)sscanf(line, "%15s %lu %lu", verb, &a, &b);
	if (fixture_process_do(fixture->bus, verb, a, b) ||
	    fixture_watch_do(fixture->bus, verb, a, b)) {
		/* Done. */
	} else if (strcmp(verb, "add") == 0) {
		struct fake *fake = fake_new(fixture->next_n++);

		fixture->fakes[fixture->n++] = fake;
		bus_filesystem_added(fixture->bus, &fake->fs);
	} else if (strcmp(verb, "remove") == 0 && fixture->n) {
		struct fake *fake = fixture->fakes[fixture->n - 1];

		bus_filesystem_removed(fixture->bus, &fake->fs);
		fixture->n--;
		fake_free(fake);
	} else if (strcmp(verb, "grow") == 0) {
		while (fixture->n < a && fixture->n < FILESYSTEMS_MAX)
			fixture->fakes[fixture->n++] = fake_new(fixture->next_n++);
	} else if (strcmp(verb, "change") == 0) {
		while (a-- > 0)
			bus_filesystem_changed(fixture->bus, &fixture->fakes[0]->fs,
					       BUS_PROPERTY_STATE | BUS_PROPERTY_CROSSED);
	} else if (strcmp(verb, "signal") == 0) {
		fixture_signal(fixture, a, b);
	} else if (strcmp(verb, "stats") == 0) {
		print_stats(fixture);
	} else if (strcmp(verb, "rss") == 0) {
		print_rss();
	} else if (strcmp(verb, "quit") == 0) {
		(void)sd_event_exit(fixture->loop, 0);
	}
	printf("ok\n");
	fflush(stdout);
}

static int on_input(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct fixture *fixture = userdata;
	char c;

	if (read(fd, &c, 1) != 1)
		return sd_event_exit(fixture->loop, 0);
	if (c != '\n') {
		if (fixture->n_line < sizeof(fixture->line) - 1)
			fixture->line[fixture->n_line++] = c;
		return 0;
	}
	fixture->line[fixture->n_line] = '\0';
	fixture->n_line = 0;
	fixture_do(fixture, fixture->line);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct quota_limit limits[_QUOTA_KIND_N] = {
		{ 8, 64 },
		{ 1 << 20, 64 << 20 },
	};
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int r;

	if (argc == 2 && strcmp(argv[1], "--introspect") == 0)
		return bus_introspect(stdout) < 0;
	if (argc != 2 || !fixture) {
		fprintf(stderr, "usage: %s ADDRESS | --introspect\n", argv[0]);
		return 2;
	}

	signal(SIGPIPE, SIG_IGN);
	if (sd_event_default(&fixture->loop) < 0 || journal_open(fixture->loop, NULL) < 0 ||
	    quota_new(&fixture->quota, limits) < 0 ||
	    history_new(&fixture->history, 4096, 1000) < 0 ||
	    sd_event_add_io(fixture->loop, NULL, STDIN_FILENO, EPOLLIN, on_input, fixture) < 0)
		return 1;
	while (fixture->n < 3)
		fixture->fakes[fixture->n++] = fake_new(fixture->next_n++);

	if (bus_new(&fixture->bus, fixture->loop, argv[1], fixture->quota, &ops, fixture) < 0 ||
	    bus_start(fixture->bus) < 0)
		return 1;

	r = sd_event_loop(fixture->loop);

	bus_free(fixture->bus);
	while (fixture->n)
		fake_free(fixture->fakes[--fixture->n]);
	history_free(fixture->history);
	quota_free(fixture->quota);
	journal_close();
	sd_event_unref(fixture->loop);
	free(fixture);
	return r;
}
