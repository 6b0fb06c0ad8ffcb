/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The pump between two ends that the test holds: a bus that is not there, and
 * what would be sd-bus. The descriptors of strangers are those of a FUSE file
 * whose server reads FLUSH and never answers.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/bus/fdinfo.h"
#include "daemon/bus/pump.h"

/* Below 20 ms is usual; what waits for a stranger waits for seconds, or for ever. */
#define LOOP_LATE_MAX_US (1000 * 1000)
#define PATIENCE_US (30 * 1000 * 1000)

struct fixture {
	sd_event *loop;
	struct strangers *strangers;
	struct pump *pump;
	int bus; /* the test is the bus at this end */
	int library; /* and sd-bus at this */
	enum pump_verdict verdict;
	struct pump_message *taken;
	unsigned int n_incoming;
	unsigned int n_outgoing;
	unsigned int n_stuck;
	bool last_cut;
	bool aborted;
	int closed; /* the error, 0: open */
	uint64_t worst_us;
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static enum pump_verdict on_incoming(struct pump_message *message, void *userdata)
{
	struct fixture *f = userdata;

	f->n_incoming++;
	f->last_cut = message->cut;
	if (f->verdict == PUMP_TAKEN)
		f->taken = message;
	return f->verdict;
}

static void on_outgoing(const struct envelope *envelope, size_t n, void *userdata)
{
	struct fixture *f = userdata;

	f->n_outgoing++;
}

static void on_closed(int error, void *userdata)
{
	struct fixture *f = userdata;

	f->closed = error;
	f->pump = pump_free(f->pump);
}

static int find_device(uint32_t mnt_id, uint32_t *ret_major, uint32_t *ret_minor, void *userdata)
{
	return -ENOENT;
}

static void on_stuck(const struct stranger_report *report, void *userdata)
{
	struct fixture *f = userdata;

	f->n_stuck++;
	f->aborted = report->aborted;
	assert_non_null(report->sender);
	assert_string_equal(report->sender, ":1.7");
}

static void on_changed(void *userdata)
{
	struct fixture *f = userdata;

	if (f->pump)
		pump_resume(f->pump);
}

static const struct pump_ops pump_ops = {
	.incoming = on_incoming,
	.outgoing = on_outgoing,
	.closed = on_closed,
};
static const struct strangers_ops strangers_ops = {
	.find_device = find_device,
	.stuck = on_stuck,
	.changed = on_changed,
};

/*
 * Each step is timed: nothing that is done on the loop may wait. What is pending is done all
 * the same, should the machine have stopped meanwhile.
 */
static void run_for(struct fixture *f, uint64_t us)
{
	uint64_t end = now_us() + us;

	for (;;) {
		uint64_t start = now_us();

		if (sd_event_prepare(f->loop) == 0 &&
		    sd_event_wait(f->loop, start < end ? 2000 : 0) == 0) {
			if (start >= end)
				return;
			continue;
		}
		start = now_us();
		assert_true(sd_event_dispatch(f->loop) >= 0);
		if (now_us() - start > f->worst_us)
			f->worst_us = now_us() - start;
	}
}

static void run_until(struct fixture *f, const unsigned int *count, unsigned int wanted)
{
	for (uint64_t end = now_us() + PATIENCE_US; *count < wanted && now_us() < end;)
		run_for(f, 1000);
	assert_int_equal(*count, wanted);
	run_for(f, 5000);
}

static int setup_raw(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct pump_ends ends;
	int pair[2];

	assert_non_null(f);
	assert_return_code(sd_event_new(&f->loop), 0);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			   errno);
	f->bus = pair[0];
	assert_int_equal(strangers_new(&f->strangers, f->loop, &strangers_ops, f), 0);
	ends = (struct pump_ends){ .bus_fd = pair[1], .strangers = f->strangers };
	assert_int_equal(pump_new(&f->pump, &f->library, f->loop, &ends, &pump_ops, f), 0);
	*state = f;
	return 0;
}

static void expect(int fd, const char *text, size_t n)
{
	char buffer[4096];

	assert_int_equal(recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT), n);
	assert_memory_equal(buffer, text, n);
}

static void expect_nothing(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void authenticate(struct fixture *f)
{
	static const char asked[] = "\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n";
	static const char answered[] = "DATA\r\nOK 0123\r\nAGREE_UNIX_FD\r\n";

	assert_int_equal(write(f->library, asked, sizeof(asked) - 1), sizeof(asked) - 1);
	run_for(f, 5000);
	expect(f->bus, asked, sizeof(asked) - 1);
	/* In two pieces, cut inside a line. */
	assert_int_equal(write(f->bus, answered, 9), 9);
	run_for(f, 5000);
	assert_int_equal(write(f->bus, answered + 9, sizeof(answered) - 10), sizeof(answered) - 10);
	run_for(f, 5000);
	expect(f->library, answered, sizeof(answered) - 1);
}

static int setup(void **state)
{
	struct fixture *f;

	setup_raw(state);
	f = *state;
	authenticate(f);
	f->worst_us = 0;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pump_free(f->pump);
	pump_message_free(f->taken);
	strangers_free(f->strangers);
	sd_event_unref(f->loop);
	close(f->bus);
	close(f->library);
	free(f);
	return 0;
}

/* A call from :1.7 with a body of @n_body bytes; to free(). */
static uint8_t *make_message(size_t *ret_n, uint8_t type, uint32_t n_fds, size_t n_body)
{
	static const uint8_t sender[] = {
		7, 1, 's', 0, 4, 0, 0, 0, ':', '1', '.', '7', 0, 0, 0, 0
	};
	uint8_t fds[] = { 9, 1, 'u', 0, (uint8_t)n_fds, 0, 0, 0 };
	/* The padding after the last field does not count. */
	uint32_t n_fields = n_fds ? sizeof(sender) + sizeof(fds) : sizeof(sender) - 3;
	size_t n_header = 16 + sizeof(sender) + (n_fds ? sizeof(fds) : 0);
	uint32_t body = (uint32_t)n_body, serial = 5;
	uint8_t *data = calloc(1, n_header + n_body);

	assert_non_null(data);
	data[0] = 'l';
	data[1] = type;
	data[3] = 1;
	memcpy(data + 4, &body, 4);
	memcpy(data + 8, &serial, 4);
	memcpy(data + 12, &n_fields, 4);
	memcpy(data + 16, sender, sizeof(sender));
	if (n_fds)
		memcpy(data + 16 + sizeof(sender), fds, sizeof(fds));
	*ret_n = n_header + n_body;
	return data;
}

static void send_with(int to, const void *data, size_t n, const int *fds, size_t n_fds)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = {};
	struct iovec iov = { (void *)data, n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(to, &mh, 0), n);
}

static size_t receive_with(int from, void *data, size_t n, int *fds, size_t *ret_n_fds)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov = { data, n };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t got = recvmsg(from, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	assert_true(got >= 0);
	*ret_n_fds = 0;
	cmsg = CMSG_FIRSTHDR(&mh);
	if (cmsg) {
		*ret_n_fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(cmsg), *ret_n_fds * sizeof(int));
	}
	return (size_t)got;
}

static void test_authentication_passes_and_nothing_after_it(void **state)
{
	struct fixture *f = *state;

	authenticate(f);
	assert_int_equal(f->n_incoming, 0);
	assert_int_equal(f->closed, 0);
}

static void test_bytes_between_lines_and_messages_end_it(void **state)
{
	static const char asked[] = "\0AUTH EXTERNAL\r\nBEGIN\r\n";
	struct fixture *f = *state;

	assert_int_equal(write(f->library, asked, sizeof(asked) - 1), sizeof(asked) - 1);
	run_for(f, 5000);
	assert_int_equal(write(f->bus, "OK 0\r\nrest", 10), 10);
	run_for(f, 5000);
	assert_int_equal(f->closed, -EPROTO);
}

static void test_messages_pass_both_ways_whole(void **state)
{
	struct fixture *f = *state;
	uint8_t received[2048];
	uint8_t *data;
	size_t n;

	data = make_message(&n, ENVELOPE_CALL, 0, 1000);
	memset(data + n - 1000, 'x', 1000);
	/* A byte at a time, then two in one piece. */
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(write(f->bus, data + i, 1), 1);
		run_for(f, 20);
	}
	run_for(f, 5000);
	assert_int_equal(f->n_incoming, 1);
	assert_int_equal(recv(f->library, received, sizeof(received), MSG_DONTWAIT), n);
	assert_memory_equal(received, data, n);

	assert_int_equal(write(f->library, data, n), n);
	assert_int_equal(write(f->library, data, n), n);
	run_for(f, 5000);
	assert_int_equal(f->n_outgoing, 2);
	assert_int_equal(recv(f->bus, received, n, MSG_DONTWAIT), n);
	assert_int_equal(recv(f->bus, received, n, MSG_DONTWAIT), n);
	assert_memory_equal(received, data, n);
	expect_nothing(f->bus);
	free(data);
}

static void test_verdicts_drop_hold_and_refuse(void **state)
{
	struct fixture *f = *state;
	uint8_t received[1024];
	struct envelope answer;
	uint8_t *data;
	size_t n;
	ssize_t got;

	data = make_message(&n, ENVELOPE_CALL, 0, 8);
	f->verdict = PUMP_DROP;
	assert_int_equal(write(f->bus, data, n), n);
	run_for(f, 5000);
	expect_nothing(f->library);

	f->verdict = PUMP_TAKEN;
	assert_int_equal(write(f->bus, data, n), n);
	run_for(f, 5000);
	assert_non_null(f->taken);
	expect_nothing(f->library);
	pump_refuse(f->pump, &f->taken->envelope, "x.Error.Limit", "Not now");
	pump_deliver(f->pump, f->taken);
	f->taken = NULL;
	run_for(f, 5000);
	assert_int_equal(recv(f->library, received, sizeof(received), MSG_DONTWAIT), n);

	got = recv(f->bus, received, sizeof(received), MSG_DONTWAIT);
	assert_true(got > 0);
	assert_int_equal(envelope_decode(&answer, received, (size_t)got), 0);
	assert_int_equal(answer.type, ENVELOPE_ERROR);
	assert_int_equal(answer.reply_serial, 5);
	assert_string_equal(answer.destination, ":1.7");
	free(data);
}

static void test_large_message_loses_its_body(void **state)
{
	struct fixture *f = *state;
	size_t n, n_small, sent = 0;
	uint8_t received[1024];
	uint8_t *data, *small;

	data = make_message(&n, ENVELOPE_CALL, 0, 20 << 20);
	while (sent < n) {
		ssize_t piece = send(f->bus, data + sent, n - sent, MSG_DONTWAIT);

		if (piece > 0)
			sent += (size_t)piece;
		run_for(f, 100);
	}
	free(data);
	run_for(f, 20000);
	assert_int_equal(f->n_incoming, 1);
	assert_true(f->last_cut);
	assert_int_equal(recv(f->library, received, sizeof(received), MSG_DONTWAIT), 32);

	/* The stream is in step again. */
	small = make_message(&n_small, ENVELOPE_CALL, 0, 8);
	assert_int_equal(write(f->bus, small, n_small), n_small);
	run_for(f, 5000);
	assert_int_equal(f->n_incoming, 2);
	assert_false(f->last_cut);
	assert_int_equal(recv(f->library, received, sizeof(received), MSG_DONTWAIT), n_small);
	free(small);
}

static void test_path_descriptors_pass_and_others_are_replaced(void **state)
{
	struct fixture *f = *state;
	int fds[3], got[64], probe[2];
	struct pump_statistics statistics;
	uint8_t received[1024];
	struct stat st, null;
	ssize_t n_left = -1;
	size_t n, n_got;
	uint8_t *data;

	assert_return_code(pipe2(probe, O_CLOEXEC | O_NONBLOCK), errno);
	fds[0] = open("/tmp", O_PATH | O_CLOEXEC);
	fds[1] = probe[1];
	fds[2] = open("/etc", O_PATH | O_CLOEXEC);
	data = make_message(&n, ENVELOPE_CALL, 3, 8);
	send_with(f->bus, data, n, fds, 3);
	close(probe[1]);
	run_for(f, 50000);

	assert_int_equal(receive_with(f->library, received, sizeof(received), got, &n_got), n);
	assert_int_equal(n_got, 3);
	assert_memory_equal(received, data, n);
	for (size_t i = 0; i < 3; i++)
		assert_true(fdinfo_is_path(got[i]));
	assert_return_code(fstat(got[1], &st), errno);
	assert_return_code(stat("/dev/null", &null), errno);
	assert_true(S_ISCHR(st.st_mode) && st.st_rdev == null.st_rdev);
	assert_return_code(fstat(got[2], &st), errno);
	assert_true(S_ISDIR(st.st_mode));

	/* The stranger's was closed: the pipe has no writer left. */
	for (uint64_t end = now_us() + PATIENCE_US; now_us() < end; run_for(f, 1000)) {
		n_left = read(probe[0], received, 1);
		if (n_left >= 0)
			break;
	}
	assert_int_equal(n_left, 0);
	pump_statistics(f->pump, &statistics);
	assert_int_equal(statistics.descriptors_refused, 1);

	for (size_t i = 0; i < 3; i++)
		close(got[i]);
	close(fds[0]);
	close(fds[2]);
	close(probe[0]);
	free(data);
}

static unsigned int count_descriptors(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_too_many_descriptors_are_stripped(void **state)
{
	struct fixture *f = *state;
	uint8_t received[1024];
	int fds[40], got[64];
	struct envelope e;
	unsigned int before;
	size_t n, n_got;
	uint8_t *data;

	for (size_t i = 0; i < 40; i++)
		fds[i] =
			open(i % 2 ? "/tmp" : "/dev/zero", (i % 2 ? O_PATH : O_RDONLY) | O_CLOEXEC);
	before = count_descriptors();

	for (size_t count = PUMP_FDS_PASS + 1; count <= 40; count += 35 - PUMP_FDS_PASS - 1) {
		data = make_message(&n, ENVELOPE_CALL, (uint32_t)count, 8);
		send_with(f->bus, data, n, fds, count);
		run_for(f, 100000);
		assert_int_equal(receive_with(f->library, received, sizeof(received), got, &n_got),
				 n);
		assert_int_equal(n_got, 0);
		assert_int_equal(envelope_decode(&e, received, n), 0);
		assert_int_equal(e.n_fds, 0);
		free(data);
	}
	for (uint64_t end = now_us() + PATIENCE_US;
	     count_descriptors() != before && now_us() < end;)
		run_for(f, 1000);
	assert_int_equal(count_descriptors(), before);

	for (size_t i = 0; i < 40; i++)
		close(fds[i]);
}

static void test_descriptor_limit_strips_and_keeps_the_connection(void **state)
{
	struct rlimit before, limit;
	struct fixture *f = *state;
	uint8_t received[1024];
	int got[64], fd, last;
	size_t n, n_got;
	uint8_t *data;

	fd = open("/tmp", O_PATH | O_CLOEXEC);
	data = make_message(&n, ENVELOPE_CALL, 1, 8);
	assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
	last = dup(fd);
	close(last);

	/* From no place at all to one that suffices; in between either is right. */
	for (int left = 0; left < 12; left++) {
		limit = (struct rlimit){ (rlim_t)(last + left), before.rlim_max };
		assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
		send_with(f->bus, data, n, &fd, 1);
		run_for(f, 5000);
		assert_return_code(setrlimit(RLIMIT_NOFILE, &before), errno);
		assert_int_equal(receive_with(f->library, received, sizeof(received), got, &n_got),
				 n);
		if (left == 0)
			assert_int_equal(n_got, 0);
		if (n_got)
			close(got[0]);
	}
	assert_int_equal(n_got, 1);
	assert_int_equal(f->closed, 0);
	close(fd);
	free(data);
}

static void test_own_descriptors_go_out_unchanged(void **state)
{
	struct fixture *f = *state;
	uint8_t received[1024];
	int pipe_fds[2], got[64];
	size_t n, n_got;
	uint8_t *data;

	assert_return_code(pipe2(pipe_fds, O_CLOEXEC), errno);
	data = make_message(&n, ENVELOPE_RETURN, 1, 8);
	send_with(f->library, data, n, &pipe_fds[1], 1);
	run_for(f, 5000);
	assert_int_equal(receive_with(f->bus, received, sizeof(received), got, &n_got), n);
	assert_int_equal(n_got, 1);
	assert_int_equal(write(got[0], "!", 1), 1);
	assert_int_equal(read(pipe_fds[0], received, 1), 1);
	close(got[0]);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	free(data);
}

static void test_bus_that_takes_nothing_is_seen_in_the_queue(void **state)
{
	struct fixture *f = *state;
	size_t n, n_call;
	uint8_t *data, *call;

	data = make_message(&n, ENVELOPE_SIGNAL, 0, 1 << 20);
	call = make_message(&n_call, ENVELOPE_CALL, 0, 8);
	for (unsigned int i = 0; i < 6; i++) {
		size_t sent = 0;

		while (sent < n) {
			ssize_t piece = send(f->library, data + sent, n - sent, MSG_DONTWAIT);

			if (piece > 0)
				sent += (size_t)piece;
			run_for(f, 200);
		}
	}
	run_for(f, 5000);
	assert_true(pump_queued(f->pump) > PUMP_PAUSE);

	/* Nothing more is read then. */
	assert_int_equal(write(f->bus, call, n_call), n_call);
	run_for(f, 5000);
	assert_int_equal(f->n_incoming, 0);

	/* Until the bus takes again. */
	while (pump_queued(f->pump)) {
		static uint8_t sink[1 << 16];

		(void)!recv(f->bus, sink, sizeof(sink), MSG_DONTWAIT);
		run_for(f, 100);
	}
	run_for(f, 5000);
	assert_int_equal(f->n_incoming, 1);
	assert_int_equal(f->closed, 0);
	free(data);
	free(call);
}

static void test_garbage_and_end_close(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write(f->bus, "this is no message at all", 25), 25);
	run_for(f, 5000);
	assert_int_equal(f->closed, -EBADMSG);
}

static void test_end_of_the_bus_closes(void **state)
{
	struct fixture *f = *state;

	assert_return_code(shutdown(f->bus, SHUT_RDWR), errno);
	run_for(f, 5000);
	assert_int_equal(f->closed, -ECONNRESET);
}

/* The server of a file that is the root of its own filesystem. Reads FLUSH and says nothing. */
static void serve_file(int fd)
{
	static uint8_t request[1 << 17];
	struct fuse_in_header *in = (struct fuse_in_header *)request;

	for (;;) {
		struct {
			struct fuse_out_header head;
			union {
				struct fuse_init_out init;
				struct fuse_attr_out attr;
				struct fuse_open_out open;
			};
		} out = {};
		size_t n = 0;

		if (read(fd, request, sizeof(request)) < 0)
			_exit(0);
		switch (in->opcode) {
		case FUSE_INIT:
			n = sizeof(out.init);
			out.init.major = FUSE_KERNEL_VERSION;
			out.init.minor = 31;
			out.init.max_write = 4096;
			break;
		case FUSE_GETATTR:
			n = sizeof(out.attr);
			out.attr.attr.ino = 1;
			out.attr.attr.mode = S_IFREG | 0666;
			out.attr.attr.nlink = 1;
			break;
		case FUSE_OPEN:
			n = sizeof(out.open);
			break;
		case FUSE_FLUSH:
			continue;
		default:
			out.head.error = -ENOSYS;
		}
		out.head.unique = in->unique;
		out.head.len = (uint32_t)(sizeof(out.head) + n);
		(void)!write(fd, &out, out.head.len);
	}
}

static pid_t fuse_file_start(const char *path)
{
	char options[96];
	pid_t pid;
	int fd;

	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	assert_return_code(fd, errno);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	snprintf(options, sizeof(options), "fd=%d,rootmode=100000,user_id=1,group_id=1,allow_other",
		 fd);
	assert_return_code(mount("flush", path, "fuse", 0, options), errno);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve_file(fd);
	}
	close(fd);
	return pid;
}

/* By another process, whose close would hang: it keeps the file open until it is killed. */
static pid_t send_stranger(struct fixture *f, const char *path)
{
	uint8_t *data;
	size_t n;
	pid_t pid;
	int fd;

	data = make_message(&n, ENVELOPE_CALL, 1, 8);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			_exit(1);
		send_with(f->bus, data, n, &fd, 1);
		for (;;)
			pause();
	}
	free(data);
	run_until(f, &f->n_incoming, 1);
	return pid;
}

/* Without it root may write to no file of another's that this one alone may write to: as in the unit. */
static void set_override(bool on)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	assert_return_code(syscall(SYS_capget, &header, data), errno);
	data[0].effective &= ~(1U << CAP_DAC_OVERRIDE);
	if (on)
		data[0].effective |= 1U << CAP_DAC_OVERRIDE;
	assert_return_code(syscall(SYS_capset, &header, data), errno);
}

static void test_hung_close_is_off_the_loop_and_ended(void **state)
{
	struct fixture *f = *state;
	static const char path[] = "/mnt/flush";
	uint8_t received[1024];
	int got[64];
	size_t n_got;
	pid_t server, sender;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("fsevents-test", "/mnt", "tmpfs", 0, NULL) < 0) {
		fprintf(stderr, "SKIPPED: needs root\n");
		skip();
	}
	server = fuse_file_start(path);
	sender = send_stranger(f, path);

	/* The message goes on at once, with something harmless in its place. */
	assert_int_equal(receive_with(f->library, received, sizeof(received), got, &n_got), 48);
	assert_int_equal(n_got, 1);
	assert_true(fdinfo_is_path(got[0]));
	close(got[0]);
	assert_int_equal(f->n_stuck, 0);

	set_override(false);
	run_until(f, &f->n_stuck, 1);
	set_override(true);
	assert_true(f->aborted);
	/* It took the place of the connection's owner for that, and is itself again. */
	assert_int_equal(setfsuid((uid_t)-1), 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	assert_false(strangers_full(f->strangers));
	assert_true(f->worst_us < LOOP_LATE_MAX_US);

	/* The connection is aborted: the thread could end, and its descriptor with it. */
	assert_int_equal(open(path, O_RDONLY | O_CLOEXEC), -1);
	kill(sender, SIGKILL);
	assert_int_equal(waitpid(sender, NULL, 0), sender);
	kill(server, SIGKILL);
	assert_int_equal(waitpid(server, NULL, 0), server);
	assert_return_code(umount2(path, MNT_DETACH), errno);
}

struct locker {
	int epoll;
	void *page;
};

/* The kernel holds the descriptor's lock while it waits for the page. */
static void *locker_main(void *argument)
{
	struct locker *locker = argument;

	(void)epoll_wait(locker->epoll, locker->page, 1, -1);
	return NULL;
}

static void test_lock_of_a_stranger_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct epoll_event event = { .events = EPOLLIN };
	struct locker locker;
	struct uffd_msg fault;
	pthread_t thread;
	uint8_t *data;
	int faults, ready;
	size_t n;

	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (faults < 0) {
		fprintf(stderr, "SKIPPED: needs root and userfaultfd\n");
		skip();
	}
	assert_return_code(ioctl(faults, UFFDIO_API, &api), errno);
	locker.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(locker.page, MAP_FAILED);
	range.range.start = (uintptr_t)locker.page;
	range.range.len = 4096;
	assert_return_code(ioctl(faults, UFFDIO_REGISTER, &range), errno);

	ready = eventfd(1, EFD_CLOEXEC);
	locker.epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_return_code(epoll_ctl(locker.epoll, EPOLL_CTL_ADD, ready, &event), errno);
	assert_int_equal(pthread_create(&thread, NULL, locker_main, &locker), 0);
	assert_int_equal(read(faults, &fault, sizeof(fault)), sizeof(fault));

	/* A loop that waits for the lock waits for ever. */
	alarm(60);
	data = make_message(&n, ENVELOPE_CALL, 1, 8);
	send_with(f->bus, data, n, &locker.epoll, 1);
	free(data);
	run_for(f, STRANGER_DEADLINE_US + 300000);
	assert_int_equal(f->n_incoming, 1);
	assert_int_equal(f->n_stuck, 0);
	assert_true(f->worst_us < LOOP_LATE_MAX_US);
	alarm(0);

	/* Without the registration the fault is an ordinary one. */
	close(faults);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(locker.epoll);
	close(ready);
	munmap(locker.page, 4096);
}

/* A socket whose last close waits for a reader that there is not. */
static int lingering_socket(int listener, const struct sockaddr_in *address, int *ret_other)
{
	static const uint8_t bytes[1 << 16];
	const struct linger linger = { .l_onoff = 1, .l_linger = 60 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_return_code(connect(fd, (const struct sockaddr *)address, sizeof(*address)), errno);
	*ret_other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_return_code(*ret_other, errno);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), errno);
	return fd;
}

static void test_sockets_that_linger_past_the_bound_hold_nothing_up(void **state)
{
	enum { N_MESSAGES = 6, N_FDS = 15 };
	struct fixture *f = *state;
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t n_address = sizeof(address);
	int others[N_MESSAGES * N_FDS], fds[N_FDS];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_return_code(bind(listener, (const struct sockaddr *)&address, sizeof(address)),
			   errno);
	assert_return_code(listen(listener, 4), errno);
	assert_return_code(getsockname(listener, (struct sockaddr *)&address, &n_address), errno);

	for (unsigned int i = 0; i < N_MESSAGES; i++) {
		uint8_t *data;
		size_t n;

		data = make_message(&n, ENVELOPE_CALL, N_FDS, 8);
		for (unsigned int k = 0; k < N_FDS; k++)
			fds[k] = lingering_socket(listener, &address, &others[i * N_FDS + k]);
		send_with(f->bus, data, n, fds, N_FDS);
		for (unsigned int k = 0; k < N_FDS; k++)
			close(fds[k]);
		free(data);
	}

	/* Enough to be full with those that were read; the last one waits. */
	run_until(f, &f->n_incoming, N_MESSAGES - 1);
	run_for(f, 300000);
	assert_true(strangers_full(f->strangers));
	assert_int_equal(f->n_incoming, N_MESSAGES - 1);
	assert_true(f->worst_us < LOOP_LATE_MAX_US);

	/* The others' ends close: each socket is done, and reading goes on. */
	for (unsigned int i = 0; i < N_MESSAGES * N_FDS; i++)
		close(others[i]);
	close(listener);
	run_until(f, &f->n_incoming, N_MESSAGES);
	for (uint64_t end = now_us() + PATIENCE_US; strangers_full(f->strangers) && now_us() < end;)
		run_for(f, 1000);
	assert_false(strangers_full(f->strangers));
	print_message("the loop was late by at most %lu us\n", (unsigned long)f->worst_us);
	assert_true(f->worst_us < LOOP_LATE_MAX_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_authentication_passes_and_nothing_after_it,
						setup_raw, teardown),
		cmocka_unit_test_setup_teardown(test_bytes_between_lines_and_messages_end_it,
						setup_raw, teardown),
		cmocka_unit_test_setup_teardown(test_messages_pass_both_ways_whole, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_verdicts_drop_hold_and_refuse, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_large_message_loses_its_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_path_descriptors_pass_and_others_are_replaced,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_descriptors_are_stripped, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_descriptor_limit_strips_and_keeps_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_descriptors_go_out_unchanged, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_bus_that_takes_nothing_is_seen_in_the_queue,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage_and_end_close, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_the_bus_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_of_a_stranger_is_not_waited_for, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_sockets_that_linger_past_the_bound_hold_nothing_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hung_close_is_off_the_loop_and_ended, setup,
						teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
