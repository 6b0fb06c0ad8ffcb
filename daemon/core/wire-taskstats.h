/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Exit records of taskstats
 *
 * The attributes of one generic netlink message of the TASKSTATS family
 * (linux/taskstats.h), sent when a thread ends, become a plain value. Times
 * are those that the scheduler measured, shared between user and system as the
 * ticks fell; where the kernel does not tell them, by tick alone. It rounds the
 * bytes down to KiB.
 */

#include <stddef.h>
#include <stdint.h>

struct wire_taskstats {
	uint32_t tid;
	uint32_t tgid; /* 0: a kernel before version 12 of the structure does not say */
	uint32_t uid; /* real */
	uint32_t flags; /* ac_flag: AFORK, AXSIG and so on of linux/acct.h */
	uint64_t elapsed_us; /* from its start to its end */
	uint64_t user_us, system_us;
	uint64_t read_bytes, write_bytes; /* from and to storage, as in /proc/PID/io */
	uint64_t peak_rss_kib; /* of its memory, which its threads share */
};

/**
 * wire_taskstats_decode() - one message
 * @data:	the attributes, after the generic netlink header; @n_data bytes
 * @ret:	what the record of the thread (AGGR_PID) says; a record of the whole
 *		process, sent beside it with its last thread, has nothing that the
 *		sum of its threads has not
 *
 * Return: 1 with @ret, 0 where the message has no record of a thread,
 * -EBADMSG where lengths cannot be or a record is too short to have these
 * fields.
 */
int wire_taskstats_decode(const void *data, size_t n_data, struct wire_taskstats *ret);
