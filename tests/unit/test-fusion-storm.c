/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "tests/unit/fusion-fixture.h"

static uint64_t random_state;

/* xorshift64*: the same numbers in every run */
static uint64_t random_next(uint64_t n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL % n;
}

/* What no fact has counted. */
static uint64_t pending(const struct fs *fs)
{
	uint64_t n = fs->fusion.echoes;

	for (unsigned int kind = 0; kind < FUSION_ERROR_KINDS; kind++)
		for (unsigned int i = 0; i < FUSION_OBJECTS; i++)
			n += fs->fusion.failures[kind][i].pending;
	return n;
}

static bool is_error(const struct fusion_fact *fact)
{
	return fact->code == EVENT_CORRUPTED || fact->code == EVENT_IO_ERROR ||
	       fact->code == EVENT_WRITEBACK_ERROR;
}

static uint64_t counted(const struct fs *fs)
{
	uint64_t n = 0;

	for (size_t i = 0; i < fs->n_told; i++)
		if (is_error(&fs->told[i].fact))
			n += fs->told[i].fact.count;
	return n;
}

/* --- storms */

static void test_storm(void **state)
{
	struct fs fs;

	fs_init(&fs, "xfs");
	fs_look(&fs);
	for (unsigned int i = 0; i < 1000000; i++) {
		HINT(&fs, CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = 12);
		fs_pass(&fs, 10);
	}

	/* The first; after a second the next; at the ends of 2 and 4 s. */
	assert_in_range(fs.n_told, 3, 4);
	assert_int_equal(counted(&fs) + pending(&fs), 1000000);
	assert_int_equal(fusion_error_count(&fs.fusion), 1000000);
	assert_in_range(fs.asked, 900, 10 * SECOND / FUSION_LOOK_US + 1);
	assert_true(sizeof(fs.fusion) <= 4096);

	/* It ends: what was held back is told, and nothing more. */
	fs_pass(&fs, 300 * SECOND);
	assert_in_range(fs.n_told, 4, 5);
	assert_int_equal(counted(&fs), 1000000);
	assert_true(fusion_due(&fs.fusion) == UINT64_MAX);
}

/* It ends within what is still the same failure: told once more, with the count. */
static void test_short_storm(void **state)
{
	static const enum fusion_hint_kind kinds[] = { FUSION_HINT_CORRUPTED, FUSION_HINT_IO_ERROR,
						       FUSION_HINT_WRITEBACK_ERROR };
	struct fs fs;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint64_t same_us = i == 0 ? FUSION_SAME_US : FUSION_DEVICE_US;

		fs_init(&fs, "xfs");
		fs_look(&fs);
		for (unsigned int n = 0; n < 1000; n++) {
			fs_hint(&fs, (struct fusion_hint){ .kind = kinds[i],
							   .source = FUSION_SOURCE_KMSG });
			fs_pass(&fs, MS / 2);
		}
		fs_pass(&fs, 300 * SECOND);
		assert_int_equal(fs.n_told, 2);
		assert_int_equal(counted(&fs), 1000);
		assert_int_equal(fs.told[1].at_us, 100 * SECOND + same_us);
	}
}

/* Up to which number they are echoes. */
static void test_echoes(void **state)
{
	struct fs fs;

	for (unsigned int n = 0; n < 2; n++) {
		fs_init(&fs, "xfs");
		fs_look(&fs);
		HINT(&fs, CORRUPTED, FANOTIFY, .error = EUCLEAN);
		fs_pass(&fs, 100 * MS);
		HINT(&fs, CORRUPTED, FANOTIFY, .error = EUCLEAN, .count = FUSION_STORM - 1 + n);
		fs_pass(&fs, 300 * SECOND);
		assert_int_equal(fs.n_told, 1 + n);
		assert_int_equal(counted(&fs) + pending(&fs), FUSION_STORM + n);
	}
	assert_int_equal(counted(&fs), FUSION_STORM + 1);
	assert_int_equal(fs.told[1].fact.count, FUSION_STORM);
	assert_int_equal(fs.told[1].fact.error, EUCLEAN);
}

/* When a failure is forgotten, nobody else's count grows by its echoes. */
static void test_forgotten_echoes(void **state)
{
	struct fs fs;

	fs_init(&fs, "xfs");
	fs_look(&fs);
	for (uint64_t inode = 1; inode <= 2; inode++) {
		for (unsigned int i = 0; i < FUSION_OBJECTS - 1; i++) {
			HINT(&fs, CORRUPTED, FANOTIFY, .has_inode = true, .inode = inode * 100 + i);
			fs_pass(&fs, 50 * MS);
			HINT(&fs, CORRUPTED, FANOTIFY, .has_inode = true, .inode = inode * 100 + i,
			     .count = FUSION_STORM - 1);
		}
		if (inode == 1)
			fs_pass(&fs, 300 * SECOND);
	}
	/* no place is left: it counts for all that have none, and for itself alone */
	HINT(&fs, CORRUPTED, FANOTIFY, .has_inode = true, .inode = 7);
	fs_pass(&fs, 300 * SECOND);
	assert_int_equal(fs.n_told, 2 * (FUSION_OBJECTS - 1) + 1);
	for (size_t i = 0; i < fs.n_told; i++)
		assert_int_equal(fs.told[i].fact.count, 1);
	assert_int_equal(counted(&fs) + pending(&fs), fusion_error_count(&fs.fusion));

	/* as many as there can be */
	for (unsigned int i = 0; i < 3; i++)
		HINT(&fs, CORRUPTED, FANOTIFY, .has_inode = true, .inode = 300,
		     .count = UINT64_MAX - 1);
	fs_pass(&fs, SECOND);
	assert_true(fs.told[fs.n_told - 1].fact.count == UINT64_MAX);
	assert_true(fusion_error_count(&fs.fusion) == UINT64_MAX);
}

/* For an hour, all kinds, each error of another file. */
static void test_long_storm(void **state)
{
	struct fs fs;
	uint64_t hints = 0;

	fs_init(&fs, "xfs");
	fs_look(&fs);
	for (unsigned int i = 0; i < 360000; i++) {
		struct fusion_hint hint = {
			.kind = FUSION_HINT_CORRUPTED + i % FUSION_ERROR_KINDS,
			.source = FUSION_SOURCE_KMSG,
			.error = EIO,
			.count = 1000,
			.has_inode = i % 2,
			.inode = i,
		};

		hints += hint.count;
		fs_hint(&fs, hint);
		fs_pass(&fs, 10 * MS);
	}

	assert_int_equal(counted(&fs) + pending(&fs), hints);
	assert_int_equal(fusion_error_count(&fs.fusion), hints);
	/* Each kind: its objects and its common failure, each about once a minute. */
	printf("%zu facts in an hour for %llu errors\n", fs.n_told, (unsigned long long)hints);
	assert_in_range(fs.n_told, FUSION_ERROR_KINDS * 60,
			FUSION_ERROR_KINDS * FUSION_OBJECTS * 70);
}

/* Errors of which the counter shows all, and fanotify only some. */
static void test_storm_with_loss(void **state)
{
	struct fs fs;
	uint64_t lost = 0;

	random_state = 7;
	fs_init(&fs, "ext4");
	fs.looks_by_itself = true;
	fs_look(&fs);
	for (unsigned int i = 0; i < 100000; i++) {
		fs.look.counters.corrupted++;
		if (random_next(4) == 0) {
			lost++;
			HINT(&fs, LOOK, EXT4);
		} else {
			fs_pass(&fs, random_next(3) * MS);
			HINT(&fs, CORRUPTED, FANOTIFY, .error = EUCLEAN);
		}
	}
	fs_pass(&fs, 300 * SECOND);
	assert_in_range(lost, 20000, 30000);
	assert_int_equal(counted(&fs), 100000);
	assert_int_equal(fusion_error_count(&fs.fusion), 100000);
	assert_in_range(fs.n_told, 5, 20);
}

/* A slow drip is no storm, and yet no alarm each time. */
static void test_drip(void **state)
{
	struct fs fs;

	fs_init(&fs, "xfs");
	fs_look(&fs);
	for (unsigned int i = 0; i < 1200; i++) {
		HINT(&fs, CORRUPTED, KMSG, .error = EUCLEAN);
		fs_pass(&fs, 3 * SECOND);
	}
	assert_in_range(fs.n_told, 60, 75);
	fs_pass(&fs, 300 * SECOND);
	assert_int_equal(counted(&fs), 1200);

	/* Once in a while, each is news. */
	fs_forget(&fs);
	for (unsigned int i = 0; i < 10; i++) {
		HINT(&fs, CORRUPTED, KMSG, .error = EUCLEAN);
		fs_pass(&fs, 600 * SECOND);
	}
	assert_int_equal(fs.n_told, 10);
}

/* --- one failure, in any order */

enum step_kind {
	STEP_HINT,
	STEP_LOOK,
	STEP_TURN, /* from now on, looks show it */
};

struct step {
	enum step_kind kind;
	struct fusion_hint hint;
};

#define STEPS_MAX 8

struct scenario {
	const char *name, *type;
	struct step steps[STEPS_MAX]; /* those without a count are looks */
	struct fusion_look turn; /* flags and counters after the turn */
	const char *told; /* in this order, whatever the order of the steps */
	uint64_t inode;
};

#define STEP(_kind, _source, ...)                                                                  \
	{                                                                                          \
		STEP_HINT,                                                                         \
		{                                                                                  \
			.kind = FUSION_HINT_##_kind, .source = FUSION_SOURCE_##_source,            \
			.count = 1, ##__VA_ARGS__                                                  \
		}                                                                                  \
	}
#define LOOK_STEP                                                                                  \
	{                                                                                          \
		STEP_LOOK                                                                          \
	}
#define TURN_STEP                                                                                  \
	{                                                                                          \
		STEP_TURN                                                                          \
	}

static const struct scenario scenarios[] = {
	{ "ext4, errors=continue",
	  "ext4",
	  { TURN_STEP, LOOK_STEP, STEP(LOOK, EXT4),
	    STEP(LOOK, KMSG, .has_inode = true, .inode = 12),
	    STEP(CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = 12) },
	  { .counters = { .corrupted = 1, .last_error = EUCLEAN } },
	  "corrupted",
	  12 },
	{ "ext4, errors=remount-ro",
	  "ext4",
	  { TURN_STEP, LOOK_STEP, STEP(LOOK, EXT4),
	    STEP(LOOK, KMSG, .has_inode = true, .inode = 12), STEP(FORCED_READ_ONLY, KMSG),
	    STEP(CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = 12) },
	  { .emergency = true, .counters = { .corrupted = 1, .last_error = EUCLEAN } },
	  "corrupted read-only/emergency",
	  12 },
	{ "ext4, errors=remount-ro, without fanotify",
	  "ext4",
	  { TURN_STEP, LOOK_STEP, STEP(LOOK, EXT4), STEP(FORCED_READ_ONLY, KMSG) },
	  { .emergency = true, .counters = { .corrupted = 1, .last_error = EUCLEAN } },
	  "corrupted read-only/emergency" },
	{ "ext4, errors=remount-ro, before Linux 6.12",
	  "ext4",
	  { TURN_STEP, LOOK_STEP, STEP(LOOK, EXT4), STEP(FORCED_READ_ONLY, KMSG),
	    STEP(CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = 12) },
	  { .read_only = true, .counters = { .corrupted = 1, .last_error = EUCLEAN } },
	  "corrupted read-only/error",
	  12 },
	{ "ext4, journal aborted",
	  "ext4",
	  { TURN_STEP, LOOK_STEP, STEP(IO_ERROR, KMSG, .error = EIO), STEP(LOOK, KMSG),
	    STEP(LOOK, EXT4), STEP(IO_ERROR, FANOTIFY, .error = EIO) },
	  { .emergency = true, .counters = { .io_error = 1, .last_error = EIO } },
	  "io-error read-only/emergency" },
	{ "ext4, lost data",
	  "ext4",
	  { STEP(WRITEBACK_ERROR, KMSG, .error = EIO), LOOK_STEP,
	    STEP(WRITEBACK_ERROR, KMSG, .error = EIO, .has_inode = true, .inode = 12),
	    STEP(WRITEBACK_ERROR, KMSG, .error = EIO) },
	  {},
	  "writeback-error",
	  12 },
	{ "ext4, shut down",
	  "ext4",
	  { TURN_STEP, LOOK_STEP, STEP(SHUTDOWN, KMSG), STEP(LOOK, KMSG),
	    STEP(IO_ERROR, FANOTIFY, .error = EIO) },
	  { .shutdown = true },
	  "shutdown" },
	{ "xfs, shut down",
	  "xfs",
	  { TURN_STEP, LOOK_STEP, STEP(SHUTDOWN, KMSG), STEP(SHUTDOWN, KMSG),
	    STEP(IO_ERROR, KMSG, .error = EIO), STEP(IO_ERROR, KMSG, .error = ENOSPC),
	    STEP(IO_ERROR, FANOTIFY, .error = ESHUTDOWN) },
	  { .root_error = EIO },
	  "shutdown" },
	{ "xfs, damaged and shut down",
	  "xfs",
	  { TURN_STEP, LOOK_STEP, STEP(SHUTDOWN, KMSG), STEP(IO_ERROR, KMSG, .error = EIO),
	    STEP(CORRUPTED, KMSG, .error = EUCLEAN, .has_inode = true, .inode = 131) },
	  { .root_error = EIO },
	  "corrupted shutdown",
	  131 },
	{ "xfs, damaged",
	  "xfs",
	  { LOOK_STEP, STEP(CORRUPTED, KMSG, .error = EUCLEAN),
	    STEP(CORRUPTED, KMSG, .error = EUCLEAN),
	    STEP(CORRUPTED, FANOTIFY, .error = EUCLEAN, .has_inode = true, .inode = 131) },
	  {},
	  "corrupted",
	  131 },
	{ "btrfs, forced read-only",
	  "btrfs",
	  { TURN_STEP, LOOK_STEP, LOOK_STEP, STEP(LOOK, KMSG, .error = EIO),
	    STEP(FORCED_READ_ONLY, KMSG), STEP(IO_ERROR, KMSG, .error = ENOSPC) },
	  { .read_only = true, .counters = { .io_error = 1 } },
	  "io-error read-only/error" },
	{ "btrfs, checksum",
	  "btrfs",
	  { TURN_STEP, LOOK_STEP, STEP(LOOK, KMSG),
	    STEP(CORRUPTED, KMSG, .error = EBADMSG, .has_inode = true, .inode = 257) },
	  { .counters = { .corrupted = 1 } },
	  "corrupted",
	  257 },
	{ "remounted by the administrator",
	  "ext4",
	  { TURN_STEP, LOOK_STEP, LOOK_STEP, STEP(REMOUNTED, KMSG) },
	  { .read_only = true },
	  "read-only/admin" },
	{ "device read-only",
	  "xfs",
	  { TURN_STEP, LOOK_STEP, STEP(LOOK, BLOCK), STEP(LOOK, KMSG) },
	  { .device_read_only = true },
	  "read-only/device" },
};

static void turn(struct fs *fs, const struct fusion_look *to)
{
	fs->look.read_only = to->read_only;
	fs->look.emergency = to->emergency;
	fs->look.shutdown = to->shutdown;
	fs->look.device_read_only = to->device_read_only;
	fs->look.root_error = to->root_error;
	fs->look.counters = to->counters;
}

static void run_scenario(const struct scenario *scenario, size_t n_steps)
{
	unsigned int order[STEPS_MAX];
	uint64_t inode = 0;
	struct fs fs;

	for (unsigned int i = 0; i < n_steps; i++) {
		unsigned int j = (unsigned int)random_next(i + 1);

		order[i] = order[j];
		order[j] = i;
	}

	fs_init(&fs, scenario->type);
	fs_look(&fs);
	fs_pass(&fs, SECOND);
	fs.looks_by_itself = random_next(2);
	for (unsigned int i = 0; i < n_steps; i++) {
		const struct step *step = &scenario->steps[order[i]];

		if (step->kind == STEP_TURN)
			turn(&fs, &scenario->turn);
		else if (step->kind == STEP_LOOK)
			fs_look(&fs);
		else
			fs_hint(&fs, step->hint);
		fs_pass(&fs, random_next(FUSION_SETTLE_US / n_steps));
	}
	turn(&fs, &scenario->turn);
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);
	fs_look(&fs);
	fs_pass(&fs, 100 * SECOND);

	for (size_t i = 0; i < fs.n_told; i++)
		if (fs.told[i].fact.has_inode)
			inode = fs.told[i].fact.inode;
	if (strcmp(fs_codes(&fs), scenario->told) != 0 || inode != scenario->inode)
		fail_msg("%s: \"%s\", inode %llu", scenario->name, fs_codes(&fs),
			 (unsigned long long)inode);
}

static void test_any_order(void **state)
{
	random_state = 4711;
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		size_t n_steps = STEPS_MAX;

		while (n_steps > 0 && scenarios[i].steps[n_steps - 1].kind == STEP_HINT &&
		       scenarios[i].steps[n_steps - 1].hint.count == 0)
			n_steps--;
		assert_in_range(n_steps, 2, STEPS_MAX);
		for (unsigned int round = 0; round < 2000; round++)
			run_scenario(&scenarios[i], n_steps);
	}
}

/* --- anything in any order */

static void random_hint(struct fs *fs)
{
	static const int errors[] = { 0, EIO, EUCLEAN, ENOSPC, ESHUTDOWN };

	fs_hint(fs, (struct fusion_hint){
			    .kind = (enum fusion_hint_kind)random_next(FUSION_HINT_THAWED + 1),
			    .source = (enum fusion_source)random_next(FUSION_SOURCE_MODULE + 1),
			    .error = errors[random_next(5)],
			    .count = 1 + random_next(3),
			    .has_inode = random_next(2),
			    .inode = 11 + random_next(FUSION_OBJECTS - 2),
		    });
}

static void random_turn(struct fs *fs)
{
	fs->look.read_only = random_next(2);
	fs->look.device_read_only = random_next(4) == 0;
	fs->look.emergency = random_next(8) == 0;
	fs->look.shutdown = random_next(40) == 0;
	fs->look.root_error = random_next(20) == 0 ? EIO : 0;
	fs->look.counters.corrupted += random_next(3);
	fs->look.counters.io_error += random_next(2);
	fs->usage.available = random_next(3) * 100;
	fs->usage.files_available = random_next(3) * 10;
}

/* What was told, as one who only listens keeps it in mind. */
struct listener {
	enum read_only_reason reason;
	bool frozen;
	uint64_t last_us[_EVENT_CODE_N][64]; /* of an object; 0: none */
};

static void listen(struct listener *listener, const struct told *told)
{
	const struct fusion_fact *fact = &told->fact;
	uint64_t *last_us;

	switch (fact->code) {
	case EVENT_READ_ONLY:
		/* another one is a worse one */
		assert_true(fact->reason > listener->reason);
		listener->reason = fact->reason;
		break;
	case EVENT_READ_WRITE:
		listener->reason = READ_ONLY_NO;
		break;
	case EVENT_SHUTDOWN:
		assert_true(listener->reason != READ_ONLY_SHUTDOWN);
		listener->reason = READ_ONLY_SHUTDOWN;
		break;
	case EVENT_FROZEN:
	case EVENT_THAWED:
		assert_true(listener->frozen != (fact->code == EVENT_FROZEN));
		listener->frozen = !listener->frozen;
		break;
	case EVENT_CORRUPTED:
	case EVENT_IO_ERROR:
	case EVENT_WRITEBACK_ERROR:
		if (fact->initial)
			break;
		last_us = &listener->last_us[fact->code][fact->has_inode ? fact->inode : 0];
		assert_true(*last_us == 0 || told->at_us - *last_us >= FUSION_SAME_US / 2);
		*last_us = told->at_us;
		break;
	default:
		break;
	}
}

static void check_state(const struct fs *fs, const struct listener *listener)
{
	enum read_only_reason reason = fusion_reason(&fs->fusion);

	if (reason == READ_ONLY_SHUTDOWN)
		assert_int_equal(listener->reason, READ_ONLY_SHUTDOWN);
	else if (fs->look.emergency)
		assert_int_equal(reason, READ_ONLY_EMERGENCY);
	else if (fs->look.read_only)
		assert_true(reason != READ_ONLY_NO);
	else
		assert_int_equal(reason,
				 fs->look.device_read_only ? READ_ONLY_DEVICE : READ_ONLY_NO);
	if (fs->look.shutdown)
		assert_int_equal(reason, READ_ONLY_SHUTDOWN);
	assert_int_equal(fusion_is_frozen(&fs->fusion), listener->frozen);
}

static void run_anything(void)
{
	static const char *const types[] = { "ext4", "xfs", "btrfs", "tmpfs", "f2fs" };
	struct listener listener = {};
	unsigned int n_steps = 5 + (unsigned int)random_next(20);
	struct fs fs;

	fs_init(&fs, types[random_next(5)]);
	fs.looks_by_itself = random_next(2);
	for (unsigned int i = 0; i < n_steps; i++) {
		switch (random_next(4)) {
		case 0:
			random_turn(&fs);
			break;
		case 1:
			fs_look(&fs);
			break;
		default:
			random_hint(&fs);
			break;
		}
		fs_pass(&fs, random_next(2) ? random_next(20 * MS) : random_next(3 * SECOND));
	}
	fs_look(&fs);
	fs_pass(&fs, 300 * SECOND);

	for (size_t i = 0; i < fs.n_told; i++)
		listen(&listener, &fs.told[i]);
	check_state(&fs, &listener);
	/* What a btrfs came with is history, and not told. */
	if (strcmp(fs.fusion.type, "btrfs") == 0)
		assert_true(counted(&fs) + pending(&fs) <= fusion_error_count(&fs.fusion));
	else
		assert_int_equal(counted(&fs) + pending(&fs), fusion_error_count(&fs.fusion));
	assert_true(fusion_due(&fs.fusion) == UINT64_MAX);
}

static void test_anything(void **state)
{
	for (uint64_t seed = 1; seed <= 100000; seed++) {
		random_state = seed * 0x9e3779b97f4a7c15ULL;
		run_anything();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_long_storm),
		cmocka_unit_test(test_short_storm),
		cmocka_unit_test(test_echoes),
		cmocka_unit_test(test_storm_with_loss),
		cmocka_unit_test(test_drip),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_anything),
		cmocka_unit_test(test_forgotten_echoes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
