// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * listener GROUP COUNT - prints the next COUNT messages of a group
 *
 * Written against include/fs_event.h and libmnl alone, and asks for nothing: what
 * it prints is what others asked for. Built for 64 and for 32 bits, it must print
 * the same.
 */

#include <inttypes.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "include/fs_event.h"

struct wanted {
	const char *group;
	uint16_t family;
	uint32_t id;
};

static void find_group(struct wanted *wanted, const struct nlattr *groups)
{
	const struct nlattr *group, *attr;

	mnl_attr_for_each_nested(group, groups) {
		const char *name = "";
		uint32_t id = 0;

		mnl_attr_for_each_nested(attr, group) {
			if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_NAME)
				name = mnl_attr_get_str(attr);
			if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GRP_ID)
				id = mnl_attr_get_u32(attr);
		}
		if (!strcmp(name, wanted->group))
			wanted->id = id;
	}
}

static int on_family(const struct nlmsghdr *message, void *data)
{
	struct wanted *wanted = data;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID)
			wanted->family = mnl_attr_get_u16(attr);
		if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GROUPS)
			find_group(wanted, attr);
	}
	return MNL_CB_OK;
}

static void print_event(const struct nlmsghdr *message)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attr)) {
		case FS_NL_A_EVENT_ID:
			printf("event=%" PRIu32 " ", mnl_attr_get_u32(attr));
			break;
		case FS_NL_A_DEV_MAJOR:
			printf("dev=%" PRIu32 ":", mnl_attr_get_u32(attr));
			break;
		case FS_NL_A_DEV_MINOR:
			printf("%" PRIu32 " ", mnl_attr_get_u32(attr));
			break;
		case FS_NL_A_CAUSED_ID:
			printf("pid=%" PRIu64 " ", mnl_attr_get_u64(attr));
			break;
		case FS_NL_A_DATA:
			printf("data=%" PRIu64 " ", mnl_attr_get_u64(attr));
			break;
		case FS_NL_A_SEQ:
			printf("seq=%" PRIu64 " ", mnl_attr_get_u64(attr));
			break;
		case FS_NL_A_LEVEL:
			printf("level=%s ", mnl_attr_get_str(attr));
			break;
		}
	}
	printf("\n");
}

static void print_record(const struct fs_event_record *record)
{
	const struct fs_event_process *process = (const void *)record;
	const struct fs_event_file *file = (const void *)record;
	const char *names = (const char *)record + record->header_size;

	switch (record->kind) {
	case FS_RECORD_FILE:
		printf("file events=%" PRIx32 " inode=%" PRIu64 " pid=%" PRIu32 " %.*s %.*s\n",
		       file->events, (uint64_t)file->inode, file->pid, file->name_size, names,
		       file->new_name_size, names + file->name_size);
		break;
	case FS_RECORD_FORK:
	case FS_RECORD_EXEC:
	case FS_RECORD_EXIT:
		printf("process kind=%u pid=%" PRIu32 " by=%" PRIu32 " status=%" PRIu32 " %.*s\n",
		       record->kind, process->tgid, process->by_tgid, process->status,
		       process->name_size, names);
		break;
	}
}

static void print_records(const struct nlmsghdr *message)
{
	const struct nlattr *attr;
	const uint8_t *at, *end;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) != FS_NL_A_RECORDS)
			continue;
		at = mnl_attr_get_payload(attr);
		end = at + mnl_attr_get_payload_len(attr);
		while (at < end) {
			print_record((const void *)at);
			at += ((const struct fs_event_record *)at)->size;
		}
	}
}

static int on_message(const struct nlmsghdr *message, void *data)
{
	const struct genlmsghdr *generic = mnl_nlmsg_get_payload(message);

	if (generic->cmd == FS_NL_C_EVENT)
		print_event(message);
	else if (generic->cmd == FS_NL_C_RECORDS)
		print_records(message);
	fflush(stdout);
	return MNL_CB_OK;
}

int main(int argc, char **argv)
{
	struct mnl_socket *socket = mnl_socket_open(NETLINK_GENERIC);
	struct wanted wanted = { .group = argc > 1 ? argv[1] : FS_EVENTS_MCAST_GRP_NAME };
	int n = argc > 2 ? atoi(argv[2]) : 1;
	char buffer[FS_EVENT_MESSAGE_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *generic;
	ssize_t size;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return 1;
	message->nlmsg_type = GENL_ID_CTRL;
	message->nlmsg_flags = NLM_F_REQUEST;
	generic = mnl_nlmsg_put_extra_header(message, sizeof(*generic));
	generic->cmd = CTRL_CMD_GETFAMILY;
	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, FS_EVENTS_FAMILY_NAME);
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return 1;
	size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (size < 0 || mnl_cb_run(buffer, size, 0, 0, on_family, &wanted) < 0 || !wanted.id)
		return 1;
	if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, &wanted.id, sizeof(wanted.id)) <
	    0)
		return 1;
	printf("listening\n");
	fflush(stdout);
	while (n-- > 0) {
		size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (size < 0 || mnl_cb_run(buffer, size, 0, 0, on_message, NULL) < 0)
			return 1;
	}
	mnl_socket_close(socket);
	return 0;
}
