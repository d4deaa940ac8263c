"""Training steps on three servers that end one after the other."""

import collections
import contextlib
import os
import threading
import time
from concurrent import futures

import numpy as np
import pytest
from test_restart import unused_port
from testbed import server_binary

import actserve
from actserve import _replicas
from actserve.testing import ServerProcess

pytestmark = pytest.mark.server

# How often each of the three ends.
NUM_ROUNDS = max(1, int(os.environ.get("ACTSERVE_RESTARTS", "5")) // 10)
WAIT_SECONDS = 120
SIZES = [4 << 10, 64 << 10, 1 << 20, 16 << 20]


@actserve.activation
def quartic(x):
    return x * x * x * x - x


class Trainer:
    """Does steps of a training in a loop: a thread for each of SIZES."""

    def __init__(self, client):
        self._client = client
        self._changed = threading.Condition()
        self._stopped = False
        self.num_right = [0] * len(SIZES)
        self.num_gone = 0
        self.failures = collections.Counter()

    def _step(self, x):
        """Returns output and gradient, and whether the residual was there."""
        y, _, residual = self._client.forward_with(
            quartic, x, keep_residual=True
        )
        gradients = self._client.backward(
            quartic, residual=residual, grad_output=x
        )
        return y, gradients["x"], residual.is_held

    def run(self, index):
        x = np.linspace(-2, 2, SIZES[index] // 4, dtype=np.float32)
        want = self._step(x)[:2]
        while not self._stopped:
            failure = None
            held = True
            try:
                y, dx, held = self._step(x)
                if (y.tobytes(), dx.tobytes()) != tuple(
                    array.tobytes() for array in want
                ):
                    failure = "wrong bits"
            except actserve.ActivationError as error:
                failure = str(error)
            with self._changed:
                self.num_gone += not held
                if failure:
                    self.failures[failure] += 1
                else:
                    self.num_right[index] += 1
                self._changed.notify()

    def await_steps(self, num_steps):
        """Waits until each thread has done as many more."""
        with self._changed:
            before = list(self.num_right)
            assert self._changed.wait_for(
                lambda: all(
                    now >= then + num_steps
                    for now, then in zip(self.num_right, before, strict=True)
                ),
                WAIT_SECONDS,
            ), self.failures

    def close(self):
        self._stopped = True


@contextlib.contextmanager
def running(client):
    """Yields a Trainer whose threads run."""
    trainer = Trainer(client)
    with (
        futures.ThreadPoolExecutor(len(SIZES)) as pool,
        contextlib.closing(trainer),
    ):
        threads = [pool.submit(trainer.run, i) for i in range(len(SIZES))]
        trainer.await_steps(1)
        yield trainer
        trainer.close()
        for thread in threads:
            thread.result()


@pytest.fixture
def servers():
    """Three servers with ports that stay theirs over a restart."""
    with contextlib.ExitStack() as stack:
        result = []
        for _ in range(3):
            server = stack.enter_context(ServerProcess(server_binary()))
            server.stop()
            server.address = f"127.0.0.1:{unused_port()}"
            server.start()
            result.append(server)
        yield result


def address_of(servers):
    return ",".join(server.address for server in servers)


def num_requests(server):
    """Returns how many tensor requests a server has taken since its start."""
    with actserve.connect(server.address) as client:
        (device,) = client.get_server_info().devices
    return (
        device.counters["num_inline_requests"]
        + device.counters["num_queued_requests"]
    )


def test_calls_one_after_the_other_take_turns(connect, servers):
    with connect(address_of(servers)) as client:
        for _ in range(30):
            client.forward("relu", [1.0])

    assert [num_requests(server) for server in servers] == [10, 10, 10]


def test_all_servers_compute_and_residuals_are_found(connect, servers):
    """A server that is slower, or has the large calls, gets fewer of them."""
    with (
        connect(address_of(servers)) as client,
        running(client) as trainer,
    ):
        before = [num_requests(server) for server in servers]
        trainer.await_steps(20)
        after = [num_requests(server) for server in servers]

    shares = [b - a for a, b in zip(before, after, strict=True)]
    print(f"requests of each server: {shares}, {trainer.num_gone} gone")
    assert trainer.failures == {}
    assert trainer.num_gone == 0
    assert all(shares)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_servers_that_end_in_turn_lose_no_step(connect, servers, end):
    with (
        connect(address_of(servers)) as client,
        running(client) as trainer,
    ):
        for _ in range(NUM_ROUNDS):
            for server in servers:
                trainer.await_steps(2)
                assert not getattr(server, end)()
                trainer.await_steps(1)
                server.start()
        trainer.await_steps(2)

    print(f"{end}: {3 * NUM_ROUNDS} ends, {sum(trainer.num_right)} steps")
    assert trainer.failures == {}


def test_a_rolling_restart_that_waits_for_nothing_loses_no_step(
    connect, servers
):
    """All three may be gone for a moment, and none has its residuals."""
    with (
        connect(address_of(servers)) as client,
        running(client) as trainer,
    ):
        for _ in range(NUM_ROUNDS):
            for server in servers:
                server.stop()
                server.start()
        trainer.await_steps(2)

    assert trainer.failures == {}


def test_a_name_of_several_servers_loses_no_step(monkeypatch):
    """127.0.0.1 to 127.0.0.3, which need no system file to be names."""
    port = unused_port()
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    monkeypatch.setattr(
        "socket.getaddrinfo",
        lambda host, port, **_: [
            (2, 1, 6, "", (address, int(port)))
            for address in hosts
            if host == "replicas.localhost"
        ],
    )
    with contextlib.ExitStack() as stack:
        servers = []
        for host in hosts:
            server = stack.enter_context(ServerProcess(server_binary()))
            server.stop()
            server.address = f"{host}:{port}"
            server.start()
            servers.append(server)
        client = stack.enter_context(
            # The library asks the system for names.
            actserve.connect(f"dns:///replicas.localhost:{port}", pure=True)
        )
        with running(client) as trainer:
            trainer.await_steps(2)
            for server in servers:
                server.kill()
                trainer.await_steps(1)
                server.start()
            # Each gets calls again.
            deadline = time.monotonic() + WAIT_SECONDS
            while not all(map(num_requests, servers)):
                assert time.monotonic() < deadline
                trainer.await_steps(1)

    assert trainer.failures == {}


def test_the_session_goes_to_a_real_server(servers):
    """Metadata that it does not know changes nothing."""
    with actserve.connect(servers[0].address, pure=True) as client:
        assert client.forward("relu", [1.0])[0] == 1
        (pair,) = client._way._replicas._metadata

    assert pair[0] == _replicas.SESSION_KEY
