/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/core/envelope.h"

/* A message as a bus hands it on, put together by hand. */
struct message {
	uint8_t data[512];
	size_t n;
	bool big_endian;
};

static void put_u32_at(struct message *m, size_t at, uint32_t value)
{
	for (unsigned int i = 0; i < 4; i++)
		m->data[at + i] = (uint8_t)(value >> 8 * (m->big_endian ? 3 - i : i));
}

static void put(struct message *m, const void *bytes, size_t n)
{
	memcpy(m->data + m->n, bytes, n);
	m->n += n;
}

static void put_align(struct message *m, size_t to)
{
	while (m->n % to)
		m->data[m->n++] = 0;
}

static void put_u32(struct message *m, uint32_t value)
{
	put_align(m, 4);
	m->n += 4;
	put_u32_at(m, m->n - 4, value);
}

static void put_field(struct message *m, uint8_t code, char type)
{
	const uint8_t bytes[] = { code, 1, (uint8_t)type, 0 };

	put_align(m, 8);
	put(m, bytes, sizeof(bytes));
}

static void put_text_field(struct message *m, uint8_t code, char type, const char *text)
{
	put_field(m, code, type);
	put_u32(m, (uint32_t)strlen(text));
	put(m, text, strlen(text) + 1);
}

static void message_begin(struct message *m, enum envelope_type type, bool big_endian)
{
	*m = (struct message){ .big_endian = big_endian, .n = 16 };
	m->data[0] = big_endian ? 'B' : 'l';
	m->data[1] = type;
	m->data[3] = 1;
	put_u32_at(m, 8, 77);
}

static void message_end(struct message *m, const char *body)
{
	put_u32_at(m, 12, (uint32_t)(m->n - 16));
	put_align(m, 8);
	put_u32_at(m, 4, (uint32_t)strlen(body));
	put(m, body, strlen(body));
}

static void call_of(struct message *m, bool big_endian)
{
	message_begin(m, ENVELOPE_CALL, big_endian);
	put_text_field(m, 1, 'o', "/a/b");
	put_text_field(m, 2, 's', "x.Interface");
	put_text_field(m, 3, 's', "Member");
	put_text_field(m, 6, 's', "x.destination");
	put_text_field(m, 7, 's', ":1.23");
	put_field(m, 8, 'g');
	put(m, "\2sh", 4);
	put_field(m, 9, 'u');
	put_u32(m, 3);
	message_end(m, "body body");
}

static void test_call_is_decoded_in_either_endianness(void **state)
{
	for (int big = 0; big < 2; big++) {
		struct envelope e;
		struct message m;

		call_of(&m, big);
		assert_int_equal(envelope_decode(&e, m.data, m.n), 0);
		assert_int_equal(e.type, ENVELOPE_CALL);
		assert_int_equal(e.serial, 77);
		assert_int_equal(e.n_fds, 3);
		assert_int_equal(e.n_total, m.n);
		assert_int_equal(e.n_total - e.n_header, 9);
		assert_false(e.no_reply);
		assert_string_equal(e.path, "/a/b");
		assert_string_equal(e.interface, "x.Interface");
		assert_string_equal(e.member, "Member");
		assert_string_equal(e.destination, "x.destination");
		assert_string_equal(e.sender, ":1.23");
	}
}

static void test_header_alone_suffices(void **state)
{
	struct envelope e;
	struct message m;

	call_of(&m, false);
	assert_int_equal(envelope_decode(&e, m.data, m.n - 9), 0);
	assert_int_equal(envelope_decode(&e, m.data, e.n_header - 1), -EBADMSG);
}

static void test_answer_has_reply_serial_and_flags(void **state)
{
	struct envelope e;
	struct message m;

	message_begin(&m, ENVELOPE_RETURN, false);
	m.data[2] = 1;
	put_field(&m, 5, 'u');
	put_u32(&m, 99);
	message_end(&m, "");
	assert_int_equal(envelope_decode(&e, m.data, m.n), 0);
	assert_int_equal(e.reply_serial, 99);
	assert_true(e.no_reply);
	assert_null(e.sender);
}

static void test_unknown_fields_are_skipped(void **state)
{
	static const char types[] = "ybnqiuhxtdsog";
	struct envelope e;
	struct message m;

	message_begin(&m, ENVELOPE_SIGNAL, false);
	for (size_t i = 0; i < strlen(types); i++) {
		static const uint8_t zeros[16];
		char type = types[i];

		put_field(&m, 200, type);
		if (strchr("xtd", type))
			put_align(&m, 8);
		if (strchr("so", type)) {
			put_u32(&m, 1);
			put(&m, "/", 2);
		} else if (type == 'g') {
			put(&m, "\1s", 3);
		} else {
			put(&m, zeros,
			    type == 'y'		  ? 1
			    : strchr("nq", type)  ? 2
			    : strchr("xtd", type) ? 8
						  : 4);
		}
	}
	put_text_field(&m, 7, 's', ":1.9");
	message_end(&m, "");
	assert_int_equal(envelope_decode(&e, m.data, m.n), 0);
	assert_string_equal(e.sender, ":1.9");

	message_begin(&m, ENVELOPE_SIGNAL, false);
	put_field(&m, 200, 'v');
	put(&m, "\1y\0\0", 4);
	message_end(&m, "");
	assert_int_equal(envelope_decode(&e, m.data, m.n), -EBADMSG);
}

static void test_bad_headers_are_refused(void **state)
{
	size_t n_header, n_total;
	struct message good, m;
	struct envelope e;

	call_of(&good, false);
	assert_int_equal(envelope_measure(good.data, &n_header, &n_total), 0);
	assert_int_equal(n_total, good.n);

	m = good, m.data[0] = 'x';
	assert_int_equal(envelope_measure(m.data, &n_header, &n_total), -EBADMSG);
	m = good, m.data[1] = 0;
	assert_int_equal(envelope_measure(m.data, &n_header, &n_total), -EBADMSG);
	m = good, m.data[3] = 2;
	assert_int_equal(envelope_measure(m.data, &n_header, &n_total), -EBADMSG);
	m = good, put_u32_at(&m, 8, 0);
	assert_int_equal(envelope_measure(m.data, &n_header, &n_total), -EBADMSG);
	m = good, put_u32_at(&m, 4, UINT32_MAX);
	assert_int_equal(envelope_measure(m.data, &n_header, &n_total), -EBADMSG);
	m = good, put_u32_at(&m, 12, UINT32_MAX);
	assert_int_equal(envelope_measure(m.data, &n_header, &n_total), -EBADMSG);

	/* A field too long for the header, a text without its NUL, with one inside. */
	m = good, put_u32_at(&m, 20, 5000);
	assert_int_equal(envelope_decode(&e, m.data, m.n), -EBADMSG);
	m = good, put_u32_at(&m, 20, UINT32_MAX);
	assert_int_equal(envelope_decode(&e, m.data, m.n), -EBADMSG);
	m = good, m.data[28] = 'x';
	assert_int_equal(envelope_decode(&e, m.data, m.n), -EBADMSG);
	m = good, m.data[25] = '\0';
	assert_int_equal(envelope_decode(&e, m.data, m.n), -EBADMSG);
	m = good, m.data[18] = 's';
	assert_int_equal(envelope_decode(&e, m.data, m.n), -EBADMSG);
}

static void test_sender_given_twice_is_refused(void **state)
{
	struct envelope e;
	struct message m;

	message_begin(&m, ENVELOPE_CALL, false);
	put_text_field(&m, 7, 's', ":1.1");
	put_text_field(&m, 7, 's', ":1.2");
	message_end(&m, "");
	assert_int_equal(envelope_decode(&e, m.data, m.n), -EBADMSG);
}

static void test_every_cut_is_survived(void **state)
{
	struct envelope e;
	struct message m;

	call_of(&m, false);
	for (size_t n = 0; n < m.n; n++) {
		/* An exact copy, so that a byte too far is seen. */
		uint8_t *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, m.data, n);
		if (n < m.n - 9)
			assert_int_equal(envelope_decode(&e, copy, n), -EBADMSG);
		else
			assert_int_equal(envelope_decode(&e, copy, n), 0);
		free(copy);
	}
}

static void test_descriptors_and_body_can_be_dropped(void **state)
{
	struct envelope e, again;
	struct message m;

	for (int big = 0; big < 2; big++) {
		call_of(&m, big);
		assert_int_equal(envelope_decode(&e, m.data, m.n), 0);
		envelope_drop_fds(&e, m.data);
		assert_int_equal(envelope_decode(&again, m.data, m.n), 0);
		assert_int_equal(again.n_fds, 0);
		assert_int_equal(again.n_total, m.n);

		envelope_drop_body(&e, m.data);
		assert_int_equal(envelope_decode(&again, m.data, e.n_header), 0);
		assert_int_equal(again.n_total, again.n_header);
		assert_int_equal(again.signature_at, 0);
		assert_string_equal(again.sender, ":1.23");
	}
}

static void test_refusal_is_an_error_to_the_caller(void **state)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct envelope call, e;
	struct message m;
	size_t n;

	call_of(&m, true);
	assert_int_equal(envelope_decode(&call, m.data, m.n), 0);
	assert_int_equal(envelope_refuse(&data, &n, &call, "x.Error.Name", "A sentence"), 0);
	assert_int_equal(envelope_decode(&e, data, n), 0);
	assert_int_equal(e.type, ENVELOPE_ERROR);
	assert_int_equal(e.reply_serial, 77);
	assert_int_equal(e.n_total, n);
	assert_true(e.no_reply);
	assert_string_equal(e.destination, ":1.23");
	assert_null(e.sender);
	assert_memory_equal(data + e.n_header,
			    "\x0a\0\0\0"
			    "A sentence",
			    15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_is_decoded_in_either_endianness),
		cmocka_unit_test(test_header_alone_suffices),
		cmocka_unit_test(test_answer_has_reply_serial_and_flags),
		cmocka_unit_test(test_unknown_fields_are_skipped),
		cmocka_unit_test(test_bad_headers_are_refused),
		cmocka_unit_test(test_sender_given_twice_is_refused),
		cmocka_unit_test(test_every_cut_is_survived),
		cmocka_unit_test(test_descriptors_and_body_can_be_dropped),
		cmocka_unit_test(test_refusal_is_an_error_to_the_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
