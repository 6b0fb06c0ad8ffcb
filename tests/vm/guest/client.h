/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A client of the family for the tests: requests with their answers, and
 * listeners that take messages apart and count gaps
 */

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "include/fs_event.h"

enum group { GROUP_EVENT, GROUP_INODE, GROUP_PROC, GROUP_MAX };

struct family {
	uint16_t id;
	uint32_t groups[GROUP_MAX];
};

struct client {
	struct mnl_socket *socket;
	struct family family;
	char text[256]; /* of the last refusal; "": none */
	/* Of the last answer */
	uint32_t fs_id;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t capable;
	uint64_t holds;
	uint32_t watch_id;
	uint64_t n_seq[GROUP_MAX];
	uint64_t n_lost_buffer[GROUP_MAX];
	char buffer[16384];
};

/* 0 or a negative errno. */
int client_open(struct client *client);
void client_close(struct client *client);

/* A request to be filled with mnl_attr_put_*(), in client->buffer. */
struct nlmsghdr *client_begin(struct client *client, uint8_t command);
/* 0 or the negative errno of the answer; fills the answer's fields and ->text. */
int client_send(struct client *client, struct nlmsghdr *message);
/* The same with what is not even a request. */
int client_send_raw(struct client *client, const void *bytes, size_t n_bytes);

int client_fs_set(struct client *client, int fd, uint64_t events, uint32_t file_events);
int client_watch(struct client *client, int fd, uint32_t file_events);
int client_proc(struct client *client, uint32_t events);
/* 0 or a negative errno: no answer but an acknowledgement. */
int client_simple(struct client *client, uint8_t command);

struct wanted_level {
	const char *name;
	uint32_t resource;
	uint64_t below;
	uint64_t above;
};

int client_levels(struct client *client, int fd, const struct wanted_level *levels, int n_levels);

struct event {
	uint32_t id;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t caused_id;
	uint64_t data;
	uint64_t seq;
	uint64_t lost;
	uint32_t fs_id;
	uint32_t error;
	uint32_t count;
	uint64_t inode;
	bool test;
	bool has_data;
	char level[FS_EVENT_LEVEL_NAME_MAX + 1];
};

struct listener {
	struct mnl_socket *socket;
	struct family family;
	uint64_t next_seq; /* 0: nothing received yet */
	uint64_t n_missing;
	unsigned int n_overruns;
	struct event event; /* the last one */
	uint64_t last_time;
	/* The batch that is being read */
	const uint8_t *records;
	uint32_t n_bytes;
	uint64_t n_records;
	uint64_t lost;
	char buffer[16384];
};

/* Joins @group; 0 or a negative errno. @n_bytes: of the socket's buffer, 0: large. */
int listener_open(struct listener *listener, enum group group, int n_bytes);
void listener_close(struct listener *listener);

/* false: nothing came within @timeout_ms. */
bool listener_event(struct listener *listener, int timeout_ms);
/* Skips others until this one; false as above. */
bool listener_wait(struct listener *listener, uint32_t id, int timeout_ms);
/* The next record, or NULL. */
const struct fs_event_record *listener_record(struct listener *listener, int timeout_ms);
