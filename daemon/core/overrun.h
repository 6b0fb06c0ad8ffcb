/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * An overrun, until it is known what was lost
 *
 * A netlink socket that is full tells so once (ENOBUFS), ahead of all that
 * waits in it, and takes nothing more before it was read to its end. How much
 * it did not take is told by gaps in the numbers of what is sent later: on
 * each CPU with its next event, so that on a silent one nothing ever shows. This
 * decides what is to be told as a loss that nobody can count: each overrun at
 * most once, and only where no gap was told behind it. Pure.
 */

#include <stdbool.h>
#include <stdint.h>

#define OVERRUN_SHOW_NS 100000000ULL /* in which it is to show by itself */

/* Zeroed: none. */
struct overrun {
	uint64_t told_ns; /* 0: none that is open */
};

/** overrun_note() - it was told; another one that is open is one with it */
void overrun_note(struct overrun *overrun, uint64_t now_ns);

/**
 * overrun_note_gap() - numbers are missing right before an event
 * @sent_ns:	the event's own time
 *
 * Closes it where the event was sent after it was told, and so after
 * everything that it lost. An event that is older has waited in the socket meanwhile:
 * its gap is of a former overrun.
 */
void overrun_note_gap(struct overrun *overrun, uint64_t sent_ns);

bool overrun_is_open(const struct overrun *overrun);

/**
 * overrun_settle() - the socket is empty
 *
 * Return: true where it is to be told as a loss of unknown size; it is closed then.
 */
bool overrun_settle(struct overrun *overrun, uint64_t now_ns);
