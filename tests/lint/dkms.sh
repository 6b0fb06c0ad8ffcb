#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kmod/dkms.conf names what kmod/ builds, in the version of the project, and is
# for the kernels that compat.h is for: neither builds past the newest tested one
# unless told to.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

wrong()
{
	echo "kmod/dkms.conf: $*"
	status=1
}

# The file as dkms reads it; prints one of its values.
value()
{
	# shellcheck disable=SC2016 # for the shell that it starts
	env kernel_source_dir=/headers dkms_tree=/tree "${@:2}" \
		bash -euc '. kmod/dkms.conf; eval "printf %s \"\${$1:-}\""' - "$1"
}

name=$(value 'BUILT_MODULE_NAME[0]')
grep -q "^obj-m := $name.o\$" kmod/Kbuild || wrong "kmod/ builds no $name.ko"
[ "$(value PACKAGE_NAME)" = "$name" ] || wrong "the package is not called $name"
[ "$(value 'BUILT_MODULE_LOCATION[0]')" = kmod ] || wrong "the module is built in kmod"

version=$(sed -n "s/^  version: '\(.*\)',\$/\1/p" meson.build)
[ "$(value PACKAGE_VERSION)" = "$version" ] || wrong "the project's version is $version"
grep -q "^MODULE_VERSION(\"$version\");\$" kmod/main.c || wrong "the module's version is not $version"

for word in "-C /headers" "M=/tree/$name/$version/build/kmod"; do
	for key in 'MAKE[0]' CLEAN; do
		[[ "$(value "$key") " == *" $word "* ]] || wrong "$key does not have $word"
	done
done

# What compat.h says to a kernel, with nothing of it but its number
mkdir -p "$work/linux" "$work/net"
touch "$work/linux/exportfs.h" "$work/linux/fs.h" "$work/linux/fsnotify_backend.h" \
	"$work/net/genetlink.h"
accepted()
{
	local numbers
	IFS=. read -ra numbers <<<"$1"
	cat >"$work/linux/version.h" <<-TEXT
	#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
	#define LINUX_VERSION_CODE KERNEL_VERSION(${numbers[0]}, ${numbers[1]}, 0)
	TEXT
	gcc -E -nostdinc -I "$work" "${@:2}" kmod/compat.h >/dev/null 2>&1
}

pattern=$(value BUILD_EXCLUSIVE_KERNEL)
for release in 5.10 5.19 6.0 6.1 6.2 6.9 6.10 6.12 6.13 6.20 6.100 7.0 7.1 16.1; do
	passed=no built=no
	[[ "$release.0-1-amd64" =~ $pattern ]] && passed=yes
	accepted "$release" && built=yes
	[ "$passed" = "$built" ] || wrong "$release: let through: $passed, built by compat.h: $built"
done
accepted 6.12 || wrong "compat.h refuses 6.12"
! accepted 6.13 || wrong "compat.h does not refuse 6.13"

make=$(value 'MAKE[0]' FSEVENTS_ANY_KERNEL=1)
[ -z "$(value BUILD_EXCLUSIVE_KERNEL FSEVENTS_ANY_KERNEL=1)" ] || wrong "told to, it refuses"
[[ "$make" == *" CFLAGS_MODULE=-DFSEVENTS_ANY_KERNEL" ]] || wrong "told to, it does not tell make"
accepted 6.20 -DFSEVENTS_ANY_KERNEL || wrong "told to, compat.h refuses"
! accepted 6.0 -DFSEVENTS_ANY_KERNEL || wrong "told to, compat.h lets through what is too old"
exit "$status"
