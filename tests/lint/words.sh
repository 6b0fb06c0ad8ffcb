#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What has no place in a finished tree: notes to oneself, functions that C has
# better ones for, goto in the daemon, white space at the end of lines.
set -euo pipefail

status=0

# refuse WHY PATTERN FILES... - no line of these files may match
refuse()
{
	local why=$1 pattern=$2 files
	shift 2

	mapfile -t files < <(lint-files "$@" ':!tests/lint/words.sh' ':!tests/fuzz/corpus')
	[ "${#files[@]}" -gt 0 ] || return 0
	if grep -nHE -- "$pattern" "${files[@]}"; then
		echo "  ^ $why"
		status=1
	fi
}

refuse "a note to oneself: finish it or leave it out" '\b(TODO|FIXME|XXX|HACK)\b' \
	'*.c' '*.h' '*.py' '*.sh' '*.build' '*.md' '*.in' 'dev'
refuse "no bound: use snprintf or memcpy" '\b(strcpy|strcat|sprintf|vsprintf|gets|alloca)\(' \
	'daemon/*.c' 'daemon/*.h'
refuse "no error: use strtol or an own parser" '\b(atoi|atol|atoll|atof)\(' 'daemon/*.c' 'daemon/*.h'
refuse "no goto: locals clean up after themselves" '\bgoto\b' 'daemon/*.c' 'daemon/*.h'
refuse "a wait that is blind: wait for a condition" '\b(sleep|usleep|nanosleep)\(' \
	'daemon/*.c' ':!daemon/worker/job-*.c'
refuse "no guard of the pre-processor: pragma once" '^#ifndef [A-Z_]+_H_?$' 'daemon/*.h'
refuse "white space at the end of the line" '[[:blank:]]+$' \
	'*.c' '*.h' '*.py' '*.sh' '*.build' '*.md' '*.in' 'dev'
refuse "a time is not a condition" '^[[:blank:]]+time\.sleep\(' 'tests/bus/*.py' 'tests/system/*.py'
exit "$status"
