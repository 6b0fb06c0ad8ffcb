/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inside alarms: what their files offer each other, and nobody else.
 */

#include "daemon/alarm.h"

/** alarm_begin() - an event with the details that every one has; Return: 0 or a negative errno, to be deinited in any case */
int alarm_begin(struct event *event, struct monitor *monitor, enum event_code code,
		const char *source);

/** alarm_lose() - there is no memory to tell it: it is counted; @event is emptied */
void alarm_lose(struct monitor *monitor, struct event *event);

/** alarm_publish() - tell it if it is selected; @event is emptied; Return: its id, 0: it has none (yet) */
uint64_t alarm_publish(struct monitor *monitor, struct event *event);
