#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# systemd understands the unit, and no option of it makes a mount namespace.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The daemon need not be installed on this machine, nor its pages.
sed 's|@sbindir@/fseventsd|/bin/true|; s| @newest_calls@||' conf/fseventsd.service.in >"$work/fseventsd.service"
if grep -n '@[a-z_]*@' "$work/fseventsd.service"; then
	echo "a placeholder is left"
	exit 1
fi
systemd-analyze verify --man=no "$work/fseventsd.service" 2>&1 | tee "$work/said"
if grep -q "fseventsd" "$work/said"; then
	exit 1
fi

namespaced='^(Private(Tmp|Devices|Mounts|IPC|Network)|Protect(System|Home|Kernel[A-Za-z]*|Proc|ControlGroups)|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)Paths|(Bind|BindReadOnly)Paths|TemporaryFileSystem|Root(Directory|Image)|MountImages|ExtensionImages|DynamicUser|ProcSubset|MountFlags|LogNamespace)='
if grep -nE "$namespaced" "$work/fseventsd.service"; then
	echo "gives the service a mount namespace, which keeps unmounted devices in use"
	exit 1
fi

# The agent's, as the user's systemd reads it.
sed 's|@bindir@/fsevents-agent|/bin/true|' conf/fsevents-agent.service.in >"$work/fsevents-agent.service"
XDG_RUNTIME_DIR=$work systemd-analyze --user verify --man=no "$work/fsevents-agent.service" 2>&1 | tee "$work/said"
if grep -q "fsevents-agent" "$work/said"; then
	exit 1
fi
