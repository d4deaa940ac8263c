"""Failures on the way to a server, as proxies and networks make them."""

import contextlib
import subprocess

import numpy as np
import pytest
from proxy import (
    END_HEADERS,
    END_STREAM,
    HEADERS,
    RST_STREAM,
    Proxy,
    frame,
)
from testbed import server_binary

SMALL = np.array([1.0, -2.0], np.float32)
LARGE = np.arange(1 << 19, dtype=np.float32)


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
