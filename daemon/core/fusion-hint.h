/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Hints from error events
 *
 * What an error of fanotify, or an event of the module, says to fusion. Pure.
 */

#include <stdbool.h>

#include "daemon/core/fusion.h"
#include "daemon/core/wire-event.h"
#include "daemon/core/wire-fanotify.h"

/**
 * fusion_hint_from_error() - of one error
 * @error:	no overflow
 * @names_culprit:	its pid is of whoever was at it, and not of a thread of the kernel
 */
void fusion_hint_from_error(struct fusion_hint *ret, const struct fanotify_error *error,
			    bool names_culprit);

/** fusion_hint_from_event() - of one event of the module; Return: whether it says anything here */
bool fusion_hint_from_event(struct fusion_hint *ret, const struct wire_event *event);
