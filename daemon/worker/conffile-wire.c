/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cleanup.h"
#include "daemon/worker/conffile.h"
#include "daemon/worker/flat.h"

/* Three lengths. */
#define TEXT_SIZE_MIN 12

int conffile_set_encode(const struct conffile_set *set, void **ret, size_t *ret_n)
{
	_cleanup_(flat_writer_deinit) struct flat_writer writer = {};

	assert(set);

	flat_put_u32(&writer, (uint32_t)set->n_texts);
	for (size_t i = 0; i < set->n_texts; i++) {
		flat_put_string(&writer, set->texts[i].name);
		flat_put_bytes(&writer, set->texts[i].text, set->texts[i].n_text);
		flat_put_string(&writer, set->texts[i].error);
	}

	return flat_writer_finish(&writer, ret, ret_n);
}

/* Into a text that its set owns already, so that what is half done is freed with it. */
static int decode_text(struct flat_reader *reader, struct config_text *ret)
{
	const uint8_t *bytes;
	char *text;
	size_t n;
	int r;

	r = flat_get_string(reader, (char **)&ret->name);
	if (r < 0)
		return r;
	bytes = flat_get_bytes(reader, &n);
	if (bytes) {
		if (n > CONFIG_FILE_MAX)
			return -EBADMSG;
		text = malloc(n + 1);
		if (!text)
			return -ENOMEM;
		memcpy(text, bytes, n);
		text[n] = '\0';
		ret->text = text;
		ret->n_text = n;
	}
	r = flat_get_string(reader, (char **)&ret->error);
	if (r < 0)
		return r;

	return ret->name ? 0 : -EBADMSG;
}

int conffile_set_decode(const void *data, size_t n_data, struct conffile_set *ret)
{
	_cleanup_(conffile_set_deinit) struct conffile_set set = {};
	struct flat_reader reader = { .p = data, .n = n_data };
	size_t n;

	assert(ret && (data || n_data == 0));

	n = flat_get_count(&reader, TEXT_SIZE_MIN);
	if (reader.failed)
		return -EBADMSG;
	set.texts = calloc(n > 0 ? n : 1, sizeof(*set.texts));
	if (!set.texts)
		return -ENOMEM;

	for (size_t i = 0; i < n; i++) {
		int r;

		set.n_texts++;
		r = decode_text(&reader, &set.texts[i]);
		if (r < 0)
			return r;
	}
	if (!flat_reader_done(&reader))
		return -EBADMSG;

	*ret = set;
	set = (struct conffile_set){};
	return 0;
}

int conffile_job(const void *payload, size_t n, void **ret_reply, size_t *ret_n)
{
	_cleanup_(conffile_set_deinit) struct conffile_set set = {};
	_cleanup_free_ char *file = NULL;
	int r;

	assert(ret_reply && ret_n && (payload || n == 0));

	if (n > 0) {
		if (memchr(payload, '\0', n))
			return -EBADMSG;
		file = strndup(payload, n);
		if (!file)
			return -ENOMEM;
	}
	r = conffile_load(file, &set);
	if (r < 0)
		return r;

	return conffile_set_encode(&set, ret_reply, ret_n);
}
