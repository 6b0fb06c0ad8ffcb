/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Every way to get a line wrong, and what is said about it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/config-fixture.h"

struct bad_row {
	const char *text;
	unsigned int line;
	const char *key; /* NULL: none */
	const char *said; /* what is wrong, or what was found */
	const char *allowed;
};

#define FS "[filesystem /srv]\n"
#define FS_KEY(_key) "[filesystem /srv] " _key

static const struct bad_row bad_rows[] = {
	/* lines */
	{ "watches = 5\n", 1, "watches", "before the first section", "[daemon]" },
	{ "hello\n", 1, NULL, "not understood", "key = value" },
	{ "[limits]\nwatches\n", 2, "[limits]", "not understood", "key = value" },
	{ "[limits]\n\n\nwatches 5", 4, "[limits]", "not understood", "key = value" },
	{ "[limits]\nwatches: 5\n", 2, "[limits]", "not understood", "key = value" },
	{ "[limits]\na:watches = 5\n", 2, "[limits]", "not understood", "key = value" },
	{ "[limits]\nwatches ;= 5\n", 2, "[limits]", "not understood", "key = value" },
	{ "[limits]\nwatches = 5\n  6\n", 3, "[limits]", "not understood",
	  "a value ends with its line" },
	{ "[limits]\n = 5\n", 2, "[limits] ", "'' is not a key", "watches, groups" },
	{ "[limits]\nwatches = 5\n = 5\n", 3, "[limits]", "not understood", "key = value" },
	{ "[limits]\r\nwatches = x\r\n", 2, "[limits] watches", "'x' is not a number",
	  "0 to 65536" },
	{ "\xef\xbb\xbf[limits]\nwatches = x\n", 2, "[limits] watches", "'x'", "0 to 65536" },
	{ "[limits]\n\f[limits]\nwatches = 5\n", 2, "[limits]", "not understood", "[section]" },
	{ "\xef\xbb\xbf\xef\xbb\xbf[limits]\n", 1, NULL, "not understood", "[section]" },
	{ "\xef\xbb\xbf\xef\xbb\xbf[limits] = 1\n", 1, "\xef\xbb\xbf[limits]",
	  "before the first section", "[daemon]" },
	{ "[limits]\n\xa0[x] = 1\n", 2, "[limits] \\240[x]", "'\\240[x]' is not a key", "watches" },
	/* headers */
	{ "[limit]\n", 1, "[limit]", "'limit' is not a section", "[filesystem WHERE]" },
	{ "[Limits]\n", 1, "[Limits]", "'Limits' is not a section", "[limits]" },
	{ "[]\n", 1, "[]", "'' is not a section", "[daemon]" },
	{ "[limits\n", 1, "[limits", "no ']'", "[section]" },
	{ "\n[limits] x\n", 2, "[limits] x", "text behind", "\\135" },
	{ "[limits x]\n", 1, "[limits x]", "takes no name", "[limits]" },
	{ "[daemon x]\n", 1, "[daemon x]", "takes no name", "[daemon]" },
	{ "[filesystem]\n", 1, "[filesystem]", "name is missing", "[filesystem WHERE]" },
	{ "[filesystem /a b]\n", 1, "[filesystem /a b]", "white space", "\\040" },
	{ "[filesystem a]\n", 1, "[filesystem a]", "'a' names no filesystem", "uuid:X" },
	{ "[filesystem UUID:a]\n", 1, "[filesystem UUID:a]", "names no filesystem", "uuid:X" },
	{ "[filesystem **]\n", 1, "[filesystem **]", "names no filesystem", "type:X or *" },
	{ "[filesystem /a]b]\n", 1, "[filesystem /a]b]", "text behind", "\\135" },
	{ "[filesystem /a;b]\n", 1, "[filesystem /a;b]", "';' and '#'", "\\073" },
	{ "[filesystem /a#b]\n", 1, "[filesystem /a#b]", "';' and '#'", "\\043" },
	{ "[filesystem /a\\b]\n", 1, "[filesystem /a\\b]", "starts nothing", "\\ooo" },
	{ "[filesystem /a\\000]\n", 1, "[filesystem /a\\000]", "starts nothing", "\\001 to \\377" },
	{ "[filesystem /a\x01]\n", 1, "[filesystem /a\\001]", "does not print", "\\ooo" },
	{ "[filesystem /a\xff]\n", 1, "[filesystem /a\\377]", "does not print", "\\ooo" },
	{ "[filesystem /a\xe2\x80\xae]\n", 1, "[filesystem /a\\342\\200\\256]", "does not print",
	  "\\ooo" },
	{ "[filesystem /a/../b]\n", 1, "[filesystem /a/../b]", "'.' or '..'", "mountinfo" },
	{ "[filesystem /.]\n", 1, "[filesystem /.]", "'.' or '..'", "mountinfo" },
	{ "[filesystem uuid:]\n", 1, "[filesystem uuid:]", "'' is not a uuid", "1 to 64 letters" },
	{ "[filesystem uuid:a/b]\n", 1, "[filesystem uuid:a/b]", "'a/b' is not a uuid", "digits" },
	{ "[filesystem label:]\n", 1, "[filesystem label:]", "label is empty", "1 to 256 bytes" },
	{ "[filesystem type:]\n", 1, "[filesystem type:]", "'' is not a type", "1 to 64 letters" },
	{ "[filesystem type:a*]\n", 1, "[filesystem type:a*]", "'a*' is not a type", "letters" },
	{ "[filesystem device:sda1]\n", 1, "[filesystem device:sda1]", "does not begin with '/'",
	  "absolute" },
	{ "[filesystem device:/srv/x]\n", 1, "[filesystem device:/srv/x]",
	  "'/srv/x' is not a device", "below /dev" },
	{ "[filesystem device:/dev/../x]\n", 1, "[filesystem device:/dev/../x]", "'..'",
	  "mountinfo" },
	{ "[filesystem device:/dev]\n", 1, "[filesystem device:/dev]", "is not a device",
	  "below /dev" },
	{ "[watch]\n", 1, "[watch]", "name is missing", "[watch PATH]" },
	{ "[watch tmp]\n", 1, "[watch tmp]", "does not begin with '/'", "absolute" },
	{ "[process]\n", 1, "[process]", "name is missing", "[process NAME]" },
	{ "[process a/b]\n", 1, "[process a/b]", "'a/b' is not a name", "1 to 64 letters" },
	{ "[process a b]\n", 1, "[process a b]", "white space", "[process NAME]" },
	/* keys */
	{ "[daemon]\nsource = all\n", 2, "[daemon] source", "'source' is not a key",
	  "sources, history-size, log-level" },
	{ "[limits]\nlog-level = info\n", 2, "[limits] log-level", "not a key of [limits]",
	  "queue-bytes" },
	{ FS "thresholds = none\n", 2, FS_KEY("thresholds"), "not a key",
	  "events, ignore, threshold" },
	{ FS "Events = all\n", 2, FS_KEY("Events"), "not a key", "events, ignore, threshold" },
	{ "[watch /a]\nthreshold = none\n", 2, "[watch /a] threshold", "not a key",
	  "events, recursive, log-level" },
	{ "[process a]\nexit = none\n", 2, "[process a] exit", "not a key",
	  "command, unit, user, fork-rate, exits" },
	{ "[limits]\n\x1b[2J = 1\n", 2, "[limits] \\033[2J", "'\\033[2J' is not a key", "watches" },
	{ "[limits]\nwatches = 5\ngroups = 5\nwatches = 6\n", 4, "[limits] watches", "given again",
	  "line 2" },
	{ "[limits]\nwatches = 5\n[daemon]\n[limits]\nwatches = 6\n", 5, "[limits] watches",
	  "given again", "line 2" },
	/* [daemon] */
	{ "[daemon]\nsources =\n", 2, "[daemon] sources", "'' is not a source",
	  "gate, mount-events" },
	{ "[daemon]\nsources = gate,kernel\n", 2, "[daemon] sources", "'kernel' is not a source",
	  "gate, mount-events, fs-errors, kmsg, uevents, processes, watches, module" },
	{ "[daemon]\nsources = gate mount-events\n", 2, "[daemon] sources", "is not a source",
	  "comma list" },
	{ "[daemon]\nre-evaluation = 4\n", 2, "[daemon] re-evaluation", "not in range",
	  "5 to 3600" },
	{ "[daemon]\nre-evaluation = 3601\n", 2, "[daemon] re-evaluation", "not in range",
	  "5 to 3600" },
	{ "[daemon]\nre-evaluation = 1m\n", 2, "[daemon] re-evaluation", "not a number",
	  "5 to 3600" },
	{ "[daemon]\nhistory-size = 255\n", 2, "[daemon] history-size", "'255' is not in range",
	  "256 to 65536" },
	{ "[daemon]\nhistory-size = 65537\n", 2, "[daemon] history-size", "not in range",
	  "256 to 65536" },
	{ "[daemon]\nhistory-size = 4K\n", 2, "[daemon] history-size", "not a number",
	  "256 to 65536" },
	{ "[daemon]\nlog-level = verbose\n", 2, "[daemon] log-level",
	  "'verbose' is not a log level", "error, warning, notice, info, debug" },
	/* [limits] */
	{ "[limits]\nwatches = -1\n", 2, "[limits] watches", "'-1' is not a number", "0 to 65536" },
	{ "[limits]\nwatches = 65537\n", 2, "[limits] watches", "not in range", "0 to 65536" },
	{ "[limits]\nwatches = 99999999999999999999999\n", 2, "[limits] watches", "not in range",
	  "0 to 65536" },
	{ "[limits]\ngroups = 1025\n", 2, "[limits] groups", "not in range", "0 to 1024" },
	{ "[limits]\nrelays = 257\n", 2, "[limits] relays", "not in range", "0 to 256" },
	{ "[limits]\nstreams = 257\n", 2, "[limits] streams", "not in range", "0 to 256" },
	{ "[limits]\nqueue-bytes = 1\n", 2, "[limits] queue-bytes", "'1' is not in range",
	  "64K to 64M" },
	{ "[limits]\nqueue-bytes = 257M\n", 2, "[limits] queue-bytes", "not in range",
	  "64K to 64M" },
	{ "[limits]\nqueue-bytes = 1MB\n", 2, "[limits] queue-bytes", "'1MB' is not a size",
	  "K, M, G or T" },
	{ "[limits]\nqueue-bytes = 99999999T\n", 2, "[limits] queue-bytes", "too large", "bytes" },
	/* [filesystem] */
	{ FS "events = enospc, disk-full\n", 2, FS_KEY("events"),
	  "'disk-full' is not an event code", "writeback-error" },
	{ FS "ignore = maybe\n", 2, FS_KEY("ignore"), "'maybe' is neither yes nor no", "true" },
	{ FS "threshold =\n", 2, FS_KEY("threshold"), "'' is not a threshold's name",
	  "NAME space|inodes" },
	{ FS "threshold = low 10%\n", 2, FS_KEY("threshold"), "'10%' is not what",
	  "space or inodes" },
	{ FS "threshold = low space 10% red\n", 2, FS_KEY("threshold"), "'red' is not expected",
	  "warning|critical" },
	{ FS "threshold = low space 110%\n", 2, FS_KEY("threshold"), "'110%' is more", "0 to 100" },
	{ FS "threshold = low space 99999999T\n", 2, FS_KEY("threshold"), "too large", "Nblocks" },
	{ FS "threshold = low inodes 5G\n", 2, FS_KEY("threshold"), "'5G' is not a level",
	  "a number of inodes" },
	{ FS "threshold = low space 1G\n#\nthreshold = low inodes 5\n", 4, FS_KEY("threshold"),
	  "'low' is used", "once a section" },
	{ FS "threshold = none\nthreshold = low space 1G\n", 3, FS_KEY("threshold"),
	  "'threshold = none' on line 2", "either" },
	{ FS "threshold = low space 1G\nthreshold = none\n", 3, FS_KEY("threshold"),
	  "another threshold on line 2", "either" },
	{ FS "threshold = none\nthreshold = none\n", 3, FS_KEY("threshold"), "line 2", "either" },
	/* [watch] and [process] */
	{ "[watch /a]\nevents = enospc\n", 2, "[watch /a] events",
	  "'enospc' is not an event of watches", "close-write" },
	{ "[watch /a]\nrecursive = deep\n", 2, "[watch /a] recursive", "neither yes nor no",
	  "yes" },
	{ "[watch /a]\nlog-level = loud\n", 2, "[watch /a] log-level", "'loud'", "notice" },
	{ "[process a]\ncommand =\n", 2, "[process a] command", "'' is not a command",
	  "executable" },
	{ "[process a]\nunit = nginx\n", 2, "[process a] unit", "'nginx' is not a unit",
	  "nginx.service" },
	{ "[process a]\nunit = a b.service\n", 2, "[process a] unit", "is not a unit",
	  "full name" },
	{ "[process a]\nuser = a b\n", 2, "[process a] user", "'a b' is not a user",
	  "a name or a number" },
	{ "[process a]\nuser = -1\n", 2, "[process a] user", "'-1' is not a user", "a number" },
	{ "[process a]\nfork-rate = 100\n", 2, "[process a] fork-rate", "'100' is not a rate",
	  "N/s" },
	{ "[process a]\nfork-rate = 0/s\n", 2, "[process a] fork-rate", "'0/s'", "1 to 1000000" },
	{ "[process a]\nfork-rate = 1000001/s\n", 2, "[process a] fork-rate", "is not a rate",
	  "1 to 1000000" },
	{ "[process a]\nfork-rate = 5/m\n", 2, "[process a] fork-rate", "is not a rate", "N/s" },
	{ "[process a]\nexits = all\n", 2, "[process a] exits", "'all' is not a kind of exit",
	  "signal, status, none" },
};

static void check_row(const struct bad_row *row)
{
	const struct config_text file = text_of("/etc/fsevents.conf.d/50\n.conf", row->text);
	struct config_problems problems = {};
	const struct config_problem *problem;
	struct config *config;
	bool key_equal;

	assert_int_equal(config_parse(&config, &file, 1, &problems), 0);
	if (problems.n_items != 1)
		fail_msg("%s: %zu problems", row->text, problems.n_items);

	problem = &problems.items[0];
	key_equal = row->key ? problem->key && strcmp(problem->key, row->key) == 0 : !problem->key;
	assert_string_equal(problem->file, "/etc/fsevents.conf.d/50\\012.conf");
	if (problem->line != row->line || !key_equal || !strstr(problem->message, row->said) ||
	    !strstr(problem->message, row->allowed))
		fail_msg("%s: line %u, key '%s': %s", row->text, problem->line,
			 problem->key ? problem->key : "(none)", problem->message);

	/* whatever stood there, nothing of it is in force */
	assert_defaults(config);
	config_free(config);
	config_problems_deinit(&problems);
}

static void test_malformed(void **state)
{
	assert_true(N(bad_rows) >= 60);
	for (size_t i = 0; i < N(bad_rows); i++)
		check_row(&bad_rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
