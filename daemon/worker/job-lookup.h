/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Questions about a mounted filesystem
 *
 * JOB_LOOKUP: a batch of questions by file handle, all on one mount that is
 * opened, compared, and closed within about a millisecond; a long batch opens it
 * several times. No question raises an event on a mark: only O_PATH
 * descriptors, faccessat2() and name_to_handle_at(). (Opening the root of
 * the mount raises OPEN and CLOSE_NOWRITE there, by a process of the daemon.)
 *
 *	LOOKUP_CHAIN	where a directory is: itself, its parent and so on up to the
 *			root of the mount, each with handle and name. A directory that is
 *			not below what the mount shows is answered -EXDEV: ask by another mount
 *			of the superblock, best by one whose root is "/". On btrfs it is looked
 *			for from the top level instead, and the chain ends there.
 *	LOOKUP_ACCESS	may that user read (list) and search the directory, or read the file?
 *			asked as the user: fsuid, fsgid, groups, no effective capability;
 *			-EOPNOTSUPP: it is neither
 *	LOOKUP_ENTRY	is there such a name in that directory now, and what is it?
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/core/handle.h"

#define LOOKUP_QUESTIONS_MAX 256
#define LOOKUP_CREDENTIALS_MAX 64
#define LOOKUP_GROUPS_MAX 1024
#define LOOKUP_DEPTH_MAX 256 /* deeper: -ELOOP */
#define LOOKUP_LINKS_MAX 16384 /* different ones in one reply; what does not fit: -ENOBUFS */
#define LOOKUP_NAME_MAX 255
#define LOOKUP_REPLY_MAX (8U << 20)

enum lookup_kind {
	LOOKUP_CHAIN,
	LOOKUP_ACCESS,
	LOOKUP_ENTRY,
};

struct lookup_question {
	enum lookup_kind kind;
	struct handle_view handle; /* or n 0 and ... */
	/* ... as reach_path() has it, for what has no handle; LOOKUP_CHAIN of that is -EXDEV */
	const char *path;
	uint64_t inode;
	uint32_t credential; /* LOOKUP_ACCESS: number in the request */
	const char *name; /* LOOKUP_ENTRY: n_name bytes, without '/' and NUL */
	size_t n_name;
};

struct lookup_credential {
	uid_t uid;
	const gid_t *groups;
	size_t n_groups;
};

struct lookup_request {
	const char *where; /* mount point, bytes */
	uint64_t mount_id;
	bool mount_id_is_unique;
	bool btrfs;
	const struct lookup_credential *credentials;
	size_t n_credentials;
	const struct lookup_question *questions;
	size_t n_questions;
};

struct lookup_link { /* one of a chain */
	struct handle_view handle;
	const char *name; /* in the next one; the last, the root, has none */
	size_t n_name;
};

/* One for each question, in their order. */
struct lookup_answer {
	/*
	 * 0; -ESTALE: no such inode any more; -ENOENT: no such name; -EXDEV as
	 * above; -ENAMETOOLONG: its path is longer than PATH_MAX; -ENOTDIR; else
	 * another negative errno
	 */
	int error;
	bool may_read, may_search; /* LOOKUP_ACCESS; of a file: may_search is false */
	bool is_directory; /* LOOKUP_ENTRY and LOOKUP_ACCESS */
	struct handle_view target; /* LOOKUP_ENTRY */
	uint64_t inode; /* LOOKUP_ENTRY */
	const struct lookup_link *links; /* LOOKUP_CHAIN: itself first; with ->error none */
	size_t n_links;
};

struct lookup_reply {
	int error; /* of all: 0; -ESTALE: another mount is there; ... */
	uint64_t identity; /* of the filesystem: reach_identity(); 0: not known, or an error */
	size_t n_answers;
	struct lookup_answer *answers;
	struct lookup_link *links; /* all of them; what answers point to */
};

/** lookup_request_encode() - Return: 0, -E2BIG (past a bound above), -EINVAL (a name with '/' or NUL) or -ENOMEM */
int lookup_request_encode(const struct lookup_request *request, void **ret, size_t *ret_n);

/**
 * lookup_reply_decode() - in the daemon
 * @n_questions: that were asked: as many answers are wanted, unless ->error
 * @ret:	handles and names lie in @reply; lookup_reply_deinit() afterwards
 *
 * Return: 0, -EBADMSG or -ENOMEM.
 */
int lookup_reply_decode(const void *reply, size_t n_reply, size_t n_questions,
			struct lookup_reply *ret);
void lookup_reply_deinit(struct lookup_reply *reply);

/** lookup_job() - the job, in the worker */
int lookup_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n);
