/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/core/cleanup.h"
#include "daemon/source/late-reader.h"

#define FAR_US (3600 * 1000000ULL)

struct world {
	sd_event *loop;
	struct late_reader reader;
	int fds[2]; /* of a pipe; the reader owns the first */
	unsigned int n_sign, n_due;
	bool stops; /* in what it is told next */
};

static void on_sign(void *userdata)
{
	struct world *world = userdata;

	world->n_sign++;
	if (world->stops)
		late_reader_stop(&world->reader);
}

static void on_due(void *userdata)
{
	struct world *world = userdata;

	world->n_due++;
	if (world->stops)
		late_reader_stop(&world->reader);
}

static const struct late_reader_ops ops = { .sign = on_sign, .due = on_due };

static int start(struct world *world, int fd)
{
	return late_reader_start(&world->reader, world->loop,
				 &(const struct late_reader_options){
					 .fd = fd,
					 .owns_fd = true,
					 .name = "test",
					 .ops = &ops,
					 .userdata = world,
				 });
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	assert_return_code(sd_event_new(&world->loop), 0);
	assert_return_code(pipe2(world->fds, O_CLOEXEC | O_NONBLOCK), errno);
	assert_return_code(start(world, world->fds[0]), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	late_reader_stop(&world->reader);
	/* Closed already. */
	assert_int_equal(fcntl(world->fds[0], F_GETFD), -1);
	close(world->fds[1]);
	sd_event_unref(world->loop);
	free(world);
	return 0;
}

/* All that can be told now. */
static void run(struct world *world)
{
	while (sd_event_run(world->loop, 0) > 0)
		;
	assert_int_equal(sd_event_get_state(world->loop), SD_EVENT_INITIAL);
}

static void check_told(struct world *world, unsigned int n_sign, unsigned int n_due)
{
	run(world);
	assert_int_equal(world->n_sign, n_sign);
	assert_int_equal(world->n_due, n_due);
}

static void make_readable(struct world *world)
{
	assert_int_equal(write(world->fds[1], "x", 1), 1);
}

static void test_one_sign(void **state)
{
	struct world *world = *state;

	make_readable(world);
	check_told(world, 0, 0);
	late_reader_listen(&world->reader);
	check_told(world, 1, 0);
	/* It can still be read. */
	check_told(world, 1, 0);
	late_reader_listen(&world->reader);
	check_told(world, 2, 0);
}

static void test_due_once(void **state)
{
	struct world *world = *state;

	assert_false(late_reader_is_waiting(&world->reader));
	late_reader_wait(&world->reader, 0);
	assert_true(late_reader_is_waiting(&world->reader));
	check_told(world, 0, 1);
	assert_false(late_reader_is_waiting(&world->reader));
	check_told(world, 0, 1);
}

static void test_no_sign_while_it_waits(void **state)
{
	struct world *world = *state;

	late_reader_listen(&world->reader);
	late_reader_wait(&world->reader, FAR_US);
	make_readable(world);
	check_told(world, 0, 0);
	/* Sooner after all. */
	late_reader_wait(&world->reader, 0);
	check_told(world, 0, 1);
	late_reader_listen(&world->reader);
	check_told(world, 1, 1);
}

static void test_listening_ends_the_wait(void **state)
{
	struct world *world = *state;

	late_reader_wait(&world->reader, 0);
	late_reader_listen(&world->reader);
	assert_false(late_reader_is_waiting(&world->reader));
	check_told(world, 0, 0);
}

static void test_hearing_meanwhile(void **state)
{
	struct world *world = *state;

	late_reader_wait(&world->reader, 0);
	late_reader_hear(&world->reader);
	make_readable(world);
	check_told(world, 1, 1);
}

static void test_stopped_by_who_is_told(void **state)
{
	struct world *world = *state;

	world->stops = true;
	make_readable(world);
	late_reader_listen(&world->reader);
	check_told(world, 1, 0);
	assert_null(world->reader.io);

	close(world->fds[1]);
	assert_return_code(pipe2(world->fds, O_CLOEXEC | O_NONBLOCK), errno);
	assert_return_code(start(world, world->fds[0]), 0);
	late_reader_wait(&world->reader, 0);
	check_told(world, 1, 1);
	assert_null(world->reader.timer);
}

static void test_a_file_stays_its_owners(void **state)
{
	struct world *world = *state, other = { .loop = world->loop };
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_return_code(fd, errno);
	assert_int_equal(start(&other, fd), -EPERM);
	assert_null(other.reader.io);
	assert_return_code(fcntl(fd, F_GETFD), errno);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_sign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_due_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_sign_while_it_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listening_ends_the_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hearing_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_by_who_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_stays_its_owners, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
