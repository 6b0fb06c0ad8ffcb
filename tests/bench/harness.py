# SPDX-License-Identifier: GPL-2.0-or-later
"""What the benches share: a private machine, a bus, the daemon, its costs.

A bench runs in a mount and PID namespace of its own: the daemon takes PID 1's
namespaces for the machine, and whatever is mounted or started ends with them.
"""

import argparse
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

INSIDE = "FSEVENTS_BENCH_INSIDE"


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--fseventsd", metavar="PATH", help="the daemon; without it only the pollers run")
    parser.add_argument("--programs", metavar="DIR",
                        help="where fill, poller and listen are (default: tests/bench beside the daemon's directory)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    return parser


def programs_of(args, parser):
    """The directory of the bench programs, checked."""
    if args.programs:
        where = pathlib.Path(args.programs)
    elif args.fseventsd:
        where = pathlib.Path(args.fseventsd).resolve().parent.parent / "tests" / "bench"
    else:
        parser.error("--fseventsd or --programs is needed")
    if not (where / "fill").exists():
        parser.error(f"no programs in {where}: build them, or name their directory with --programs")
    return where.resolve()


def enter_private_namespaces():
    """Runs this script again as PID 1's only child in namespaces of its own."""
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0:
        sys.exit("this bench mounts filesystems: it must run as root")
    os.environ[INSIDE] = "1"
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
               sys.executable, *sys.argv]
    sys.exit(subprocess.run(command, check=False).returncode)


class Scratch:
    """A tmpfs for images, sockets and state; gone with the namespace."""

    def __init__(self, size="12G"):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="fsevents-bench."))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=755,size={size}", "bench", self.path], check=True)

    def close(self):
        subprocess.run(["umount", "--recursive", "--lazy", self.path], check=False)
        os.rmdir(self.path)

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.close()


class Bus:
    """A private dbus-daemon."""

    def __init__(self, scratch):
        self.address = f"unix:path={scratch}/bus"
        config = scratch / "bus.conf"
        config.write_text(
            '<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"'
            ' "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">\n'
            f"<busconfig><listen>{self.address}</listen><auth>EXTERNAL</auth>"
            '<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>'
            '<allow receive_sender="*"/></policy></busconfig>\n')
        self.process = subprocess.Popen(["dbus-daemon", "--nofork", f"--config-file={config}"])
        wait_for(lambda: os.path.exists(scratch / "bus"), 5, "the bus")

    def close(self):
        end(self.process)


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition, seconds, what):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            sys.exit(f"timeout: {what}")
        time.sleep(0.005)


class Daemon:
    """The daemon on a private bus; ready when the constructor returns."""

    def __init__(self, binary, scratch, bus, config="", timeout=30):
        state = scratch / "state"
        state.mkdir(mode=0o700, exist_ok=True)
        file = scratch / "fsevents.conf"
        file.write_text(config)
        notify = scratch / "notify"
        if notify.exists():
            notify.unlink()

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ready:
            ready.bind(str(notify))
            ready.settimeout(timeout)
            env = dict(os.environ, NOTIFY_SOCKET=str(notify), STATE_DIRECTORY=str(state))
            env.pop("JOURNAL_STREAM", None)
            with open(scratch / "daemon.log", "ab") as log:
                start = time.monotonic()
                self.process = subprocess.Popen([binary, "--config", str(file), f"--bus={bus.address}"],
                                                env=env, stdout=log, stderr=log)
            try:
                while b"READY=1" not in ready.recv(4096):
                    pass
            except socket.timeout:
                log_text = (scratch / "daemon.log").read_text(errors="replace")
                self.close()
                sys.exit(f"the daemon was not ready within {timeout} s:\n{log_text}")
            self.ready_ms = (time.monotonic() - start) * 1000
            problems = [line for line in (scratch / "daemon.log").read_text(errors="replace").splitlines()
                        if "fsevents.conf" in line]
            if problems:
                self.close()
                sys.exit("the daemon did not take its configuration:\n" + "\n".join(problems))

    def pids(self):
        """Main process first, then zygote and workers."""
        return family(self.process.pid)

    def close(self):
        end(self.process)


def family(pid):
    found = [pid]
    for parent in found:
        try:
            with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as children:
                found += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found


def wakeups(pid):
    """Times that a process went to sleep by itself, so far; 0 of one that has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            for line in status:
                if line.startswith("voluntary_ctxt_switches:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def cpu_us(pids):
    """Processor time of processes so far, microseconds."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/schedstat", encoding="ascii") as stat:
                total += int(stat.read().split()[0]) / 1000
        except (OSError, ValueError):
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")
    return total


def memory_kb(pid):
    """Rss, Pss and Private of a process in KiB."""
    values = {"Rss": 0, "Pss": 0, "Private": 0}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        for line in rollup:
            key, _, rest = line.partition(":")
            if key in ("Rss", "Pss"):
                values[key] = int(rest.split()[0])
            elif key in ("Private_Clean", "Private_Dirty"):
                values["Private"] += int(rest.split()[0])
    return values


def median(values):
    return statistics.median(values) if values else float("nan")


def percentile(values, percent):
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def table(header, rows):
    """Prints aligned columns: the first to the left, numbers to the right."""
    texts = [header] + [[cell if isinstance(cell, str) else f"{cell:.1f}" for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in texts) for i in range(len(header))]
    for row in texts:
        print("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))))
    sys.stdout.flush()


def need(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        sys.exit(f"missing: {' '.join(missing)}")
