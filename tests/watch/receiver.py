# SPDX-License-Identifier: GPL-2.0-or-later
"""
A subscriber in a process of its own, as any user, that keeps every byte it was told.

    receiver.py ADDRESS DIRECTORY REQUEST

REQUEST is JSON: uid, gid, groups, where, events, options {name: [type, value]}, stream.
It says which object it was given, or the error. Below DIRECTORY, `signals` has pickles of
what came by the bus, `packets` what came by the stream, each behind its length. It
ends with its input. Stopped and continued it is a reader that is slow.
"""

import json
import os
import pickle
import select
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bus"))

WATCH = "org.fsevents1.Watch"


def become(request):
    os.setgroups(request["groups"])
    os.setgid(request["gid"])
    os.setuid(request["uid"])
    os.chdir("/")


def subscribe(client, request, variant):
    """(object, socket or None)"""
    options = {name: variant(*value) for name, value in request["options"].items()}
    path = client.call("WatchPath", "sasa{sv}", request["where"], request["events"], options)
    if not request["stream"]:
        return path, None
    _, fds = client.call_with_fds("OpenStream", "a{sv}", {}, path=path, interface=WATCH)
    return path, socket.socket(fileno=fds[0])


def keep(file, data):
    file.write(struct.pack("=I", len(data)) + data)
    file.flush()


def follow(client, stream, signals, packets):
    n_signals = 0
    while True:
        inputs = [sys.stdin] + ([stream] if stream else [])
        readable, _, _ = select.select(inputs, [], [], 0.01)
        for signal in client.signals[n_signals:]:
            keep(signals, pickle.dumps((signal.path, signal.member, signal.args)))
            n_signals += 1
        if stream in readable:
            packet = stream.recv(65536)
            if packet:
                keep(packets, packet)
            else:
                stream.close()
                stream = None
        if sys.stdin in readable and not sys.stdin.readline():
            return


def main():
    # The checkout may be out of reach for that user.
    from client import BusError, Client, variant

    address, directory, request = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    with open(os.path.join(directory, "signals"), "wb") as signals, \
            open(os.path.join(directory, "packets"), "wb") as packets:
        become(request)
        client = Client(address)
        try:
            path, stream = subscribe(client, request, variant)
        except BusError as error:
            print(json.dumps({"error": [error.name, error.message]}), flush=True)
            return
        print(json.dumps({"path": path}), flush=True)
        follow(client, stream, signals, packets)


if __name__ == "__main__":
    main()
