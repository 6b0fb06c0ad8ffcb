/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The frame of the tests: each runs in a process of its own with a limit of
 * time, and ends at its first failed check
 */

#include <stdbool.h>
#include <stddef.h>

#include "client.h"

struct test {
	const char *name;
	void (*run)(void);
	unsigned int seconds; /* 0: 240 */
	const char *needs; /* a path without which there is nothing to test; NULL: none */
};

extern const struct test tests_family[];
extern const struct test tests_fault[];
extern const struct test tests_codes[];
extern const struct test tests_space[];
extern const struct test tests_check[];
extern const struct test tests_file[];
extern const struct test tests_name[];
extern const struct test tests_process[];
extern const struct test tests_fuzz[];
extern const struct test tests_module[];
extern const struct test tests_daemon[];
extern const struct test tests_watch[];
extern const struct test tests_daemon_process[];

void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4), noreturn));
void test_skip(const char *why) __attribute__((noreturn));

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			test_fail(__FILE__, __LINE__, "%s", #condition);                           \
	} while (0)
#define CHECK_INT(is, wanted)                                                                      \
	do {                                                                                       \
		long long is_ = (is), wanted_ = (wanted);                                          \
		if (is_ != wanted_)                                                                \
			test_fail(__FILE__, __LINE__, "%s is %lld, not %lld", #is, is_, wanted_);  \
	} while (0)

/* All that a request can ask for */
#define ALL_FILE_EVENTS                                                                            \
	(FS_FILE_ACCESS | FS_FILE_MODIFY | FS_FILE_ATTRIB | FS_FILE_CLOSE_WRITE | FS_FILE_OPEN |   \
	 FS_FILE_CREATE | FS_FILE_DELETE | FS_FILE_DELETE_SELF | FS_FILE_MOVE_SELF |               \
	 FS_FILE_RENAME | FS_FILE_ON_CHILD | FS_FILE_DIRECTORY)

/* Something came, or the machine is broken. */
#define SOON_MS 60000

/* The disks, as tests/vm/run makes them */
struct disk {
	const char *type;
	const char *device;
};

extern const struct disk disks[3]; /* ext4, xfs, btrfs */
#define DISK_ERRORS "/dev/vdd" /* ext4, errors=continue */

/* Mounted at /mnt/NAME, made for it; what fails ends the test. */
void mount_disk(const char *device, const char *type, const char *where, const char *options);
/* It must succeed at the first attempt. */
void unmount(const char *where);
/* An O_PATH descriptor of it */
int open_path(const char *where);
void write_text(const char *path, const char *text);
void make_file(const char *path);
/* Available blocks; *ret_inodes may be NULL. */
unsigned long long available(const char *where, unsigned long long *ret_inodes);
/* Writes until it is full; 0 or the negative errno that ended it. */
int fill_file(const char *path);

/* Runs @function in another process and waits; returns its pid. */
int in_process(void (*function)(const char *), const char *argument);

/* The listener of 32 bits is there, and the kernel runs such programs. */
bool has_listener32(void);

/* --- damaged metadata and data */

/* Before the first test: what one that failed has left damaged is put back before the next. */
void damage_init(void);
/*
 * Makes a directory @where anew, with a file in @where/d that is called @name, and around it as
 * many others as keep its metadata apart from that of the root, and from what is the newest:
 * mounting btrfs reads that.
 */
void damage_prepare(const char *where, const char *name);
/* Overwrites all places of a disk that is not mounted where this text stands; 63 bytes at most. */
void damage_disk(const char *device, const char *text);
/* Puts it back. */
void damage_undo(void);

void load_module(const char *name);
void unload_module(const char *name);
