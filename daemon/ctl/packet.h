/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Packets of a stream
 *
 * Takes the records of OpenEvents, of watches and of process groups out of a packet, as
 * fsevents_stream.h describes them. The daemon may be newer: fixed parts may be longer or
 * shorter than known here, kinds and types of details may be unknown. Pure;
 * no byte of a packet is believed before it was checked.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/details.h"
#include "include/fsevents_stream.h"

struct packet_record {
	uint16_t kind; /* enum fsevents_kind, or any other: then nothing else is set */
	union {
		struct fsevents_hello hello;
		struct fsevents_event event;
		struct fsevents_amend amend;
		struct fsevents_lost lost;
		struct fsevents_change change;
		struct fsevents_watch_lost watch_lost;
		struct fsevents_group_event group_event;
		struct fsevents_group_lost group_lost;
		struct fsevents_group_empty group_empty;
	}; /* fields that were not sent are zero */
	/*
	 * Borrowed from the packet: of a group_event ->n_file bytes, of a watch_lost ->n_under
	 * bytes, of a change ->n_name bytes and after them ->n_former.
	 */
	const uint8_t *file;
	struct details details; /* owned; those of known types that make sense */
};

void packet_record_deinit(struct packet_record *record);

/**
 * packet_next() - the next record
 * @offset:	0 at the start; advanced past the record
 * @ret:	set when 1 is returned; packet_record_deinit() it
 *
 * Return: 1, 0 at the end, -EBADMSG where the bytes are no record, -ENOMEM.
 */
int packet_next(const uint8_t *packet, size_t n, size_t *offset, struct packet_record *ret);
