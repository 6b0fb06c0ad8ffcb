/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/file-record.h"
#include "daemon/core/wire-event.h"
#include "daemon/source/module-file-internal.h"
#include "daemon/source/netlink.h"

/* Below the bus, as what it reads. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)

/* Taken by one call, each of some fifty records. */
#define DATAGRAMS 16

static const struct file_event overflow = { .overflow = true, .at.name = "", .to.name = "" };

/*
 * What is told. Any member may be freed by it, so none is held meanwhile.
 */

static struct file_events_member *member_find(const struct module_file *file, uint32_t number)
{
	struct file_events_member *member;

	LIST_FOREACH(member, &file->members, in_module)
		if (member->number == number)
			return member;
	return NULL;
}

/* Some record may be for it. */
static bool member_is_told(const struct file_events_member *member)
{
	return member->watches ? !LIST_EMPTY(&member->watches->inodes) : member->fs_id != 0;
}

static void tell_begin(struct module_file *file, struct file_events_member *member)
{
	if (member->in_batch)
		return;
	member->in_batch = true;
	member->ops->begin(file->since_us ? file->since_us : file_events_now(), member->userdata);
}

static void tell(struct module_file *file, uint32_t number, const struct file_event *event)
{
	struct file_events_member *member = member_find(file, number);

	if (member)
		tell_begin(file, member);
	member = member_find(file, number);
	if (member)
		member->ops->event(event, member->userdata);
}

/* Whose they were is not known. */
static void tell_lost(struct module_file *file)
{
	uint32_t numbers[FILE_EVENTS_GROUPS_MAX];
	struct file_events_member *member;
	size_t n = 0;

	module_file_forget_replaced(file);
	LIST_FOREACH(member, &file->members, in_module)
		if (member_is_told(member))
			numbers[n++] = member->number;
	file->events->statistics.overflows += n;
	for (size_t i = 0; i < n; i++)
		tell(file, numbers[i], &overflow);
}

static struct file_events_member *member_in_batch(const struct module_file *file)
{
	struct file_events_member *member;

	LIST_FOREACH(member, &file->members, in_module)
		if (member->in_batch)
			return member;
	return NULL;
}

/* Nothing of what comes is merged into anything that was told. */
static void tell_end(struct module_file *file)
{
	struct file_events_member *member;

	while ((member = member_in_batch(file))) {
		member->in_batch = false;
		member->ops->end(true, member->userdata);
	}
}

/*
 * What is read
 */

/* @watched: the inode whose watch tells it; NULL: by the filesystem's request */
static void record_tell(struct module_file *file, const struct wire_record_file *record,
			uint32_t number, const struct handle_view *watched)
{
	struct file_record_names names;
	struct file_event event;

	file->events->statistics.events++;
	if (file_events_is_own(file->events, (int32_t)record->pid))
		return;
	if (file_record_event(record, watched, &names, &event)) {
		tell(file, number, &event);
	} else {
		file->events->statistics.malformed++;
		tell(file, number, &overflow);
	}
}

static void record_take_watch(struct module_file *file, const struct wire_record_file *record)
{
	struct module_watch *watch = module_watch_find(file, record->watch_id);
	struct handle handle;
	struct handle_view view;

	if (!watch)
		return;
	if (record->events & FS_FILE_IGNORED) {
		module_watch_end(watch);
		return;
	}
	/* Who is told may let the watch go. */
	handle = watch->inode->handle;
	view = handle_view(&handle);
	record_tell(file, record, watch->inode->owner->member->number, &view);
}

static void record_take(struct module_file *file, const struct wire_record *record)
{
	struct file_events_member *member;

	file->n++;
	if (record->kind != FS_RECORD_FILE)
		return;
	if (record->file.watch_id != 0) {
		record_take_watch(file, &record->file);
		return;
	}
	LIST_FOREACH(member, &file->members, in_module)
		if (member->fs_id != 0 && member->fs_id == record->file.fs_id) {
			record_tell(file, &record->file, member->number, NULL);
			return;
		}
}

static void records_take(struct module_file *file, const struct wire_message *message)
{
	struct wire_records records;
	struct wire_record record;
	int r;

	r = wire_records_decode(message->attributes, message->n_attributes, &records);
	if (r > 0) {
		if (wire_event_sequence_note(&file->sequence, records.seq, records.n) > 0 &&
		    !file->lost_told)
			tell_lost(file);
		file->lost_told = false;
		while ((r = wire_record_next(&records, &record)) > 0)
			record_take(file, &record);
	} else {
		r = -EBADMSG;
	}
	if (r < 0) {
		file->events->statistics.malformed++;
		tell_lost(file);
	}
}

static void answer_take(struct module_file *file, const struct wire_message *message)
{
	struct marking *marking = module_file_find_marking(file, message->seq);
	struct wire_event_answer answer = {};

	if (message->is_ack && message->error < 0 && file->barrier != 0 &&
	    message->seq == file->barrier)
		file->unsure = true;
	if (!marking || marking->answered)
		return;

	marking->answered = true;
	if (message->is_ack)
		marking->error = message->error < 0 ? message->error : -EBADMSG;
	else if (wire_event_answer_decode(message->attributes, message->n_attributes, &answer) > 0)
		marking->member->fs_id = answer.fs_id;
	else
		marking->error = -EBADMSG;
}

static void datagram_take(struct module_file *file, const void *data, size_t n)
{
	struct wire_message message;
	size_t offset = 0;
	int r;

	while ((r = wire_message_next(data, n, &offset, &message)) > 0) {
		if (message.is_ack)
			answer_take(file, &message);
		else if (message.family != module_socket_family(file->socket))
			continue;
		else if (message.command == FS_NL_C_RECORDS)
			records_take(file, &message);
		else if (message.command == FS_NL_C_FS_SET)
			answer_take(file, &message);
	}
	if (r < 0) {
		file->events->statistics.malformed++;
		tell_lost(file);
	}
}

/* Until the socket is empty, or @max events were told. Return: true for the first. */
static bool file_take(struct module_file *file, uint64_t max)
{
	file->n = 0;
	while (file->n < max) {
		const void *data;
		size_t n;
		int r;

		r = module_socket_receive(file->socket, &data, &n);
		/* A socket that fails is asked again with the next sign. */
		if (r == NETLINK_EMPTY || r < 0)
			return true;
		if (r == NETLINK_OVERRUN) {
			tell_lost(file);
			file->lost_told = true;
		} else if (r == NETLINK_TRUNCATED) {
			file->events->statistics.malformed++;
			tell_lost(file);
		} else if (r == 0) {
			datagram_take(file, data, n);
		}
	}

	return false;
}

void module_file_batch(struct module_file *file, uint64_t max)
{
	struct file_events_member *member;
	bool empty;

	assert(!file->in_batch);

	file->in_batch = true;
	file->events->statistics.batches++;
	empty = file_take(file, max);
	if (file->unsure)
		tell_lost(file);
	file->unsure = false;
	if (empty) {
		file->since_us = 0;
		late_reader_listen(&file->reader);
	} else {
		late_reader_wait(&file->reader, 0);
	}
	LIST_FOREACH(member, &file->members, in_module)
		if (member->watches) {
			module_watches_answers(member->watches);
			module_watches_withdraw(member->watches);
		}
	tell_end(file);
	file->in_batch = false;
}

void module_file_wait(struct module_file *file)
{
	if (!late_reader_is_waiting(&file->reader))
		late_reader_wait(&file->reader, FILE_EVENTS_PAUSE_MAX_US);
}

void module_file_read(struct module_file *file)
{
	/* It has an answer only where it is refused. */
	file->barrier = ++file->seq;
	file->unsure = module_socket_sync(file->socket, file->barrier) < 0;
	module_file_batch(file, MODULE_FILE_WAITING_MAX);
}

static void on_due(void *userdata)
{
	module_file_batch(userdata, FILE_EVENTS_BATCH);
}

static void on_sign(void *userdata)
{
	struct module_file *file = userdata;

	file->since_us = file_events_now();
	late_reader_wait(&file->reader, file->pause_us);
}

static const struct late_reader_ops reader_ops = {
	.sign = on_sign,
	.due = on_due,
};

void module_file_set_pause(struct module_file *file)
{
	struct file_events_member *member;

	file->pause_us = FILE_EVENTS_PAUSE_MAX_US;
	LIST_FOREACH(member, &file->members, in_module)
		if (member->pause_us < file->pause_us)
			file->pause_us = member->pause_us;
}

/*
 * Its life
 */

struct module_file *module_file_free(struct module_file *file)
{
	if (!file)
		return NULL;

	assert(LIST_EMPTY(&file->members));
	late_reader_stop(&file->reader);
	sd_event_source_disable_unref(file->end);
	module_socket_free(file->socket);
	free(file);
	return NULL;
}

/* Nobody is told any more, and nobody is in the middle of being told. */
static int on_end(sd_event_source *source, void *userdata)
{
	struct module_file *file = userdata;

	if (!LIST_EMPTY(&file->members))
		return 0;
	file->events->module = NULL;
	module_file_free(file);
	return 0;
}

void module_file_settle(struct module_file *file)
{
	if (!LIST_EMPTY(&file->members)) {
		module_file_set_pause(file);
		return;
	}
	/* Refused where the loop has ended: then file_events_free() frees it. */
	(void)sd_event_source_set_enabled(file->end, SD_EVENT_ONESHOT);
}

static int file_add_end(struct module_file *file)
{
	int r;

	r = sd_event_add_defer(file->events->loop, &file->end, on_end, file);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(file->end, "module-file-end");
	r = sd_event_source_set_priority(file->end, PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_exit_on_failure(file->end, true);
	return r < 0 ? r : sd_event_source_set_enabled(file->end, SD_EVENT_OFF);
}

static int file_new(struct module_file **ret, struct file_events *events)
{
	const struct module_socket_options options = {
		.group = FS_EVENTS_GRP_INODE,
		.n_buffer = MODULE_FILE_BUFFER,
		.n_datagrams = DATAGRAMS,
	};
	_cleanup_(module_file_freep) struct module_file *file = calloc(1, sizeof(*file));
	int r;

	if (!file)
		return -ENOMEM;
	file->events = events;
	file->pause_us = FILE_EVENTS_PAUSE_MAX_US;
	r = module_socket_new(&file->socket, &options);
	if (r >= 0)
		r = late_reader_start(&file->reader, events->loop,
				      &(const struct late_reader_options){
					      .fd = module_socket_fd(file->socket),
					      .name = "module-file",
					      .ops = &reader_ops,
					      .userdata = file,
				      });
	if (r >= 0)
		r = file_add_end(file);
	if (r < 0)
		return r;

	late_reader_listen(&file->reader);
	*ret = TAKE_PTR(file);
	return 0;
}

int module_file_join(struct file_events_member *member)
{
	struct file_events *events = member->events;
	int r;

	if (!events->has_module)
		return -ENOENT;
	if (!events->module) {
		r = file_new(&events->module, events);
		if (r < 0)
			return r;
	}
	if (member->kind == FILE_EVENTS_MODULE_INODES) {
		r = module_watches_new(&member->watches, member);
		if (r < 0) {
			module_file_settle(events->module);
			return r;
		}
	}
	member->number = ++events->module->last_number;
	LIST_INSERT_HEAD(&events->module->members, member, in_module);
	return 0;
}

void module_file_gone(struct module_file *file)
{
	struct file_events *events = file->events;
	struct file_events_member *member;

	/* Each is freed, by whoever is told. */
	while (events->module == file && (member = LIST_FIRST(&file->members)))
		member->ops->gone(member->userdata);
	if (events->module == file) {
		events->module = NULL;
		module_file_free(file);
	}
}
