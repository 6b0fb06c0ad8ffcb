/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Processes
 *
 * Owns what follows processes: the feed with table, groups, relays and policy;
 * the connector, taskstats and the scanner that feed it; one tracked group
 * for each object on the bus, with its queue or stream. Subscribes to the
 * kernel while somebody needs it. The manager owns it and passes the
 * questions of the bus on.
 *
 * A tracked group has one bounded queue (`queue-bytes`, charged to its
 * owner). From there batches go to the bus, or to its stream; what does
 * not fit is dropped, counted and told in its place. With `hold` nothing
 * leaves the queue before Start() or OpenStream().
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/bus/bus.h"
#include "daemon/core/cleanup.h"
#include "daemon/core/config.h"
#include "daemon/core/quota.h"

struct pool;
struct processes;

struct processes_ops {
	/* To be told in the journal and to who subscribed to warnings; strings borrowed. */
	void (*warn)(const struct bus_process_warning *warning, void *userdata);
};

struct processes_options {
	struct quota
		*quota; /* QUOTA_GROUPS, QUOTA_RELAYS, QUOTA_STREAMS, QUOTA_QUEUE_BYTES; borrowed */
	struct pool *pool; /* borrowed; NULL: without the companion module */
	uint32_t source_buffer; /* 0: as built in; tests make overruns with it */
};

/** processes_new() - only builds; subscribes to nothing before somebody asks; Return: 0 or a negative errno */
int processes_new(struct processes **ret, sd_event *loop, const struct processes_options *options,
		  const struct processes_ops *ops, void *userdata);
struct processes *processes_free(struct processes *processes);
DEFINE_FREEP(processes, processes_free)

/** processes_set_bus() - where groups are told; borrowed; NULL: none, as before */
void processes_set_bus(struct processes *processes, struct bus *bus);

/** processes_configure() - rules and limits of a configuration; Return: 0 or -ENOMEM with the old ones in force */
int processes_configure(struct processes *processes, const struct config *config);
/** processes_set_user() - the number of a user that rules name; until then they match nobody */
void processes_set_user(struct processes *processes, const char *name, uid_t uid);

/**
 * processes_set_off() - nobody is to follow processes: the kernel is never asked
 * @why:	"switched off by ..."; static; for property Sources and who asks nevertheless
 *
 * Before the first processes_configure(), for good.
 */
void processes_set_off(struct processes *processes, const char *why);

/**
 * processes_set_module() - the companion module came, or is gone
 *
 * Groups and relays that run keep their source as long as it is there.
 */
void processes_set_module(struct processes *processes, bool present);

/* Property Sources: "module", "proc-connector", "none: <why not>"; static or valid until the next call. */
const char *processes_source(const struct processes *processes);
const char *processes_accounting_source(const struct processes *processes);

void processes_statistics(const struct processes *processes, bool root,
			  void (*add)(const char *key, uint64_t value, void *ctx), void *ctx);

/** processes_bus_ops - the block of struct bus_ops; @userdata is the struct processes */
extern const struct bus_process_ops processes_bus_ops;
