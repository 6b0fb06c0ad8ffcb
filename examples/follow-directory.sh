#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later OR MIT
#
# follow-directory.sh DIRECTORY COMMAND... - run COMMAND with each file that is complete
#
# A file that was written is told when its writer closes it, one that was moved here when
# it is. Names with bytes that do not print are \ooo in it. A watch ends with the service:
# run it by a unit with Restart=always, and look through the directory when it begins.
set -eu

directory=$1
shift
fseventsctl --json watch -r -e close-write,move "$directory" | while read -r line; do
	case $line in
	*'"event":"lost"'*)
		find "$directory" -type f -exec "$@" {} \;
		;;
	*'"directory":true'*) ;;
	*)
		path=$(printf '%s\n' "$line" | sed -n 's/.*"path":"\([^"]*\)".*/\1/p')
		[ ! -f "$path" ] || "$@" "$path"
		;;
	esac
done
