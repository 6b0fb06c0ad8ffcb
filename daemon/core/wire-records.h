/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Batches of the module's records
 *
 * FS_NL_C_RECORDS (include/fs_event.h) of the groups "inode" and "proc". All
 * lengths are checked here by own arithmetic, as in core/wire-event.h; kinds
 * that are not known are passed over and yet numbered. Nothing is copied but
 * numbers: names lie in the datagram. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/handle.h"
#include "include/fs_event.h"

/* A batch, and how far it was read. */
struct wire_records {
	uint64_t
		seq; /* of the first in its group; without any, of the next: those before are lost */
	uint32_t n; /* how many numbers it has, also of what is passed over */
	const uint8_t *data; /* of the datagram: what was not read yet */
	size_t n_data;
	uint32_t n_left; /* in ->data */
};

/* Bytes of the datagram, without a NUL among or behind them. */
struct wire_name {
	const char *bytes;
	size_t n; /* 0: none */
};

/*
 * FS_RECORD_FILE. A name has no '/' and is neither "." nor "..". What has a name of more than
 * NAME_MAX bytes is without its names and handles.
 */
struct wire_record_file {
	uint64_t inode; /* 0: not known */
	uint64_t dir_inode; /* where ->name is; 0 exactly where there is none */
	uint64_t new_dir_inode; /* likewise of ->new_name */
	uint32_t fs_id, watch_id; /* by which request: one of them is 0 */
	uint32_t dev_major, dev_minor;
	uint32_t events; /* enum fs_file_event, never 0 */
	uint32_t generation;
	uint32_t pid, tid; /* 0: nobody's */
	struct wire_name name, new_name; /* at most NAME_MAX bytes */
	/* Of these inodes, in the datagram; n 0: not told */
	struct handle_view handle, dir_handle, new_dir_handle;
};

/* The pids of whom it is about are larger than 0; others are 0 where there is none. */
struct wire_record_process {
	uint32_t pid, tgid;
	uint32_t by_pid, by_tgid;
	uint32_t parent;
	uint32_t inner_pid;
	uint64_t pid_namespace;
	uint32_t uid;
	uint32_t status;
	uint32_t flags; /* enum fs_process_flag */
	uint64_t inode; /* of an exec, as the two that follow */
	uint32_t dev_major, dev_minor;
	struct wire_name name; /* as given to execve(2): no path of a kind is promised */
};

struct wire_record {
	enum fs_record_kind kind;
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	union {
		struct wire_record_file file;
		struct wire_record_process process; /* of each other kind */
	};
};

/**
 * wire_records_decode() - one FS_NL_C_RECORDS
 * @attributes: of struct wire_message
 *
 * Return: 1 with @ret, 0 where it has no number, -EBADMSG where lengths cannot be.
 */
int wire_records_decode(const void *attributes, size_t n_attributes, struct wire_records *ret);

/**
 * wire_record_next() - the next record of a batch that is known
 *
 * What cannot be said of anybody (a process without a pid) is passed over too.
 *
 * Return: 1 with @ret, 0 at the end, -EBADMSG where lengths cannot be or there
 * are not as many as the batch says: what came before is good, what follows is lost.
 */
int wire_record_next(struct wire_records *records, struct wire_record *ret);
