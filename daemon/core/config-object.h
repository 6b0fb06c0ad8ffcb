/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a parsed configuration is made of. For config*.c alone: who uses a
 * configuration needs config.h.
 */

#include "daemon/core/config-section.h"

/* Sections [filesystem WHERE] of all files together, equal ones counted once. */
#define CONFIG_FILESYSTEMS_MAX 4096

struct config_filesystem {
	struct where where;
	bool has_events, has_ignore, has_thresholds;
	bool ignore;
	uint32_t events;
	struct threshold_spec *thresholds;
	size_t n_thresholds;
	struct device_number device; /* of WHERE_DEVICE */
	bool device_known;
};

struct config_process {
	char *name;
	struct section_process values;
};

struct config {
	struct config_daemon daemon;
	struct config_limits limits;
	struct config_filesystem builtin; /* has all keys but ignore; no where */
	struct config_filesystem *filesystems; /* in the order of where_compare() */
	size_t n_filesystems;
	struct config_process *processes; /* in byte order of the names */
	size_t n_processes;
	struct config_watch *watches; /* in byte order of the paths, which are owned */
	size_t n_watches;
};

/** config_new() - the built-in defaults; Return: 0 or -ENOMEM */
int config_new(struct config **ret);

enum config_merge_outcome {
	CONFIG_MERGED,
	CONFIG_MERGE_FULL =
		1, /* CONFIG_FILESYSTEMS_MAX, PROCESS_RULES_MAX or CONFIG_WATCHES_MAX is reached: not taken in */
};

/**
 * config_merge() - take in a section without a fault
 * @section:	its where, thresholds and what it says of processes are moved out
 *
 * Each key given wins over what the same section of an earlier file said.
 *
 * Return: enum config_merge_outcome, or -ENOMEM.
 */
int config_merge(struct config *config, struct section *section);

/** config_merge_process() - config_merge() of a section [process NAME] */
int config_merge_process(struct config *config, struct section *section);
void config_processes_deinit(struct config *config);

/** config_merge_watch() - config_merge() of a section [watch PATH] */
int config_merge_watch(struct config *config, struct section *section);
void config_watches_deinit(struct config *config);

/** config_problem_add() - Return: 0 or -ENOMEM; past CONFIG_PROBLEMS_MAX it is only counted */
int config_problem_add(struct config_problems *problems, const char *file, unsigned int line,
		       const char *key, const char *message);
