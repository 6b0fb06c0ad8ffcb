/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A reader that reads late, and does nothing else: what nobody can do cheaper
 *
 * late PAUSE-US [records]
 *
 * After the first sign it reads the process connector every PAUSE-US
 * microseconds until nothing more comes, and with "records" the exit records of
 * taskstats before. Prints "listening", and at SIGTERM what eager prints.
 */

#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>

#include <linux/taskstats.h>

#include "tests/bench/connector.h"

#define BUFFER (16 << 20)
#define BATCH 64
#define RECORD_MAX 4096

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec iovs[BATCH];
	char bytes[BATCH][RECORD_MAX];
};

static void batch_init(struct batch *batch)
{
	for (size_t i = 0; i < BATCH; i++) {
		batch->iovs[i] = (struct iovec){ batch->bytes[i], RECORD_MAX };
		batch->messages[i].msg_hdr.msg_iov = &batch->iovs[i];
		batch->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

/* @counts: NULL: they are not looked at. Return: how many there were. */
static uint64_t read_all(int fd, struct batch *batch, struct counts *counts)
{
	uint64_t n_all = 0;
	int n;

	for (;;) {
		n = recvmmsg(fd, batch->messages, BATCH, MSG_DONTWAIT, NULL);
		if (n < 0 && (errno == ENOBUFS || errno == EINTR))
			continue;
		if (n < 0)
			return n_all;
		n_all += (uint64_t)n;
		for (int i = 0; counts && i < n; i++)
			count(counts, batch->bytes[i], batch->messages[i].msg_len);
	}
}

static int open_records(void)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct nl_msg *message = nlmsg_alloc();
	const int buffer = BUFFER;
	char cpus[32];
	int family;

	if (!sock || !message || genl_connect(sock) < 0)
		errx(1, "generic netlink");
	family = genl_ctrl_resolve(sock, TASKSTATS_GENL_NAME);
	if (family < 0)
		errx(1, "taskstats");
	if (setsockopt(nl_socket_get_fd(sock), SOL_SOCKET, SO_RCVBUFFORCE, &buffer,
		       sizeof(buffer)) < 0)
		err(1, "SO_RCVBUFFORCE");
	snprintf(cpus, sizeof(cpus), "0-%ld", sysconf(_SC_NPROCESSORS_CONF) - 1);
	if (!genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, NLM_F_REQUEST,
			 TASKSTATS_CMD_GET, TASKSTATS_GENL_VERSION) ||
	    nla_put_string(message, TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, cpus) < 0 ||
	    nl_send_auto(sock, message) < 0)
		errx(1, "TASKSTATS_CMD_ATTR_REGISTER_CPUMASK");
	nlmsg_free(message);
	return nl_socket_get_fd(sock);
}

static int open_term(void)
{
	sigset_t term;
	int fd;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &term, NULL) < 0)
		err(1, "sigprocmask");
	fd = signalfd(-1, &term, SFD_CLOEXEC);
	if (fd < 0)
		err(1, "signalfd");
	return fd;
}

int main(int argc, char **argv)
{
	struct pollfd wait[2] = { { .events = POLLIN }, { .events = POLLIN } };
	static struct counts counts;
	static struct batch batch;
	struct timespec pause = {};
	int records = -1;
	uint64_t n = 0;

	if (argc < 2)
		errx(2, "usage: late PAUSE-US [records]");
	pause.tv_nsec = strtol(argv[1], NULL, 10) % 1000000 * 1000;
	batch_init(&batch);
	wait[0].fd = open_term();
	if (argc > 2)
		records = open_records();
	wait[1].fd = open_connector(BUFFER);

	do {
		/* While something comes, nothing but the end is waited for. */
		if (ppoll(wait, n > 0 ? 1 : 2, n > 0 ? &pause : NULL, NULL) < 0)
			err(1, "poll");
		if (n == 0)
			nanosleep(&pause, NULL);
		if (records >= 0)
			read_all(records, &batch, NULL);
		n = read_all(wait[1].fd, &batch, &counts);
	} while (!(wait[0].revents & POLLIN));

	print_counts(&counts);
	return 0;
}
