/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inside of what the module tells of files: module-file.c reads and tells, module-file-mark.c asks.
 */

#include "daemon/core/wire-event.h"
#include "daemon/source/file-events-internal.h"
#include "daemon/source/module-socket.h"

struct module_file {
	struct file_events *events;
	struct module_socket *socket;
	sd_event_source *io; /* off while the timer is on */
	sd_event_source *timer; /* the next batch */
	uint64_t pause_us;
	uint64_t since_us; /* the first sign of what was not read yet; 0: there was none */
	uint32_t seq; /* of requests; the last one's */
	uint32_t barrier; /* of the last one that was to bring all */
	bool unsure; /* it may not have done so */
	struct wire_event_sequence sequence;
	bool lost_told; /* of an overrun whose gap has not shown yet */
	bool in_batch;
	uint64_t n; /* events of this batch */
	LIST_HEAD(, file_events_member) members;
	/* Empty and not needed: freed by the next turn of the loop. */
	sd_event_source *end;
};

#define MODULE_FILE_BUFFER (16 << 20)
/* No more than the socket can have had: who is faster than they are read is not waited for. */
#define MODULE_FILE_WAITING_MAX (MODULE_FILE_BUFFER / sizeof(struct fs_event_file))

/** module_file_batch() - read and tell what is in the socket, or @max events of it */
void module_file_batch(struct module_file *file, uint64_t max);
/** module_file_find_marking() - whose request that was; NULL: nobody waits for its answer */
struct marking *module_file_find_marking(const struct module_file *file, uint32_t seq);
