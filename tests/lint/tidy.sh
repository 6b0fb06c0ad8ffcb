#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The checks of clang-tidy that are sure of themselves and look at one place at
# a time; its path-sensitive ones know neither cleanup attributes nor sd-bus.
set -euo pipefail

checks='-*,bugprone-infinite-loop,bugprone-signed-char-misuse'
checks+=',bugprone-suspicious-memset-usage,bugprone-suspicious-semicolon'
checks+=',bugprone-suspicious-string-compare,bugprone-suspicious-realloc-usage'
checks+=',bugprone-macro-repeated-side-effects,misc-redundant-expression'

if [ ! -e "$BUILD/compile_commands.json" ]; then
	echo "no build in $BUILD"
	exit 1
fi
# grep finds nothing when all is well; the status that counts is that of xargs.
lint-files 'daemon/*.c' | while IFS= read -r file; do
	if grep -qF "$file" "$BUILD/compile_commands.json"; then
		printf '%s\0' "$file"
	fi
done | xargs -0 -n 4 -P "$(nproc)" clang-tidy -p "$BUILD" --quiet --checks="$checks" \
	--warnings-as-errors='*' 2>&1 | { grep -v 'warnings\? generated\.$' || true; }
