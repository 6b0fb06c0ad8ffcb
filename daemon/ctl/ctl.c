/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/ctl/client.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/standard.h"

#define CTL_ARGS_ANY INT_MAX

static const struct verb {
	const char *name;
	const char *args;
	const char *summary;
	int min_args, max_args;
	bool needs_bus;
	bool takes_since;
	int (*run)(struct ctl *ctl);
	const char *help;
} verbs[] = {
	{ "status", "[WHERE...]", "usage and state of the filesystems", 0, CTL_ARGS_ANY, true,
	  false, ctl_status,
	  "Shows each monitored filesystem with its size, what is available to an ordinary\n"
	  "user, a usage bar and its state. WHERE limits it to some filesystems: a mount\n"
	  "point, any path on the filesystem, or an object path. With --openmetrics as figures\n"
	  "in the text format of OpenMetrics.\n" },
	{ "list", "", "filesystems with device, type and object path", 0, 0, true, false, ctl_list,
	  "Lists the monitored filesystems without asking any of them for its usage.\n" },
	{ "show", "WHERE", "everything known of one filesystem", 1, 1, true, false, ctl_show,
	  "Shows properties, thresholds, usage and the last event of one filesystem.\n" },
	{ "monitor", "[WHERE...]", "follow events until interrupted", 0, CTL_ARGS_ANY, true, false,
	  ctl_monitor,
	  "Prints events as they happen, of all filesystems or of those named, and of what is\n"
	  "mounted at their mount points later. Goes on when the daemon is restarted: what\n"
	  "happened meanwhile is told then.\n" },
	{ "history", "[--since ID]", "past events", 0, 0, true, true, ctl_history,
	  "Prints the events that the daemon keeps, oldest first; with --since only those\n"
	  "after the event ID. Root sees private details such as the top writers too.\n" },
	{ "track", "PID | -- COMMAND...", "follow a process and its descendants", 1, CTL_ARGS_ANY,
	  false, false, ctl_track,
	  "Prints each fork, exec and exit of the process PID and of all that descend from it,\n"
	  "or of COMMAND, which is executed then; after the last has ended, the time, bytes and\n"
	  "memory that they took together. What is printed about a COMMAND goes to the standard\n"
	  "error output. Exits with the status of COMMAND (128 and the signal where one killed\n"
	  "it), 125 on a failure of its own, 126 where it cannot be executed, 127 where there is\n"
	  "none. Own processes are for everybody, others take a permission.\n" },
	{ "watch", "PATH...", "follow changes of files and directories", 1, CTL_ARGS_ANY, false,
	  false, ctl_watch,
	  "Prints each change of the files and directories PATH and of what is right in them, "
	  "with\n"
	  "-r of all below. What could not be told is a line in its place that names the\n"
	  "directory to look through again. Only what you may list is told.\n"
	  "\n"
	  "  -r, --recursive      all below, without a watch for each directory\n"
	  "  -e, --events=LIST    of access modify attrib close-write open create delete move\n"
	  "                       delete-self move-self mount unmount, by commas; or all\n"
	  "                       (default: all but access and open)\n"
	  "      --latency=MS     how late changes may be told, so that they are told together\n"
	  "                       (default 50)\n"
	  "      --cross-mounts   with -r: also filesystems that are mounted below\n"
	  "\n"
	  "The process that made a change stands in brackets where it is your own, or you are "
	  "root.\n" },
	{ "relay", "PID [SIGNAL]", "send a process a signal for each fork", 0, 2, true, false,
	  ctl_relay,
	  "The process PID gets the real-time signal SIGNAL (34 to 64, default 34), which it must\n"
	  "catch or block, for each new process: si_pid is the parent, si_value the child.\n"
	  "It ends with the process, and when that executes a program or changes its user.\n"
	  "\n"
	  "  fseventsctl relay --list       those there are, with the number of signals lost\n"
	  "  fseventsctl relay --stop PID   end one\n" },
	{ "test", "WHERE CODE", "send a synthetic event through the whole chain", 2, 2, true, false,
	  ctl_test,
	  "Makes the daemon tell a synthetic event, marked as a test, of the filesystem WHERE:\n"
	  "to history, journal, signals and streams. CODE is an event code such as\n"
	  "threshold-below or stalled. Takes the permission org.fsevents1.test.\n" },
	{ "configure", "LINE", "change settings at run time", 1, 1, true, false, ctl_configure,
	  "Carries out one line of the runtime grammar, all of it or nothing, until the next\n"
	  "reload or restart:\n"
	  "\n"
	  "  fseventsctl configure '/srv G T 710000 500000; !/mnt'\n"
	  "\n"
	  "G selects all health events, T sets thresholds (in blocks, not increasing), E CODE,...\n"
	  "selects events, !MOUNT stops watching a filesystem, the empty line stops all.\n"
	  "Takes the permission org.fsevents1.configure. See fsevents.conf(5).\n" },
	{ "check-config", "[FILE]", "check a configuration without a daemon", 0, 1, false, false,
	  ctl_check_config,
	  "Reads FILE and FILE.d/*.conf, or the configuration of this machine, as the daemon\n"
	  "would, and says what is wrong with file, line and key. Exits 1 when something is.\n" },
	{ "reload", "", "make the daemon read its configuration again", 0, 0, true, false,
	  ctl_reload,
	  "The old configuration stays in force when the new one has a fault. Takes the\n"
	  "permission org.fsevents1.configure.\n" },
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_help(FILE *file)
{
	fputs("Usage: fseventsctl [OPTION...] VERB [ARGUMENT...]\n"
	      "\n"
	      "Asks fseventsd(8) about filesystems and follows what happens to them.\n"
	      "\n"
	      "Verbs:\n",
	      file);
	for (size_t i = 0; i < N_VERBS; i++) {
		char call[64];

		snprintf(call, sizeof(call), "%s %s", verbs[i].name, verbs[i].args);
		fprintf(file, "  %-26s %s\n", call, verbs[i].summary);
	}
	fputs("\n"
	      "Options:\n"
	      "      --bus=BUS              system (default), session, or a D-Bus address\n"
	      "      --json                 one JSON object a line\n"
	      "      --openmetrics          status: as figures for a collector\n"
	      "      --since=ID             history: only events after this id\n"
	      "      --list                 relay: those there are\n"
	      "      --stop=PID             relay: end the one to this process\n"
	      "  -r, --recursive            watch: everything below\n"
	      "  -e, --events=LIST          watch: these alone\n"
	      "      --latency=MS           watch: how late changes may be told\n"
	      "      --cross-mounts         watch: across mount points\n"
	      "      --version              print the version and exit\n"
	      "  -h, --help                 print this, or the help of VERB, and exit\n"
	      "\n"
	      "Exit status: 0 done, 1 failed, 2 wrong use, 3 the daemon is not running; of\n"
	      "\"track -- COMMAND\" that of the command.\n",
	      file);
}

static void print_verb_help(const struct verb *verb, FILE *file)
{
	fprintf(file, "Usage: fseventsctl [OPTION...] %s%s%s\n\n%s", verb->name,
		verb->args[0] ? " " : "", verb->args, verb->help);
}

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

bool ctl_is_called(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
	const char *name = slash ? slash + 1 : argv0;

	return name && strcmp(name, "fseventsctl") == 0;
}

struct options {
	const char *bus;
	bool help;
	bool version;
	struct ctl ctl;
};

static int parse_since(struct ctl *ctl, const char *text)
{
	char *end;

	errno = 0;
	ctl->since = strtoull(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9') {
		standard_error("--since: \"%s\" is not an event id (a decimal number)", text);
		return CTL_USAGE;
	}
	ctl->has_since = true;
	return CTL_DONE;
}

static int hint_help(void)
{
	fputs("Try \"fseventsctl --help\".\n", stderr);
	return CTL_USAGE;
}

static int refuse_option(const char *option, const char *reason)
{
	standard_error("the option \"%s\" %s", option, reason);
	return hint_help();
}

/* Return: enum ctl_exit; CTL_DONE to go on. */
static int parse_options(struct options *options, int argc, char **argv)
{
	enum {
		OPTION_BUS = 256,
		OPTION_JSON,
		OPTION_SINCE,
		OPTION_LIST,
		OPTION_STOP,
		OPTION_LATENCY,
		OPTION_OPENMETRICS,
		OPTION_CROSS_MOUNTS,
		OPTION_VERSION
	};
	static const struct option long_options[] = {
		{ "bus", required_argument, NULL, OPTION_BUS },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "since", required_argument, NULL, OPTION_SINCE },
		{ "list", no_argument, NULL, OPTION_LIST },
		{ "stop", required_argument, NULL, OPTION_STOP },
		{ "openmetrics", no_argument, NULL, OPTION_OPENMETRICS },
		{ "recursive", no_argument, NULL, 'r' },
		{ "events", required_argument, NULL, 'e' },
		{ "latency", required_argument, NULL, OPTION_LATENCY },
		{ "cross-mounts", no_argument, NULL, OPTION_CROSS_MOUNTS },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, ":hre:", long_options, NULL)) >= 0) {
		switch (c) {
		case OPTION_BUS:
			options->bus = optarg;
			break;
		case OPTION_JSON:
			options->ctl.style.json = true;
			break;
		case OPTION_SINCE:
			if (parse_since(&options->ctl, optarg) != CTL_DONE)
				return CTL_USAGE;
			break;
		case OPTION_LIST:
			options->ctl.list = true;
			break;
		case OPTION_STOP:
			options->ctl.stop = optarg;
			break;
		case OPTION_OPENMETRICS:
			options->ctl.openmetrics = true;
			break;
		case 'r':
			options->ctl.recursive = true;
			break;
		case 'e':
			options->ctl.events = optarg;
			break;
		case OPTION_LATENCY:
			options->ctl.latency = optarg;
			break;
		case OPTION_CROSS_MOUNTS:
			options->ctl.cross_mounts = true;
			break;
		case OPTION_VERSION:
			options->version = true;
			break;
		case 'h':
			options->help = true;
			break;
		case ':':
			return refuse_option(argv[optind - 1], "needs a value");
		default:
			if (optopt >= OPTION_BUS)
				return refuse_option(argv[optind - 1], "takes no value");
			return refuse_option(argv[optind - 1], "is not known");
		}
	}
	return CTL_DONE;
}

static int check_use(const struct verb *verb, const struct ctl *ctl)
{
	if (ctl->has_since && !verb->takes_since) {
		standard_error("%s: --since goes with history only", verb->name);
		return CTL_USAGE;
	}
	if ((ctl->list || ctl->stop) && verb->run != ctl_relay) {
		standard_error("%s: --list and --stop go with relay only", verb->name);
		return CTL_USAGE;
	}
	if ((ctl->recursive || ctl->events || ctl->latency || ctl->cross_mounts) &&
	    verb->run != ctl_watch) {
		standard_error("%s: -r, -e, --latency and --cross-mounts go with watch only",
			       verb->name);
		return CTL_USAGE;
	}
	if (ctl->openmetrics && (verb->run != ctl_status || ctl->style.json)) {
		standard_error("%s: --openmetrics goes with status only, and without --json",
			       verb->name);
		return CTL_USAGE;
	}
	/* Of a line of settings and of a command it may mean something. */
	for (int i = 0; i < ctl->n_args && verb->run != ctl_configure && !ctl->n_after_dashes; i++)
		if (!ctl->args[i][0]) {
			standard_error("%s: an argument is empty", verb->name);
			return CTL_USAGE;
		}
	if (ctl->n_args >= verb->min_args && ctl->n_args <= verb->max_args)
		return CTL_DONE;

	standard_error("%s: too %s arguments", verb->name,
		       ctl->n_args < verb->min_args ? "few" : "many");
	fprintf(stderr, "Usage: fseventsctl %s%s%s\n", verb->name, verb->args[0] ? " " : "",
		verb->args);
	return CTL_USAGE;
}

static int run_verb(const struct verb *verb, struct ctl *ctl)
{
	int r;

	r = check_use(verb, ctl);
	if (r == CTL_DONE && verb->needs_bus)
		r = client_open(&ctl->bus, ctl->address);
	if (r == CTL_DONE)
		r = verb->run(ctl);
	ctl->bus = sd_bus_flush_close_unref(ctl->bus);
	return r;
}

static int run(struct options *options, int n_args, char **args)
{
	const struct verb *verb = NULL;

	if (options->version) {
		puts("fseventsctl " FSEVENTSD_VERSION);
		return CTL_DONE;
	}
	if (n_args == 0) {
		print_help(options->help ? stdout : stderr);
		return options->help ? CTL_DONE : CTL_USAGE;
	}

	verb = verb_find(args[0]);
	if (!verb) {
		standard_error("there is no verb \"%s\"", args[0]);
		return hint_help();
	}
	if (options->help) {
		print_verb_help(verb, stdout);
		return CTL_DONE;
	}

	options->ctl.address = options->bus;
	options->ctl.args = args + 1;
	options->ctl.n_args = n_args - 1;
	options->ctl.style.colour = standard_has_colour();
	return run_verb(verb, &options->ctl);
}

/* getopt_long() takes the dashes away, and what is a command has its own options. */
static int count_after_dashes(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return argc - i - 1;
	return 0;
}

int ctl_main(int argc, char **argv)
{
	struct options options = { .bus = "system" };
	int r;

	options.ctl.n_after_dashes = count_after_dashes(argc, argv);

	standard_prepare();
	setlocale(LC_CTYPE, "");

	r = parse_options(&options, argc, argv);
	if (r == CTL_DONE)
		r = run(&options, argc - optind, argv + optind);

	/* Output that did not arrive is a failure, unless nobody wanted it any more. */
	if (standard_flush() < 0 && r == CTL_DONE)
		r = CTL_FAILED;
	return r;
}
