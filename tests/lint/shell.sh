#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every shell program passes shellcheck
set -euo pipefail

mapfile -t files < <(lint-files | while IFS= read -r file; do
	if [[ $file == *.sh ]] || head -n 1 "$file" | grep -aqE '^#!.*\b(ba)?sh\b'; then
		printf '%s\n' "$file"
	fi
done)
shellcheck --severity=style "${files[@]}"

# Completion is sourced by bash, has no first line of its own, and declares
# variables that the functions it calls set.
mapfile -t files < <(lint-files '*.bash')
[ "${#files[@]}" -eq 0 ] || shellcheck --shell=bash --exclude=SC2034 "${files[@]}"
