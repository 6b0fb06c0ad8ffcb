#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every source says its licence in its first lines: the common one, and in
# include/ the one under which other programs may use the headers.
set -euo pipefail

status=0
while IFS= read -r file; do
	case $file in
	packaging/debian/changelog | packaging/debian/copyright | packaging/debian/source/format)
		continue
		;;
	*.md | COPYING | LICENSES/* | .gitignore | .clang-format | .editorconfig | tests/fuzz/corpus/*)
		continue
		;;
	include/*.h)
		wanted='SPDX-License-Identifier: (\(\(|\()?GPL-2\.0.* WITH Linux-syscall-note\)? OR MIT'
		;;
	*)
		wanted='SPDX-License-Identifier: GPL-2\.0-or-later'
		;;
	esac
	if ! head -n 5 "$file" | grep -aqE "$wanted"; then
		echo "$file: no line with its licence ($wanted)"
		status=1
	fi
done < <(lint-files)
exit "$status"
