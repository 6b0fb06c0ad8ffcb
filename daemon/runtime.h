/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Settings at run time
 *
 * The one-line grammar of 2015 applied to the running monitors, and the
 * monitors written down in the same grammar. What is set here holds until
 * unmount, reload or restart.
 */

struct bus_refusal;
struct manager;

/**
 * runtime_configure() - carry out a line, all of it or nothing
 *
 * Comments (# to the end of the line) and line ends are taken too, so that
 * what runtime_format() gave can be given back.
 *
 * MOUNT sets what is told: G all health codes, E single ones, T thresholds
 * named level-1, level-2 ...; T without levels keeps those there are, no T
 * removes them. !MOUNT takes away what it names, or everything.
 *
 * Return: 0, or -1 with @refusal filled.
 */
int runtime_configure(struct manager *manager, const char *line, struct bus_refusal *refusal);

/** runtime_format() - a filesystem a line, with type, device and source as a comment; NULL without memory */
char *runtime_format(struct manager *manager);
