#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# An example to copy from has less than 60 lines, and a test runs it. Those that
# read every kind of record, or say what a receiver of signals has to get right, are longer.
set -euo pipefail

status=0
n=0
while IFS= read -r file; do
	name=$(basename "$file")
	case $name in
	meson.build) continue ;;
	stream-reader.* | relay-receiver.c) most=400 ;;
	*) most=59 ;;
	esac
	n=$((n + 1))
	lines=$(wc -l <"$file")
	if [ "$lines" -gt "$most" ]; then
		echo "$file: $lines lines; at most $most"
		status=1
	fi
	# Programs in C go by the name of what was built.
	if ! grep -rqE "[\"/']${name%.c}[\"']" tests/*/*.py tests/*/meson.build; then
		echo "$file: no test runs it"
		status=1
	fi
done < <(lint-files 'examples/*')
[ "$n" -gt 0 ] || status=1
exit "$status"
