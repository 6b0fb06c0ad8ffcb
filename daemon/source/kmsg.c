/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/source/block.h"
#include "daemon/source/kmsg.h"
#include "daemon/source/late-reader.h"

/* A record is never longer: CONSOLE_EXT_LOG_MAX or PRINTK_MESSAGE_MAX of the kernel. */
#define KMSG_RECORD 8192

/* A name is looked up once in this time; a device that comes later may have it. */
#define KMSG_NAMES 64
#define KMSG_NAMES_US 1000000ULL

struct device_name {
	char name[KERNEL_DEVICE_MAX];
	bool found;
	uint32_t major, minor;
};

struct kmsg {
	sd_event *loop;
	struct late_reader reader; /* owns the descriptor */
	const struct kmsg_ops *ops;
	void *userdata;
	bool started; /* ->next_seq is known */
	uint64_t next_seq;
	struct device_name names[KMSG_NAMES];
	unsigned int n_names;
	uint64_t names_us; /* when the first of them was looked up */
	struct kmsg_statistics statistics;
};

static void name_look_up(const char *device, struct device_name *ret)
{
	memcpy(ret->name, device, sizeof(ret->name));
	ret->found = block_number(device, &ret->major, &ret->minor) == 0;
}

/* Of @device, which is as long as a message may name one; valid until the next call. */
static const struct device_name *name_find(struct kmsg *kmsg, const char *device)
{
	struct device_name *name;
	uint64_t now_us = 0;

	(void)sd_event_now(kmsg->loop, CLOCK_MONOTONIC, &now_us);
	if (now_us - kmsg->names_us >= KMSG_NAMES_US || kmsg->n_names == KMSG_NAMES) {
		kmsg->names_us = now_us;
		kmsg->n_names = 0;
	}

	for (unsigned int i = 0; i < kmsg->n_names; i++)
		if (strcmp(kmsg->names[i].name, device) == 0)
			return &kmsg->names[i];

	name = &kmsg->names[kmsg->n_names++];
	name_look_up(device, name);
	return name;
}

static void message_tell(struct kmsg *kmsg, struct kernel_message *message)
{
	if (!message->numbered) {
		const struct device_name *name = name_find(kmsg, message->device);

		if (!name->found) {
			kmsg->statistics.unknown_device++;
			return;
		}
		message->major = name->major;
		message->minor = name->minor;
	}

	kmsg->statistics.messages++;
	kmsg->ops->message(message, kmsg->userdata);
}

/* Return: how many records between the last one and this one were overwritten. */
static uint64_t sequence_take(struct kmsg *kmsg, uint64_t seq)
{
	uint64_t lost = kmsg->started && seq > kmsg->next_seq ? seq - kmsg->next_seq : 0;

	kmsg->started = true;
	kmsg->next_seq = seq + 1;
	return lost;
}

/* Return: as sequence_take(). */
static uint64_t record_take(struct kmsg *kmsg, const char *record, size_t n)
{
	struct kernel_message message = {};
	uint64_t lost;
	int r;

	kmsg->statistics.records++;
	r = kernel_message_decode(record, n, &message);
	/* Its number is missing then, and shows as lost with the next one. */
	if (r < 0)
		return 0;

	lost = sequence_take(kmsg, message.seq);
	if (r == KERNEL_MESSAGE_FOREIGN)
		kmsg->statistics.foreign++;
	else if (r == 0)
		message_tell(kmsg, &message);
	return lost;
}

/* Return: whether more may be waiting; @lost grows. */
static bool kmsg_read(struct kmsg *kmsg, uint64_t *lost)
{
	char record[KMSG_RECORD];
	ssize_t n = read(late_reader_fd(&kmsg->reader), record, sizeof(record));

	if (n > 0) {
		*lost += record_take(kmsg, record, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EPIPE) {
		/* The next record says how many; before any was read nothing does. */
		if (!kmsg->started)
			*lost += 1;
		return true;
	}
	/* Too long for the buffer: passed over, and missing in the sequence. */
	return n < 0 && (errno == EINTR || errno == EINVAL);
}

void kmsg_catch_up(struct kmsg *kmsg)
{
	uint64_t lost = 0;
	bool more = true;

	assert(kmsg);

	for (unsigned int i = 0; i < KMSG_BATCH && more; i++)
		more = kmsg_read(kmsg, &lost);

	if (lost > 0) {
		kmsg->statistics.lost += lost;
		kmsg->ops->lost(lost, kmsg->userdata);
	}
}

static void on_due(void *userdata)
{
	struct kmsg *kmsg = userdata;

	kmsg_catch_up(kmsg);
	/* What is left wakes it again, and waits as long once more. */
	late_reader_listen(&kmsg->reader);
}

static void on_sign(void *userdata)
{
	struct kmsg *kmsg = userdata;

	late_reader_wait(&kmsg->reader, KMSG_LATE_US);
}

static const struct late_reader_ops reader_ops = {
	.sign = on_sign,
	.due = on_due,
};

static int kmsg_start(struct kmsg *kmsg)
{
	_cleanup_close_ int fd = -1;
	int r;

	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == EPERM || errno == EACCES || errno == ENODEV ||
				       errno == ENXIO
			       ? -EOPNOTSUPP
			       : -errno;
	/* Whatever else is bound there has no end to go to. */
	if (lseek(fd, 0, SEEK_END) < 0)
		return errno == ESPIPE ? -EOPNOTSUPP : -errno;

	r = late_reader_start(&kmsg->reader, kmsg->loop,
			      &(const struct late_reader_options){
				      .fd = fd,
				      .owns_fd = true,
				      .name = "kmsg",
				      .ops = &reader_ops,
				      .userdata = kmsg,
			      });
	if (r < 0)
		return r == -EPERM ? -EOPNOTSUPP : r;
	TAKE_FD(fd);
	late_reader_listen(&kmsg->reader);
	return 0;
}

int kmsg_new(struct kmsg **ret, sd_event *loop, const struct kmsg_ops *ops, void *userdata)
{
	_cleanup_(kmsg_freep) struct kmsg *kmsg = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(ops && ops->message && ops->lost);

	kmsg = calloc(1, sizeof(*kmsg));
	if (!kmsg)
		return -ENOMEM;
	kmsg->loop = sd_event_ref(loop);
	kmsg->ops = ops;
	kmsg->userdata = userdata;

	r = kmsg_start(kmsg);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(kmsg);
	return 0;
}

struct kmsg *kmsg_free(struct kmsg *kmsg)
{
	if (!kmsg)
		return NULL;

	late_reader_stop(&kmsg->reader);
	sd_event_unref(kmsg->loop);
	free(kmsg);
	return NULL;
}

void kmsg_statistics(const struct kmsg *kmsg, struct kmsg_statistics *ret)
{
	assert(kmsg);
	assert(ret);

	*ret = kmsg->statistics;
}
