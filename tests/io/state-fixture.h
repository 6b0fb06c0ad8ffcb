/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the tests of the state files share: a directory of their own, and the
 * jobs run in this process. All of it asserts success itself.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/event.h"
#include "daemon/worker/state.h"

#define EPOCH_A "00112233445566778899aabbccddeeff"
#define EPOCH_B "ffeeddccbbaa99887766554433221100"
#define HISTORY_HEAD 24 /* bytes before the first frame */

extern char directory[64];

int state_setup(void **state);
int state_teardown(void **state);

/** in_directory() - the path of a file there; until the next call */
const char *in_directory(const char *name);
size_t slurp(const char *name, uint8_t *ret, size_t n_ret);
void spill(const char *name, const uint8_t *data, size_t n);

size_t frame_make(uint8_t *ret, size_t n_ret, uint64_t id, enum event_code code);

/* The jobs; Return: what they do. */
int append(const uint8_t *frames, size_t n_frames);
int append_event(uint64_t id, enum event_code code);
int reserve(const char *epoch, uint64_t reserved);
int reserve_ids(const struct state_request *ids); /* ->directory is set here */

/** load() - @ret borrows from *ret_reply, which is to free() */
int load(struct state_loaded *ret, void **ret_reply);

/** load_ids() - loads and checks that ids rise; Return: number of events */
size_t load_ids(struct state_loaded *ret, uint64_t *ids, size_t n_max);
