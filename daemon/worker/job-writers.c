/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/escape.h"
#include "daemon/worker/job-writers.h"

#define WRITERS_INTERVAL_MS 40
#define WRITERS_YOUNG_S 5
#define WRITERS_PROCESSES_MAX 65536
#define WRITERS_COMM_MAX 64

/* Dirty pages are "next to nothing" when all write calls wrote this many times more. */
#define WRITERS_NEGLIGIBLE 64

struct process {
	uint32_t pid;
	uint64_t wchar, write_bytes; /* since it began */
	uint64_t wchar_grown, written_grown;
};

struct sample {
	struct process *items; /* by pid, as /proc lists them */
	size_t n_items, n_allocated;
};

struct wire_writer {
	uint64_t bytes;
	uint32_t pid;
	uint32_t n_comm;
	char comm[WRITERS_COMM_MAX];
};

static void sample_deinit(struct sample *sample)
{
	free(sample->items);
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* Return: bytes read, NUL-terminated, or a negative errno. */
static ssize_t proc_read(uint32_t pid, const char *name, char *ret, size_t n_ret)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	n = read(fd, ret, n_ret - 1);
	if (n < 0)
		return -errno;

	ret[n] = '\0';
	return n;
}

static bool process_read(uint32_t pid, struct process *ret)
{
	char text[512];
	const char *wchar, *written;

	if (proc_read(pid, "io", text, sizeof(text)) < 0)
		return false;

	wchar = strstr(text, "wchar: ");
	written = strstr(text, "\nwrite_bytes: ");
	if (!wchar || !written)
		return false;

	*ret = (struct process){
		.pid = pid,
		.wchar = strtoull(wchar + strlen("wchar: "), NULL, 10),
		.write_bytes = strtoull(written + strlen("\nwrite_bytes: "), NULL, 10),
	};
	return true;
}

static int sample_add(struct sample *sample, const struct process *process)
{
	if (sample->n_items == sample->n_allocated) {
		size_t n = sample->n_allocated ? 2 * sample->n_allocated : 256;
		struct process *items = reallocarray(sample->items, n, sizeof(*items));

		if (!items)
			return -ENOMEM;
		sample->items = items;
		sample->n_allocated = n;
	}

	sample->items[sample->n_items++] = *process;
	return 0;
}

static int sample_take(struct sample *sample)
{
	_cleanup_(closedirp) DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return -errno;

	while ((entry = readdir(dir)) && sample->n_items < WRITERS_PROCESSES_MAX) {
		unsigned long pid = strtoul(entry->d_name, NULL, 10);
		struct process process;
		int r;

		/* One that wrote nothing so far is left out: a newcomer in the second sample. */
		if (pid == 0 || pid > UINT32_MAX || !process_read((uint32_t)pid, &process) ||
		    (process.wchar == 0 && process.write_bytes == 0))
			continue;

		r = sample_add(sample, &process);
		if (r < 0)
			return r;
	}

	return 0;
}

/* Field 22 of /proc/PID/stat, counted after the comm, which may hold anything. */
static bool process_is_young(uint32_t pid)
{
	char text[1024];
	const char *field;
	struct timespec now;
	unsigned long long start;
	long ticks = sysconf(_SC_CLK_TCK);

	if (ticks <= 0 || proc_read(pid, "stat", text, sizeof(text)) < 0)
		return false;

	field = strrchr(text, ')');
	for (unsigned int i = 2; field && i < 22; i++)
		field = strchr(field + 1, ' ');
	if (!field)
		return false;

	start = strtoull(field + 1, NULL, 10) / (unsigned long long)ticks;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return start + WRITERS_YOUNG_S >= (unsigned long long)now.tv_sec;
}

static uint64_t growth(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

/* Fills in the growth of @after. */
static void sample_compare(const struct sample *before, struct sample *after)
{
	size_t k = 0;

	for (size_t i = 0; i < after->n_items; i++) {
		struct process *process = &after->items[i];
		struct process none = {};
		const struct process *former = &none;

		while (k < before->n_items && before->items[k].pid < process->pid)
			k++;
		if (k < before->n_items && before->items[k].pid == process->pid)
			former = &before->items[k];

		if (former != &none && process_is_young(process->pid))
			former = &none;
		process->written_grown = growth(process->write_bytes, former->write_bytes);
		process->wchar_grown = growth(process->wchar, former->wchar);
	}
}

static int process_compare_written(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	if (x->written_grown != y->written_grown)
		return x->written_grown < y->written_grown ? 1 : -1;
	return (x->write_bytes < y->write_bytes) - (x->write_bytes > y->write_bytes);
}

static int process_compare_wchar(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	if (x->wchar_grown != y->wchar_grown)
		return x->wchar_grown < y->wchar_grown ? 1 : -1;
	return (x->wchar < y->wchar) - (x->wchar > y->wchar);
}

static bool sample_is_by_wchar(const struct sample *sample)
{
	uint64_t wchar = 0, written = 0;

	for (size_t i = 0; i < sample->n_items; i++) {
		wchar += sample->items[i].wchar_grown;
		written += sample->items[i].written_grown;
	}

	return written < wchar / WRITERS_NEGLIGIBLE;
}

static void writer_fill(struct wire_writer *ret, uint32_t pid, uint64_t bytes)
{
	ssize_t n = proc_read(pid, "comm", ret->comm, sizeof(ret->comm));

	ret->pid = pid;
	ret->bytes = bytes;
	/* The kernel ends it with a newline; one that is in the name stays. */
	ret->n_comm = n > 0 ? (uint32_t)n - 1 : 0;
}

static int writers_encode(const struct sample *sample, bool by_wchar, void **ret_reply,
			  size_t *ret_n)
{
	struct wire_writer *writers = calloc(WRITERS_MAX, sizeof(*writers));
	size_t n = 0;

	if (!writers)
		return -ENOMEM;

	for (; n < WRITERS_MAX && n < sample->n_items; n++) {
		const struct process *process = &sample->items[n];
		uint64_t bytes = by_wchar ? process->wchar_grown : process->written_grown;

		if (bytes == 0)
			break;
		writer_fill(&writers[n], process->pid, bytes);
	}

	*ret_reply = writers;
	*ret_n = n * sizeof(*writers);
	return 0;
}

int writers_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	_cleanup_(sample_deinit) struct sample before = {}, after = {};
	const uint8_t *flags = payload;
	struct timespec pause = { .tv_nsec = WRITERS_INTERVAL_MS * 1000000L };
	bool by_wchar;
	int r;

	assert(ret_reply);
	assert(ret_n);

	if (n > 1)
		return -EBADMSG;

	r = sample_take(&before);
	if (r < 0)
		return r;
	nanosleep(&pause, NULL);
	r = sample_take(&after);
	if (r < 0)
		return r;

	sample_compare(&before, &after);
	by_wchar = n == 1 ? *flags & WRITERS_BY_WCHAR : sample_is_by_wchar(&after);
	if (after.n_items > 0)
		qsort(after.items, after.n_items, sizeof(*after.items),
		      by_wchar ? process_compare_wchar : process_compare_written);

	return writers_encode(&after, by_wchar, ret_reply, ret_n);
}

ssize_t writers_reply_decode(const void *reply, size_t n_reply, struct detail_writer *ret,
			     size_t max)
{
	size_t n = n_reply / sizeof(struct wire_writer);
	struct wire_writer wire;

	assert(ret || max == 0);

	if (n_reply % sizeof(wire) != 0 || n > WRITERS_MAX || (!reply && n > 0))
		return -EBADMSG;
	if (n > max)
		n = max;

	for (size_t i = 0; i < n; i++) {
		memcpy(&wire, (const char *)reply + i * sizeof(wire), sizeof(wire));
		if (wire.n_comm > sizeof(wire.comm))
			return -EBADMSG;
		ret[i].pid = wire.pid;
		ret[i].bytes = wire.bytes;
		escape(ret[i].comm, sizeof(ret[i].comm), wire.comm, wire.n_comm, 0);
	}

	return (ssize_t)n;
}
