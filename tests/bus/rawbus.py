# SPDX-License-Identifier: GPL-2.0-or-later
"""
D-Bus by hand: one socket, no threads, no library between.

For what a library would not do: to measure a round trip exactly, never to
read, to answer no ping, to send messages that are wrong or carry descriptors
that nobody asked for.
"""

import ctypes
import os
import re
import socket
import struct

from waiting import PATIENCE

METHOD_CALL, METHOD_RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY_EXPECTED = 1


def _align(data, n):
    return data + b"\0" * (-len(data) % n)


def _string(text):
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("=I", len(raw)) + raw + b"\0"


def _fields(fields):
    out = b""
    for code, signature, value in fields:
        out = _align(out, 8)
        out += bytes([code, len(signature)]) + signature.encode() + b"\0"
        if signature in ("s", "o"):
            out = _align(out, 4) + _string(value)
        elif signature == "g":
            out += bytes([len(value)]) + value.encode() + b"\0"
        else:
            out = _align(out, 4) + struct.pack("=I", value)
    return out


def message(serial, member, path="/org/fsevents1", interface=None, destination="org.fsevents1",
            signature="", body=b"", n_fds=0, flags=0, kind=METHOD_CALL):
    """A whole message. @body is marshalled already."""
    fields = [(1, "o", path), (3, "s", member)]
    if interface:
        fields.append((2, "s", interface))
    if destination:
        fields.append((6, "s", destination))
    if signature:
        fields.append((8, "g", signature))
    if n_fds:
        fields.append((9, "u", n_fds))
    array = _fields(fields)
    head = struct.pack("=cBBBIII", b"l", kind, flags, 1, len(body), serial, len(array))
    return _align(head + array, 8) + body


def connect_as(sock, path, uid, groups=None):
    """Connect as another user: who it is counts at that moment, of this thread alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    setgroups, setresuid = {"x86_64": (116, 117), "aarch64": (159, 147)}[os.uname().machine]
    keep = ctypes.c_long(-1)

    def become(uid, groups):
        assert libc.syscall(ctypes.c_long(setgroups), ctypes.c_long(len(groups)),
                            (ctypes.c_uint32 * len(groups))(*groups)) == 0
        assert libc.syscall(ctypes.c_long(setresuid), keep, ctypes.c_long(uid), keep) == 0

    own = os.getgroups()
    become(uid, own if groups is None else groups)
    try:
        sock.connect(path)
    finally:
        assert libc.syscall(ctypes.c_long(setresuid), keep, ctypes.c_long(0), keep) == 0
        become(0, own)


class RawClient:
    """Connected, authenticated and with a `name`. Reads only when told to."""

    def __init__(self, address, unix_fds=True, receive_buffer=None, uid=None, groups=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        path = address.partition("path=")[2].partition(",")[0]
        if uid is None:
            self.socket.connect(path)
        else:
            connect_as(self.socket, path, uid, groups)
        self.socket.settimeout(PATIENCE)
        self.serial = 0
        self.buffer = b""
        uid = str(os.getuid() if uid is None else uid).encode().hex().encode()
        self.socket.sendall(b"\0AUTH EXTERNAL " + uid + b"\r\n")
        self._line(b"OK")
        if unix_fds:
            self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
            self._line(b"AGREE")
        self.socket.sendall(b"BEGIN\r\n")
        serial = self.send("Hello", path="/org/freedesktop/DBus",
                           interface="org.freedesktop.DBus", destination="org.freedesktop.DBus")
        _, hello = self.wait_reply(serial)
        self.name = re.search(rb":\d+\.\d+", hello).group().decode()

    def _line(self, expected):
        while b"\r\n" not in self.buffer:
            self.buffer += self.socket.recv(4096)
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        assert line.startswith(expected), line

    def send(self, member, fds=(), **kwargs):
        """Send a call; gives its serial."""
        self.serial += 1
        data = message(self.serial, member, n_fds=len(fds), **kwargs)
        if fds:
            sent = socket.send_fds(self.socket, [data], list(fds))
            self.socket.sendall(data[sent:])
        else:
            self.socket.sendall(data)
        return self.serial

    def read(self, timeout=PATIENCE):
        """The next message: (kind, reply_serial or None, raw bytes)."""
        self.socket.settimeout(timeout)
        self._fill(16)
        _, kind, _, _, n_body, _, n_fields = struct.unpack_from("=cBBBIII", self.buffer)
        total = 16 + n_fields + (-n_fields % 8) + n_body
        self._fill(total)
        raw, self.buffer = self.buffer[:total], self.buffer[total:]
        return kind, self._reply_serial(raw, n_fields), raw

    def _fill(self, n):
        while len(self.buffer) < n:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the bus closed the connection")
            self.buffer += data

    @staticmethod
    def _reply_serial(raw, n_fields):
        at, end = 16, 16 + n_fields
        while at < end:
            at += -at % 8
            code, n_signature = raw[at], raw[at + 1]
            signature = raw[at + 2:at + 2 + n_signature]
            at += 3 + n_signature
            if signature == b"g":
                at += 2 + raw[at]
                continue
            at += -at % 4
            value = struct.unpack_from("=I", raw, at)[0]
            at += 4
            if signature in (b"s", b"o"):
                at += value + 1
            elif code == 5:
                return value
        return None

    def wait_reply(self, serial, timeout=PATIENCE):
        """Skip to the answer of a call: (kind, raw bytes)."""
        while True:
            kind, reply_serial, raw = self.read(timeout)
            if reply_serial == serial and kind in (METHOD_RETURN, ERROR):
                return kind, raw

    def read_reply(self, timeout=PATIENCE):
        """The next answer, whatever it answers: (kind, raw bytes)."""
        while True:
            kind, reply_serial, raw = self.read(timeout)
            if reply_serial is not None:
                return kind, raw

    def ping(self, timeout=PATIENCE):
        return self.wait_reply(self.send("Ping", interface="org.freedesktop.DBus.Peer"), timeout)

    def close(self):
        self.socket.close()
