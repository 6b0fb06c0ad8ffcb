#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later OR MIT
#
# read-history.sh FILE - print the events since the last time, each once
#
# For a timer. FILE keeps the number of the last one. Needs nothing but busctl.
set -eu

call()
{
	busctl call org.fsevents1 /org/fsevents1 org.fsevents1.Manager "$@"
}

last=$(cat "$1" 2>/dev/null || echo 0)
while :; do
	# One at a time: the types, oldest and newest id, how many follow, and of that one
	# its id, time, filesystem, code, severity, pid, data and details.
	# shellcheck disable=SC2046 # words are what is wanted
	set -- "$1" $(call GetEvents "ta{sv}" "$last" 1 limit u 1)
	[ "$5" -gt 0 ] || break
	last=$6
	echo "$last" >"$1"
	echo "$last ${10} $9 $8" | tr -d '"'
done
