#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Each message id of the daemon has its essay in the journal's catalog and the
# other way round; each field that an essay names is one that entries have.
set -euo pipefail

header=daemon/output/catalog.h
catalog=conf/fsevents.catalog
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

sed -nE 's/^#define (CATALOG_[A-Z_]+)\s+"([^"]*)"$/\1 \2/p' "$header" | sort >"$work/code"
sed -nE '/^# CATALOG_/{N;s/^# (CATALOG_[A-Z_]+)\n-- (.*)$/\1 \2/p}' "$catalog" | sort >"$work/entries"

if [ ! -s "$work/code" ]; then
	echo "$header: no message ids were found"
	exit 1
fi
if ! diff -u --label "$header" --label "$catalog" "$work/code" "$work/entries"; then
	status=1
fi
if [ "$(grep -c '^-- ' "$catalog")" != "$(wc -l <"$work/entries")" ]; then
	echo "$catalog: an entry without its name in the line above"
	status=1
fi
if grep -vE ' [0-9a-f]{32}$' "$work/code"; then
	echo "$header: an id is 32 hex digits"
	status=1
fi
if cut -d' ' -f2 "$work/code" | sort | uniq -d | grep .; then
	echo "$header: an id that is used twice"
	status=1
fi
for field in Subject Defined-By Documentation; do
	if [ "$(grep -c "^$field: ." "$catalog")" != "$(wc -l <"$work/entries")" ]; then
		echo "$catalog: not each entry has one $field"
		status=1
	fi
done

# Fields have names of their own, or are details: the key in capitals.
{
	sed -nE 's/^#define JOURNAL_FIELD_[A-Z]+\s+"(FSEVENTS_[A-Z]+)".*/\1/p' daemon/names.h
	cat daemon/*.c daemon/*/*.c | tr -d '\n\t' |
		grep -oE 'details_add_[a-z0-9]+\([^;]*;' |
		grep -oE ', ?"[a-z0-9-]+"' | tr -d '", ' | tr 'a-z-' 'A-Z_' | sed 's/^/FSEVENTS_/'
} | sort -u >"$work/fields"
grep -oE '@[A-Z_]+@' "$catalog" | tr -d @ | sort -u >"$work/named"
if comm -13 "$work/fields" "$work/named" | grep .; then
	echo "$catalog: no entry has this field"
	status=1
fi

if command -v journalctl >/dev/null; then
	mkdir -p "$work/root/usr/lib/systemd/catalog"
	cp "$catalog" "$work/root/usr/lib/systemd/catalog/"
	journalctl --root="$work/root" --update-catalog 2>&1 | tee "$work/said"
	if [ -s "$work/said" ]; then
		status=1
	fi
	n=$(journalctl --root="$work/root" --list-catalog | wc -l)
	if [ "$n" != "$(wc -l <"$work/code")" ]; then
		echo "$catalog: journalctl reads $n entries"
		status=1
	fi
fi
exit $status
