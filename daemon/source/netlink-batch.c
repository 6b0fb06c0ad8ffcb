/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "daemon/source/netlink-batch.h"
#include "daemon/source/netlink.h"

struct slot {
	struct sockaddr_nl sender;
	struct iovec iov;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
};

struct netlink_batch {
	size_t n_room, n_taken;
	struct mmsghdr *messages;
	struct slot *slots;
	uint8_t *bytes;
};

/* What the kernel has written over is as it was. */
static void message_reset(struct netlink_batch *batch, size_t index)
{
	struct slot *slot = &batch->slots[index];

	batch->messages[index].msg_hdr = (struct msghdr){
		.msg_name = &slot->sender,
		.msg_namelen = sizeof(slot->sender),
		.msg_iov = &slot->iov,
		.msg_iovlen = 1,
		.msg_control = &slot->control,
		.msg_controllen = sizeof(slot->control),
	};
}

int netlink_batch_new(struct netlink_batch **ret, size_t n_datagrams, size_t n_bytes)
{
	_cleanup_(netlink_batch_freep) struct netlink_batch *batch = NULL;

	assert(ret);
	assert(n_datagrams > 0 && n_bytes > 0);

	batch = calloc(1, sizeof(*batch));
	if (!batch)
		return -ENOMEM;
	batch->messages = calloc(n_datagrams, sizeof(*batch->messages));
	batch->slots = calloc(n_datagrams, sizeof(*batch->slots));
	batch->bytes = calloc(n_datagrams, n_bytes);
	if (!batch->messages || !batch->slots || !batch->bytes)
		return -ENOMEM;

	batch->n_room = n_datagrams;
	for (size_t i = 0; i < n_datagrams; i++) {
		batch->slots[i].iov = (struct iovec){
			.iov_base = batch->bytes + i * n_bytes,
			.iov_len = n_bytes,
		};
		message_reset(batch, i);
	}

	*ret = TAKE_PTR(batch);
	return 0;
}

struct netlink_batch *netlink_batch_free(struct netlink_batch *batch)
{
	if (!batch)
		return NULL;

	free(batch->messages);
	free(batch->slots);
	free(batch->bytes);
	free(batch);
	return NULL;
}

int netlink_batch_receive(struct netlink_batch *batch, int fd, size_t *ret_n)
{
	int n;

	assert(batch);
	assert(ret_n);

	for (size_t i = 0; i < batch->n_taken; i++)
		message_reset(batch, i);
	batch->n_taken = 0;

	do
		n = recvmmsg(fd, batch->messages, (unsigned int)batch->n_room, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);

	if (n < 0 && errno == EAGAIN)
		return NETLINK_EMPTY;
	if (n < 0 && errno == ENOBUFS)
		return NETLINK_OVERRUN;
	if (n < 0)
		return -errno;

	*ret_n = batch->n_taken = (size_t)n;
	return 0;
}

int netlink_batch_get(const struct netlink_batch *batch, size_t index, const void **ret,
		      size_t *ret_n)
{
	const struct mmsghdr *message;

	assert(batch);
	assert(index < batch->n_taken);
	assert(ret && ret_n);

	message = &batch->messages[index];
	if (!netlink_is_from_kernel(&message->msg_hdr))
		return NETLINK_FOREIGN;
	if (message->msg_hdr.msg_flags & MSG_TRUNC)
		return NETLINK_TRUNCATED;

	*ret = batch->slots[index].iov.iov_base;
	*ret_n = message->msg_len;
	return 0;
}
