/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * inih decides what a line is (a header, a key with a value, neither) and
 * which section a key stands in. As packaged it cuts lines at 199 bytes and
 * headers at 49 without a word, takes an indented line for more of the value
 * before it, and tells its handler no line number. So it is fed line by line
 * with stand-ins: a header goes in as "[1]", the number of the section, and a
 * key as "key = 7", the number of the line, in plain ASCII (what is a space
 * depends on the locale, and a byte order mark may stand anywhere). The texts
 * themselves, of any length, stay here. inih calls the handler before it asks
 * for the next line, so that a line without an answer by then was not
 * understood.
 */

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/config-object.h"
#include "daemon/core/escape.h"
#include "daemon/core/grammar-error.h"
#include "daemon/core/span.h"

/* Longer ones are known to no table, and are cut for the message. */
#define KEY_MAX 64

#define STAND_IN_MAX 24
#define FULL_MAX 128

#define ALLOWED_LINE                                                                               \
	"allowed is [section], key = value, or a comment behind # or ; (a value ends with its "    \
	"line)"

struct parser {
	const struct config_text *file;
	struct config_problems *problems;
	struct span rest; /* ->p is NULL at the end */
	unsigned int line;
	struct section **sections;
	size_t n_sections;
	struct section *current; /* NULL: none yet, or its header is at fault */
	bool expecting; /* the line just fed must come back as a key */
	char key[KEY_MAX + 1]; /* of the line just fed */
	char value[CONFIG_LINE_MAX + 1];
	char stand_in[STAND_IN_MAX];
	int error; /* -ENOMEM: all is given up */
};

static struct parser *parser_free(struct parser *parser)
{
	if (!parser)
		return NULL;

	for (size_t i = 0; i < parser->n_sections; i++)
		section_free(parser->sections[i]);
	free(parser->sections);
	free(parser);
	return NULL;
}
DEFINE_FREEP(parser, parser_free)

/* A problem on the line at hand; what is wrong with a section drops it. */
static void complain(struct parser *parser, const char *title, const char *key, const char *message)
{
	_cleanup_free_ char *subject = NULL;
	int r;

	if (title || key) {
		r = asprintf(&subject, "%s%s%s", title ? title : "", title && key ? " " : "",
			     key ? key : "");
		if (r < 0) {
			subject = NULL;
			parser->error = -ENOMEM;
			return;
		}
	}

	r = config_problem_add(parser->problems, parser->file->name, parser->line, subject,
			       message);
	if (r < 0)
		parser->error = r;
	if (parser->current)
		parser->current->faulty = true;
}

static void complain_line(struct parser *parser, const char *message)
{
	complain(parser, parser->current ? parser->current->title : NULL, NULL, message);
}

/* The index of the section, a new one or the one that the file has already. */
static int add_section(struct parser *parser, struct section **section, size_t *ret)
{
	struct section **sections;

	for (size_t i = 0; i < parser->n_sections; i++) {
		if (section_is_same(parser->sections[i], *section)) {
			*ret = i;
			return 0;
		}
	}

	if (parser->n_sections >= CONFIG_SECTIONS_MAX) {
		char message[128];

		snprintf(message, sizeof(message),
			 "one section too many: allowed are at most %d a file, and the rest of it "
			 "is "
			 "left out",
			 CONFIG_SECTIONS_MAX);
		complain(parser, (*section)->title, NULL, message);
		/* each more would be compared with all of them, while the event loop waits */
		parser->rest.n = 0;
		return -ENOSPC;
	}

	sections = reallocarray(parser->sections, parser->n_sections + 1, sizeof(*sections));
	if (!sections)
		return -ENOMEM;
	*ret = parser->n_sections;
	sections[parser->n_sections++] = TAKE_PTR(*section);
	parser->sections = sections;
	return 0;
}

/* The text between the brackets; refuses what inih would let pass. */
static int cut_header(struct span line, struct span *ret, struct grammar_error *error)
{
	const char *end = memchr(line.p, ']', line.n);
	struct span rest;

	if (!end)
		return grammar_refuse(error,
				      "the section's header has no ']': allowed is [section] "
				      "on one line");
	rest = span_trim((struct span){ end + 1, line.n - (size_t)(end + 1 - line.p) });
	if (rest.n > 0 && *rest.p != ';' && *rest.p != '#')
		return grammar_refuse(error, "text behind the section's ']': allowed is a comment "
					     "behind # or ;, and ']' in a name is written \\135");

	*ret = (struct span){ line.p + 1, (size_t)(end - line.p - 1) };
	return 0;
}

static int open_section(struct parser *parser, struct span line, size_t *ret)
{
	_cleanup_(section_freep) struct section *section = NULL;
	struct grammar_error error;
	struct span header;
	int r;

	/* what is wrong with this header is no fault of the section before it */
	parser->current = NULL;

	r = cut_header(line, &header, &error);
	if (r == 0)
		r = section_new(&section, header, &error);
	if (r == 0)
		r = add_section(parser, &section, ret);
	if (r == 0)
		parser->current = parser->sections[*ret];
	if (r == -EINVAL) {
		char title[GRAMMAR_QUOTE_MAX];

		if (where_is_printable(line) && line.n < sizeof(title))
			snprintf(title, sizeof(title), "%.*s", (int)line.n, line.p);
		else
			grammar_quote(title, line.p, line.n);
		complain(parser, title, NULL, error.text);
	}

	return r;
}

static void feed_header(struct parser *parser, struct span line, char *ret, int n_ret)
{
	size_t index;
	int r;

	r = open_section(parser, line, &index);
	if (r == -ENOMEM)
		parser->error = r;
	if (r == 0)
		snprintf(ret, (size_t)n_ret, "[%zu]\n", index);
	else
		/* inih must not go on with the section before */
		snprintf(ret, (size_t)n_ret, "[-]\n");
}

/* As inih does it: a comment within a line stands behind white space. */
static struct span cut_comment(struct span value)
{
	for (size_t i = 1; i < value.n; i++)
		if ((value.p[i] == ';' || value.p[i] == '#') && strchr(SPAN_WHITE, value.p[i - 1]))
			return (struct span){ value.p, i };

	return value;
}

static void keep_key(struct parser *parser, struct span key, char ret[static KEY_MAX + 1])
{
	size_t n = key.n > KEY_MAX ? KEY_MAX : key.n;

	memcpy(parser->key, key.p, n);
	parser->key[n] = '\0';
	for (size_t i = 0; i < n; i++)
		ret[i] = (char)(key.p[i] >= 0x20 && key.p[i] < 0x7f ? key.p[i] : '?');
	ret[n] = '\0';
}

static void feed_key(struct parser *parser, struct span line, char *ret, int n_ret)
{
	struct span value = line, key = span_split(&value, '=');
	char name[KEY_MAX + 1];

	parser->expecting = true;
	keep_key(parser, key, name);
	if (!value.p) {
		parser->stand_in[0] = '\0';
		snprintf(ret, (size_t)n_ret, "%s\n", name);
		return;
	}

	value = span_trim(cut_comment(value));
	memcpy(parser->value, value.p, value.n);
	parser->value[value.n] = '\0';
	snprintf(parser->stand_in, sizeof(parser->stand_in), "%u", parser->line);
	snprintf(ret, (size_t)n_ret, "%s = %s\n", name, parser->stand_in);
}

/* A line that is too long is not fed; as a header it ends the section before it. */
static void refuse_long_line(struct parser *parser, bool is_header, char *ret, int n_ret)
{
	char message[96];

	if (is_header) {
		parser->current = NULL;
		snprintf(ret, (size_t)n_ret, "[-]\n");
	}

	snprintf(message, sizeof(message), "the line is too long: allowed are at most %d bytes",
		 CONFIG_LINE_MAX);
	complain_line(parser, message);
}

static void feed_line(struct parser *parser, struct span raw, char *ret, int n_ret)
{
	struct span line = span_trim(raw);

	/* what is not fed is an empty line to inih */
	snprintf(ret, (size_t)n_ret, "\n");

	if (raw.n > 0 && raw.p[raw.n - 1] == '\r')
		raw.n--;
	if (raw.n > CONFIG_LINE_MAX)
		refuse_long_line(parser, *line.p == '[', ret, n_ret);
	else if (line.n == 0 || *line.p == '#' || *line.p == ';')
		return;
	else if (*line.p == '[')
		feed_header(parser, line, ret, n_ret);
	else
		feed_key(parser, line, ret, n_ret);
}

static bool next_line(struct span *rest, struct span *ret)
{
	const char *end;

	if (rest->n == 0)
		return false;

	end = memchr(rest->p, '\n', rest->n);
	*ret = (struct span){ rest->p, end ? (size_t)(end - rest->p) : rest->n };
	rest->p += ret->n + (end ? 1 : 0);
	rest->n -= ret->n + (end ? 1 : 0);
	return true;
}

/* An ini_reader: like fgets(). */
static char *on_read(char *ret, int n_ret, void *userdata)
{
	struct parser *parser = userdata;
	struct span raw;

	/* stand-ins are shorter than any buffer that inih was ever built with */
	assert(n_ret > KEY_MAX + STAND_IN_MAX + 8);

	if (parser->expecting)
		complain_line(parser, "the line is not understood: " ALLOWED_LINE);
	parser->expecting = false;
	if (parser->error < 0 || !next_line(&parser->rest, &raw))
		return NULL;

	parser->line++;
	feed_line(parser, raw, ret, n_ret);
	return ret;
}

static void set_key(struct parser *parser)
{
	struct section *section = parser->current;
	const char *key = parser->key;
	struct grammar_error error;
	char quoted[GRAMMAR_QUOTE_MAX];
	int r;

	r = section_set(section, key, parser->value, parser->line, &error);
	if (r == -ENOMEM)
		parser->error = r;
	if (r != -EINVAL)
		return;

	grammar_quote(quoted, key, strlen(key));
	complain(parser, section->title, quoted, error.text);
}

/* An ini_handler; what is wrong is told here, so that inih never hears of it. */
static int on_key(void *userdata, const char *section, const char *name, const char *stand_in)
{
	struct parser *parser = userdata;
	char quoted[GRAMMAR_QUOTE_MAX], *end;
	unsigned long index;

	/* behind ':' or a comment in the key, inih found another value than ours */
	if (!parser->expecting || !stand_in || strcmp(stand_in, parser->stand_in) != 0)
		return 1;
	parser->expecting = false;

	if (!*section) {
		grammar_quote(quoted, parser->key, strlen(parser->key));
		complain(parser, NULL, quoted,
			 "the key stands before the first section: allowed is "
			 "below a header such as [daemon] or [filesystem *]");
		return 1;
	}
	/* the keys of a section whose header was refused */
	if (!parser->current)
		return 1;

	index = strtoul(section, &end, 10);
	assert(end != section && !*end && index < parser->n_sections);
	assert(parser->sections[index] == parser->current);
	set_key(parser);
	return 1;
}

/* What may turn out to be wrong only later is told with its file then, too. */
static int keep_place(const struct parser *parser, struct section *section)
{
	const char *file = parser->file->name;

	if (!section_has(section, KEY_PROCESS_USER))
		return 0;

	section->process.user_file = escape_new(file, strlen(file), 0);
	return section->process.user_file ? 0 : -ENOMEM;
}

static void describe_full(enum section_kind kind, char ret[static FULL_MAX])
{
	int n_max = kind == SECTION_PROCESS ? PROCESS_RULES_MAX
		    : kind == SECTION_WATCH ? CONFIG_WATCHES_MAX
					    : CONFIG_FILESYSTEMS_MAX;
	const char *name = kind == SECTION_PROCESS ? "[process NAME]"
			   : kind == SECTION_WATCH ? "[watch PATH]"
						   : "[filesystem WHERE]";

	snprintf(ret, FULL_MAX, "one section too many: allowed are at most %d %s in all files",
		 n_max, name);
}

static int merge_sections(struct parser *parser, struct config *config)
{
	for (size_t i = 0; i < parser->n_sections; i++) {
		struct section *section = parser->sections[i];
		char message[FULL_MAX];
		int r;

		if (section->faulty)
			continue;
		r = keep_place(parser, section);
		if (r < 0)
			return r;
		r = config_merge(config, section);
		if (r < 0)
			return r;
		if (r == CONFIG_MERGED)
			continue;

		describe_full(section->kind, message);
		r = config_problem_add(parser->problems, parser->file->name, 0, section->title,
				       message);
		if (r < 0)
			return r;
	}

	return 0;
}

/* What is wrong with a file as a whole; Return: true where something is. */
static bool find_fault(const struct config_text *file, unsigned int *ret_line, const char **ret)
{
	const char *nul;

	*ret_line = 0;
	if (!file->text) {
		*ret = file->error ? file->error : "the file could not be read";
		return true;
	}
	if (file->n_text > CONFIG_FILE_MAX) {
		*ret = "the file is too large: allowed is at most 1 MiB";
		return true;
	}

	nul = file->n_text > 0 ? memchr(file->text, '\0', file->n_text) : NULL;
	if (!nul)
		return false;
	*ret_line = 1;
	for (const char *p = file->text; p < nul; p++)
		*ret_line += *p == '\n';
	*ret = "a NUL byte stands in the line: allowed is text, and the whole file is left out";
	return true;
}

static int parse_file(const struct config_text *file, struct config *config,
		      struct config_problems *problems)
{
	_cleanup_(parser_freep) struct parser *parser = NULL;
	const char *fault;
	unsigned int line;
	int r;

	if (find_fault(file, &line, &fault))
		return config_problem_add(problems, file->name, line, NULL, fault);

	parser = calloc(1, sizeof(*parser));
	if (!parser)
		return -ENOMEM;
	parser->file = file;
	parser->problems = problems;
	parser->rest = (struct span){ file->text, file->n_text };
	if (file->n_text >= 3 && memcmp(file->text, "\xef\xbb\xbf", 3) == 0)
		parser->rest = (struct span){ file->text + 3, file->n_text - 3 };

	/* errors of form are told by on_read(); -2 is memory, where inih is built to use the heap */
	r = ini_parse_stream(on_read, parser, on_key, parser);
	if (r == -2 || parser->error < 0)
		return -ENOMEM;

	return merge_sections(parser, config);
}

int config_parse(struct config **ret, const struct config_text *texts, size_t n_texts,
		 struct config_problems *problems)
{
	_cleanup_(config_freep) struct config *config = NULL;
	int r;

	assert(ret && problems);
	assert(texts || n_texts == 0);

	r = config_new(&config);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_texts; i++) {
		r = parse_file(&texts[i], config, problems);
		if (r < 0)
			return r;
	}

	*ret = TAKE_PTR(config);
	return 0;
}
