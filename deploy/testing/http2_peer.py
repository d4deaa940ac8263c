"""A peer of HTTP/2 that says what no library would say."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct

HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 1, 3, 4, 7, 9
END_STREAM, END_HEADERS = 1, 4
MAX_CONCURRENT_STREAMS = 3
_FORWARD = "/actserve.v1.ActivationService/Forward"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Returns a frame of HTTP/2."""
    return (
        struct.pack(">I", len(payload))[1:]
        + struct.pack(">BBI", kind, flags, stream)
        + payload
    )


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

    def __init__(self, address: str, context: ssl.SSLContext | None = None):
        """Connects, by TLS if there is a context, and says its settings."""
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.socket.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
        )

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
