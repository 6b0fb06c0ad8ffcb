/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where the bus is
 *
 * D-Bus server addresses as far as a system service meets them: Unix sockets
 * by path or abstract name, several alternatives separated by ';', values
 * escaped with %xx.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/**
 * address_resolve() - "system" and "session" to an address
 *
 * Return: borrowed; NULL for "session" where none is set in the environment.
 */
const char *address_resolve(const char *name);

/**
 * address_next() - the next alternative that can be used
 * @at:		walks over the text; begin at its start
 *
 * Alternatives of other transports and malformed ones are passed over.
 * Return: true with @ret and @ret_length for connect().
 */
bool address_next(const char **at, struct sockaddr_un *ret, socklen_t *ret_length);

/** address_connect() - to the first that answers; Return: a non-blocking descriptor or negative errno */
int address_connect(const char *address);
