"""The ways to an engine: shared memory, the best of two, and what they cost."""

import re

import ml_dtypes
import numpy as np
import pytest

import actserve

DTYPES = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)


def mapped_bytes(server) -> int:
    """Returns the bytes of clients' memory that a server has mapped."""
    total = 0
    with open(f"/proc/{server._process.pid}/maps") as maps:
        for line in maps:
            if "actserve-region" in line:
                start, end = line.split()[0].split("-")
                total += int(end, 16) - int(start, 16)
    return total


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_arrays_in_shared_memory_give_the_same_bits(server, dtype, size):
    with (
        actserve.connect(server.unix_address) as shared,
        actserve.connect(server.address, pure=True) as sent,
    ):
        x = shared.empty(size, dtype)
        x[...] = np.linspace(-4, 4, size, dtype=np.float32)
        out = shared.empty(size, dtype)

        assert shared.forward("gelu", x, out=out) is out
        gradient = shared.backward("gelu", x, out={"x": x})["x"]

        plain = np.linspace(-4, 4, size, dtype=np.float32).astype(dtype)
        np.testing.assert_array_equal(out, sent.forward("gelu", plain))
        assert gradient is x
        np.testing.assert_array_equal(x, sent.backward("gelu", plain)["x"])


def test_large_arrays_are_shared(server):
    with actserve.connect(server.unix_address) as client:
        before = mapped_bytes(server)
        array = client.empty((1000, 1000))
        client.forward("relu", array, out=array)
        assert mapped_bytes(server) > before
        del client
    # The memory is the array's now.
    array[...] = 1
    assert array.sum() == 1_000_000


def test_empty_without_shared_memory_is_an_array(server):
    with actserve.connect(server.address, pure=True) as client:
        array = client.empty((2, 3), "float64")
        assert array.shape == (2, 3)
        assert array.dtype == np.float64


@pytest.mark.parametrize("pure", [False, True])
def test_empty_refuses_what_is_no_array(server, pure):
    with actserve.connect(server.unix_address, pure=pure) as client:
        with pytest.raises(ValueError, match="negative"):
            client.empty(-1)
        # Elements that are pointers, in memory that holds none.
        with pytest.raises(TypeError, match="dtype object is none of float16"):
            client.empty(3, object)
        with pytest.raises(TypeError):
            client.empty(2.5)
        with pytest.raises(ValueError, match="too big"):
            client.empty((1 << 62, 1 << 62))
        # It ended the process.
        with pytest.raises(MemoryError):
            client.empty(1 << 50)


def test_advise_refuses_what_is_no_shape(server):
    with (
        actserve.connect(server.unix_address) as client,
        pytest.raises(ValueError, match="negative dimensions"),
    ):
        client.advise("gelu", (8, -4))


def test_auto_computes_here_while_the_server_is_gone(server):
    with actserve.connect(f"auto:{server.address}") as client:
        server.kill()
        x = np.linspace(-1, 1, 50, dtype=np.float32)
        np.testing.assert_array_equal(
            client.forward("relu", x), np.maximum(x, 0)
        )


def test_auto_takes_every_call(server):
    @actserve.activation
    def twice(x, a=2.0):
        return a * x

    with actserve.connect(f"auto:{server.address}") as client:
        for size in (5, 2_000_000):
            x = np.ones(size, np.float32)
            np.testing.assert_array_equal(client.forward(twice, x), 2 * x)
            gradients = client.backward(twice, x, wrt=["x", "a"])
            assert gradients["a"] == size
        assert client.health()


def test_auto_needs_the_library(server):
    with pytest.raises(FileNotFoundError, match="auto:"):
        actserve.connect(f"auto:{server.address}", pure=True)
    with pytest.raises(ValueError, match="has no port"):
        actserve.connect("auto:nowhere")


def test_advise_measures_the_ways_that_there_are(server):
    with actserve.connect(server.unix_address) as client:
        advice = client.advise(
            "gelu", (8, 4), beside=lambda: np.zeros(32).sum(), seconds=0.05
        )

    ways = [each.way for each in advice.distances]
    assert sorted(ways[:-1]) == ["local", "server", "shared memory, in place"]
    assert ways[-1] == "beside"
    assert advice.failures == {}
    assert 0 < advice.best.forward < advice.best.step
    assert re.search(
        r"take [a-z ,]+: [\d.]+ times as fast as .*; its forward takes [\d.]+ ",
        str(advice).splitlines()[-1],
    )


def test_advise_says_why_a_way_fails():
    with actserve.connect("127.0.0.1:1", max_attempts=1, timeout=2) as client:
        advice = client.advise("gelu", 3, seconds=0.01)
    assert [each.way for each in advice.distances] == ["local"]
    assert "UNAVAILABLE" in advice.failures["server"]
