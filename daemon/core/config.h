/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Configuration
 *
 * The parsed /etc/fsevents.conf with its drop-ins, and the question that it
 * answers: which settings hold for this filesystem. Bytes of files come in,
 * problems with file, line and key come out; nothing is read or logged here.
 * A section with a problem is dropped as a whole and the defaults serve in
 * its place; config_parse() says so through the problem list.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/event.h"
#include "daemon/core/process-policy.h"
#include "daemon/core/threshold.h"

#define CONFIG_LINE_MAX 4200
#define CONFIG_FILE_MAX (1U << 20)
#define CONFIG_PROBLEMS_MAX 100

struct config;

/* Sections of one file; equal headers are one section. */
#define CONFIG_SECTIONS_MAX 1024

/* One file as it was read; those of lesser rank first. */
struct config_text {
	const char *name; /* for messages */
	const char *text; /* NULL where it could not be read */
	size_t n_text;
	const char *error; /* why not, a sentence; else NULL */
};

struct config_problem {
	char *file; /* escaped */
	unsigned int line; /* 0: the file as a whole */
	char *key; /* "[limits]" or "[limits] watches", escaped; may be NULL */
	char *message; /* what is wrong and what is allowed; escaped text */
};

struct config_problems {
	struct config_problem *items;
	size_t n_items;
	size_t n_more; /* past CONFIG_PROBLEMS_MAX */
};

void config_problems_deinit(struct config_problems *problems);

/**
 * config_parse() - parse all files into one configuration
 * @ret:	always set on success, also when there are problems
 * @problems:	added to; empty when all is well
 *
 * Per key, a later file wins over an earlier one for the same section; the
 * threshold lines of a section are one key. A section with a problem is
 * dropped as that file has it: what other files say of it holds.
 *
 * Return: 0, or -ENOMEM.
 */
int config_parse(struct config **ret, const struct config_text *texts, size_t n_texts,
		 struct config_problems *problems);
struct config *config_free(struct config *config);
DEFINE_FREEP(config, config_free)

/* One row of the table of all keys. Texts are static. */
struct config_key {
	const char *section; /* first word of the header */
	const char *key;
	const char *initial; /* the default as it would be written; NULL: none */
};

/**
 * config_key_next() - walk the table of all keys
 * @index:	0 at the start
 *
 * Return: false at the end.
 */
bool config_key_next(size_t *index, struct config_key *ret);

enum config_log_level {
	CONFIG_LOG_ERROR,
	CONFIG_LOG_WARNING,
	CONFIG_LOG_NOTICE,
	CONFIG_LOG_INFO,
	CONFIG_LOG_DEBUG,
};

/* [daemon] and [limits]; see fsevents.conf(5) for ranges. */
struct config_daemon {
	bool source_gate; /* sources = gate,mount-events,...: all by default */
	bool source_mount_events;
	bool source_fs_errors;
	bool source_kmsg;
	bool source_uevents;
	bool source_processes;
	bool source_watches;
	bool source_module;
	size_t history_size; /* events kept */
	enum config_log_level log_level;
	unsigned int re_evaluation; /* seconds between two looks at everything */
};

/* Streams of all users together: with the gates far below half of the descriptors. */
#define CONFIG_STREAMS_MAX 256

struct config_limits { /* per user */
	unsigned int watches, groups, relays, streams;
	uint64_t queue_bytes;
};

const struct config_daemon *config_daemon(const struct config *config);
const struct config_limits *config_limits(const struct config *config);

struct device_number {
	uint32_t major, minor;
};

/* What is known of a filesystem when its settings are looked for. */
struct config_match {
	const char *const *where; /* mount points, bytes */
	size_t n_where;
	const char *type;
	const char *uuid; /* NULL: not known */
	const char *label; /* as in /dev/disk/by-label, unescaped; NULL: not known */
	const struct device_number *devices; /* its block devices */
	size_t n_devices;
	bool is_default; /* superblock_is_default() */
};

struct config_settings {
	bool ignored;
	uint32_t events; /* bit set of 1 << enum event_code */
	struct threshold_spec thresholds[THRESHOLDS_MAX];
	size_t n_thresholds;
};

/**
 * config_resolve() - the settings of one filesystem
 *
 * Per key: /mount/point, uuid:, label:, device:, type:, *, built-in; of
 * several of one rank the longest, then the first in byte order. A section
 * with any threshold line replaces all thresholds of lesser ones. What is no
 * default (is_default) stays ignored until a section other than * says
 * "ignore = no".
 *
 * device:/dev/X matches by number: config_devices() says which paths to resolve.
 */
void config_resolve(const struct config *config, const struct config_match *match,
		    struct config_settings *ret);

/**
 * config_device_next() - walk the paths of device: sections
 * @index:	0 at the start
 *
 * Return: a path such as "/dev/sda1", whose number the caller looks up (in
 * a worker) and gives back by config_device_set(); NULL at the end.
 */
const char *config_device_next(const struct config *config, size_t *index);
void config_device_set(struct config *config, const char *path, uint32_t major, uint32_t minor);
/** config_device_forget() - there is no such device: its sections match nothing */
void config_device_forget(struct config *config, const char *path);

/** config_needs_identity() - some section matches by uuid: or label: */
bool config_needs_identity(const struct config *config);

/* [watch PATH] of all files together. */
#define CONFIG_WATCHES_MAX 256

/* Told without `events =`: create, delete, move, attrib, close-write. */
#define CONFIG_WATCH_EVENTS (0x00000100U | 0x00000200U | 0x00010000U | 0x00000004U | 0x00000008U)

struct config_watch {
	char *path; /* bytes, absolute */
	uint32_t mask; /* FSEVENTS_... of include/fsevents_stream.h; 0: none */
	bool recursive;
	enum config_log_level log_level; /* of its entries in the journal */
};

/**
 * config_watch_next() - walk the sections [watch PATH], in byte order of the paths
 * @index:	0 at the start
 *
 * Return: NULL at the end.
 */
const struct config_watch *config_watch_next(const struct config *config, size_t *index);

/**
 * config_process_next() - walk the sections [process NAME], in byte order of the names
 * @index:	0 at the start
 * @ret:	strings are the configuration's
 *
 * Return: false at the end.
 */
bool config_process_next(const struct config *config, size_t *index, struct process_rule *ret);
