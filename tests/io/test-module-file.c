/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The module's files as the daemon sees them, without a module: its socket and the
 * workers are of cardboard.
 */

#include <errno.h>
#include <linux/fanotify.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/file-events.h"
#include "daemon/worker/job-watch-wire.h"
#include "daemon/worker/protocol.h"
#include "tests/io/fake-module-socket.h"
#include "tests/io/fake-pool.h"

#define OWN_PID 4711

/* As text: "command seq type:bytes ...", as long as a message of netlink would be */
int module_socket_compose(const struct module_socket *socket, const struct module_request *request,
			  void **ret, size_t *ret_n)
{
	char text[256];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "%u %u", request->command, request->seq);
	for (size_t i = 0; i < request->n_attributes; i++) {
		const struct module_attribute *attribute = &request->attributes[i];
		uint32_t value = 0;

		if (attribute->type == FS_NL_A_FS_TYPE) {
			n += (size_t)snprintf(text + n, sizeof(text) - n, " %s",
					      (const char *)attribute->data);
			continue;
		}
		assert_int_equal(attribute->n_data, sizeof(value));
		memcpy(&value, attribute->data, sizeof(value));
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %u=%x", attribute->type, value);
	}
	assert_true(n < sizeof(text) - 1);
	*ret_n = n < 16 ? 16 : (n + 4) / 4 * 4;
	*ret = calloc(1, *ret_n);
	assert_non_null(*ret);
	memcpy(*ret, text, n);
	return 0;
}

static void check_submission(const struct pool_submission *submission)
{
	assert_true(submission->fd == current->socket.fd ||
		    (asking && submission->fd == asking->socket.fd));
}

bool pool_owns_pid(const struct pool *pool, pid_t pid)
{
	return pid == OWN_PID;
}

/* One filesystem, and what was told of it: "name" or "old>new" for each, "!" for an overflow. */
struct member {
	struct file_events_member *member;
	char told[256];
	unsigned int n_begin, n_end, n_marked, n_gone;
	int error;
	size_t n_handle;
	struct handle root;
	bool free_in_event;
};

struct world {
	sd_event *loop;
	struct file_events *events;
	struct member one, other;
};

static void on_begin(uint64_t since_us, void *userdata)
{
	struct member *member = userdata;

	assert_int_equal(member->n_begin, member->n_end);
	member->n_begin++;
}

static void on_event(const struct file_event *event, void *userdata)
{
	struct member *member = userdata;
	size_t n = strlen(member->told);

	assert_int_equal(member->n_begin, member->n_end + 1);
	if (event->overflow)
		snprintf(member->told + n, sizeof(member->told) - n, "! ");
	else
		snprintf(member->told + n, sizeof(member->told) - n, "%s%s%s ", event->at.name,
			 event->mask & FAN_RENAME ? ">" : "", event->to.name);
	if (member->free_in_event)
		member->member = file_events_member_free(member->member);
}

static void on_end(bool empty, void *userdata)
{
	struct member *member = userdata;

	assert_true(empty);
	member->n_end++;
}

static void on_marked(int error, const struct handle_view *handle, const struct handle_view *root,
		      void *userdata)
{
	struct member *member = userdata;

	member->n_marked++;
	member->error = error;
	member->n_handle = handle->n;
	member->root = (struct handle){ .type = root->type, .n = root->n };
	if (root->n > 0)
		memcpy(member->root.bytes, root->bytes, root->n);
}

static void on_gone(void *userdata)
{
	struct member *member = userdata;

	member->n_gone++;
	member->member = file_events_member_free(member->member);
}

static const struct file_events_ops ops = {
	.begin = on_begin,
	.event = on_event,
	.end = on_end,
	.marked = on_marked,
	.gone = on_gone,
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	n_tickets = 0;
	is_full = false;
	current_group = FS_EVENTS_GRP_INODE;
	assert_return_code(sd_event_new(&world->loop), 0);
	assert_return_code(file_events_new(&world->events, world->loop, (struct pool *)world), 0);
	file_events_set_module(world->events, true);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	file_events_member_free(world->one.member);
	file_events_member_free(world->other.member);
	file_events_free(world->events);
	assert_null(current);
	assert_null(asking);
	sd_event_unref(world->loop);
	free(world);
	return 0;
}

static struct pool_ticket *last_ticket(enum job_kind job)
{
	struct pool_ticket *ticket = &tickets[n_tickets - 1];

	assert_true(n_tickets > 0 && !ticket->answered && !ticket->cancelled);
	assert_int_equal(ticket->submission.job, job);
	return ticket;
}

/* The worker has looked at the root. */
static void answer_root(int error)
{
	struct pool_ticket *ticket = last_ticket(JOB_WATCH_MARK);
	const struct watch_mark_reply reply = {
		.error = error,
		.root = { .type = 1, .n = error ? 0 : 8, .bytes = { 2 } },
	};
	_cleanup_free_ void *bytes = NULL;
	size_t n;

	assert_return_code(watch_mark_reply_encode(&reply, &bytes, &n), 0);
	ticket->answered = true;
	ticket->submission.reply(POOL_DONE, bytes, n, ticket->submission.userdata);
}

/* And has sent the request, to which the module said this. */
static void answer_request(uint32_t fs_id, int error)
{
	struct pool_ticket *ticket = last_ticket(JOB_SEND);
	unsigned int command, seq;

	assert_int_equal(sscanf(ticket->payload, "%u %u", &command, &seq), 2);
	assert_int_equal(command, FS_NL_C_FS_SET);
	if (error < 0) {
		fake_answer(&current->socket, seq, error);
	} else {
		struct datagram *datagram = fake_queue(&current->socket, 0);
		const uint64_t capable = 0;

		datagram_begin(datagram, FIXTURE_FAMILY, seq, FS_NL_C_FS_SET);
		datagram_add_u32(datagram, FS_NL_A_FS_ID, fs_id);
		datagram_add(datagram, FS_NL_A_CAPABLE, &capable, sizeof(capable));
	}
	pool_answer_one(ticket, POOL_DONE, 0);
}

static struct file_events_mark mark_of(uint32_t minor, uint64_t mask)
{
	static const struct mount mount = { .id = 20, .where = "/mnt/x" };

	return (struct file_events_mark){
		.mount = &mount,
		.type = "ext4",
		.major = 254,
		.minor = minor,
		.mask = mask,
	};
}

#define MASK (FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ONDIR)

static void begin(struct world *world, struct member *member, uint32_t minor, uint32_t fs_id)
{
	const struct file_events_mark mark = mark_of(minor, MASK);
	char wanted[64];

	assert_return_code(file_events_member_new(&member->member, world->events,
						  FILE_EVENTS_MODULE, &ops, member),
			   0);
	assert_return_code(file_events_member_mark(member->member, &mark), 0);
	answer_root(0);
	snprintf(wanted, sizeof(wanted), " ext4 2=fe 3=%x 21=%x", minor, MASK | FS_FILE_HANDLES);
	assert_non_null(strstr(tickets[n_tickets - 1].payload, wanted));
	answer_request(fs_id, 0);
	assert_int_equal(member->n_marked, 1);
	assert_int_equal(member->error, 0);
	assert_int_equal(member->root.n, 8);
	assert_int_equal(member->root.bytes[0], 2);
}

struct records {
	_Alignas(8) uint8_t bytes[800];
	size_t n;
	uint32_t n_records;
};

static void put_handle(struct records *records, uint8_t of)
{
	struct fs_event_handle head = { .size = 16, .of = of, .n_bytes = 8, .type = 1 };

	memcpy(records->bytes + records->n, &head, sizeof(head));
	memset(records->bytes + records->n + sizeof(head), of, 8);
	records->n += head.size;
}

/* By the filesystem's request, or where @watch_id is not 0, by that watch. */
static void put_by(struct records *records, uint32_t fs_id, uint32_t watch_id, uint32_t pid,
		   const char *name)
{
	struct fs_event_file file = {
		.record = { .header_size = sizeof(file), .kind = FS_RECORD_FILE },
		.inode = 12,
		.dir_inode = 2,
		.fs_id = fs_id,
		.watch_id = watch_id,
		.events = FS_FILE_CREATE,
		.pid = pid,
		.name_size = (uint16_t)strlen(name),
		.handles_size = 32,
	};
	size_t at = records->n;

	records->n += sizeof(file);
	memcpy(records->bytes + records->n, name, strlen(name));
	records->n = (records->n + strlen(name) + 7) / 8 * 8;
	put_handle(records, FS_HANDLE_INODE);
	put_handle(records, FS_HANDLE_DIR);
	file.record.size = (uint32_t)(records->n - at);
	memcpy(records->bytes + at, &file, sizeof(file));
	records->n_records++;
}

static void put(struct records *records, uint32_t fs_id, uint32_t pid, const char *name)
{
	put_by(records, fs_id, 0, pid, name);
}

/* A watch is over. */
static void put_end(struct records *records, uint32_t watch_id)
{
	const struct fs_event_file file = {
		.record = { .size = sizeof(file),
			    .header_size = sizeof(file),
			    .kind = FS_RECORD_FILE },
		.inode = 12,
		.watch_id = watch_id,
		.events = FS_FILE_IGNORED,
	};

	memcpy(records->bytes + records->n, &file, sizeof(file));
	records->n += sizeof(file);
	records->n_records++;
}

static void tell(const struct records *records, uint64_t seq)
{
	struct datagram *datagram = fake_queue(&current->socket, 0);

	datagram_begin(datagram, FIXTURE_FAMILY, 0, FS_NL_C_RECORDS);
	datagram_add(datagram, FS_NL_A_SEQ, &seq, sizeof(seq));
	datagram_add_u32(datagram, FS_NL_A_N_RECORDS, records->n_records);
	datagram_add(datagram, FS_NL_A_RECORDS, records->bytes, records->n);
}

static void run_until(struct world *world, const unsigned int *n, unsigned int wanted)
{
	while (*n < wanted)
		assert_return_code(sd_event_run(world->loop, 30000000), 0);
}

/* Each filesystem is told its own, and nobody what the daemon did itself. */
static void test_records(void **state)
{
	struct world *world = *state;
	struct records records = {};

	begin(world, &world->one, 0, 7);
	begin(world, &world->other, 16, 8);
	put(&records, 7, 44, "a");
	put(&records, 9, 44, "foreign");
	put(&records, 8, 44, "b");
	put(&records, 7, OWN_PID, "own");
	put(&records, 7, 44, "c");
	tell(&records, 1);
	run_until(world, &world->other.n_end, 1);
	assert_string_equal(world->one.told, "a c ");
	assert_string_equal(world->other.told, "b ");
	assert_int_equal(world->one.n_end, 1);
}

static void test_losses(void **state)
{
	struct world *world = *state;
	struct records first = {}, second = {};

	begin(world, &world->one, 0, 7);
	begin(world, &world->other, 16, 8);
	put(&first, 7, 44, "a");
	put(&second, 7, 44, "b");
	tell(&first, 1);
	/* 2 and 3 are missing, of whomever. */
	tell(&second, 4);
	file_events_member_read(world->one.member);
	assert_int_equal(current->n_syncs, 1);
	assert_string_equal(world->one.told, "a ! b ");
	assert_string_equal(world->other.told, "! ");

	/* The gap of an overrun is told with it. */
	fake_queue(&current->socket, NETLINK_OVERRUN);
	tell(&second, 9);
	tell(&second, 10);
	file_events_member_read(world->one.member);
	assert_string_equal(world->one.told, "a ! b ! b b ");
	assert_string_equal(world->other.told, "! ! ");
}

/* What could not be found in it is a loss, not silence. */
static void test_malformed(void **state)
{
	struct world *world = *state;
	struct file_events_statistics statistics;
	struct records records = {};
	struct fs_event_file *file = (struct fs_event_file *)records.bytes;

	begin(world, &world->one, 0, 7);
	put(&records, 7, 44, "a");
	file->handles_size = 0;
	tell(&records, 1);
	file->handles_size = 4000;
	tell(&records, 2);
	file_events_member_read(world->one.member);
	assert_string_equal(world->one.told, "! ! ");
	file_events_statistics(world->events, &statistics);
	assert_int_equal(statistics.malformed, 2);
}

static void test_refused(void **state)
{
	struct world *world = *state;
	const struct file_events_mark mark = mark_of(0, MASK);

	assert_false(file_events_has_module(world->events, "vfat"));
	assert_return_code(file_events_member_new(&world->one.member, world->events,
						  FILE_EVENTS_MODULE, &ops, &world->one),
			   0);
	assert_return_code(file_events_member_mark(world->one.member, &mark), 0);
	answer_root(-ESTALE);
	assert_int_equal(world->one.error, -ESTALE);
	assert_return_code(file_events_member_mark(world->one.member, &mark), 0);
	answer_root(0);
	answer_request(0, -EBUSY);
	assert_int_equal(world->one.n_marked, 2);
	assert_int_equal(world->one.error, -EBUSY);
}

/* Less is asked for without a word, and nothing by who is freed. */
static void test_unmarked(void **state)
{
	struct world *world = *state;
	const struct file_events_mark mark = mark_of(0, FAN_CREATE);
	char wanted[64];

	begin(world, &world->one, 0, 7);
	assert_return_code(file_events_member_unmark(world->one.member, &mark), 0);
	snprintf(wanted, sizeof(wanted), " 21=%x", (MASK & ~FAN_CREATE) | FS_FILE_HANDLES);
	assert_non_null(strstr(tickets[n_tickets - 1].payload, wanted));
	answer_request(7, 0);
	assert_int_equal(world->one.n_marked, 1);
	world->one.member = file_events_member_free(world->one.member);
	snprintf(wanted, sizeof(wanted), "%u 0 11=7", FS_NL_C_FS_DEL);
	assert_string_equal(last_ticket(JOB_SEND)->payload, wanted);
	while (current)
		assert_return_code(sd_event_run(world->loop, 30000000), 0);
}

/* The end of one filesystem is refused while another one is looked at, which was not asked for yet. */
static void test_end_refused(void **state)
{
	struct world *world = *state;
	const struct file_events_mark mark = mark_of(17, MASK);
	struct records records = {};

	begin(world, &world->one, 0, 7);
	begin(world, &world->other, 16, 8);
	world->other.member = file_events_member_free(world->other.member);
	fake_answer(&current->socket, 0, -ENOENT);
	world->other = (struct member){};
	assert_return_code(file_events_member_new(&world->other.member, world->events,
						  FILE_EVENTS_MODULE, &ops, &world->other),
			   0);
	assert_return_code(file_events_member_mark(world->other.member, &mark), 0);
	while (current->socket.n > 0)
		assert_return_code(sd_event_run(world->loop, 30000000), 0);
	answer_root(0);
	answer_request(9, 0);
	assert_int_equal(world->other.n_marked, 1);
	assert_int_equal(world->other.error, 0);
	/* Nor is anything lost by it. */
	assert_string_equal(world->one.told, "");
	put(&records, 9, 44, "a");
	tell(&records, 1);
	file_events_member_read(world->other.member);
	assert_string_equal(world->other.told, "a ");
}

static void test_gone(void **state)
{
	struct world *world = *state;

	begin(world, &world->one, 0, 7);
	begin(world, &world->other, 16, 8);
	n_tickets = 0;
	file_events_set_module(world->events, false);
	assert_int_equal(world->one.n_gone, 1);
	assert_int_equal(world->other.n_gone, 1);
	/* There is nobody to be asked. */
	assert_int_equal(n_tickets, 0);
	assert_null(current);
	assert_int_equal(file_events_member_new(&world->one.member, world->events,
						FILE_EVENTS_MODULE, &ops, &world->one),
			 -ENOENT);
	file_events_set_module(world->events, true);
	world->one = (struct member){};
	begin(world, &world->one, 0, 7);
}

static void test_freed(void **state)
{
	struct world *world = *state;
	struct records records = {};

	begin(world, &world->one, 0, 7);
	begin(world, &world->other, 16, 8);
	world->one.free_in_event = true;
	put(&records, 7, 44, "a");
	put(&records, 7, 44, "b");
	put(&records, 8, 44, "c");
	tell(&records, 1);
	file_events_member_read(world->other.member);
	assert_string_equal(world->one.told, "a ");
	assert_int_equal(world->one.n_end, 0);
	assert_string_equal(world->other.told, "c ");
}

/*
 * Single inodes: the directory whose handle put_handle() makes, and others
 */

static const struct handle dir_handle = { 1, 8, { 2, 2, 2, 2, 2, 2, 2, 2 } };

#define SPOT ((uint64_t)(FAN_CREATE | FAN_ATTRIB | FAN_EVENT_ON_CHILD | FAN_ONDIR))

static void begin_spots(struct world *world)
{
	assert_return_code(file_events_member_new(&world->one.member, world->events,
						  FILE_EVENTS_MODULE_INODES, &ops, &world->one),
			   0);
	assert_non_null(asking);
}

static struct file_events_mark mark_of_inode(const struct handle *handle, uint64_t mask)
{
	struct file_events_mark mark = mark_of(0, mask);

	mark.handle = handle_view(handle);
	return mark;
}

/* The last request, which was to watch that with this mask; Return: its number. */
static uint32_t watch_request(const struct handle *handle, uint64_t mask)
{
	const struct pool_ticket *ticket = &tickets[n_tickets - 1];
	struct send_root_request request;
	unsigned int command, seq, asked;

	assert_int_equal(ticket->submission.job, JOB_SEND_ROOT);
	assert_int_equal(ticket->submission.fd, asking->socket.fd);
	assert_return_code(send_root_request_decode(ticket->payload, ticket->submission.n_payload,
						    &request),
			   0);
	assert_int_equal(request.attribute, FS_NL_A_FD);
	assert_int_equal(request.handle.n, handle->n);
	assert_memory_equal(request.handle.bytes, handle->bytes, handle->n);
	assert_int_equal(sscanf(request.datagram, "%u %u 21=%x", &command, &seq, &asked), 3);
	assert_int_equal(command, FS_NL_C_WATCH_ADD);
	assert_int_equal(asked, mask | FS_FILE_HANDLES);
	return seq;
}

static void answer_watch(uint32_t seq, uint32_t id, int error)
{
	struct pool_ticket *ticket = last_ticket(JOB_SEND_ROOT);

	if (error < 0) {
		fake_answer(&asking->socket, seq, error);
	} else {
		struct datagram *datagram = fake_queue(&asking->socket, 0);

		datagram_begin(datagram, FIXTURE_FAMILY, seq, FS_NL_C_WATCH_ADD);
		datagram_add_u32(datagram, FS_NL_A_WATCH_ID, id);
	}
	pool_answer_one(ticket, POOL_DONE, 0);
}

/* Asks for it; the module says that it has that number. */
static void watch(struct world *world, const struct handle *handle, uint64_t mask, uint64_t sum,
		  uint32_t id)
{
	const struct file_events_mark mark = mark_of_inode(handle, mask);
	unsigned int n_marked = world->one.n_marked;

	assert_return_code(file_events_member_mark(world->one.member, &mark), 0);
	answer_watch(watch_request(handle, sum), id, 0);
	assert_int_equal(world->one.n_marked, n_marked + 1);
	assert_int_equal(world->one.error, 0);
	assert_int_equal(world->one.n_handle, handle->n);
}

/* The last request withdraws that watch, and is carried out. */
static void check_withdrawn(uint32_t id)
{
	struct pool_ticket *ticket = last_ticket(JOB_SEND);
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "%u 0 22=%x", FS_NL_C_WATCH_DEL, id);
	assert_string_equal(ticket->payload, wanted);
	pool_answer_one(ticket, POOL_DONE, 0);
}

static void tell_watch(struct world *world, uint32_t id, uint64_t seq)
{
	struct records records = {};

	put_by(&records, 0, id, 44, "a");
	tell(&records, seq);
	world->one.told[0] = '\0';
	file_events_member_read(world->one.member);
}

static void test_watch(void **state)
{
	struct world *world = *state;
	struct records records = {};

	begin_spots(world);
	watch(world, &dir_handle, SPOT, SPOT, 5);
	/* The other one's is the filesystem as a whole. */
	begin(world, &world->other, 16, 8);
	put_by(&records, 0, 5, 44, "a");
	put_by(&records, 0, 6, 44, "foreign");
	put_by(&records, 0, 5, OWN_PID, "own");
	put(&records, 8, 44, "b");
	tell(&records, 1);
	run_until(world, &world->one.n_end, 1);
	assert_string_equal(world->one.told, "a ");
	assert_string_equal(world->other.told, "b ");
	/* It has nothing by which it could be told. */
	((struct fs_event_file *)records.bytes)->handles_size = 0;
	tell(&records, 6);
	file_events_member_read(world->one.member);
	assert_non_null(strchr(world->one.told, '!'));
}

/* A mask that grows: the one before is heard until its last record, and no longer. */
static void test_watch_replaced(void **state)
{
	struct world *world = *state;
	struct records end = {};

	begin_spots(world);
	watch(world, &dir_handle, SPOT, SPOT, 5);
	watch(world, &dir_handle, FAN_MODIFY, SPOT | FAN_MODIFY, 6);
	check_withdrawn(5);
	tell_watch(world, 5, 1);
	assert_string_equal(world->one.told, "a ");
	tell_watch(world, 6, 2);
	assert_string_equal(world->one.told, "a ");
	put_end(&end, 5);
	tell(&end, 3);
	tell_watch(world, 5, 4);
	assert_string_equal(world->one.told, "");
	tell_watch(world, 6, 5);
	assert_string_equal(world->one.told, "a ");

	/* Where its last record may be lost, that is told to all in place of it. */
	watch(world, &dir_handle, FAN_OPEN, SPOT | FAN_MODIFY | FAN_OPEN, 7);
	check_withdrawn(6);
	tell_watch(world, 6, 9);
	assert_string_equal(world->one.told, "! ");
	tell_watch(world, 7, 10);
	assert_string_equal(world->one.told, "a ");
}

/* What is asked for and there already is looked at, and not asked for. */
static void test_watch_shared(void **state)
{
	struct world *world = *state;
	const struct file_events_mark again = mark_of_inode(&dir_handle, FAN_CREATE);
	size_t n;

	begin_spots(world);
	watch(world, &dir_handle, SPOT, SPOT, 5);
	assert_return_code(file_events_member_mark(world->one.member, &again), 0);
	assert_int_equal(world->one.n_marked, 1);
	answer_root(0);
	assert_int_equal(world->one.n_marked, 2);
	assert_int_equal(world->one.error, 0);

	/* Less of it, and nothing of what was none. */
	assert_return_code(file_events_member_unmark(world->one.member, &again), 0);
	answer_watch(watch_request(&dir_handle, SPOT & ~FAN_CREATE), 6, 0);
	assert_int_equal(world->one.n_marked, 2);
	check_withdrawn(5);
	n = n_tickets;
	assert_return_code(file_events_member_unmark(world->one.member, &again), 0);
	assert_int_equal(n_tickets, n);
}

static void unwatch(struct world *world)
{
	const struct file_events_mark mark = mark_of_inode(&dir_handle, UINT64_MAX);

	assert_return_code(file_events_member_unmark(world->one.member, &mark), 0);
}

static void test_watch_ended(void **state)
{
	struct world *world = *state;
	struct records end = {};
	size_t n;

	begin_spots(world);
	watch(world, &dir_handle, SPOT, SPOT, 5);
	unwatch(world);
	check_withdrawn(5);
	tell_watch(world, 5, 1);
	assert_string_equal(world->one.told, "");

	/* The inode is gone: there is nothing to withdraw. */
	watch(world, &dir_handle, SPOT, SPOT, 6);
	put_end(&end, 6);
	tell(&end, 2);
	file_events_member_read(world->one.member);
	n = n_tickets;
	unwatch(world);
	assert_int_equal(n_tickets, n);

	/* Where the pool has no room, it is withdrawn with one of the next batches. */
	watch(world, &dir_handle, SPOT, SPOT, 7);
	is_full = true;
	unwatch(world);
	file_events_member_read(world->one.member);
	n = n_tickets;
	is_full = false;
	while (n_tickets == n)
		assert_return_code(sd_event_run(world->loop, 30000000), 0);
	check_withdrawn(7);
}

static void test_watch_refused(void **state)
{
	struct world *world = *state;
	const struct file_events_mark mark = mark_of_inode(&dir_handle, SPOT);
	struct pool_ticket *ticket;
	struct datagram *late;
	uint32_t seq;

	begin_spots(world);
	assert_return_code(file_events_member_mark(world->one.member, &mark), 0);
	answer_watch(watch_request(&dir_handle, SPOT), 0, -ENOSPC);
	assert_int_equal(world->one.error, -ENOSPC);
	assert_return_code(file_events_member_mark(world->one.member, &mark), 0);
	ticket = last_ticket(JOB_SEND_ROOT);
	pool_answer_one(ticket, POOL_FAILED, -ESTALE);
	assert_int_equal(world->one.error, -ESTALE);

	/* What is on the way to the inode says nothing of the module. */
	assert_return_code(file_events_member_mark(world->one.member, &mark), 0);
	pool_answer_one(last_ticket(JOB_SEND_ROOT), POOL_FAILED, -ENOENT);
	assert_int_equal(world->one.error, -ESTALE);
	assert_return_code(file_events_member_mark(world->one.member, &mark), 0);
	pool_answer_one(last_ticket(JOB_SEND_ROOT), POOL_BROKEN, 0);
	assert_int_equal(world->one.error, -ENOBUFS);

	/* An answer that comes when nobody waits for it any more. */
	assert_return_code(file_events_member_mark(world->one.member, &mark), 0);
	seq = watch_request(&dir_handle, SPOT);
	ticket = last_ticket(JOB_SEND_ROOT);
	pool_answer_one(ticket, POOL_STALLED, 0);
	assert_int_equal(world->one.error, -ETIMEDOUT);
	late = fake_queue(&asking->socket, 0);
	datagram_begin(late, FIXTURE_FAMILY, seq, FS_NL_C_WATCH_ADD);
	datagram_add_u32(late, FS_NL_A_WATCH_ID, 9);
	file_events_member_read(world->one.member);
	check_withdrawn(9);
	watch(world, &dir_handle, SPOT, SPOT, 10);
	tell_watch(world, 9, 1);
	assert_string_equal(world->one.told, "");
	tell_watch(world, 10, 2);
	assert_string_equal(world->one.told, "a ");
}

/* More is asked for and refused: who stands there already is the last one, and ends all. */
static void test_watch_refused_more(void **state)
{
	struct world *world = *state;
	const struct file_events_mark first = mark_of_inode(&dir_handle, SPOT);
	const struct file_events_mark more = mark_of_inode(&dir_handle, FAN_ACCESS);
	const struct file_events_mark most = mark_of_inode(&dir_handle, FAN_OPEN);
	struct pool_ticket *ticket;
	uint32_t seq;

	begin_spots(world);
	watch(world, &dir_handle, SPOT, SPOT, 5);
	assert_return_code(file_events_member_mark(world->one.member, &more), 0);
	answer_watch(watch_request(&dir_handle, SPOT | FAN_ACCESS), 0, -ENOSPC);
	assert_int_equal(world->one.error, -ENOSPC);
	assert_return_code(file_events_member_unmark(world->one.member, &first), 0);
	check_withdrawn(5);

	/* Likewise where another one has asked meanwhile, and is granted what it asked for. */
	watch(world, &dir_handle, SPOT, SPOT, 6);
	assert_return_code(file_events_member_mark(world->one.member, &more), 0);
	seq = watch_request(&dir_handle, SPOT | FAN_ACCESS);
	ticket = last_ticket(JOB_SEND_ROOT);
	assert_return_code(file_events_member_mark(world->one.member, &most), 0);
	fake_answer(&asking->socket, seq, -ENOSPC);
	pool_answer_one(ticket, POOL_DONE, 0);
	assert_int_equal(world->one.error, -ENOSPC);
	answer_watch(watch_request(&dir_handle, SPOT | FAN_ACCESS | FAN_OPEN), 7, 0);
	assert_int_equal(world->one.error, 0);
	check_withdrawn(6);
	assert_return_code(file_events_member_unmark(world->one.member, &most), 0);
	answer_watch(watch_request(&dir_handle, SPOT), 8, 0);
	check_withdrawn(7);
	assert_return_code(file_events_member_unmark(world->one.member, &first), 0);
	check_withdrawn(8);
}

/* All that it had ends with it; another one goes on. */
static void test_watch_freed(void **state)
{
	struct world *world = *state;
	struct records records = {};

	begin(world, &world->other, 16, 8);
	begin_spots(world);
	watch(world, &dir_handle, SPOT, SPOT, 5);
	world->one.free_in_event = true;
	put_by(&records, 0, 5, 44, "a");
	put_by(&records, 0, 5, 44, "b");
	put(&records, 8, 44, "c");
	tell(&records, 1);
	file_events_member_read(world->other.member);
	assert_string_equal(world->one.told, "a ");
	assert_string_equal(world->other.told, "c ");
	assert_null(asking);

	world->one = (struct member){};
	begin_spots(world);
	watch(world, &dir_handle, SPOT, SPOT, 6);
	file_events_set_module(world->events, false);
	assert_int_equal(world->one.n_gone, 1);
	assert_null(asking);
}

/* The last one is freed when the loop has ended, as when the daemon does. */
static void test_watch_finished(void **state)
{
	struct world *world = *state;

	begin_spots(world);
	watch(world, &dir_handle, SPOT, SPOT, 5);
	assert_return_code(sd_event_exit(world->loop, 0), 0);
	while (sd_event_get_state(world->loop) != SD_EVENT_FINISHED)
		assert_return_code(sd_event_run(world->loop, 30000000), 0);
	is_full = true;
	unwatch(world);
	world->one.member = file_events_member_free(world->one.member);
	assert_null(asking);
	world->events = file_events_free(world->events);
	assert_null(current);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_records),	   TEST(test_losses),
		TEST(test_malformed),	   TEST(test_refused),
		TEST(test_unmarked),	   TEST(test_end_refused),
		TEST(test_gone),	   TEST(test_freed),
		TEST(test_watch),	   TEST(test_watch_replaced),
		TEST(test_watch_shared),   TEST(test_watch_ended),
		TEST(test_watch_refused),  TEST(test_watch_freed),
		TEST(test_watch_finished), TEST(test_watch_refused_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
