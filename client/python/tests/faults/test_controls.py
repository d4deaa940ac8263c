"""A planted fault fails the run that guards against it.

Otherwise a guard that sees nothing would pass too. The control of
ThreadSanitizer is server/rpc/planted/race_test.cc.
"""

import re
import subprocess
import time

import numpy as np
import pytest
from history import History, Server, faulty_binary, load
from testbed import server_binary

import actserve

pytestmark = pytest.mark.server

# Growth of a server that does the same work again and again.
MAX_GROWTH_BYTES = 8 << 20
MAX_SMALL_CALL_SECONDS = 0.02


@pytest.fixture
def plant(monkeypatch):
    """Starts a server with failpoints."""
    servers = []

    def start(failpoints):
        monkeypatch.setenv("FAILPOINTS", failpoints)
        servers.append(Server(binary=faulty_binary()))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
        server.__exit__()


def judge(server, **options):
    """What the history has to say about a server."""
    history = History()
    with load(history, server.address, **options) as callers:
        callers.await_calls(30)
    history.check()


def growth(server, num_calls=2000):
    """How much more memory a server has after calls than after the first."""
    x = np.zeros(64, np.float32)
    with actserve.connect(server.address) as client:
        for number in range(num_calls):
            client.forward("relu", x)
            if number == num_calls // 4:
                before = server.metric("process_resident_memory_bytes")
    return server.metric("process_resident_memory_bytes") - before


def median_seconds(server):
    """How long a small call takes."""
    x = np.zeros(64, np.float32)
    seconds = []
    with actserve.connect(server.address) as client:
        for _ in range(30):
            start = time.monotonic()
            client.forward("relu", x)
            seconds.append(time.monotonic() - start)
    return sorted(seconds)[len(seconds) // 2]


def test_another_bit_is_found(plant):
    judge(plant("none"))
    with pytest.raises(AssertionError, match="answered with other bits"):
        judge(plant("wrong_answer:1%20"))


def test_a_lost_answer_is_found(plant):
    with pytest.raises(AssertionError, match="refused with DEADLINE_EXCEEDED"):
        judge(plant("lost_answer:1%20"), timeout=1.0)


def test_a_lost_answer_is_held(plant):
    server = plant("lost_answer!")
    with (
        actserve.connect(server.address, timeout=0.5) as client,
        pytest.raises(actserve.ActivationError, match="DEADLINE_EXCEEDED"),
    ):
        client.forward("relu", np.zeros(4, np.float32))
    with pytest.raises(AssertionError, match="requests"):
        server.await_nothing_held(patience=2)


@pytest.mark.full
def test_a_leak_is_found(plant):
    assert growth(plant("none")) < MAX_GROWTH_BYTES
    assert growth(plant("leak:16")) > MAX_GROWTH_BYTES


@pytest.mark.full
def test_a_slow_path_is_found(plant):
    assert median_seconds(plant("none")) < MAX_SMALL_CALL_SECONDS
    assert median_seconds(plant("slow_path:50")) > MAX_SMALL_CALL_SECONDS


def test_a_release_has_no_failpoints():
    names = subprocess.run(
        ["strings", "-a", server_binary()],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    faulty = subprocess.run(
        ["strings", "-a", faulty_binary()],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    pattern = re.compile(
        r"failpoint|FAILPOINTS|fiu_|libfiu|slow_compile|lost_answer"
    )
    assert len(set(pattern.findall(faulty))) >= 5
    assert pattern.findall(names) == []
