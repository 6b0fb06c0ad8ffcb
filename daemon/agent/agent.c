/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <systemd/sd-daemon.h>

#include "daemon/agent/agent.h"
#include "daemon/agent/folders.h"
#include "daemon/agent/muted.h"
#include "daemon/agent/notices.h"
#include "daemon/agent/place.h"
#include "daemon/core/escape.h"
#include "daemon/names.h"

/* Wrong use, as with fseventsctl. */
#define EXIT_USAGE 2

struct options {
	const char *bus;
	bool list;
	const char *unmute; /* NULL: nothing */
	bool unmute_all;
	bool no_folders;
};

bool agent_is_called(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
	const char *name = slash ? slash + 1 : argv0;

	return name && strcmp(name, "fsevents-agent") == 0;
}

void agent_log(const char *format, ...)
{
	_cleanup_free_ char *text = NULL, *printable = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0)
		text = NULL;
	printable = text ? escape_new(text, strlen(text), 0) : NULL;
	fprintf(stderr, "fsevents-agent: %s\n", printable ?: "out of memory");
}

static void print_help(FILE *file)
{
	fputs("Usage: fsevents-agent [OPTION...]\n"
	      "\n"
	      "Shows notices on the desktop for what fseventsd(8) tells of filesystems, until\n"
	      "the session ends.\n"
	      "\n"
	      "  -b, --bus BUS            where the daemon is: system (default), session, or a\n"
	      "                           D-Bus address; notices go to the session's bus\n"
	      "      --no-folders         do not watch the folders that KDE's file views show\n"
	      "      --muted              list the filesystems that are muted and exit\n"
	      "      --unmute WHERE       tell of this filesystem again and exit: its place, its\n"
	      "                           UUID or its device, as --muted shows them\n"
	      "      --unmute-all         tell of all again and exit\n"
	      "      --version            print the version and exit\n"
	      "  -h, --help               print this and exit\n"
	      "\n"
	      "Exit status: 0 done, 1 failed or another one runs, 2 wrong use.\n"
	      "See fsevents-agent(1).\n",
	      file);
}

/* Return: -1 to go on, else the exit status. */
static int parse_arguments(struct options *options, int argc, char **argv)
{
	enum {
		OPTION_MUTED = 256,
		OPTION_UNMUTE,
		OPTION_UNMUTE_ALL,
		OPTION_NO_FOLDERS,
		OPTION_VERSION
	};
	static const struct option long_options[] = {
		{ "bus", required_argument, NULL, 'b' },
		{ "no-folders", no_argument, NULL, OPTION_NO_FOLDERS },
		{ "muted", no_argument, NULL, OPTION_MUTED },
		{ "unmute", required_argument, NULL, OPTION_UNMUTE },
		{ "unmute-all", no_argument, NULL, OPTION_UNMUTE_ALL },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "b:h", long_options, NULL)) >= 0) {
		switch (c) {
		case 'b':
			options->bus = optarg;
			break;
		case OPTION_NO_FOLDERS:
			options->no_folders = true;
			break;
		case OPTION_MUTED:
			options->list = true;
			break;
		case OPTION_UNMUTE:
			options->unmute = optarg;
			break;
		case OPTION_UNMUTE_ALL:
			options->unmute_all = true;
			break;
		case OPTION_VERSION:
			puts("fsevents-agent " FSEVENTSD_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			print_help(stdout);
			return EXIT_SUCCESS;
		default:
			fputs("Try \"fsevents-agent --help\".\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc && options->list + options->unmute_all + !!options->unmute <= 1)
		return -1;

	fprintf(stderr, optind < argc
				? "fsevents-agent: unexpected argument\n"
				: "fsevents-agent: --muted, --unmute and --unmute-all exclude each "
				  "other\n");
	fputs("Try \"fsevents-agent --help\".\n", stderr);
	return EXIT_USAGE;
}

/* The running agent is told; where there is none, nobody has to be. */
static void tell_agent(void)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r;

	r = sd_bus_open_user(&bus);
	if (r >= 0)
		r = sd_bus_message_new_method_call(bus, &m, AGENT_NAME, AGENT_PATH, AGENT_IFACE,
						   "Reload");
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0)
		(void)sd_bus_call(bus, m, 0, NULL, NULL);
}

static int unmute(struct place *place, struct muted *muted, const char *what)
{
	_cleanup_free_ char *text = NULL;
	int r;

	if (muted_remove(muted, what) == 0 && what) {
		agent_log("nothing that is muted is called \"%s\"", what);
		return EXIT_FAILURE;
	}
	text = muted_print(muted);
	r = text ? place_write(place, PLACE_MUTED, text) : -ENOMEM;
	if (r < 0) {
		agent_log("cannot write what is muted: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	tell_agent();
	return EXIT_SUCCESS;
}

static int run_muted(const struct options *options)
{
	_cleanup_(place_freep) struct place *place = NULL;
	_cleanup_(muted_deinit) struct muted muted = {};
	_cleanup_free_ char *text = NULL;
	int r;

	r = place_new(&place, NULL);
	if (r >= 0)
		r = place_read(place, PLACE_MUTED, &text);
	if (r >= 0)
		r = muted_parse(&muted, text);
	if (r < 0 && r != -ENOENT) {
		agent_log("cannot read what is muted: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	if (!options->list)
		return unmute(place, &muted, options->unmute_all ? NULL : options->unmute);

	for (size_t i = 0; i < muted.n_items; i++)
		printf("%s\t%s\n", muted.items[i].where, muted.items[i].identity);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int method_reload(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	notices_reload(userdata);
	return sd_bus_reply_method_return(m, NULL);
}

static int property_get_following(sd_bus *bus, const char *path, const char *interface,
				  const char *property, sd_bus_message *reply, void *userdata,
				  sd_bus_error *ret_error)
{
	return sd_bus_message_append(reply, "b", notices_is_following(userdata));
}

static int property_get_folders(sd_bus *bus, const char *path, const char *interface,
				const char *property, sd_bus_message *reply, void *userdata,
				sd_bus_error *ret_error)
{
	return sd_bus_message_append(reply, "u", (uint32_t)notices_count_folders(userdata));
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Folders", "u", property_get_folders, 0, 0),
	SD_BUS_PROPERTY("Following", "b", property_get_following, 0, 0),
	SD_BUS_METHOD("Reload", NULL, NULL, method_reload, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int prepare_loop(sd_event **ret)
{
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	static const int ends[] = { SIGTERM, SIGINT };
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);

	r = sd_event_default(&loop);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && r >= 0; i++)
		r = sd_event_add_signal(loop, NULL, ends[i], NULL, NULL);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(loop);
	return 0;
}

static int join_session(sd_bus **ret, sd_event *loop)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int r;

	r = sd_bus_open_user(&bus);
	if (r >= 0)
		r = sd_bus_attach_event(bus, loop, SD_EVENT_PRIORITY_NORMAL);
	/* A session without its bus is over. */
	if (r >= 0)
		r = sd_bus_set_exit_on_disconnect(bus, true);
	if (r >= 0)
		r = sd_bus_request_name(bus, AGENT_NAME, 0);
	if (r == -EEXIST) {
		agent_log("another one runs in this session");
		return r;
	}
	if (r < 0) {
		agent_log("cannot use the session's bus: %s",
			  r == -ENOMEDIUM ? "the environment does not say where it is"
					  : strerror(-r));
		return r;
	}
	*ret = TAKE_PTR(bus);
	return 0;
}

static int run_agent(const struct options *options)
{
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *session = NULL;
	_cleanup_(folders_freep) struct folders *folders = NULL;
	_cleanup_(notices_freep) struct notices *notices = NULL;
	int r = 0;

	/* Nothing that it starts may get more than the user has. */
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

	r = prepare_loop(&loop);
	if (r < 0) {
		agent_log("cannot start: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	if (join_session(&session, loop) < 0)
		return EXIT_FAILURE;

	if (!options->no_folders)
		r = folders_new(&folders, loop, session);
	if (r >= 0)
		r = notices_new(&notices, loop, session, options->bus, folders);
	if (r >= 0)
		r = sd_bus_add_object_vtable(session, NULL, AGENT_PATH, AGENT_IFACE, vtable,
					     notices);
	if (r >= 0)
		r = notices_start(notices);
	if (r < 0) {
		agent_log("cannot start: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	(void)sd_notify(false, "READY=1");
	r = sd_event_loop(loop);
	(void)sd_notify(false, "STOPPING=1");
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

int agent_main(int argc, char **argv)
{
	struct options options = { .bus = "system" };
	int r;

	r = parse_arguments(&options, argc, argv);
	if (r >= 0)
		return r;
	if (options.list || options.unmute || options.unmute_all)
		return run_muted(&options);
	return run_agent(&options);
}
