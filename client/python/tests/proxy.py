"""Proxies of tests, on the way to a server."""

import contextlib
import queue
import socket
import threading
import time

PREFACE_BYTES = 24
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
ACK = END_STREAM = 1
END_HEADERS = 4


def frame(kind, flags=0, stream=0, payload=b""):
    """Returns a frame of HTTP/2."""
    return (
        len(payload).to_bytes(3, "big")
        + bytes([kind, flags])
        + stream.to_bytes(4, "big")
        + payload
    )


class Proxy:
    """Forwards connections; the first ones meet the `faults`, one each."""

    def __init__(self, target, faults, own_port=0):
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self.faults = list(faults)
        self._listener = socket.create_server(("127.0.0.1", own_port))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = []
        self._start(self._accept)

    def close(self):
        for each in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def answer(self, client, make_frame):
        """Answers the first call on `client` with a frame, and closes."""
        with client, client.makefile("rb") as received:
            client.sendall(frame(SETTINGS))
            received.read(PREFACE_BYTES)
            while head := received.read(9):
                received.read(int.from_bytes(head[:3], "big"))
                if head[3] == SETTINGS and not head[4] & ACK:
                    client.sendall(frame(SETTINGS, ACK))
                if head[3] == HEADERS:
                    stream = int.from_bytes(head[5:], "big")
                    client.sendall(make_frame(stream))
                    client.shutdown(socket.SHUT_WR)

    def forward(self, client, request_bytes=None, reply_bytes=None):
        server = socket.create_connection(self._target)
        self._open.append(server)
        self._start(self._copy, server, client, reply_bytes)
        self._copy(client, server, request_bytes)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                fault = self.faults.pop(0) if self.faults else Proxy.forward
                self._start(fault, self, client)

    def _copy(self, source, sink, left):
        """Copies until the end, or `left` bytes; then ends both."""
        with contextlib.suppress(OSError):
            while left is None or left > 0:
                data = source.recv(1 << 16 if left is None else left)
                if not data:
                    break
                sink.sendall(data)
                if left is not None:
                    left -= len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _start(self, function, *arguments):
        def run():
            with contextlib.suppress(OSError):
                function(*arguments)

        threading.Thread(target=run, daemon=True).start()


class Slow(Proxy):
    """Delays every byte on its way to the server, as a long line does.

    Attributes:
      seconds: How long.
    """

    def __init__(self, target, seconds):
        self.seconds = seconds
        super().__init__(target, [])

    def _copy(self, source, sink, left):
        if sink.getpeername() != self._target:
            return super()._copy(source, sink, left)
        waiting = queue.SimpleQueue()

        def deliver():
            while chunk := waiting.get():
                due, data = chunk
                time.sleep(max(0, due - time.monotonic()))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

        self._start(deliver)
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                waiting.put((time.monotonic() + self.seconds, data))
        waiting.put(None)


class Meter(Proxy):
    """Counts the bytes that it forwards.

    Attributes:
      num_bytes: In both directions so far.
    """

    def __init__(self, target):
        self._lock = threading.Lock()
        self.num_bytes = 0
        super().__init__(target, [])

    def _copy(self, source, sink, left):
        while data := source.recv(1 << 20):
            with self._lock:
                self.num_bytes += len(data)
            sink.sendall(data)


class Cable(Proxy):
    """Can be cut: nothing goes through for a while, as if bytes were lost."""

    def __init__(self, target, own_port=0):
        self._whole = threading.Event()
        self._whole.set()
        super().__init__(target, [], own_port)

    def cut(self, seconds, resets):
        """Cuts it for so long.

        Args:
          seconds: How long.
          resets: Whether connections are lost, or go on with what waited.
        """
        self._whole.clear()
        lost = list(self._open) if resets else []

        def mend():
            for each in lost:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._whole.set()

        threading.Timer(seconds, mend).start()

    def forward(self, client, request_bytes=None, reply_bytes=None):
        self._whole.wait()
        super().forward(client, request_bytes, reply_bytes)

    def _copy(self, source, sink, left):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._whole.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
