/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>

#include "daemon/agent/agent.h"
#include "daemon/bus/bus.h"
#include "daemon/core/cleanup.h"
#include "daemon/ctl/ctl.h"
#include "daemon/manager.h"
#include "daemon/memory.h"
#include "daemon/names.h"
#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/source/mounts.h"
#include "daemon/starts.h"
#include "daemon/worker/pool.h"

/* Wrong use, as with fseventsctl. */
#define EXIT_USAGE 2

/* One descriptor for a stream or a gate each, and far more than all quotas together. */
#define MAIN_DESCRIPTORS 8192

/* More than the loop's tables of what is pending have, with a source for each watch of many users. */
#define LOOP_RESERVE (256U << 10)

static void print_help(FILE *file)
{
	fputs("Usage: fseventsd [OPTION...]\n"
	      "\n"
	      "Tells over D-Bus and in the journal what happens to filesystems.\n"
	      "\n"
	      "  -c, --config FILE        read FILE and FILE.d/*.conf instead of " CONFIG_FILE "\n"
	      "  -b, --bus BUS            system (default), session, or a D-Bus address\n"
	      "  -l, --log-level LEVEL    error, warning, notice, info or debug\n"
	      "      --introspect         print the D-Bus interfaces as XML and exit\n"
	      "      --version            print the version and exit\n"
	      "  -h, --help               print this and exit\n"
	      "\n"
	      "See fseventsd(8), fsevents.conf(5), org.fsevents1(5), fseventsctl(1).\n",
	      file);
}

static int parse_log_level(const char *text)
{
	static const char *const names[] = {
		[CONFIG_LOG_ERROR] = "error",	[CONFIG_LOG_WARNING] = "warning",
		[CONFIG_LOG_NOTICE] = "notice", [CONFIG_LOG_INFO] = "info",
		[CONFIG_LOG_DEBUG] = "debug",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

/* Return: -1 to go on, else the exit status. */
static int parse_arguments(struct manager_options *options, int argc, char **argv)
{
	enum { OPTION_INTROSPECT = 256, OPTION_VERSION };
	static const struct option long_options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "bus", required_argument, NULL, 'b' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "introspect", no_argument, NULL, OPTION_INTROSPECT },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:b:l:h", long_options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			options->config_file = optarg;
			break;
		case 'b':
			options->bus_address = optarg;
			break;
		case 'l':
			options->log_level = parse_log_level(optarg);
			if (options->log_level < 0) {
				fprintf(stderr,
					"fseventsd: --log-level: \"%s\" is none of error, warning, "
					"notice, info, debug\n",
					optarg);
				return EXIT_USAGE;
			}
			break;
		case OPTION_INTROSPECT:
			return bus_introspect(stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		case OPTION_VERSION:
			puts("fseventsd " FSEVENTSD_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			print_help(stdout);
			return EXIT_SUCCESS;
		default:
			fputs("Try \"fseventsd --help\".\n", stderr);
			return EXIT_USAGE;
		}
	}

	if (optind < argc) {
		fprintf(stderr,
			"fseventsd: unexpected argument \"%s\"\n"
			"Try \"fseventsd --help\".\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

/* Workers read it, and those have no folder of the caller's. */
static int make_absolute(const char **path, char **ret)
{
	_cleanup_free_ char *here = NULL;

	if (!*path || (*path)[0] == '/')
		return 0;

	here = getcwd(NULL, 0);
	if (!here)
		return -errno;
	if (asprintf(ret, "%s/%s", here, *path) < 0)
		return -ENOMEM;
	*path = *ret;
	return 0;
}

static uint64_t boottime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static const char *state_directory(void)
{
	const char *directory = getenv("STATE_DIRECTORY");

	return directory && directory[0] == '/' ? directory : STATE_DIRECTORY;
}

/* The text of an alarm must not have to come from the disk that just died. */
static void keep_memory(void)
{
	int r;

	r = memory_lock();
	if (r < 0)
		journal_log(LOG_NOTICE, CATALOG_MEMORY_UNLOCKED,
			    "Memory cannot be locked (%s): no alarm may come when the disk with "
			    "this program dies",
			    strerror(-r));
	r = memory_populate(NULL);
	if (r < 0)
		journal_log(LOG_NOTICE, CATALOG_MEMORY_UNLOCKED,
			    "The program cannot be read into memory as a whole (%s): no alarm may "
			    "come when its disk dies",
			    strerror(-r));
}

static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

/* More than the default, as far as that is allowed; a limit that is higher stays. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= MAIN_DESCRIPTORS)
		return;
	limit.rlim_cur = MAIN_DESCRIPTORS;
	if (limit.rlim_max < MAIN_DESCRIPTORS)
		limit.rlim_max = MAIN_DESCRIPTORS;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/*
 * A turn of the loop needs memory of its own for what is pending, and fails where there is none.
 * What it would do lets go of some, so it gets what was kept for it, and that is had again afterwards.
 */
static int loop_run(sd_event *loop)
{
	_cleanup_free_ void *reserve = malloc(LOOP_RESERVE);
	int code, r;

	while (sd_event_get_state(loop) != SD_EVENT_FINISHED) {
		r = sd_event_run(loop, UINT64_MAX);
		if (r < 0 && (r != -ENOMEM || !reserve))
			return r;
		if (r < 0) {
			free(reserve);
			reserve = NULL;
		} else if (!reserve) {
			reserve = malloc(LOOP_RESERVE);
		}
	}

	r = sd_event_get_exit_code(loop, &code);
	return r < 0 ? r : code;
}

static int run(struct manager_options *options)
{
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	_cleanup_(manager_freep) struct manager *manager = NULL;
	int r;

	raise_descriptors();

	r = block_signals();
	if (r < 0)
		return r;

	r = sd_event_default(&loop);
	if (r < 0)
		return r;

	r = journal_open(loop, NULL);
	if (r < 0)
		return r;

	r = manager_new(&manager, loop, options);
	if (r < 0)
		return r;

	keep_memory();

	r = manager_start(manager);
	if (r < 0)
		return r;

	r = loop_run(loop);
	(void)sd_notify(false, "STOPPING=1");
	journal_log(LOG_INFO, CATALOG_STOPPING, "Stopping");
	return r;
}

/* No destructor of a library is needed, and none must be read from a disk that may be dead. */
static void end(int status)
{
	fflush(NULL);
#ifndef __SANITIZE_ADDRESS__
	_exit(status);
#endif
}

int main(int argc, char **argv)
{
	struct manager_options options = {
		.bus_address = "system",
		.log_level = -1,
		.zygote_fd = -1,
	};
	_cleanup_free_ char *config_file = NULL;
	int r;

	if (ctl_is_called(argv[0]))
		return ctl_main(argc, argv);
	if (agent_is_called(argv[0]))
		return agent_main(argc, argv);

	r = parse_arguments(&options, argc, argv);
	if (r >= 0)
		return r;

	if (geteuid() != 0) {
		fputs("fseventsd: must be started by root\n", stderr);
		return EXIT_FAILURE;
	}

	options.state_directory = state_directory();

	/* The last two before any other descriptor, thread or event loop exists. */
	r = make_absolute(&options.config_file, &config_file);
	if (r >= 0)
		r = mounts_enter_namespace(&(bool){ false });
	if (r >= 0)
		r = zygote_start(&options.zygote_fd);
	if (r < 0) {
		fprintf(stderr, "fseventsd: cannot start: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}

	options.safe_mode =
		starts_begin(getenv("RUNTIME_DIRECTORY"), boottime(), &options.ended_abruptly);
	r = run(&options);
	/* Ended in order, or for a reason that was told: no crash. */
	starts_end(getenv("RUNTIME_DIRECTORY"));
	if (r < 0)
		journal_log(LOG_ERR, NULL, "Stopped: %s", strerror(-r));
	journal_close();
	end(r ? EXIT_FAILURE : EXIT_SUCCESS);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
