#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The manual pages are sound, and each names the others that exist.
set -euo pipefail

mapfile -t files < <(lint-files 'man/*.[1-8]')
if [ "${#files[@]}" -eq 0 ]; then
	echo "no manual page"
	exit 1
fi
# References to each other's pages are checked below: mandoc looks for installed ones.
mandoc -Tlint -W warning "${files[@]}" | grep -v 'referenced manual not found' && exit 1

status=0
# As a reader sees it: a table that is too wide, a line that cannot be set.
for file in "${files[@]}"; do
	MANWIDTH=80 man --warnings -E UTF-8 -l "$file" 2>&1 >/dev/null | sed "s|^|$file: |" | grep . && status=1
	MANWIDTH=80 man -E UTF-8 -l "$file" 2>/dev/null | grep -E '^.{81}' | sed "s|^|$file: more than 80 columns: |" &&
		status=1
done
while IFS= read -r reference; do
	page=${reference%%(*}
	section=${reference##*(}
	if [[ $page == fsevent* || $page == org.fsevents* ]] && [ ! -e "man/$page.${section%)}" ]; then
		echo "$reference is referred to and does not exist"
		status=1
	fi
done < <(for file in "${files[@]}"; do
	mandoc -Tascii "$file" | col -b
done | grep -oE '[a-z][a-z0-9.]+\([1-8]\)' | sort -u)
exit "$status"
