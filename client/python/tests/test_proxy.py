"""Failures on the way to a server, as proxies and networks make them."""

import contextlib
import socket
import subprocess
import threading

import numpy as np
import pytest
from testbed import server_binary

PREFACE_BYTES = 24
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
ACK = END_STREAM = 1
END_HEADERS = 4

SMALL = np.array([1.0, -2.0], np.float32)
LARGE = np.arange(1 << 19, dtype=np.float32)


def frame(kind, flags=0, stream=0, payload=b""):
    """Returns a frame of HTTP/2."""
    return (
        len(payload).to_bytes(3, "big")
        + bytes([kind, flags])
        + stream.to_bytes(4, "big")
        + payload
    )


def reset(error_code):
    """A fault: the stream is reset, before any answer."""
    payload = error_code.to_bytes(4, "big")
    return lambda proxy, client: proxy.answer(
        client, lambda stream: frame(RST_STREAM, 0, stream, payload)
    )


def answer_of_http(status):
    """A fault: an answer of HTTP that knows nothing of gRPC."""
    headers = b"\x08\x03" + str(status).encode()
    return lambda proxy, client: proxy.answer(
        client,
        lambda stream: frame(
            HEADERS, END_STREAM | END_HEADERS, stream, headers
        ),
    )


def cut_request(num_bytes):
    """A fault: the connection ends after so many bytes of the client."""
    return lambda proxy, client: proxy.forward(client, num_bytes, None)


def cut_reply(num_bytes):
    """A fault: the connection ends after so many bytes of the server."""
    return lambda proxy, client: proxy.forward(client, None, num_bytes)


class Proxy:
    """Forwards connections; the first ones meet the `faults`, one each."""

    def __init__(self, target, faults):
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self.faults = list(faults)
        self._listener = socket.create_server(("127.0.0.1", 0))
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


FAULTS = {
    "NO_ERROR": reset(0),
    "PROTOCOL_ERROR": reset(1),
    "INTERNAL_ERROR": reset(2),
    "REFUSED_STREAM": reset(7),
    "CANCEL": reset(8),
    "ENHANCE_YOUR_CALM": reset(11),
    "503": answer_of_http(503),
    "507": answer_of_http(507),
    "request cut": cut_request(1_000_000),
    "reply cut": cut_reply(1_000_000),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("x", [SMALL, LARGE], ids=["small", "large"])
def test_a_call_that_nobody_answered_is_repeated(connect, service, fault, x):
    proxy = Proxy(service.address, [fault] * 2)
    with (
        contextlib.closing(proxy),
        connect(proxy.address, timeout=20) as client,
    ):
        np.testing.assert_array_equal(client.forward("f", x), 2 * x)
        np.testing.assert_array_equal(client.forward("f", LARGE), 2 * LARGE)

    assert proxy.faults == []


# Its call here is small.
EARLY_FAULTS = FAULTS | {
    "request cut": cut_request(100),
    "reply cut": cut_reply(20),
}


@pytest.mark.server
@pytest.mark.parametrize("fault", EARLY_FAULTS.values(), ids=EARLY_FAULTS)
def test_the_client_of_cpp_repeats_it_too(service, fault):
    """With another version of gRPC below it."""
    actctl = server_binary().parent / "actctl"
    proxy = Proxy(service.address, [fault] * 2)
    with contextlib.closing(proxy):
        shown = subprocess.run(
            [actctl, "show", "f", f"--address={proxy.address}"],
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert (shown.returncode, shown.stderr) == (0, "")
    assert proxy.faults == []
