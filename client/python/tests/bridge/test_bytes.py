"""What a training step costs on the wire, by each way to its gradient."""

import socket
import threading

import numpy as np
import pytest

from actserve._bridge import Spec, evaluator

pytestmark = pytest.mark.server

X = np.random.default_rng(1).normal(size=1 << 18).astype(np.float32)


class Meter:
    """Passes bytes on to a server, and counts them.

    Attributes:
      address: Where it begins.
      num_bytes: In both directions so far.
    """

    def __init__(self, target):
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.num_bytes = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._target)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass_on, args=(source, sink), daemon=True
                ).start()

    def _pass_on(self, source, sink):
        while data := source.recv(1 << 20):
            with self._lock:
                self.num_bytes += len(data)
            sink.sendall(data)


def stateless(of):
    of.forward([X])
    return of.backward([X], X, ["x"])[0]


def residual(of):
    _, kept = of.forward_with_residual([X])
    return of.backward([X], X, ["x"], residual=kept)[0]


def partials(of):
    _, (partial,) = of.forward_with_partials([X])
    return partial * X


@pytest.mark.parametrize(
    ("step", "num_tensors"), [(stateless, 5), (residual, 4), (partials, 3)]
)
def test_a_step_moves_so_many_tensors(shared_server, step, num_tensors):
    meter = Meter(shared_server.address)
    of = evaluator(Spec.make("gelu", meter.address))
    of.forward([X[:1]])
    before = meter.num_bytes

    gradient = step(of)

    moved = (meter.num_bytes - before) / X.nbytes
    assert num_tensors <= moved < num_tensors * 1.01
    np.testing.assert_allclose(
        gradient,
        evaluator(Spec.make("gelu", "local")).backward([X], X, ["x"])[0],
        rtol=1e-6,
        atol=1e-7,
    )
