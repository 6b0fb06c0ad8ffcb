/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Workers
 *
 * Whatever can sleep uninterruptibly is asked of a worker process and never
 * done on the event loop: a path on a foreign filesystem, a mark, the own
 * state and configuration files, /proc/PID/io. Workers are forked by the
 * zygote, a child of the daemon that was split off before any bus, netlink or client
 * descriptor existed, so that a worker in D state keeps none of them, and so
 * that a new worker needs no file of a disk that just died.
 *
 * Requests go into lanes. A lane has at most one request under way; past its
 * deadline the caller hears POOL_STALLED, the worker is killed, and the lane
 * goes on with another worker once that is possible. A lane whose killed worker
 * cannot die stays blocked (POOL_BLOCKED) until it does. The local lane is
 * shared: a job that takes longer than POOL_SLOW_US leaves the rest of its
 * queue to a second worker, and blocks only what has its own key.
 *
 * How results travel: a job that returned 0 gives POOL_DONE and the bytes of
 * its reply as they are; one that returned a negative errno gives POOL_FAILED
 * and that errno as a const int. Replies are bytes of another process:
 * decode them.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/handle.h"
#include "daemon/core/usage.h"

struct pool;

#define POOL_SLOW_US 50000ULL
#define POOL_FOREIGN_MAX 64
#define POOL_FOREIGN_PER_UID 4

/**
 * zygote_start() - split off the zygote; before anything else is opened
 * @ret_fd:	its socket, for pool_new()
 *
 * Return: 0 or a negative errno. In the zygote and in its workers this does
 * not return.
 */
int zygote_start(int *ret_fd);

enum pool_lane {
	POOL_LANE_LOCAL, /* all local disks together; its own reserved worker(s) */
	POOL_LANE_FOREIGN, /* one per superblock: give ->key and ->owner_uid */
	POOL_LANE_STATE, /* history and ids */
	POOL_LANE_TASKS, /* configuration, device numbers, writers, users */
};

enum pool_result {
	POOL_DONE, /* the job ran; what it tried may have failed: see its reply */
	POOL_STALLED, /* no answer within the deadline */
	POOL_BLOCKED, /* an earlier worker of this lane cannot die */
	POOL_LIMIT, /* too many foreign workers (64; 4 per owner uid) */
	POOL_BROKEN, /* the worker died, could not be had, or its lane was dropped */
	POOL_FAILED, /* the job failed as a whole; the reply is a const int, its negative errno */
};

enum job_kind {
	JOB_STATFS,
	JOB_MARK,
	JOB_CONFIG,
	JOB_DEVICES,
	JOB_WRITERS,
	JOB_STATE_LOAD,
	JOB_STATE_APPEND,
	JOB_STATE_RESERVE,
	JOB_LOCATE,
	JOB_USERS,
	JOB_LOOKUP, /* job-lookup.h */
	JOB_WATCH_FIND, /* job-watch.h */
	JOB_WATCH_MARK, /* with the descriptor of a fanotify group */
	JOB_WATCH_LIST,
	JOB_SEND, /* the payload to the kernel, by the netlink socket passed along; no reply */
	JOB_SEND_ROOT, /* likewise, with a descriptor of the root of a mount, or of an inode by it */
};

/* JOB_STATFS: figures of the filesystem mounted at a path. */
struct statfs_request {
	const char *where; /* bytes */
	uint64_t mount_id; /* unique id expected, else mnt_id; the answer counts only if equal */
	bool mount_id_is_unique;
	const char
		*btrfs_uuid; /* NULL: not btrfs, or not known; for what the next commit will take */
};

struct statfs_reply {
	int error; /* 0; -ESTALE: another mount is at the path; else of open or statfs */
	bool root_known; /* the root was reached, and so ->root_error says something */
	int root_error; /* of looking at the root, positive (xfs after a shutdown: EIO); 0: fine */
	struct usage usage;
	uint64_t taken_us; /* CLOCK_MONOTONIC just before the figures were read: never too late */
};

/* JOB_MARK: set a mark of the write gate, or for errors, through a descriptor passed along. */
struct mark_request {
	const char *where;
	uint64_t mount_id;
	bool mount_id_is_unique;
	int fanotify_fd; /* borrowed; duplicated into the worker */
	uint64_t mask;
};

struct mark_reply {
	int error; /* 0; -ESTALE as above; -EOPNOTSUPP, -EXDEV, -ENODEV: no mark here */
	uint64_t
		fsid; /* the two words of f_fsid, the first one low: events carry it; 0 with an error */
};

/*
 * JOB_SEND_ROOT: a request of netlink that gets one attribute more, the descriptor of the root
 * of a mount, or of the inode with that handle (-ESTALE: there is none).
 * The kernel looks that up while the request is sent, and it is closed then.
 */
struct send_root_request {
	const char *where;
	uint64_t mount_id;
	bool mount_id_is_unique;
	struct handle_view handle; /* n 0: the root */
	uint16_t attribute; /* its type */
	const void *datagram; /* of @n_datagram bytes, a multiple of 4 */
	size_t n_datagram;
};

/* JOB_DEVICES: device numbers of paths in /dev, and identities of block devices. */
struct device_reply {
	int error;
	uint32_t major, minor;
};

/**
 * pool_result_error() - what a result other than POOL_DONE is told as where an errno is wanted
 *
 * Return: -ETIMEDOUT (stalled), -EBUSY (blocked), -EDQUOT (limit), -EIO (broken, failed), 0 for
 * POOL_DONE.
 */
static inline int pool_result_error(enum pool_result result)
{
	switch (result) {
	case POOL_DONE:
		return 0;
	case POOL_STALLED:
		return -ETIMEDOUT;
	case POOL_BLOCKED:
		return -EBUSY;
	case POOL_LIMIT:
		return -EDQUOT;
	case POOL_BROKEN:
	case POOL_FAILED:
		return -EIO;
	}

	return -EIO;
}

typedef void (*pool_reply_fn)(enum pool_result result, const void *reply, size_t n_reply,
			      void *userdata);

struct pool_submission {
	enum pool_lane lane;
	uint64_t lane_key; /* superblock generation; 0: none (not POOL_LANE_FOREIGN) */
	uid_t owner_uid; /* POOL_LANE_FOREIGN: charged to */
	enum job_kind job;
	const void *payload; /* encoded by protocol.h */
	size_t n_payload;
	int fd; /* -1, or passed along; borrowed, duplicated */
	uint64_t deadline_us; /* after the worker took it up; 0: none */
	pool_reply_fn reply; /* called exactly once, never from within pool_submit() */
	void *userdata;
};

struct pool_ticket;

/**
 * pool_new() - attach to the zygote
 * @zygote_fd:	owned by the pool on success
 *
 * The reserved local worker is asked for at once. A zygote that dies is
 * started anew, at most once a second.
 */
int pool_new(struct pool **ret, sd_event *loop, int zygote_fd);

/**
 * pool_free() - kills all; callbacks of what is pending are not called
 *
 * Not to be called from within a reply.
 */
struct pool *pool_free(struct pool *pool);
DEFINE_FREEP(pool, pool_free)

/** pool_owns_pid() - the daemon itself, its zygote or one of its workers */
bool pool_owns_pid(const struct pool *pool, pid_t pid);

/**
 * pool_submit() - queue a job
 * @ret_ticket:	may be NULL; for pool_cancel(), dies with the reply
 *
 * Return: 0, -ENOBUFS (the lane's queue is at its bound), -ENOMEM.
 */
int pool_submit(struct pool *pool, const struct pool_submission *submission,
		struct pool_ticket **ret_ticket);

/** pool_cancel() - the reply will not be called; the job may still run; NULL is a no-op */
void pool_cancel(struct pool_ticket *ticket);

/**
 * pool_drop_lane() - the superblock is gone: its foreign worker is killed and forgotten
 *
 * What is pending there and was not cancelled is answered POOL_BROKEN.
 */
void pool_drop_lane(struct pool *pool, uint64_t lane_key);

struct pool_statistics {
	unsigned int workers;
	unsigned int blocked;
	uint64_t spawned, killed, stalled;
};

void pool_statistics(const struct pool *pool, struct pool_statistics *ret);

/* Encoders; each Return: 0 or -ENOMEM and give a buffer to free(). */
int statfs_request_encode(const struct statfs_request *request, void **ret, size_t *ret_n);
int statfs_reply_decode(const void *reply, size_t n_reply,
			struct statfs_reply *ret); /* 0 or -EBADMSG */
int mark_request_encode(const struct mark_request *request, void **ret, size_t *ret_n);
int mark_reply_decode(const void *reply, size_t n_reply, struct mark_reply *ret);
int send_root_request_encode(const struct send_root_request *request, void **ret, size_t *ret_n);
