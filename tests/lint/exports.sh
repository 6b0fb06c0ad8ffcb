#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The headers that programs include compile alone, as C and as C++.
set -euo pipefail

status=0
mapfile -t files < <(lint-files 'include/*.h')
for file in "${files[@]}"; do
	gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c "$file" || status=1
	if command -v g++ >/dev/null; then
		g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ "$file" || status=1
	fi
done
exit "$status"
