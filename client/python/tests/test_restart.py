"""Calls that never stop, on a server or connections that do."""

import collections
import contextlib
import os
import re
import socket
import threading
from concurrent import futures

import numpy as np
import pytest
from testbed import server_binary

import actserve
from actserve.testing import ServerProcess

pytestmark = pytest.mark.server

NUM_RESTARTS = int(os.environ.get("ACTSERVE_RESTARTS", "5"))
WAIT_SECONDS = 60
SMALL = np.linspace(-2, 2, 1 << 10, dtype=np.float32)  # 4 KiB
LARGE = np.linspace(-2, 2, 1 << 20, dtype=np.float32)  # 4 MiB


@actserve.activation
def cubic(x):
    return x * x * x - x


def forward(client, x):
    return client.forward("relu", x)


def step(client, x):
    """A step of a training that registers, and keeps a residual."""
    _, _, residual = client.forward_with(cubic, x, keep_residual=True)
    return client.backward(cubic, residual=residual, grad_output=x)["x"]


WORK = [
    (forward, SMALL),
    (forward, SMALL),
    (forward, LARGE),
    (step, SMALL),
    (step, LARGE),
]


class Load:
    """Does each of WORK in a loop, on a thread and a client of its own."""

    def __init__(self, address):
        self._address = address
        self._changed = threading.Condition()
        self._stopped = False
        self.num_right = [0] * len(WORK)
        self.failures = collections.Counter()

    def run(self, index):
        call, x = WORK[index]
        with actserve.connect(self._address) as client:
            want = call(client, x)
            while not self._stopped:
                try:
                    wrong = not np.array_equal(call(client, x), want)
                    failure = "wrong values" if wrong else None
                except actserve.ActivationError as error:
                    failure = str(error)
                with self._changed:
                    if failure:
                        self.failures[failure] += 1
                    else:
                        self.num_right[index] += 1
                    self._changed.notify()

    def await_progress(self):
        """Waits until each of WORK was done twice more: once from its begin."""
        with self._changed:
            before = list(self.num_right)
            assert self._changed.wait_for(
                lambda: all(
                    now >= then + 2
                    for now, then in zip(self.num_right, before, strict=True)
                ),
                WAIT_SECONDS,
            ), self.failures

    def close(self):
        self._stopped = True


def unused_port():
    """Returns a port that the system gives to no other socket by itself.

    A client that tries to reach a port of the system's own range while nobody
    listens there may be given that very port, and then keep it.
    """
    for port in range(20000, 30000):
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            return port
    raise AssertionError("no port is free")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_restarts_under_load_lose_no_call(server, end):
    server.stop()
    server.address = f"127.0.0.1:{unused_port()}"
    server.start()
    load = Load(server.address)
    with (
        futures.ThreadPoolExecutor(len(WORK)) as pool,
        contextlib.closing(load),
    ):
        workers = [pool.submit(load.run, index) for index in range(len(WORK))]
        for _ in range(NUM_RESTARTS):
            load.await_progress()
            assert not getattr(server, end)()
            server.start()
        load.await_progress()

    for worker in workers:
        worker.result()
    print(f"{end}: {NUM_RESTARTS} restarts, {sum(load.num_right)} calls")
    assert load.failures == {}


def num_connections(server):
    """Returns how many connections calls have come over so far."""
    return len(set(re.findall(r'"request".*?"peer":"(.*?)"', server.log())))


def test_connections_that_age_lose_no_call():
    with ServerProcess(
        server_binary(), "--log_level=debug", "--max_connection_age=200ms"
    ) as server:
        load = Load(server.address)
        with (
            futures.ThreadPoolExecutor(len(WORK)) as pool,
            contextlib.closing(load),
        ):
            workers = [pool.submit(load.run, i) for i in range(len(WORK))]
            while num_connections(server) < 8 * len(WORK):
                load.await_progress()

        for worker in workers:
            worker.result()
        print(f"{num_connections(server)} connections, {load.num_right} calls")
        assert load.failures == {}
