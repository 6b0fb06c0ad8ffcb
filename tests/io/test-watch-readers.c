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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/watch-queue.h"
#include "include/fsevents_stream.h"

/* The readers under examples/ understand what a watch sends. */

static struct watch_queue *queue_with_everything(struct quota *quota)
{
	const struct change created = {
		.mask = FSEVENTS_CREATE | FSEVENTS_DIRECTORY,
		.pid = 7,
		.realtime_us = 5,
		.inode = 12,
		.name = "new folder",
		.n_name = strlen("new folder"),
	};
	const struct change moved = {
		.mask = FSEVENTS_MOVE,
		.cookie = 3,
		.name = "to\xff",
		.n_name = 3,
		.former = "from",
		.n_former = 4,
	};
	struct watch_queue *queue;

	assert_int_equal(watch_queue_new(&queue, quota, 1000), 0);
	watch_queue_push(queue, &created);
	watch_queue_push_lost(queue, 42, "new folder", strlen("new folder"));
	watch_queue_push(queue, &moved);
	watch_queue_push_lost(queue, 0, "", 0);
	return queue;
}

/* All that is queued into a socket, which is then shut. Return: the reader's end. */
static int send_all(struct watch_queue *queue)
{
	const void *packet;
	int pair[2];
	size_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	while ((packet = watch_queue_peek(queue, WATCH_PACKET_MAX, &n))) {
		assert_int_equal(send(pair[0], packet, n, MSG_NOSIGNAL), (ssize_t)n);
		watch_queue_pop(queue);
	}
	assert_true(watch_queue_is_empty(queue));
	close(pair[0]);
	return pair[1];
}

static void run_reader(const char *program, int fd, char *output, size_t n_output)
{
	ssize_t n, total = 0;
	int out[2], status;
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	assert_return_code(pid, errno);
	if (pid == 0) {
		char fd_text[16];

		snprintf(fd_text, sizeof(fd_text), "%d", dup(fd));
		dup2(out[1], STDOUT_FILENO);
		execl(program, program, fd_text, (char *)NULL);
		_exit(127);
	}

	close(out[1]);
	while ((n = read(out[0], output + total, n_output - 1 - (size_t)total)) > 0)
		total += n;
	output[total] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void check_reader(const char *program)
{
	struct quota_limit limits[_QUOTA_KIND_N] = {};
	struct watch_queue *queue;
	struct quota *quota;
	char output[4096];
	int fd;

	limits[QUOTA_QUEUE_BYTES] = (struct quota_limit){ .per_uid = 1 << 20, .total = 1 << 20 };
	assert_int_equal(quota_new(&quota, limits), 0);
	queue = queue_with_everything(quota);
	fd = send_all(queue);
	run_reader(program, fd, output, sizeof(output));
	close(fd);
	watch_queue_free(queue);
	quota_free(quota);

	assert_non_null(strstr(output, " events=create,directory realtime-usec=5 inode=12 pid=7 "
				       "name=new\\040folder\n"));
	assert_non_null(strstr(output, "lost count=42 under=new\\040folder\n"));
	assert_non_null(strstr(output, " events=move "));
	assert_non_null(strstr(output, " cookie=3 name=to\\377 former=from\n"));
	assert_non_null(strstr(output, "lost count=unknown under=\n"));
	assert_non_null(strstr(output, "end\n"));
}

static void test_readers(void **state)
{
	const char *readers[] = { getenv("STREAM_READER_C"), getenv("STREAM_READER_PY") };

	if (!readers[0] && !readers[1]) {
		print_message("STREAM_READER_C and STREAM_READER_PY are not set\n");
		skip();
	}
	for (size_t i = 0; i < 2; i++)
		if (readers[i])
			check_reader(readers[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
