/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/escape.h"
#include "daemon/ctl/standard.h"

static bool has_ignored_sigpipe;

void standard_prepare(void)
{
	/*
	 * The lowest free number is what open() gives. The wrong direction is
	 * meant: writing to an output that was closed has to fail.
	 */
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);

	has_ignored_sigpipe = signal(SIGPIPE, SIG_IGN) == SIG_IGN;
}

void standard_restore(void)
{
	if (!has_ignored_sigpipe)
		signal(SIGPIPE, SIG_DFL);
}

bool standard_has_colour(void)
{
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

	if (no_colour && no_colour[0])
		return false;
	if (terminal && strcmp(terminal, "dumb") == 0)
		return false;
	return isatty(STDOUT_FILENO);
}

bool standard_reader_is_gone(void)
{
	struct pollfd item = { .fd = STDOUT_FILENO };

	return poll(&item, 1, 0) > 0 && item.revents & (POLLERR | POLLHUP);
}

int standard_flush(void)
{
	static bool told;
	int error = 0;

	if (fflush(stdout) != 0)
		error = errno;
	if (!error && !ferror(stdout))
		return 0;

	if (error == EPIPE || standard_reader_is_gone())
		return STANDARD_GONE;

	/* The errno of an earlier write is gone, and it was told. */
	error = error ?: EIO;
	if (!told)
		standard_error("cannot write to the standard output: %s", strerror(error));
	told = true;
	return -error;
}

/*
 * Foreign text was escaped where it came in, so that a backslash is already
 * part of that; all else goes through once more.
 */
static void print_escaped(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\\");
		_cleanup_free_ char *printable = escape_new(text, n, 0);

		fputs(printable ?: "", stderr);
		text += n;
		for (; *text == '\\'; text++)
			fputc('\\', stderr);
	}
}

void standard_error(const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0)
		text = NULL;

	/* What was printed before stands before. */
	(void)fflush(stdout);
	fputs("fseventsctl: ", stderr);
	print_escaped(text ?: "out of memory");
	fputc('\n', stderr);
}
