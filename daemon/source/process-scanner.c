/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/source/process-scanner.h"
#include "daemon/source/procfs.h"

/* Below the bus, and below the sockets, which fill meanwhile. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 20)

/* A process that was missed while its parent ended is found by the second. */
#define PASSES 2

struct process_scanner {
	sd_event_source *slice;
	const struct process_scanner_ops *ops;
	void *userdata;

	DIR *proc; /* NULL: none under way */
	unsigned int n_passes; /* done */
	bool incomplete;
	struct procfs_threads threads;
	struct process_scan_entry entry; /* while there is more of it */
	bool more;
};

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* @r: as procfs_begin_entry() said; a process of many threads takes several steps. */
static void scanner_take(struct process_scanner *scanner, int r)
{
	scanner->more = r == PROCFS_E_MORE;
	if (r < 0 && r != -ESRCH)
		scanner->incomplete = true;
	if (r == 0)
		scanner->ops->entry(&scanner->entry, scanner->userdata);
}

static void scanner_end(struct process_scanner *scanner)
{
	bool complete = !scanner->incomplete;

	process_scanner_stop(scanner);
	scanner->ops->done(complete, scanner->userdata);
}

/* Return: false at the end of a pass. */
static bool scanner_step(struct process_scanner *scanner)
{
	struct dirent *dirent;
	uint32_t pid;

	if (scanner->more) {
		scanner_take(scanner, procfs_continue_entry(&scanner->threads, &scanner->entry));
		return true;
	}

	errno = 0;
	dirent = readdir(scanner->proc);
	if (!dirent) {
		scanner->incomplete |= errno != 0;
		return false;
	}
	if (procfs_parse_pid(dirent->d_name, &pid))
		scanner_take(scanner, procfs_begin_entry(pid, &scanner->threads, &scanner->entry));
	return true;
}

static int on_slice(sd_event_source *source, void *userdata)
{
	struct process_scanner *scanner = userdata;
	uint64_t end_us = now_us() + PROCESS_SCANNER_SLICE_US;

	do {
		if (scanner_step(scanner))
			continue;
		if (++scanner->n_passes == PASSES) {
			scanner_end(scanner);
			return 0;
		}
		rewinddir(scanner->proc);
	} while (now_us() < end_us);

	return 0;
}

int process_scanner_new(struct process_scanner **ret, sd_event *loop,
			const struct process_scanner_ops *ops, void *userdata)
{
	_cleanup_(process_scanner_freep) struct process_scanner *scanner = NULL;
	int r;

	assert(ret);
	assert(loop);
	assert(ops && ops->entry && ops->done);

	scanner = calloc(1, sizeof(*scanner));
	if (!scanner)
		return -ENOMEM;
	scanner->ops = ops;
	scanner->userdata = userdata;

	r = sd_event_add_defer(loop, &scanner->slice, on_slice, scanner);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(scanner->slice, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_source_set_priority(scanner->slice, PRIORITY);
	if (r < 0)
		return r;
	r = sd_event_source_set_exit_on_failure(scanner->slice, true);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(scanner->slice, "process-scanner");

	*ret = TAKE_PTR(scanner);
	return 0;
}

int process_scanner_start(struct process_scanner *scanner)
{
	assert(scanner);

	process_scanner_stop(scanner);
	scanner->proc = opendir("/proc");
	if (!scanner->proc)
		return -errno;

	scanner->n_passes = 0;
	scanner->incomplete = false;
	scanner->more = false;
	return sd_event_source_set_enabled(scanner->slice, SD_EVENT_ON) < 0 ? -EINVAL : 0;
}

void process_scanner_stop(struct process_scanner *scanner)
{
	assert(scanner);

	if (!scanner->proc)
		return;

	(void)sd_event_source_set_enabled(scanner->slice, SD_EVENT_OFF);
	closedir(scanner->proc);
	scanner->proc = NULL;
	procfs_threads_deinit(&scanner->threads);
}

struct process_scanner *process_scanner_free(struct process_scanner *scanner)
{
	if (!scanner)
		return NULL;

	process_scanner_stop(scanner);
	sd_event_source_disable_unref(scanner->slice);
	free(scanner);
	return NULL;
}
