/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Names of the outside world
 *
 * Every bus name, path, interface, error name, journal field and file name
 * stands here and nowhere else in the daemon.
 */

#define BUS_NAME "org.fsevents1"
#define BUS_PATH_ROOT "/org/fsevents1"
#define BUS_PATH_FILESYSTEM "/org/fsevents1/filesystem"
#define BUS_PATH_GROUP "/org/fsevents1/group"
#define BUS_PATH_WATCH "/org/fsevents1/watch"
#define BUS_IFACE_MANAGER "org.fsevents1.Manager"
#define BUS_IFACE_FILESYSTEM "org.fsevents1.Filesystem"
#define BUS_IFACE_GROUP "org.fsevents1.ProcessGroup"
#define BUS_IFACE_WATCH "org.fsevents1.Watch"

#define BUS_ERROR_STALLED "org.fsevents1.Error.Stalled"
#define BUS_ERROR_STREAM_OPEN "org.fsevents1.Error.StreamOpen"
#define BUS_ERROR_BAD_CONFIG "org.fsevents1.Error.BadConfiguration"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_IFACE "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_CHANGED "Changed" /* its only signal */

/* Of the session bus. */
#define AGENT_NAME "org.fsevents1.Agent"
#define AGENT_PATH "/org/fsevents1/Agent"
#define AGENT_IFACE "org.fsevents1.Agent"
#define NOTIFICATIONS_NAME "org.freedesktop.Notifications"
#define NOTIFICATIONS_PATH "/org/freedesktop/Notifications"
#define NOTIFICATIONS_IFACE "org.freedesktop.Notifications"
#define DIRNOTIFY_PATH "/"
#define DIRNOTIFY_IFACE "org.kde.KDirNotify"
#define FILE_MANAGER_NAME "org.freedesktop.FileManager1"
#define FILE_MANAGER_PATH "/org/freedesktop/FileManager1"
#define FILE_MANAGER_IFACE "org.freedesktop.FileManager1"

#define ACTION_CONFIGURE "org.fsevents1.configure"
#define ACTION_TEST "org.fsevents1.test"
#define ACTION_WATCH_INODE "org.fsevents1.watch-inode"
#define ACTION_TRACK_OTHERS "org.fsevents1.track-others"
#define ACTION_RELAY "org.fsevents1.relay"
#define ACTION_READ_DETAILS "org.fsevents1.read-details"

#define CONFIG_FILE "/etc/fsevents.conf"
#define CONFIG_DROPIN_VENDOR "/usr/lib/fsevents.conf.d"
#define CONFIG_DROPIN_ADMIN "/etc/fsevents.conf.d"
#define STATE_DIRECTORY "/var/lib/fsevents"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_IDENTIFIER "fseventsd"
#define JOURNAL_FIELD_PREFIX "FSEVENTS_" /* and the key of a detail, in capitals */
#define JOURNAL_FIELD_CODE "FSEVENTS_CODE"
#define JOURNAL_FIELD_WHERE "FSEVENTS_WHERE"
#define JOURNAL_FIELD_DEVICE "FSEVENTS_DEVICE"
#define JOURNAL_FIELD_ID "FSEVENTS_ID"
#define JOURNAL_FIELD_PID "FSEVENTS_PID"
#define JOURNAL_FIELD_PATH "FSEVENTS_PATH" /* of watches */
#define JOURNAL_FIELD_FORMER "FSEVENTS_FORMER_PATH" /* likewise: before it was moved */
#define JOURNAL_FIELD_EVENTS "FSEVENTS_EVENTS" /* likewise: names of what happened */
#define JOURNAL_FIELD_RULE "FSEVENTS_RULE" /* of processes: NAME of [process NAME] */
#define JOURNAL_FIELD_SEVERITY "FSEVENTS_SEVERITY"
#define JOURNAL_FIELD_DATA "FSEVENTS_DATA"
#define JOURNAL_FIELD_COUNT "FSEVENTS_COUNT"
#define JOURNAL_FIELD_TEST "FSEVENTS_TEST"
#define JOURNAL_FIELD_CUT "FSEVENTS_CUT"
