#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later OR MIT
#
# low-space.sh COMMAND... - run COMMAND with the mount point each time space gets low there
#
# As "low-space.sh notify-send Low", or with a script that makes room. The command line
# goes on when the service is restarted, and tells what happened meanwhile.
set -eu

fseventsctl --json monitor | while read -r line; do
	case $line in
	*'"code":"threshold-below"'*)
		where=$(printf '%s\n' "$line" | sed -n 's/.*"where":"\([^"]*\)".*/\1/p')
		"$@" "$where"
		;;
	*'"lost":{'*)
		echo "events are missing: fseventsctl status" >&2
		;;
	esac
done
