/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/taskstats.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/source/genl-socket.h"
#include "daemon/source/netlink-batch.h"
#include "daemon/source/netlink.h"
#include "daemon/source/sysfs.h"
#include "daemon/source/taskstats.h"

/* All that there may ever be: one that comes later needs no asking then. */
#define CPUS "/sys/devices/system/cpu/possible"

/* Two records of about 600 bytes each with their attributes. */
#define DATAGRAM_MAX 4096

/* Taken by one call. */
#define DATAGRAMS 64

struct taskstats_source {
	uint32_t n_buffer;
	struct nl_sock *socket; /* NULL: stopped */
	struct netlink_batch *datagrams; /* likewise */
	int family;
	size_t n_taken, at; /* of ->datagrams, and which is next */
	struct taskstats_statistics statistics;
};

static int send_cpus(struct taskstats_source *taskstats, int attribute)
{
	struct nl_msg *message;
	char cpus[256];
	int r;

	r = sysfs_read(AT_FDCWD, CPUS, cpus, sizeof(cpus));
	if (r < 0)
		return r;
	cpus[strcspn(cpus, "\n")] = '\0';

	message = nlmsg_alloc();
	if (!message)
		return -ENOMEM;
	if (!genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, taskstats->family, 0,
			 NLM_F_REQUEST | NLM_F_ACK, TASKSTATS_CMD_GET, TASKSTATS_GENL_VERSION) ||
	    nla_put_string(message, attribute, cpus) < 0)
		r = -ENOMEM;
	else
		r = nl_send_auto(taskstats->socket, message);
	nlmsg_free(message);
	return r < 0 ? (r == -ENOMEM ? r : genl_socket_error(r)) : 0;
}

static int taskstats_set_up(struct taskstats_source *taskstats)
{
	int r;

	r = genl_socket_open(&taskstats->socket, TASKSTATS_GENL_NAME, (int)taskstats->n_buffer,
			     &taskstats->family);
	if (r < 0)
		return r;
	r = send_cpus(taskstats, TASKSTATS_CMD_ATTR_REGISTER_CPUMASK);
	if (r < 0)
		return r;
	/*
	 * The kernel acknowledges while it is asked, ahead of most records: those that
	 * come before it are of no group.
	 */
	nl_socket_disable_seq_check(taskstats->socket);
	r = nl_wait_for_ack(taskstats->socket);
	if (r < 0)
		return genl_socket_error(r);
	return nl_socket_set_nonblocking(taskstats->socket) < 0 ? -EIO : 0;
}

static void taskstats_close(struct taskstats_source *taskstats)
{
	nl_socket_free(taskstats->socket);
	taskstats->socket = NULL;
	taskstats->datagrams = netlink_batch_free(taskstats->datagrams);
	taskstats->n_taken = taskstats->at = 0;
}

int taskstats_new(struct taskstats_source **ret, uint32_t buffer)
{
	struct taskstats_source *taskstats;

	assert(ret);

	taskstats = calloc(1, sizeof(*taskstats));
	if (!taskstats)
		return -ENOMEM;
	taskstats->n_buffer = buffer ? buffer : TASKSTATS_BUFFER;

	*ret = taskstats;
	return 0;
}

int taskstats_start(struct taskstats_source *taskstats)
{
	int r;

	assert(taskstats);

	if (taskstats->socket)
		return -EALREADY;

	r = netlink_batch_new(&taskstats->datagrams, DATAGRAMS, DATAGRAM_MAX);
	if (r >= 0)
		r = taskstats_set_up(taskstats);
	if (r < 0)
		taskstats_close(taskstats);
	return r;
}

void taskstats_stop(struct taskstats_source *taskstats)
{
	assert(taskstats);

	if (!taskstats->socket)
		return;

	/* Without it the kernel finds out by sending in vain. */
	(void)send_cpus(taskstats, TASKSTATS_CMD_ATTR_DEREGISTER_CPUMASK);
	taskstats_close(taskstats);
}

bool taskstats_is_started(const struct taskstats_source *taskstats)
{
	assert(taskstats);

	return taskstats->socket;
}

struct taskstats_source *taskstats_free(struct taskstats_source *taskstats)
{
	if (!taskstats)
		return NULL;

	taskstats_stop(taskstats);
	free(taskstats);
	return NULL;
}

/* One datagram is one message of the kernel's. Return: whether it has a record. */
static bool taskstats_decode(struct taskstats_source *taskstats, const uint8_t *data, size_t n_data,
			     struct wire_taskstats *ret)
{
	struct nlmsghdr header;
	int r;

	if (n_data < sizeof(header))
		return false;
	memcpy(&header, data, sizeof(header));
	if (header.nlmsg_type != taskstats->family)
		return false;
	if (header.nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN || header.nlmsg_len > n_data) {
		taskstats->statistics.malformed++;
		return false;
	}

	r = wire_taskstats_decode(data + NLMSG_HDRLEN + GENL_HDRLEN,
				  header.nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, ret);
	if (r < 0)
		taskstats->statistics.malformed++;
	return r > 0;
}

/* The next one of those that were taken. Return: whether it has a record. */
static bool taskstats_take(struct taskstats_source *taskstats, struct wire_taskstats *ret,
			   bool *ret_lost)
{
	const void *data;
	size_t n_data;
	int r;

	r = netlink_batch_get(taskstats->datagrams, taskstats->at++, &data, &n_data);
	if (r == 0)
		return taskstats_decode(taskstats, data, n_data, ret);
	if (r == NETLINK_FOREIGN) {
		taskstats->statistics.foreign++;
	} else {
		taskstats->statistics.malformed++;
		*ret_lost = true;
	}
	return false;
}

/* Return: 0 with at least one to take, NETLINK_EMPTY, or a negative errno. */
static int taskstats_receive(struct taskstats_source *taskstats, bool *ret_lost)
{
	size_t n;
	int r;

	/* By hand: libnl cannot tell an overrun from no memory. */
	for (;;) {
		r = netlink_batch_receive(taskstats->datagrams, nl_socket_get_fd(taskstats->socket),
					  &n);
		if (r != NETLINK_OVERRUN)
			break;
		taskstats->statistics.overruns++;
		*ret_lost = true;
	}
	if (r != 0)
		return r;

	taskstats->n_taken = n;
	taskstats->at = 0;
	return 0;
}

int taskstats_read(struct taskstats_source *taskstats, struct wire_taskstats *ret, size_t n_max,
		   bool *ret_lost)
{
	size_t n = 0;
	int r = 0;

	assert(taskstats && taskstats->socket);
	assert(ret && n_max > 0);
	assert(ret_lost);

	while (n < n_max) {
		if (taskstats->at == taskstats->n_taken)
			r = taskstats_receive(taskstats, ret_lost);
		if (r != 0)
			break;
		n += taskstats_take(taskstats, &ret[n], ret_lost);
	}

	taskstats->statistics.records += n;
	return r < 0 && n == 0 ? r : (int)n;
}

void taskstats_statistics(const struct taskstats_source *taskstats,
			  struct taskstats_statistics *ret)
{
	assert(taskstats);
	assert(ret);

	*ret = taskstats->statistics;
}
