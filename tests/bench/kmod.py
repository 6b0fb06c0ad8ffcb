#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What does the module cost those whom it watches?

In a virtual machine with one of the test kernels: loops of fork and exit, of fork and
exec, of create, write and unlink, without the module, with it loaded, and with it in
use; rounds interleaved, medians. Then what checks of the free space of a hundred
filesystems take in a second.

The machine counts instructions and takes each for a nanosecond, so that what else runs
here changes nothing, and has one processor. "watched" is the processor's time of who forks or
writes, "all" that of the whole machine, with the module's worker and a process that
reads all that is told. Ends with 1 when an aim is missed.
"""

import argparse
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
import types

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
VM = os.path.join(HERE, "..", "vm")
sys.path.insert(0, VM)

import initramfs  # noqa: E402
import kernels  # noqa: E402

FIGURE = re.compile(r"VM-FIGURE ([^|]+)\|([^|]+)\|(\d+)\|(\d+)\|(\d+)")
# Nothing measurable: less than what rounds differ by.
AIMS = {"fork+exit": {"idle": 1.01, "used": 1.05}, "fork+exec": {"idle": 1.01, "used": 1.05},
        "files, ext4": {"idle": 1.01, "used": 1.30}, "files, tmpfs": {"idle": 1.01, "used": None}}
CHECKS_AIM = {"100 of 4g": 1.0, "100 of 16m": 1.0}
LIMIT = 1500


def load_machine():
    """The program that runs the tests' machines, as a module."""
    loader = importlib.machinery.SourceFileLoader("vm_run", os.path.join(VM, "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("vm_run", loader))
    loader.exec_module(module)
    return module


def make_ready(machine, series, options):
    directory = os.path.join(options.build, "bench-" + series)
    os.makedirs(os.path.join(directory, "programs"), exist_ok=True)
    kernel = kernels.Kernel(series, options.cache)
    modules = machine.build_modules(kernel, directory)
    # Its name is that which the machine's init starts.
    program = os.path.join(directory, "programs", "vmtest")
    machine.command("gcc", *machine.CFLAGS, "-I", machine.GUEST, "-o", program, os.path.join(HERE, "kmod.c"),
                    os.path.join(machine.GUEST, "client.c"), "-lmnl")
    image = os.path.join(directory, "initramfs.gz")
    initramfs.build(image, kernel, os.path.join(machine.GUEST, "init"), modules, [program])
    return kernel, image


def run(machine, kernel, image, options):
    """{(name, way): [(all, watched)]} in nanoseconds"""
    command = machine.qemu(kernel, image, machine.make_disks(options.build),
                           types.SimpleNamespace(debug=False, reloads=0), [str(options.rounds)])
    command[command.index("-smp") + 1] = "1"
    command += ["-icount", "shift=0,sleep=off"]
    figures, done, tail = {}, False, []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        for raw in process.stdout:
            line = raw.decode(errors="replace").strip()
            tail = tail[-20:] + [line]
            found = FIGURE.search(line)
            if found:
                name, way, _, took, used = found.groups()
                figures.setdefault((name, way), []).append((int(took), int(used)))
            if found or line.startswith("VM-READ"):
                print(line, file=sys.stderr)
            done |= line.startswith("VM-DONE")
    if not done:
        sys.exit("the machine failed:\n" + "\n".join(tail))
    return figures


def median_of(figures, key, which):
    return harness.median([figure[which] for figure in figures[key]])


def print_loops(figures):
    """Whether all aims are met."""
    rows, good = [], True
    for name, aims in AIMS.items():
        for way in ("without", "idle", "used"):
            ratios = [median_of(figures, (name, way), which) / median_of(figures, (name, "without"), which)
                      for which in (0, 1)]
            aim = aims.get(way)
            good &= not aim or ratios[1] <= aim
            rows.append([name, way, median_of(figures, (name, way), 0) / 1e6, f"x{ratios[0]:.3f}",
                         f"x{ratios[1]:.3f}", f"x{aim:.2f}" if aim else "-"])
    harness.table(["loop", "module", "all, ms", "all", "watched", "aim"], rows)
    return good


def print_checks(figures):
    rows, good = [], True
    for name, aim in CHECKS_AIM.items():
        busy = {way: harness.median([used / took * 1000 for took, used in figures[name, way]])
                for way in ("without", "checked")}
        costs = busy["checked"] - busy["without"]
        good &= not aim or costs <= aim
        rows.append([name, f"{busy['without']:.3f}", f"{costs:.3f}", f"{aim:.1f}" if aim else "-"])
    harness.table(["filesystems with a level", "without, ms/s", "checks, ms/s", "aim"], rows)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", required=True, help="where kernels are kept")
    parser.add_argument("--build", required=True)
    parser.add_argument("--kernel", action="append", choices=sorted(kernels.SERIES))
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    options.rounds = 2 if options.quick else 5
    machine = load_machine()

    good = True
    for series in options.kernel or ["6.12"]:
        kernel, image = make_ready(machine, series, options)
        figures = run(machine, kernel, image, options)
        print(f"\nLinux {kernel.version}, {options.rounds} rounds\n")
        good &= print_loops(figures)
        print()
        good &= print_checks(figures)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
