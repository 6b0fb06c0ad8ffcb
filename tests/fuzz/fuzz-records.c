/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Batches of the module's records. What is accepted lies within the bytes and
 * keeps its promises; what is not leaves the result alone.
 */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/file-record.h"
#include "daemon/core/wire-event.h"
#include "daemon/core/wire-records.h"
#include "tests/fuzz/input.h"

static const uint8_t *from;
static size_t n_from;

static void check_name(const struct wire_name *name)
{
	if (name->n == 0)
		return;
	assert((const uint8_t *)name->bytes >= from &&
	       (const uint8_t *)name->bytes + name->n <= from + n_from);
	assert(!memchr(name->bytes, '\0', name->n));
}

static void check_handle(const struct handle_view *handle)
{
	assert(handle->n <= HANDLE_MAX);
	assert(handle->n == 0 ||
	       (handle->bytes >= from && handle->bytes + handle->n <= from + n_from));
}

static void check_file(const struct wire_record_file *file)
{
	const struct wire_name *names[] = { &file->name, &file->new_name };

	for (size_t i = 0; i < 2; i++) {
		check_name(names[i]);
		assert(names[i]->n <= NAME_MAX);
		assert(names[i]->n == 0 || !memchr(names[i]->bytes, '/', names[i]->n));
	}
	assert((file->dir_inode == 0) == (file->name.n == 0));
	assert((file->new_dir_inode == 0) == (file->new_name.n == 0));
	check_handle(&file->handle);
	check_handle(&file->dir_handle);
	check_handle(&file->new_dir_handle);
	assert(file->events != 0);
	assert(file->pid <= INT32_MAX && file->tid <= INT32_MAX);
}

/* As an event, of the filesystem or of one watch: it can be found, and each is told its own. */
static void check_event(const struct wire_record_file *file)
{
	const struct handle_view *const watched[] = { NULL, &file->handle, &file->dir_handle,
						      &file->new_dir_handle };
	struct file_record_names names;
	struct file_event event;

	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
		if (!file_record_event(file, watched[i], &names, &event))
			continue;
		assert(event.at.dir.n > 0 || event.to.dir.n > 0 || event.target.n > 0);
		assert(event.at.n_name == strlen(event.at.name));
		assert(event.to.n_name == strlen(event.to.name));
		assert((event.of == FILE_EVENT_OF_ALL) == !watched[i]);
	}
}

static void check_process(const struct wire_record_process *process)
{
	check_name(&process->name);
	assert(process->pid > 0 && process->pid <= INT32_MAX);
	assert(process->tgid > 0 && process->tgid <= INT32_MAX);
	assert(process->by_pid <= INT32_MAX && process->by_tgid <= INT32_MAX);
	assert(process->parent <= INT32_MAX && process->inner_pid <= INT32_MAX);
}

static void decode(const struct wire_message *message)
{
	struct wire_records records, before;
	struct wire_record record;
	uint32_t n = 0;
	int r;

	memset(&records, 0x5a, sizeof(records));
	before = records;
	r = wire_records_decode(message->attributes, message->n_attributes, &records);
	if (r != 1) {
		assert((r == 0 || r == -EBADMSG) &&
		       memcmp(&records, &before, sizeof(records)) == 0);
		return;
	}
	assert(records.seq != 0);
	while ((r = wire_record_next(&records, &record)) == 1) {
		n++;
		if (record.kind == FS_RECORD_FILE) {
			check_file(&record.file);
			check_event(&record.file);
		} else if (record.kind >= FS_RECORD_FORK && record.kind <= FS_RECORD_UID) {
			check_process(&record.process);
		} else {
			abort();
		}
	}
	assert(r == 0 || r == -EBADMSG);
	assert(n <= records.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = input_copy(data, size);
	struct wire_message message;
	size_t offset = 0;

	from = copy;
	n_from = size;
	while (wire_message_next(copy, size, &offset, &message) == 1)
		if (!message.is_ack)
			decode(&message);
	free(copy);
	return 0;
}
