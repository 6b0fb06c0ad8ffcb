/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inside the pool
 *
 * pool.c owns everything, takes submissions and gives answers; lane.c holds a
 * queue and decides who serves it; slot.c is one worker at its place in a
 * lane, with the clock on its job. All workers stand in one list of the pool:
 * there are fewer than a hundred, and one that cannot die outlives its lane.
 * For these three files only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "daemon/worker/pool.h"
#include "daemon/worker/remote.h"
#include "daemon/worker/spawner.h"

#define LANE_LOCAL_MAX 9 /* the reserved worker and eight more */
#define LANE_LOCAL_QUEUE 4096
#define LANE_FOREIGN_QUEUE 4
#define LANE_STATE_QUEUE 4096
#define LANE_STATE_BYTES (8U << 20)
#define LANE_TASKS_QUEUE 4096 /* each filesystem may want its names looked up */

#define SLOT_GRACE_US 20000ULL /* a killed worker that can die does so in this time */
#define SLOT_IDLE_US 10000000ULL
#define SLOT_IDLE_STATE_US 60000000ULL
#define SLOT_LATE_US 100000ULL /* the loop itself did not run: no verdict on a worker */
#define SLOT_EXTENSION_US 50000ULL

enum ticket_state {
	TICKET_QUEUED,
	TICKET_RUNNING,
	TICKET_ANSWERED,
};

struct lane;
struct slot;

struct pool_ticket {
	TAILQ_ENTRY(pool_ticket) link; /* of the lane's queue, or of the answers */
	struct pool *pool;
	struct lane *lane; /* while queued */
	enum ticket_state state;
	enum job_kind job;
	uint64_t key;
	uint64_t deadline_us;
	int fd;
	pool_reply_fn reply; /* NULL: cancelled while it ran */
	void *userdata;

	enum pool_result result;
	int error;
	void *bytes; /* of the reply */
	size_t n_bytes;

	size_t n_payload;
	uint8_t payload[];
};

TAILQ_HEAD(tickets, pool_ticket);

struct lane {
	LIST_ENTRY(lane) link; /* foreign ones */
	struct pool *pool;
	enum pool_lane kind;
	uint64_t key;
	uid_t owner_uid;
	struct tickets queue;
	size_t n_queue, n_bytes;
};

enum slot_state {
	SLOT_SPAWNING,
	SLOT_IDLE,
	SLOT_BUSY,
	SLOT_KILLED, /* while it had a job: it may be unable to die */
	SLOT_ENDED, /* while it had none: it dies */
};

struct slot {
	TAILQ_ENTRY(slot) link;
	struct pool *pool;
	struct lane *lane; /* NULL: outlived it, or ended */
	enum pool_lane kind;
	uid_t owner_uid;
	enum slot_state state;
	uint64_t since_us; /* when it came into this state */
	struct spawn *spawn;
	struct remote *remote;
	struct pool_ticket *ticket; /* while busy */
	uint64_t key; /* of the last job */
	uint64_t deadline_us; /* UINT64_MAX: none */
	bool slow; /* busy for so long that others took over */
	bool extended;
};

TAILQ_HEAD(slots, slot);

struct pool {
	sd_event *loop;
	struct spawner *spawner;
	struct lane local, state, tasks;
	LIST_HEAD(, lane) foreign;
	struct slots slots;
	struct tickets answers;
	sd_event_source *answering; /* enabled while there are answers */
	sd_event_source
		*deadline; /* exact; enabled while a job runs or a killed one is waited for */
	sd_event_source *idle; /* coarse; enabled while an idle worker is to be ended */
	uint64_t spawned, killed, stalled;
};

/* ticket.c */
int ticket_new(struct pool_ticket **ret, struct pool *pool,
	       const struct pool_submission *submission);
struct pool_ticket *ticket_free(struct pool_ticket *ticket);
DEFINE_FREEP(pool_ticket, ticket_free)
void tickets_free(struct tickets *tickets);

/* pool.c */
uint64_t pool_now(const struct pool *pool);
/* Queues the answer for the loop; frees a ticket that was cancelled. */
void pool_answer(struct pool *pool, struct pool_ticket *ticket, enum pool_result result);
/* Starts what can be started, in all lanes: a worker that got free may have held up another lane's job. */
void pool_run(struct pool *pool);
/* Ends every entry into the pool: frees lanes that have nothing left and sets the timers. */
void pool_schedule(struct pool *pool);

/* lane.c */
void lane_init(struct lane *lane, struct pool *pool, enum pool_lane kind);
struct lane *lane_new(struct pool *pool, uint64_t key, uid_t owner_uid); /* foreign */
struct lane *lane_free(struct lane *lane);
int lane_push(struct lane *lane, struct pool_ticket *ticket); /* 0 or -ENOBUFS */
void lane_remove(struct lane *lane, struct pool_ticket *ticket);
/* Answers all that is queued. */
void lane_fail(struct lane *lane, enum pool_result result);
void lane_run(struct lane *lane);

/* slot.c */
int slot_new(struct lane *lane);
void slot_start(struct slot *slot, struct pool_ticket *ticket);
/* Detaches and answers its job, and kills it. */
void slot_fail(struct slot *slot, enum pool_result result);
void slot_end(struct slot *slot);
struct slot *slot_free(struct slot *slot);
/* It was killed, and is not dead after the time that this takes. */
bool slot_is_blocked(const struct slot *slot, uint64_t now);
/* When something is to be done about it: UINT64_MAX never. */
uint64_t slot_due(const struct slot *slot);
uint64_t slot_idle_due(const struct slot *slot);
void slot_expire(struct slot *slot, uint64_t now);
/* The first of a lane; NULL: it has none. */
struct slot *slots_find(const struct pool *pool, const struct lane *lane);
/* Whether a worker has a job of this key or had it when it was killed; *ret_blocked: it cannot die. */
bool slots_hold_key(const struct pool *pool, uint64_t key, bool *ret_blocked);
/* Makes room for one more foreign worker, if need be by ending an idle one; false: there is none. */
bool slots_make_room(struct pool *pool, uid_t owner_uid);
