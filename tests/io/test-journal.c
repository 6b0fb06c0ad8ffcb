/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/output/catalog.h"
#include "daemon/output/journal.h"
#include "daemon/output/limiter.h"
#include "tests/io/journal-fixture.h"

/* What a stopped reader may cost 10,000 entries in all: far below one blocking write. */
#define FLOOD 10000
/* Whoever waited for the reader would wait for ever. */
#define FLOOD_US (20 * 1000 * 1000)

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct receiver {
	char directory[32];
	struct sockaddr_un address;
	int fd;
};

static void receiver_bind(struct receiver *receiver)
{
	receiver->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(receiver->fd >= 0);
	assert_int_equal(bind(receiver->fd, (struct sockaddr *)&receiver->address,
			      sizeof(receiver->address)),
			 0);
}

static void receiver_open(struct receiver *receiver)
{
	strcpy(receiver->directory, "/tmp/fsevents-XXXXXX");
	assert_non_null(mkdtemp(receiver->directory));
	receiver->address.sun_family = AF_UNIX;
	(void)snprintf(receiver->address.sun_path, sizeof(receiver->address.sun_path), "%s/socket",
		       receiver->directory);
	receiver_bind(receiver);
}

static void receiver_unbind(struct receiver *receiver)
{
	assert_int_equal(close(receiver->fd), 0);
	assert_int_equal(unlink(receiver->address.sun_path), 0);
}

static void receiver_close(struct receiver *receiver)
{
	receiver_unbind(receiver);
	assert_int_equal(rmdir(receiver->directory), 0);
}

/* The next entry; its MESSAGE in @ret. Return: false when there is none. */
static bool receiver_read(struct receiver *receiver, char *ret, size_t n_ret)
{
	static char buffer[JOURNAL_ENTRY_MAX];
	struct journal_entry entry = { .data = buffer };
	ssize_t n = recv(receiver->fd, buffer, sizeof(buffer), 0);

	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return false;
	}

	entry.n_data = (size_t)n;
	assert_int_equal(field_find(&entry, "MESSAGE", ret, n_ret), 1);
	return true;
}

/* A journald that is stopped: 10,000 events cost no time, and the loss is told to the last one. */
static void test_stopped_reader(void **state)
{
	uint64_t start, spent, n_events = 0, n_told = 0, n_dropped;
	struct receiver receiver;
	sd_event *loop = NULL;
	struct event event;
	char text[1024];

	receiver_open(&receiver);
	assert_true(sd_event_new(&loop) >= 0);
	assert_int_equal(journal_open(loop, receiver.address.sun_path), 0);
	assert_int_equal(journal_open(loop, NULL), -EALREADY);

	event_make(&event, EVENT_IO_ERROR, "/srv", 4);
	start = now_us();
	for (unsigned int i = 0; i < FLOOD; i++) {
		journal_event(&event, 1);
		if (i % 100 == 0)
			assert_true(sd_event_run(loop, 0) >= 0);
	}
	spent = now_us() - start;
	if (spent > FLOOD_US)
		fail_msg("%llu us for %u events", (unsigned long long)spent, FLOOD);
	event_deinit(&event);

	n_dropped = journal_dropped();
	assert_true(n_dropped > FLOOD / 2);

	/* It goes on: all that waited comes, then the count. */
	for (unsigned int i = 0; i < FLOOD && n_told == 0; i++) {
		assert_true(sd_event_run(loop, 0) >= 0);
		while (receiver_read(&receiver, text, sizeof(text))) {
			if (strstr(text, "/srv: "))
				n_events++;
			else
				assert_int_equal(sscanf(text, "%lu journal entries were dropped",
							&n_told),
						 1);
		}
	}
	assert_int_equal(n_told, n_dropped);
	assert_int_equal(n_events + n_told, FLOOD);

	/* And nothing is left to wake up for. */
	assert_int_equal(sd_event_run(loop, 0), 0);
	assert_false(receiver_read(&receiver, text, sizeof(text)));

	journal_close();
	sd_event_unref(loop);
	receiver_close(&receiver);
}

/* journald is restarted with a socket of its own: the entry after that arrives. */
static void test_restarted_reader(void **state)
{
	struct receiver receiver;
	sd_event *loop = NULL;
	char text[1024];

	receiver_open(&receiver);
	assert_true(sd_event_new(&loop) >= 0);
	assert_int_equal(journal_open(loop, receiver.address.sun_path), 0);

	journal_log(LOG_INFO, NULL, "one");
	assert_true(receiver_read(&receiver, text, sizeof(text)));
	receiver_unbind(&receiver);
	journal_log(LOG_INFO, NULL, "nobody reads this");
	assert_int_equal(journal_dropped(), 1);
	receiver_bind(&receiver);
	journal_log(LOG_INFO, NULL, "two");
	assert_true(receiver_read(&receiver, text, sizeof(text)));
	assert_string_equal(text, "1 journal entry was dropped, since nobody read the journal");
	assert_true(receiver_read(&receiver, text, sizeof(text)));
	assert_string_equal(text, "two");

	/* Levels. */
	journal_set_level(CONFIG_LOG_WARNING);
	journal_log(LOG_NOTICE, NULL, "too little");
	journal_log(LOG_WARNING, NULL, "%s", "enough");
	journal_set_level(CONFIG_LOG_INFO);
	assert_true(receiver_read(&receiver, text, sizeof(text)));
	assert_string_equal(text, "enough");

	/* A peer's doing. */
	for (unsigned int i = 0; i < 1000; i++)
		journal_log_limited(LOG_INFO, CATALOG_CONFIGURED, "uid 7\n", "refused %u", i);
	for (unsigned int i = 0; i < LIMITER_BURST; i++)
		assert_true(receiver_read(&receiver, text, sizeof(text)));
	assert_false(receiver_read(&receiver, text, sizeof(text)));

	/* Longer than it may be, with a character on the edge. */
	memset(text, 'x', sizeof(text));
	text[1023] = '\0';
	journal_log(LOG_INFO, NULL, "%s%sx\xc3\xa4\xc3\xa4", text, text);
	receiver_unbind(&receiver);
	receiver_bind(&receiver);

	journal_close();
	/* Nothing happens after it. */
	journal_log(LOG_INFO, NULL, "closed");
	assert_int_equal(journal_dropped(), 0);
	assert_false(receiver_read(&receiver, text, sizeof(text)));
	sd_event_unref(loop);
	receiver_close(&receiver);
}

/*
 * Runs @fn in a child whose stderr is @fd, since cmocka needs its own.
 * Return: exit status.
 */
static int with_stderr(int fd, int (*fn)(int fd), int arg)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (fd >= 0)
			(void)dup2(fd, STDERR_FILENO);
		else
			(void)close(STDERR_FILENO);
		(void)unsetenv("JOURNAL_STREAM");
		_exit(fn(arg));
	}

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define CHECK(_condition)                                                                          \
	do {                                                                                       \
		if (!(_condition))                                                                 \
			return __LINE__ % 256;                                                     \
	} while (0)

/* Reads all lines that are there; counts those of the flood and what was told as dropped. */
static bool drain(int fd, uint64_t *n_lines, uint64_t *n_told)
{
	static char buffer[1 << 20];
	static size_t n_rest;
	char *p = buffer, *end;
	ssize_t n = read(fd, buffer + n_rest, sizeof(buffer) - 1 - n_rest);

	if (n <= 0)
		return false;

	n_rest += (size_t)n;
	buffer[n_rest] = '\0';

	while ((end = strchr(p, '\n'))) {
		*end = '\0';
		if (strncmp(p, "flood ", 6) == 0)
			(*n_lines)++;
		else
			(void)sscanf(p, "%lu journal", n_told);
		p = end + 1;
	}

	n_rest -= (size_t)(p - buffer);
	memmove(buffer, p, n_rest);
	return true;
}

static int child_flood(int read_fd)
{
	uint64_t n_lines = 0, n_told = 0, start;
	sd_event *loop = NULL;

	CHECK(sd_event_new(&loop) >= 0);
	CHECK(journal_open(loop, NULL) == 0);

	start = now_us();
	for (unsigned int i = 0; i < FLOOD; i++) {
		journal_log(LOG_WARNING, NULL, "flood %u", i);
		if (i % 100 == 0)
			CHECK(sd_event_run(loop, 0) >= 0);
	}
	CHECK(now_us() - start < FLOOD_US);
	CHECK(journal_dropped() > 0);

	/* The open file that the shell shares with us is as it was. */
	CHECK((fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK) == 0);

	for (unsigned int i = 0; i < FLOOD && n_told == 0; i++) {
		while (drain(read_fd, &n_lines, &n_told))
			;
		CHECK(sd_event_run(loop, 0) >= 0);
	}
	CHECK(n_told == journal_dropped());
	CHECK(n_lines + n_told == FLOOD);

	/* Nobody reads any more: no signal, only a count. */
	CHECK(close(read_fd) == 0);
	journal_log(LOG_WARNING, NULL, "flood");
	CHECK(journal_dropped() == n_told + 1);
	journal_close();
	sd_event_unref(loop);
	return 0;
}

/* Takes both ends: the child has fds[1] as stderr and reads what it wrote from fds[0]. */
static void flood(const int fds[2])
{
	int status;
	pid_t pid;

	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fds[1], STDERR_FILENO);
		(void)close(fds[1]);
		(void)unsetenv("JOURNAL_STREAM");
		_exit(child_flood(fds[0]));
	}

	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_full_pipe(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	flood(fds);
}

/* Half of a line may be written to a stream: what is read is whole all the same. */
static void test_full_socket(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	flood(fds);
}

static int child_some_lines(int expected_dropped)
{
	sd_event *loop = NULL;

	CHECK(sd_event_new(&loop) >= 0);
	CHECK(journal_open(loop, NULL) == 0);
	journal_log(LOG_WARNING, NULL, "first");
	journal_log(LOG_WARNING, NULL, "second");
	CHECK(journal_dropped() == (uint64_t)expected_dropped);
	journal_close();
	sd_event_unref(loop);
	return 0;
}

static void test_other_stderr(void **state)
{
	char path[] = "/tmp/fsevents-XXXXXX", text[64] = "";
	int fd = mkostemp(path, O_CLOEXEC);

	/* A regular file, after what is in it. */
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "before\n", 7), 7);
	assert_int_equal(with_stderr(fd, child_some_lines, 0), 0);
	assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), 20);
	assert_string_equal(text, "before\nfirst\nsecond\n");
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);

	/* None, and one that takes nothing. */
	assert_int_equal(with_stderr(-1, child_some_lines, 2), 0);
	fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(with_stderr(fd, child_some_lines, 2), 0);
	assert_int_equal(close(fd), 0);
}

static int child_journal_stream(int fd)
{
	char stream[64];
	struct stat st;

	CHECK(fstat(STDERR_FILENO, &st) == 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino);
	CHECK(setenv("JOURNAL_STREAM", stream, 1) == 0);
	return child_some_lines(0);
}

/* Told that stderr is the journal, and journald is not there: lines that systemd understands. */
static void test_journal_stream(void **state)
{
	char text[64] = "";
	int fds[2];

	if (access("/run/systemd/journal/socket", F_OK) == 0)
		skip();

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(with_stderr(fds[1], child_journal_stream, 0), 0);
	assert_int_equal(read(fds[0], text, sizeof(text) - 1), 19);
	assert_string_equal(text, "<4>first\n<4>second\n");
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stopped_reader), cmocka_unit_test(test_restarted_reader),
		cmocka_unit_test(test_full_pipe),      cmocka_unit_test(test_full_socket),
		cmocka_unit_test(test_other_stderr),   cmocka_unit_test(test_journal_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
