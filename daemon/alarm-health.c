/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/alarm-health.h"
#include "daemon/alarm-internal.h"
#include "daemon/manager.h"
#include "daemon/worker/job-locate.h"

#define ALARM_LOCATE_DEADLINE_US 2000000ULL
/*
 * Look-ups under way at once, of all filesystems: a disk that dies takes no
 * more workers than these, and none that others need. Their keys are none that a
 * superblock ever has.
 */
#define ALARM_LOCATE_LANES 2
#define ALARM_LOCATE_KEY (UINT64_MAX - ALARM_LOCATE_LANES)
/* With those that wait, of all filesystems. */
#define ALARM_LOCATES_MAX 8

/* A look-up of a path, and the event that it is for. */
struct alarm_locate {
	LIST_ENTRY(alarm_locate) link;
	struct monitor *monitor;
	struct pool_ticket *ticket;
	unsigned int lane; /* below ALARM_LOCATE_LANES */
	uint64_t id;
};

static void locate_free(struct alarm_locate *locate)
{
	pool_cancel(locate->ticket);
	LIST_REMOVE(locate, link);
	free(locate);
}

void alarm_health_forget(struct monitor *monitor)
{
	struct alarm_locate *locate = LIST_FIRST(&monitor->manager->locates), *next;

	for (; locate; locate = next) {
		next = LIST_NEXT(locate, link);
		if (locate->monitor == monitor)
			locate_free(locate);
	}
}

static void on_located(enum pool_result result, const void *reply, size_t n_reply, void *userdata)
{
	struct alarm_locate *locate = userdata;
	struct details details = {};
	struct locate_reply located;

	locate->ticket = NULL;
	if (result == POOL_DONE && locate_reply_decode(reply, n_reply, &located) == 0 &&
	    located.error == 0 &&
	    details_add_bytes(&details, "path", located.path, located.n_path, DETAIL_PRIVATE) == 0)
		publisher_amend(locate->monitor->manager->publisher, locate->id, &details);
	details_deinit(&details);
	locate_free(locate);
}

static int locate_submit(struct alarm_locate *locate, const struct mount *mount,
			 const struct fanotify_error *handle)
{
	struct monitor *monitor = locate->monitor;
	struct locate_request request = {
		.where = mount->where,
		.mount_id = mount->unique_id ?: mount->id,
		.mount_id_is_unique = mount->unique_id != 0,
		.handle_type = handle->handle_type,
		.n_handle = handle->n_handle,
	};
	struct pool_submission submission = {
		.lane = POOL_LANE_FOREIGN,
		.lane_key = ALARM_LOCATE_KEY + locate->lane,
		.job = JOB_LOCATE,
		.fd = -1,
		.deadline_us = ALARM_LOCATE_DEADLINE_US,
		.reply = on_located,
		.userdata = locate,
	};
	_cleanup_free_ void *payload = NULL;
	int r;

	memcpy(request.handle, handle->handle, sizeof(request.handle));
	r = locate_request_encode(&request, &payload, &submission.n_payload);
	if (r < 0)
		return r;
	submission.payload = payload;
	return pool_submit(monitor->manager->pool, &submission, &locate->ticket);
}

/* Reading a damaged inode may raise the error once more: never twice for one. */
static bool is_worth_locating(const struct monitor *monitor, uint64_t inode)
{
	struct alarm_locate *locate;
	size_t n_others = 0;

	for (size_t i = 0; i < monitor->n_located && i < MONITOR_LOCATED_MAX; i++)
		if (monitor->located[i] == inode)
			return false;

	LIST_FOREACH(locate, &monitor->manager->locates, link) {
		n_others++;
		if (locate->monitor == monitor)
			return false;
	}
	return n_others < ALARM_LOCATES_MAX;
}

/* That with the fewest look-ups. */
static unsigned int locate_lane(const struct manager *manager)
{
	unsigned int n[ALARM_LOCATE_LANES] = {}, best = 0;
	struct alarm_locate *locate;

	LIST_FOREACH(locate, &manager->locates, link)
		n[locate->lane]++;
	for (unsigned int i = 1; i < ALARM_LOCATE_LANES; i++)
		if (n[i] < n[best])
			best = i;
	return best;
}

static void alarm_locate(struct monitor *monitor, uint64_t id, const struct fanotify_error *handle)
{
	const struct mount *mount = monitor_reachable_mount(monitor);
	struct alarm_locate *locate;

	/* A path below another mount would not go with what the event says. */
	if (!mount || mount != superblock_display_mount(monitor->fs.sb) ||
	    !is_worth_locating(monitor, handle->inode))
		return;
	monitor->located[monitor->n_located++ % MONITOR_LOCATED_MAX] = handle->inode;

	locate = calloc(1, sizeof(*locate));
	if (!locate)
		return;
	locate->monitor = monitor;
	locate->lane = locate_lane(monitor->manager);
	locate->id = id;
	if (locate_submit(locate, mount, handle) < 0)
		free(locate);
	else
		LIST_INSERT_HEAD(&monitor->manager->locates, locate, link);
}

static int alarm_add_fact(struct event *event, const struct fusion_fact *fact)
{
	int r = 0;

	if (fact->code == EVENT_READ_ONLY)
		r = details_add_string(&event->details, "reason",
				       read_only_reason_name(fact->reason), 0);
	if (r == 0 && fact->error > 0 && strerrorname_np(fact->error))
		r = details_add_string(&event->details, "error", strerrorname_np(fact->error), 0);
	if (r == 0 && fact->count > 1)
		r = details_add_u64(&event->details, "count", fact->count, 0);
	if (r == 0 && fact->initial)
		r = details_add_bool(&event->details, "initial", true, 0);
	if (r == 0 && fact->has_inode)
		r = details_add_u64(&event->details, "inode", fact->inode, DETAIL_PRIVATE);
	return r;
}

void alarm_health(struct monitor *monitor, const struct fusion_fact *fact,
		  const struct fanotify_error *handle)
{
	struct event event = {};
	uint64_t id;

	if (alarm_begin(&event, monitor, fact->code, fusion_source_name(fact->source)) < 0 ||
	    alarm_add_fact(&event, fact) < 0) {
		alarm_lose(monitor, &event);
		return;
	}
	event.severity = fact->severity;
	event.pid = fact->pid;
	event.data = fact->error > 0 ? (uint64_t)fact->error : 0;

	id = alarm_publish(monitor, &event);
	/* To read from a disk that fails would only keep it busy. */
	if (id && fact->code == EVENT_CORRUPTED && handle && handle->has_handle &&
	    handle->has_inode && fact->has_inode && handle->inode == fact->inode)
		alarm_locate(monitor, id, handle);
}
