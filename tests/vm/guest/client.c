// SPDX-License-Identifier: GPL-2.0-or-later

#include <errno.h>
#include <linux/genetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define ANSWER_SECONDS 20

static const char *const group_names[] = {
	[GROUP_EVENT] = FS_EVENTS_MCAST_GRP_NAME,
	[GROUP_INODE] = FS_EVENTS_GRP_INODE,
	[GROUP_PROC] = FS_EVENTS_GRP_PROC,
};

static int open_socket(struct mnl_socket **ret)
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_GENERIC);
	int on = 1, error;

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		error = -errno;
		mnl_socket_close(socket);
		return error;
	}
	mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on));
	*ret = socket;
	return 0;
}

static bool wait_readable(struct mnl_socket *socket, int timeout_ms)
{
	struct pollfd poller = { .fd = mnl_socket_get_fd(socket), .events = POLLIN };

	return poll(&poller, 1, timeout_ms) == 1;
}

/* --- the family */

static void parse_group(const struct nlattr *nest, struct family *ret)
{
	const struct nlattr *attr;
	const char *name = "";
	uint32_t id = 0;
	int i;

	mnl_attr_for_each_nested(attr, nest) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_NAME)
			name = mnl_attr_get_str(attr);
		else if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_ID)
			id = mnl_attr_get_u32(attr);
	}
	for (i = 0; i < GROUP_MAX; i++)
		if (!strcmp(name, group_names[i]))
			ret->groups[i] = id;
}

static int on_family(const struct nlmsghdr *message, void *data)
{
	struct family *family = data;
	const struct nlattr *attr, *nest;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
			family->id = mnl_attr_get_u16(attr);
		if (mnl_attr_get_type(attr) != CTRL_ATTR_MCAST_GROUPS)
			continue;
		mnl_attr_for_each_nested(nest, attr)
			parse_group(nest, family);
	}
	return MNL_CB_OK;
}

static int find_family(struct mnl_socket *socket, struct family *ret, char *buffer, size_t size)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *generic;
	ssize_t n;

	message->nlmsg_type = GENL_ID_CTRL;
	message->nlmsg_flags = NLM_F_REQUEST;
	generic = mnl_nlmsg_put_extra_header(message, sizeof(*generic));
	generic->cmd = CTRL_CMD_GETFAMILY;
	generic->version = 1;
	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, FS_EVENTS_FAMILY_NAME);
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	if (!wait_readable(socket, ANSWER_SECONDS * 1000))
		return -ETIMEDOUT;
	n = mnl_socket_recvfrom(socket, buffer, size);
	if (n < 0)
		return -errno;
	if (mnl_cb_run(buffer, n, 0, 0, on_family, ret) < 0)
		return -errno;
	return ret->id ? 0 : -ENOENT;
}

/* --- requests */

int client_open(struct client *client)
{
	int error;

	memset(client, 0, sizeof(*client));
	error = open_socket(&client->socket);
	if (error)
		return error;
	error = find_family(client->socket, &client->family, client->buffer,
			    sizeof(client->buffer));
	if (error)
		client_close(client);
	return error;
}

void client_close(struct client *client)
{
	if (client->socket)
		mnl_socket_close(client->socket);
	client->socket = NULL;
}

struct nlmsghdr *client_begin(struct client *client, uint8_t command)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(client->buffer);
	struct genlmsghdr *generic;

	message->nlmsg_type = client->family.id;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	generic = mnl_nlmsg_put_extra_header(message, sizeof(*generic));
	generic->cmd = command;
	generic->version = FS_EVENTS_FAMILY_VERSION;
	return message;
}

static void parse_stats(struct client *client, const struct nlattr *nest)
{
	const struct nlattr *attr;
	uint64_t seq = 0, lost = 0;
	const char *name = "";
	int i;

	mnl_attr_for_each_nested(attr, nest) {
		switch (mnl_attr_get_type(attr)) {
		case FS_NL_STAT_GROUP:
			name = mnl_attr_get_str(attr);
			break;
		case FS_NL_STAT_SEQ:
			seq = mnl_attr_get_u64(attr);
			break;
		case FS_NL_STAT_LOST_BUFFER:
			lost = mnl_attr_get_u64(attr);
			break;
		}
	}
	for (i = 0; i < GROUP_MAX; i++) {
		if (strcmp(name, group_names[i]))
			continue;
		client->n_seq[i] = seq;
		client->n_lost_buffer[i] = lost;
	}
}

static void parse_answer(struct client *client, const struct nlmsghdr *message)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attr)) {
		case FS_NL_A_FS_ID:
			client->fs_id = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_DEV_MAJOR:
			client->dev_major = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_DEV_MINOR:
			client->dev_minor = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_CAPABLE:
			client->capable = mnl_attr_get_u64(attr);
			break;
		case FS_NL_A_HOLDS:
			client->holds = mnl_attr_get_u64(attr);
			break;
		case FS_NL_A_WATCH_ID:
			client->watch_id = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_GROUP_STATS:
			parse_stats(client, attr);
			break;
		}
	}
}

static int parse_error(struct client *client, const struct nlmsghdr *message)
{
	const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;

	if (message->nlmsg_flags & NLM_F_ACK_TLVS)
		mnl_attr_for_each(attr, message, sizeof(*answer)) {
			if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG)
				strncpy(client->text, mnl_attr_get_str(attr),
					sizeof(client->text) - 1);
		}
	return answer->error;
}

/* Until the acknowledgement, which every request asks for */
static int receive_answer(struct client *client)
{
	const struct nlmsghdr *message;
	int left;

	while (wait_readable(client->socket, ANSWER_SECONDS * 1000)) {
		left = mnl_socket_recvfrom(client->socket, client->buffer, sizeof(client->buffer));
		if (left < 0)
			return -errno;
		for (message = (void *)client->buffer; mnl_nlmsg_ok(message, left);
		     message = mnl_nlmsg_next(message, &left)) {
			if (message->nlmsg_type == NLMSG_ERROR)
				return parse_error(client, message);
			parse_answer(client, message);
		}
	}
	return -ETIMEDOUT;
}

int client_send_raw(struct client *client, const void *bytes, size_t n_bytes)
{
	client->text[0] = '\0';
	if (mnl_socket_sendto(client->socket, bytes, n_bytes) < 0)
		return -errno;
	return receive_answer(client);
}

int client_send(struct client *client, struct nlmsghdr *message)
{
	return client_send_raw(client, message, message->nlmsg_len);
}

int client_simple(struct client *client, uint8_t command)
{
	return client_send(client, client_begin(client, command));
}

int client_fs_set(struct client *client, int fd, uint64_t events, uint32_t file_events)
{
	struct nlmsghdr *message = client_begin(client, FS_NL_C_FS_SET);

	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	if (events)
		mnl_attr_put_u64(message, FS_NL_A_EVENTS, events);
	if (file_events)
		mnl_attr_put_u32(message, FS_NL_A_FILE_EVENTS, file_events);
	return client_send(client, message);
}

int client_watch(struct client *client, int fd, uint32_t file_events)
{
	struct nlmsghdr *message = client_begin(client, FS_NL_C_WATCH_ADD);

	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	mnl_attr_put_u32(message, FS_NL_A_FILE_EVENTS, file_events);
	return client_send(client, message);
}

int client_proc(struct client *client, uint32_t events)
{
	struct nlmsghdr *message = client_begin(client, FS_NL_C_PROC_SET);

	mnl_attr_put_u32(message, FS_NL_A_PROC_EVENTS, events);
	return client_send(client, message);
}

int client_levels(struct client *client, int fd, const struct wanted_level *levels, int n_levels)
{
	struct nlmsghdr *message = client_begin(client, FS_NL_C_LEVELS_SET);
	struct nlattr *list, *one;
	int i;

	mnl_attr_put_u32(message, FS_NL_A_FD, fd);
	list = mnl_attr_nest_start(message, FS_NL_A_LEVELS);
	for (i = 0; i < n_levels; i++) {
		one = mnl_attr_nest_start(message, i + 1);
		mnl_attr_put_strz(message, FS_NL_LEVEL_NAME, levels[i].name);
		mnl_attr_put_u32(message, FS_NL_LEVEL_RESOURCE, levels[i].resource);
		mnl_attr_put_u64(message, FS_NL_LEVEL_BELOW, levels[i].below);
		mnl_attr_put_u64(message, FS_NL_LEVEL_ABOVE, levels[i].above);
		mnl_attr_nest_end(message, one);
	}
	mnl_attr_nest_end(message, list);
	return client_send(client, message);
}

/* --- listeners */

int listener_open(struct listener *listener, enum group group, int n_bytes)
{
	int error, fd;

	memset(listener, 0, sizeof(*listener));
	error = open_socket(&listener->socket);
	if (error)
		return error;
	error = find_family(listener->socket, &listener->family, listener->buffer,
			    sizeof(listener->buffer));
	if (!error && mnl_socket_setsockopt(listener->socket, NETLINK_ADD_MEMBERSHIP,
					    &listener->family.groups[group], sizeof(uint32_t)) < 0)
		error = -errno;
	if (error) {
		listener_close(listener);
		return error;
	}
	fd = mnl_socket_get_fd(listener->socket);
	if (!n_bytes)
		n_bytes = 16 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &n_bytes, sizeof(n_bytes));
	return 0;
}

void listener_close(struct listener *listener)
{
	if (listener->socket)
		mnl_socket_close(listener->socket);
	listener->socket = NULL;
}

static void listener_count(struct listener *listener, uint64_t seq, uint64_t n)
{
	if (listener->next_seq)
		listener->n_missing += seq - listener->next_seq;
	listener->next_seq = seq + n;
}

static void parse_event(struct event *event, const struct nlmsghdr *message)
{
	const struct nlattr *attr;

	memset(event, 0, sizeof(*event));
	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attr)) {
		case FS_NL_A_EVENT_ID:
			event->id = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_DEV_MAJOR:
			event->dev_major = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_DEV_MINOR:
			event->dev_minor = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_CAUSED_ID:
			event->caused_id = mnl_attr_get_u64(attr);
			break;
		case FS_NL_A_DATA:
			event->data = mnl_attr_get_u64(attr);
			event->has_data = true;
			break;
		case FS_NL_A_SEQ:
			event->seq = mnl_attr_get_u64(attr);
			break;
		case FS_NL_A_LOST:
			event->lost = mnl_attr_get_u64(attr);
			break;
		case FS_NL_A_FS_ID:
			event->fs_id = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_ERRNO:
			event->error = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_COUNT:
			event->count = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_INODE:
			event->inode = mnl_attr_get_u64(attr);
			break;
		case FS_NL_A_TEST:
			event->test = true;
			break;
		case FS_NL_A_LEVEL:
			strncpy(event->level, mnl_attr_get_str(attr), sizeof(event->level) - 1);
			break;
		}
	}
}

static void parse_batch(struct listener *listener, const struct nlmsghdr *message)
{
	const struct nlattr *attr;
	uint64_t seq = 0;

	listener->n_records = 0;
	listener->n_bytes = 0;
	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attr)) {
		case FS_NL_A_SEQ:
			seq = mnl_attr_get_u64(attr);
			break;
		case FS_NL_A_LOST:
			listener->lost = mnl_attr_get_u64(attr);
			break;
		case FS_NL_A_N_RECORDS:
			listener->n_records = mnl_attr_get_u32(attr);
			break;
		case FS_NL_A_RECORDS:
			listener->records = mnl_attr_get_payload(attr);
			listener->n_bytes = mnl_attr_get_payload_len(attr);
			break;
		}
	}
	listener_count(listener, seq, listener->n_records);
}

/* One message into the buffer; NULL: nothing came. */
static const struct nlmsghdr *listener_receive(struct listener *listener, int timeout_ms)
{
	const struct nlmsghdr *message = (void *)listener->buffer;
	ssize_t n;

	for (;;) {
		if (!wait_readable(listener->socket, timeout_ms))
			return NULL;
		n = mnl_socket_recvfrom(listener->socket, listener->buffer,
					sizeof(listener->buffer));
		if (n >= 0)
			return mnl_nlmsg_ok(message, n) ? message : NULL;
		if (errno != ENOBUFS)
			return NULL;
		listener->n_overruns++;
	}
}

bool listener_event(struct listener *listener, int timeout_ms)
{
	const struct nlmsghdr *message = listener_receive(listener, timeout_ms);

	if (!message)
		return false;
	parse_event(&listener->event, message);
	listener_count(listener, listener->event.seq, 1);
	return true;
}

bool listener_wait(struct listener *listener, uint32_t id, int timeout_ms)
{
	while (listener_event(listener, timeout_ms))
		if (listener->event.id == id)
			return true;
	return false;
}

const struct fs_event_record *listener_record(struct listener *listener, int timeout_ms)
{
	const struct fs_event_record *record;
	const struct nlmsghdr *message;

	while (!listener->n_bytes) {
		message = listener_receive(listener, timeout_ms);
		if (!message)
			return NULL;
		parse_batch(listener, message);
	}
	record = (const void *)listener->records;
	listener->records += record->size;
	listener->n_bytes -= record->size;
	return record;
}
