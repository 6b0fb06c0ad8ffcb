/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * File events of fanotify
 *
 * Decodes what a group with FAN_REPORT_DFID_NAME_TARGET gives (fanotify(7)).
 * Lengths are checked by own arithmetic; all that is given back lies in the
 * buffer. Pure: a handle is bytes, what it names is asked elsewhere.
 *
 * What comes, as measured on Linux 6.18 (and asserted by tests/io/test-file-events.c);
 * ext4, xfs, btrfs and tmpfs tell the same. A handle is byte-equal to what
 * name_to_handle_at() gives for the same inode, on btrfs in every subvolume and
 * through every mount, too. "-": none.
 *
 *	by a mark of the filesystem	mask		at		to	target
 *	mkdir d/n			CREATE|ONDIR	d, "n"		-	n
 *	create, mknod, symlink d/f	CREATE		d, "f"		-	f
 *	chmod d, by whatever path	ATTRIB|ONDIR	d itself, ""	-	-
 *	chmod d/f			ATTRIB		d, "f"		-	f
 *	close what was written		CLOSE_WRITE	d, "f"		-	f
 *	rename d/f to e/g		RENAME		d, "f"		e, "g"	f
 *	... over a file g: then		ATTRIB		-		-	the old g
 *	... over a directory g: then	ATTRIB|ONDIR	the old g, ""	-	-
 *		(both with DELETE_SELF where the mark has it, if nobody has g open)
 *	... where the mark has halves	MOVED_FROM, then d, "f"		-	f
 *		behind RENAME		MOVED_TO	e, "g"		-	f
 *	exchange d/f and e/g		RENAME		d, "f"		e, "g"	the f of before
 *		and then		RENAME		e, "g"		d, "f"	the g of before
 *	link f as d/g			ATTRIB, then	-		-	f
 *					CREATE		d, "g"		-	f
 *	unlink d/f, last link or not	ATTRIB, then	-		-	f
 *					DELETE		d, "f"		-	f
 *	... the last one		ATTRIB|DELETE_SELF, then DELETE
 *	rmdir d/n			DELETE|ONDIR	d, "n"		-	n
 *	... and before it		DELETE_SELF|ONDIR n itself, ""	-	-
 *	O_TMPFILE in d			nothing; changed or closed before it has a name: d, "#INODE"
 *	... linked as d/f		as a link; closing still says d, "#INODE"
 *	close of an unlinked d/f	CLOSE_WRITE	d, "f" (the name that it had)
 *	chmod of a removed, open d	ATTRIB|ONDIR	d itself, ""
 *	subvolume made or removed	CREATE|ONDIR, DELETE|ONDIR	as a directory; target is its root
 *
 *	by a mark of an inode
 *	rename out of watched d		RENAME		d, "f"		-	f
 *	rename into watched d		RENAME		-		d, "f"	f
 *	chmod of directory d/n		ATTRIB|ONDIR	n itself, ""	-	-
 *	rename, remove d itself		MOVE_SELF|ONDIR, DELETE_SELF|ONDIR	d itself, ""
 *	chmod, write, open a watched f	as above: its directory and name
 *	rename, last unlink of it	MOVE_SELF, ATTRIB|DELETE_SELF	-	-	f
 *	link or unlink by other names	ATTRIB		-		-	f
 *
 * The name of a file is that by which it was reached; with several hard links it is one.
 * Bits of one name by one process are merged into the first of them while
 * they wait, so that an unlink whose CREATE still waits is CREATE|DELETE before
 * its own ATTRIB. RENAME is merged only with itself, between the same names. So a name
 * that was made, renamed and linked again shows one CREATE, before the RENAME, and an
 * ATTRIB without DELETE_SELF alone says that the inode may have come back.
 *
 * DELETE_SELF comes when the last link and the last who has it open are gone: without
 * the latter it is in the ATTRIB of the last unlink by the same process, and costs no
 * record of its own; of a removed directory it is one. It is later, by whoever closes
 * it, where it was open.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/handle.h"

struct file_name {
	struct handle_view dir; /* n 0: none */
	const char *name; /* bytes, NUL-terminated; "": the directory itself (the kernel's ".") */
	size_t n_name;
};

/*
 * Whose mark tells it. A group of fanotify tells one event for all its marks; the module's marks of inodes
 * tell each by itself, so that who watches a directory and a file in it has two.
 */
enum file_event_of {
	FILE_EVENT_OF_ALL,
	FILE_EVENT_OF_NAMES, /* that of the directory in which it has its name: nobody else is told */
	FILE_EVENT_OF_TARGET, /* that of what it happened to: likewise */
};

struct file_event {
	bool overflow; /* the queue was full: some are missing, no other member is set */
	uint32_t mask; /* FAN_..., as the kernel gave it */
	int32_t pid; /* thread group of whoever did it; 0: not in our namespace */
	enum file_event_of of;
	struct file_name at; /* where; of a rename the old place */
	struct file_name to; /* of a rename the new place, else none */
	struct handle_view target; /* the inode itself; n 0: not reported */
};

/**
 * file_event_next() - walk what one read() gave
 * @offset:	0 at the start, advanced past the event
 * @ret:	untouched unless 1 is returned
 *
 * Without a name, ->name is "" and never NULL. A name has neither '/' nor is it "..".
 *
 * Return: 1 with @ret, 0 at the end, -EBADMSG (the rest cannot be read).
 */
int file_event_next(const void *buffer, size_t n_buffer, size_t *offset, struct file_event *ret);

/** handle_inode() - the inode number in a handle; 0 where the form of its type is not known */
uint64_t handle_inode(const struct handle_view *handle);
