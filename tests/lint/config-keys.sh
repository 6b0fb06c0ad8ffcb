#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every key of the configuration stands in the table in the code, in the
# sample file and in the manual page, and the defaults of all three are the
# same.
set -euo pipefail

table=daemon/core/config-section.c
sample=conf/fsevents.conf
page=man/fsevents.conf.5

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

# Rows such as [KEY_LIMITS_RELAYS] = { SECTION_LIMITS, "relays", "16", value_relays },
sed -nE 's/^\t\[KEY_[A-Z_]+\] = \{ SECTION_([A-Z]+), "([a-z-]+)", (NULL|"[^"]*"), .*/\L\1\E \2 \3/p' \
	"$table" >"$work/rows"
cut -d' ' -f1,2 "$work/rows" | sort -u >"$work/table"

# A "#" right before a section or a key is a line to be put in force.
sed -nE 's/^#?(\[[a-z]+.*\]|[a-z-]+ = .*)$/\1/p' "$sample" |
	awk '/^\[/ { section = $1; gsub(/[][]/, "", section); next }
		{ print section, $1 }' | sort -u >"$work/sample"

# Below .SS "[section ...]", keys stand as .BI "key = " ...
awk '/^\.S[SH] / { section = ""; if (match($0, /\[[a-z]+/)) section = substr($0, RSTART + 1, RLENGTH - 1) }
	/^\.BI "[a-z-]+ = "/ && section != "" { sub(/^\.BI "/, ""); print section, $1 }' "$page" |
	sort -u >"$work/page"

status=0

# compare NAME FILE - the keys of FILE are those of the table
compare()
{
	local missing extra

	missing=$(comm -23 "$work/table" "$work/$1")
	extra=$(comm -13 "$work/table" "$work/$1")
	if [ -n "$missing" ]; then
		printf '%s lacks, which %s has:\n%s\n' "$2" "$table" "$missing"
		status=1
	fi
	if [ -n "$extra" ]; then
		printf '%s has, which %s lacks:\n%s\n' "$2" "$table" "$extra"
		status=1
	fi
}

rows=$(grep -c '^	\[KEY_' "$table" || true)
if [ "$rows" -eq 0 ] || [ "$rows" -ne "$(wc -l <"$work/table")" ]; then
	echo "$table: its rows are not of the form that this check reads"
	status=1
fi
compare sample "$sample"
compare page "$page"

while read -r section key initial; do
	[ "$initial" != NULL ] || continue
	initial=${initial//\"/}
	if ! awk -v section="$section" -v line="#$key = $initial" '
		/^#?\[/ { current = $1; gsub(/[][#]/, "", current) }
		current == section && $0 == line { found = 1 }
		END { exit !found }' "$sample"; then
		echo "$sample: [$section] has no line \"#$key = $initial\", the default in $table"
		status=1
	fi
	if ! awk -v section="$section" -v head=".BI \"$key = " -v line=".BR $initial ." '
		/^\.S[SH] / { current = ""; if (match($0, /\[[a-z]+/)) current = substr($0, RSTART + 1, RLENGTH - 1) }
		/^\.(BI|S[SH]) / { at = current == section && index($0, head) == 1 }
		at && before == "Default:" && $0 == line { found = 1 }
		{ before = $0 }
		END { exit !found }' "$page"; then
		echo "$page: [$section] $key does not say \"$initial\", the default in $table"
		status=1
	fi
done <"$work/rows"
exit "$status"
