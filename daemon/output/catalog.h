/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Message ids
 *
 * One id per kind of journal entry that an administrator may see. Each has an
 * essay in conf/fsevents.catalog, which journalctl -x shows below the entry;
 * tests/lint/catalog.sh compares the two. An id, once released, keeps its
 * meaning for ever; a new meaning takes a new id.
 */

#include "daemon/core/event.h"

/* One per event code. */
#define CATALOG_EVENT_ENOSPC "d2b9570da3c34677a00834a87436038b"
#define CATALOG_EVENT_ENOSPC_METADATA "9e9c93872d224633b370f37c86d8b01c"
#define CATALOG_EVENT_ENOSPC_INODES "abf076bc5bf6431aa83b4521d16a2a8c"
#define CATALOG_EVENT_THRESHOLD_BELOW "a07c17e4ce7c482c86a797c4a695b1c9"
#define CATALOG_EVENT_THRESHOLD_ABOVE "d4e3360f4f4e43be9bba3f5a3485cbac"
#define CATALOG_EVENT_READ_ONLY "baa1e173366a4ea095aa02676700c301"
#define CATALOG_EVENT_READ_WRITE "df690572ac3b4f4791e0f9ad88282879"
#define CATALOG_EVENT_CORRUPTED "21ec24e997a147ec8e312357dcd86d43"
#define CATALOG_EVENT_IO_ERROR "73290bcdcf134b448fead41b3424d237"
#define CATALOG_EVENT_WRITEBACK_ERROR "a5f50e41a53c4616a7fc39207e9472ea"
#define CATALOG_EVENT_SHUTDOWN "1c58d64d8b294afaabfbc9d184638a8e"
#define CATALOG_EVENT_FROZEN "a572ffb0a7b74365843bb836c1416157"
#define CATALOG_EVENT_THAWED "d1e36e7af7c8457e9493a47eb15be324"
#define CATALOG_EVENT_MOUNTED "d7e74095704145b2a371137901ab0827"
#define CATALOG_EVENT_UNMOUNTED "1874a48ce19249f686ae031c1d87ebc8"
#define CATALOG_EVENT_STALLED "df5c8c9b1fb349de9fee10dab3f275e7"
#define CATALOG_EVENT_RESPONDING "e0113c2141fa4271b8e3f398599fd465"

/* What the daemon says about itself. */
#define CATALOG_WRITERS "0a09d90c99d54d6089f4acbc12f6208e"
#define CATALOG_OBJECT "5c486900074f44f790581f4818224703"
#define CATALOG_STARTED "0dc77465cb8b438d95716bf1ec9ca30e"
#define CATALOG_STOPPING "cf8622c2b6014440bd51249a726c7ac7"
#define CATALOG_SAFE_MODE "55416b5d8cb448b7a8950e8071bca659"
#define CATALOG_CONFIG_PROBLEM "b2bbd5f95728412d97fda6a17815314d"
#define CATALOG_CONFIG_REJECTED "26d6d9852c384be68fc104822662b82e"
#define CATALOG_CONFIG_LOADED "9a997ebb159a40339e410d595e6699c6"
#define CATALOG_CONFIGURED "de38cdee461b48478b69eac5aceba121"
#define CATALOG_STATE_UNAVAILABLE "4739e143751144db8526f37118f9b645"
#define CATALOG_STATE_AVAILABLE "25dd105f52554345a4881da1a10f1c38"
#define CATALOG_STATE_DAMAGED "af3d77da63144e338c9b602cc49c65de"
#define CATALOG_STATE_LOST "1ef4994f453a429b8f093ac07d7b397e"
#define CATALOG_HISTORY_RESET "bb565921ec254d229add83ca372a7fbd"
#define CATALOG_JOURNAL_DROPPED "18472b4702be40999a98b7dd4a4f6a57"
#define CATALOG_SUPPRESSED "bda938ec483f4dab9ca3310e6b5fcbeb"
#define CATALOG_BUS_LOST "8cb1f18f5fba409bba2dea2a19aba840"
#define CATALOG_BUS_CONNECTED "203cc15ea3034c488492feffd84f4ca1"
#define CATALOG_NAME_TAKEN "7520cf8126d846d093c029c7c57f88f7"
#define CATALOG_SIGNALS_SKIPPED "35c21a8f70b54c98bbbb492f90cad928"
#define CATALOG_DESCRIPTOR_STUCK "4f0d2f6b7f3e4c0f9b7a5f0c6de1a8e3"
#define CATALOG_WORKER_STUCK "1ba857e4b1274bee9f21db428bb1f14f"
#define CATALOG_WORKER_LIMIT "ceda0103f3bd47cfac9e78c73b34062b"
#define CATALOG_SOURCE_CHANGED "504ea2b890c849d78d10a65f0748b018"
#define CATALOG_MEMORY_UNLOCKED "5b05553c91c24eca9055074260e87ca6"

/* Processes: one per code of the policy. */
#define CATALOG_PROCESS_FORK_RATE "27b52420a2e143bda794495e0211d262"
#define CATALOG_PROCESS_EXIT_SIGNAL "0c6ab5ed33af4cddbe090889bbc9d6be"
#define CATALOG_PROCESS_EXIT_STATUS "079d0bd0998a4e309427c2dece2a7cd1"

/** catalog_event_id() - the message id of an event code, 32 hex digits */
const char *catalog_event_id(enum event_code code);

/** catalog_priority() - the syslog priority of a severity */
int catalog_priority(enum event_severity severity);
