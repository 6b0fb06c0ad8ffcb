/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>
#include <cmocka.h>

#include "daemon/memory.h"

struct part {
	size_t size, resident; /* kB, of what is executable */
};

/* The code of a file whose path ends so, as /proc has it. */
static struct part code_of(const char *name)
{
	struct part part = {};
	bool inside = false;
	char line[512];
	FILE *file;

	file = fopen("/proc/self/smaps", "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		size_t kb;

		if (strchr(line, '-') && strstr(line, " r-xp "))
			inside = strstr(line, name) != NULL;
		else if (strchr(line, '-') && strstr(line, "p "))
			inside = false;
		if (inside && sscanf(line, "Size: %zu", &kb) == 1)
			part.size += kb;
		if (inside && sscanf(line, "Rss: %zu", &kb) == 1)
			part.resident += kb;
	}
	fclose(file);
	return part;
}

static void test_populate(void **state)
{
	static const char *const names[] = { "/test-io-memory", "/libc.so", "/libsystemd.so" };
	size_t n_bytes = 0;

	/* So that the library is there at all. */
	assert_true(sd_booted() >= 0);
	assert_int_equal(memory_populate(&n_bytes), 0);
	assert_true(n_bytes > 1 << 20);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct part part = code_of(names[i]);

		print_message("%s: %zu of %zu kB\n", names[i], part.resident, part.size);
		assert_true(part.size > 0);
		assert_int_equal(part.resident, part.size);
	}
}

/* What is hardly ever run is not worth the memory. */
static void test_not_all(void **state)
{
	struct part part;

	assert_int_equal(memory_populate(NULL), 0);
	part = code_of("/libgcrypt.so");
	if (part.size == 0)
		skip();
	assert_true(part.resident < part.size);
}

static void test_lock(void **state)
{
	char line[256];
	size_t kb = 0;
	FILE *file;

#ifdef __SANITIZE_ADDRESS__
	/* The sanitizer lets nobody lock memory, of which it maps terabytes. */
	skip();
#endif
	if (geteuid() != 0)
		skip();
	assert_int_equal(memory_lock(), 0);
	assert_int_equal(memory_populate(NULL), 0);

	file = fopen("/proc/self/status", "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmLck: %zu", &kb) == 1)
			break;
	fclose(file);
	assert_true(kb > 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_populate),
		cmocka_unit_test(test_not_all),
		cmocka_unit_test(test_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
