"""A peer of HTTP/2 that says what no library would say."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
WINDOW_UPDATE, CONTINUATION = 8, 9
ACK, END_STREAM, END_HEADERS = 1, 1, 4
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
_FORWARD = "/actserve.v1.ActivationService/Forward"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Returns a frame of HTTP/2."""
    return (
        struct.pack(">I", len(payload))[1:]
        + struct.pack(">BBI", kind, flags, stream)
        + payload
    )


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")


def _string(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, size = len(data) - 127, b"\x7f"
    while rest >= 128:
        size += bytes([rest % 128 + 128])
        rest //= 128
    return size + bytes([rest]) + data


def header_block(more: list[tuple[str, str]], path: str = _FORWARD) -> bytes:
    """Returns the headers of a call, uncompressed."""
    headers = [
        *((":method", "POST"), (":scheme", "http"), (":path", path)),
        *((":authority", "a"), ("content-type", "application/grpc")),
        *(("te", "trailers"), *more),
    ]
    return b"".join(header(name, value) for name, value in headers)


def header(name: str, value: str) -> bytes:
    """Returns one of them."""
    return b"\0" + _string(name) + _string(value)


class Peer:
    """A connection that says whatever it is told to say."""

    def __init__(
        self,
        address: str,
        context: ssl.SSLContext | None = None,
        source: str = "",
    ):
        """Connects, by TLS if there is a context, and says its settings.

        `source` is the own address, which may be any of 127.0.0.0/8 for a
        server on loopback.
        """
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection(
            (host, int(port)), timeout=10, source_address=(source, 0)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.socket.sendall(PREFACE)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Returns False if the connection is closed."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def has_ended(self) -> bool:
        """Returns True once the other side has closed; reads what it said."""
        while select.select([self.socket], [], [], 0)[0]:
            try:
                if not self.socket.recv(1 << 16):
                    return True
            except OSError:
                return True
        return False

    def reset_streams(self, limit: int) -> int:
        """Begins and resets streams; returns how many were possible."""
        block = header_block([])
        for sent in range(limit):
            stream = 2 * sent + 1
            if not self.send(
                frame(HEADERS, END_HEADERS, stream, block)
                + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
            ):
                return sent
        return limit

    def frames(self, seconds: float = 10.0) -> list[tuple[int, bytes]]:
        """Returns all frames until the connection closes or falls silent."""
        self.socket.settimeout(seconds)
        data = b""
        with contextlib.suppress(OSError):
            while more := self.socket.recv(1 << 16):
                data += more
        found = []
        while len(data) >= 9:
            size = int.from_bytes(data[:3], "big")
            found.append((data[3], data[9 : 9 + size]))
            data = data[9 + size :]
        return found


class Caller(Peer):
    """A peer that keeps to the server's windows, and so sends long requests."""

    def __init__(self, address: str, window: int = 65535, source: str = ""):
        """Connects; `window` is how much of each answer may come."""
        super().__init__(address, source=source)
        self._num_calls = 0
        self._received = b""
        self._answer = b""  # To the last call.
        self._answered = False
        self._initial = 65535
        self._windows = {0: 65535}  # By stream; 0 is the connection's.
        self.send(
            frame(
                *(SETTINGS, 0, 0),
                struct.pack(">HI", INITIAL_WINDOW_SIZE, window),
            )
        )

    def call(
        self,
        path: str,
        message: bytes,
        declared: int | None = None,
        frame_bytes: int = 16384,
        patience: float = 5.0,
    ) -> bool:
        """Sends a request whose head declares a message of `declared` bytes.

        Returns False if the connection is closed, or if the server leaves no
        window for `patience` seconds.
        """
        stream = 2 * self._num_calls + 1
        self._num_calls += 1
        self._answer, self._answered = b"", False
        self._windows[stream] = self._initial
        size = len(message) if declared is None else declared
        body = struct.pack(">BI", 0, size) + message
        self.send(frame(HEADERS, END_HEADERS, stream, header_block([], path)))
        begin, since = 0, time.monotonic()
        while begin < len(body):
            if not self._take(0) or stream not in self._windows:
                return False
            room = min(self._windows[0], self._windows[stream], 1 << 20)
            end = min(begin + room, len(body))
            if end <= begin:
                if time.monotonic() - since > patience:
                    return False
                self._take(0.1)
                continue
            frames = []
            for at in range(begin, end, frame_bytes):
                part = body[at : min(at + frame_bytes, end)]
                is_last = declared is None and at + len(part) == len(body)
                flags = END_STREAM if is_last else 0
                frames.append(frame(DATA, flags, stream, part))
            self._windows[0] -= end - begin
            self._windows[stream] -= end - begin
            if not self.send(b"".join(frames)):
                return False
            begin, since = end, time.monotonic()
        return True

    def ask(self, path: str, message: bytes, seconds: float) -> bytes | None:
        """Calls, and returns the answer; None for an error or none in time.

        An answer may be as long as the window.
        """
        end = time.monotonic() + seconds
        if not self.call(path, message, patience=seconds):
            return None
        while not self._answered and (left := end - time.monotonic()) > 0:
            if not self._take(left):
                return None
        return self._answer[5:] if self._answered and self._answer else None

    def is_open(self, seconds: float) -> bool:
        """Returns False if the server closes the connection within that."""
        end = time.monotonic() + seconds
        while self._take(max(0.0, end - time.monotonic())):
            if time.monotonic() >= end:
                return True
        return False

    def _take(self, seconds: float) -> bool:
        """Waits for frames and obeys them. Returns False at the end."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return True
        try:
            more = self.socket.recv(1 << 16)
        except OSError:
            return False
        self._received += more
        while len(self._received) >= 9:
            size = int.from_bytes(self._received[:3], "big")
            if len(self._received) < 9 + size:
                break
            kind, flags = self._received[3], self._received[4]
            stream = int.from_bytes(self._received[5:9], "big")
            self._obey(kind, flags, stream, self._received[9 : 9 + size])
            self._received = self._received[9 + size :]
        return bool(more)

    def _obey(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if stream == 2 * self._num_calls - 1 and kind in (DATA, HEADERS):
            self._answer += payload if kind == DATA else b""
            self._answered = bool(flags & END_STREAM)
        if kind == DATA and payload:
            room = struct.pack(">I", len(payload))
            self.send(frame(WINDOW_UPDATE, 0, 0, room))
        elif kind == WINDOW_UPDATE and stream in self._windows:
            self._windows[stream] += int.from_bytes(payload, "big")
        elif kind == RST_STREAM:
            self._windows.pop(stream, None)
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == INITIAL_WINDOW_SIZE:
                    for other in self._windows.keys() - {0}:
                        self._windows[other] += value - self._initial
                    self._initial = value
            self.send(frame(SETTINGS, ACK, 0, b""))
