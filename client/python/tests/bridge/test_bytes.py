"""What a training step costs on the wire, by each way to its gradient."""

import numpy as np
import pytest
from proxy import Meter

from actserve._bridge import Spec, evaluator

pytestmark = pytest.mark.server

X = np.random.default_rng(1).normal(size=1 << 18).astype(np.float32)


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
