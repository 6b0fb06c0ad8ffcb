#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later OR MIT
#
# follow-directory.sh DIRECTORY COMMAND... - run COMMAND with each file that is complete
#
# A file that was written is told when its writer closes it, one that was moved here when
# it is. Names with bytes that do not print are \ooo in it. Where changes were lost, as when
# the service is restarted, COMMAND is run with every file there is.
set -eu

directory=$1
shift
fseventsctl --json watch -r -e close-write,move "$directory" | while read -r line; do
	case $line in
	*'"events":["lost"]'*)
		find "$directory" -type f -exec "$@" {} \;
		;;
	*'"directory":true'*) ;;
	*)
		path=$(printf '%s\n' "$line" | sed -n 's/.*"path":"\([^"]*\)".*/\1/p')
		[ ! -f "$path" ] || "$@" "$path"
		;;
	esac
done
