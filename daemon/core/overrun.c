/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>

#include "daemon/core/overrun.h"

void overrun_note(struct overrun *overrun, uint64_t now_ns)
{
	assert(overrun);
	assert(now_ns > 0);

	overrun->told_ns = now_ns;
}

void overrun_note_gap(struct overrun *overrun, uint64_t sent_ns)
{
	assert(overrun);

	if (sent_ns > overrun->told_ns)
		overrun->told_ns = 0;
}

bool overrun_is_open(const struct overrun *overrun)
{
	assert(overrun);

	return overrun->told_ns > 0;
}

bool overrun_settle(struct overrun *overrun, uint64_t now_ns)
{
	assert(overrun);

	if (!overrun_is_open(overrun) || now_ns < overrun->told_ns + OVERRUN_SHOW_NS)
		return false;

	overrun->told_ns = 0;
	return true;
}
