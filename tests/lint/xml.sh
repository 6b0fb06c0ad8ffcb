#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The interfaces and the bus policy are well-formed XML.
set -euo pipefail

mapfile -t files < <(lint-files 'dbus/*.xml' 'dbus/*.conf' 'dbus/*.policy')
if [ "${#files[@]}" -eq 0 ]; then
	echo "no XML in dbus/"
	exit 1
fi
xmllint --nonet --noout "${files[@]}"
