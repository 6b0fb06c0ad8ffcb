#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The C sources are as ./dev fmt leaves them.
set -euo pipefail

command -v clang-format >/dev/null || exit 77
mapfile -t files < <(lint-files '*.c' '*.h')
status=0
for file in "${files[@]}"; do
	if ! clang-format "$file" | cmp -s - "$file"; then
		echo "$file: run ./dev fmt"
		status=1
	fi
done
exit "$status"
