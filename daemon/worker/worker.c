/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/conffile.h"
#include "daemon/worker/devices.h"
#include "daemon/worker/job-locate.h"
#include "daemon/worker/job-lookup.h"
#include "daemon/worker/job-watch.h"
#include "daemon/worker/job-writers.h"
#include "daemon/worker/protocol.h"
#include "daemon/worker/state.h"
#include "daemon/worker/users.h"
#include "daemon/worker/worker.h"

struct worker_job {
	uint32_t kind;
	void *payload;
	size_t n_payload;
	int fd;
};

static void worker_job_deinit(struct worker_job *job)
{
	free(job->payload);
	closep(&job->fd);
}

/* Return: 1, 0 at the end of the file, or a negative errno. */
static int receive_all(int fd, void *buffer, size_t n)
{
	uint8_t *bytes = buffer;

	while (n > 0) {
		ssize_t k = recv(fd, bytes, n, 0);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			return 0;
		bytes += k;
		n -= (size_t)k;
	}

	return 1;
}

static int send_all(int fd, const void *buffer, size_t n)
{
	const uint8_t *bytes = buffer;

	while (n > 0) {
		ssize_t k = send(fd, bytes, n, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		bytes += k;
		n -= (size_t)k;
	}

	return 0;
}

/* The first bytes, which carry the descriptor if there is one. */
static int receive_header(int fd, struct job_header *ret, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char buffer[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	ssize_t k;

	do
		k = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (k < 0 && errno == EINTR);
	if (k <= 0)
		return k < 0 ? -errno : 0;

	cmsg = CMSG_FIRSTHDR(&message);
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(cmsg), sizeof(int));

	return receive_all(fd, (uint8_t *)ret + k, sizeof(*ret) - (size_t)k);
}

/* Return: 1, 0 at the end of the file, or a negative errno. */
static int worker_receive(int fd, struct worker_job *job)
{
	struct job_header header;
	int r;

	r = receive_header(fd, &header, &job->fd);
	if (r <= 0)
		return r;
	if (header.magic != JOB_MAGIC || header.n_payload > JOB_PAYLOAD_MAX)
		return -EBADMSG;

	job->kind = header.kind;
	job->n_payload = (size_t)header.n_payload;
	job->payload = malloc(job->n_payload ?: 1);
	if (!job->payload)
		return -ENOMEM;

	return receive_all(fd, job->payload, job->n_payload);
}

static int worker_dispatch(const struct worker_job *job, void **ret_reply, size_t *ret_n)
{
	const void *payload = job->payload;
	size_t n = job->n_payload;

	switch ((enum job_kind)job->kind) {
	case JOB_STATFS:
		return statfs_job(payload, n, ret_reply, ret_n);
	case JOB_MARK:
		return mark_job(payload, n, job->fd, ret_reply, ret_n);
	case JOB_LOCATE:
		return locate_job(payload, n, ret_reply, ret_n);
	case JOB_WRITERS:
		return writers_job(payload, n, ret_reply, ret_n);
	case JOB_CONFIG:
		return conffile_job(payload, n, ret_reply, ret_n);
	case JOB_DEVICES:
		return devices_job(payload, n, ret_reply, ret_n);
	case JOB_LOOKUP:
		return lookup_job(payload, n, ret_reply, ret_n);
	case JOB_WATCH_FIND:
		return watch_find_job(payload, n, ret_reply, ret_n);
	case JOB_WATCH_MARK:
		return watch_mark_job(payload, n, job->fd, ret_reply, ret_n);
	case JOB_WATCH_LIST:
		return watch_list_job(payload, n, ret_reply, ret_n);
	case JOB_SEND:
		return send_job(payload, n, job->fd, ret_reply, ret_n);
	case JOB_SEND_ROOT:
		return send_root_job(payload, n, job->fd, ret_reply, ret_n);
	case JOB_USERS:
		return users_job(payload, n, ret_reply, ret_n);
	case JOB_STATE_LOAD:
		return state_load_job(payload, n, ret_reply, ret_n);
	case JOB_STATE_APPEND:
		return state_append_job(payload, n, ret_reply, ret_n);
	case JOB_STATE_RESERVE:
		return state_reserve_job(payload, n, ret_reply, ret_n);
	}

	return -EOPNOTSUPP;
}

static int worker_serve(int fd)
{
	_cleanup_(worker_job_deinit) struct worker_job job = { .fd = -1 };
	_cleanup_free_ void *reply = NULL;
	struct reply_header header = { .magic = JOB_MAGIC };
	size_t n_reply = 0;
	int r;

	r = worker_receive(fd, &job);
	if (r <= 0)
		return r;

	header.error = worker_dispatch(&job, &reply, &n_reply);
	/* Longer than the daemon would take: better an errno than a dead worker. */
	if (header.error == 0 && n_reply > job_reply_max(job.kind))
		header.error = -EFBIG;
	if (header.error != 0)
		n_reply = 0;
	header.n_reply = n_reply;

	/* Before the answer, so that a mark's group is not kept a moment longer. */
	if (job.fd >= 0)
		close(TAKE_FD(job.fd));

	r = send_all(fd, &header, sizeof(header));
	if (r < 0)
		return r;
	r = send_all(fd, reply, n_reply);
	return r < 0 ? r : 1;
}

_Noreturn void worker_run(int fd)
{
	int r;

	assert(fd >= 0);

	do
		r = worker_serve(fd);
	while (r > 0);

	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
