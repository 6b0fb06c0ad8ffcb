/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/caller.h"

/*
 * By system calls and not by the library, which would look for other threads;
 * the first ones of some architectures have ids of 16 bits.
 */
#ifdef SYS_setgroups32
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_SETFSUID SYS_setfsuid32
#define CALL_SETFSGID SYS_setfsgid32
#else
#define CALL_SETGROUPS SYS_setgroups
#define CALL_SETFSUID SYS_setfsuid
#define CALL_SETFSGID SYS_setfsgid
#endif

/* Of nobody: the largest that is one. */
#define NO_GROUP ((gid_t)-2)
#define NO_ID UINT32_MAX

static int effective_get(uint32_t ret[static 2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;

	for (unsigned int i = 0; i < 2; i++)
		ret[i] = data[i].effective;
	return 0;
}

static int effective_set(const uint32_t effective[static 2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;

	for (unsigned int i = 0; i < 2; i++)
		data[i].effective = effective[i];
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* These two tell what was before, and nothing of failures: an id that is none changes nothing. */
static int id_set(long number, uint32_t id)
{
	(void)syscall(number, id);
	return (uint32_t)syscall(number, NO_ID) == id ? 0 : -EPERM;
}

static int groups_set(const gid_t *groups, size_t n_groups)
{
	return syscall(CALL_SETGROUPS, n_groups, groups) < 0 ? -errno : 0;
}

static int caller_save(struct caller_saved *ret)
{
	_cleanup_free_ gid_t *groups = NULL;
	int n, r;

	n = getgroups(0, NULL);
	if (n < 0)
		return -errno;
	groups = calloc((size_t)n + 1, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	n = getgroups(n, groups);
	if (n < 0)
		return -errno;
	if (prctl(PR_GET_PDEATHSIG, &ret->death_signal) < 0)
		return -errno;
	r = effective_get(ret->effective);
	if (r < 0)
		return r;

	ret->n_groups = n;
	ret->groups = TAKE_PTR(groups);
	return 0;
}

static int caller_change(const struct caller *caller)
{
	static const uint32_t none[2];
	int r;

	r = groups_set(caller->groups, caller->n_groups);
	if (r < 0)
		return r;
	r = id_set(CALL_SETFSGID, caller->n_groups > 0 ? caller->groups[0] : NO_GROUP);
	if (r < 0)
		return r;
	r = id_set(CALL_SETFSUID, caller->uid);
	return r < 0 ? r : effective_set(none);
}

int caller_enter(const struct caller *caller, struct caller_saved *ret)
{
	struct caller_saved saved = {};
	int r;

	assert(caller);
	assert(ret);

	if (caller->uid != 0) {
		r = caller_save(&saved);
		if (r < 0)
			return r;
		saved.changed = true;

		r = caller_change(caller);
		if (r < 0) {
			caller_leave(&saved);
			return r;
		}
	}

	*ret = saved;
	return 0;
}

void caller_leave(struct caller_saved *saved)
{
	assert(saved);

	if (!saved->changed)
		return;

	/* A worker that goes on as a user would answer the next question wrongly. */
	if (effective_set(saved->effective) < 0 || id_set(CALL_SETFSUID, geteuid()) < 0 ||
	    id_set(CALL_SETFSGID, getegid()) < 0 ||
	    groups_set(saved->groups, (size_t)saved->n_groups) < 0)
		_exit(EXIT_FAILURE);
	/* The capabilities of files come and go with the fsuid. */
	if (effective_set(saved->effective) < 0)
		_exit(EXIT_FAILURE);

	/* A change of the fsuid takes it away. */
	(void)prctl(PR_SET_PDEATHSIG, saved->death_signal);
	free(saved->groups);
	*saved = (struct caller_saved){};
}
