"""Programs in NumPy, against the library that computes the same."""

import numpy as np
import pytest
from bridge_cases import GATED, SOFTMAX, STEP, SWISH

import actserve
from actserve._bridge import Spec, evaluator
from actserve._bridge.evaluator import Evaluator
from actserve._bridge.program import Program, UnsupportedProgramError

pytestmark = pytest.mark.server

X = np.concatenate(
    [np.linspace(-6, 6, 1001), [-700.0, -40.0, 40.0, 700.0, 1e-9, 0.0]]
)
# What no program can do here, and why.
UNSUPPORTED = {
    "entmax15": "rowsort",
    "rrelu": "uniform",
    "sparsemax": "rowsort",
}


def close(y, want):
    np.testing.assert_allclose(y, want, rtol=1e-12, atol=1e-14)


def test_every_built_in_agrees_with_the_library():
    unsupported = {}
    with actserve.connect("local") as client:
        for listed in client.list_activations():
            info = client.get_activation(listed.name)
            arrays = [np.roll(X, 7 * k) for k in range(len(info.inputs))]
            values = dict(zip(info.inputs, arrays, strict=True))
            axis = 0 if info.reads_rows else None
            try:
                y = Program(info.program)(values | info.parameters, axis)
            except UnsupportedProgramError as error:
                unsupported[info.name] = str(error).partition("(")[0]
                continue
            close(y, client.forward(info.name, *arrays, axis=axis))
            if info.reads_rows or info.declared_gradient:
                continue
            gradients = client.backward(info.name, *arrays)
            for name, text in zip(info.inputs, info.gradients, strict=False):
                close(Program(text)(values | info.parameters), gradients[name])

    assert unsupported == UNSUPPORTED


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    t0 = import_os(x)\n    return t0\n",
        "def f(x):\n    t0 = x.real\n    return t0\n",
        "def f(x):\n    for i in x: pass\n    return x\n",
        "def f(x):\n    t0 = x + 1\n# cut: too long",
        "f(x)",
        "def f(x:",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(UnsupportedProgramError):
        Program(text)


@pytest.fixture
def without(monkeypatch, server):
    """Evaluators of a server that is away, which do not have the library."""
    monkeypatch.setenv("ACTSERVE_LIBRARY", "none")
    client = actserve.connect(server.address, max_attempts=2)

    def make(activation, **options):
        of = Evaluator(
            Spec.make(activation, client, fallback="local", **options)
        )
        return of

    make.server = server
    return make


def test_training_goes_on_in_numpy(without, caplog):
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    dy = np.cos(x)
    beta = np.linspace(0.5, 2, 4, dtype=np.float32)
    bias = np.float32(0.5).reshape(1)
    swish = without(SWISH, parameters=[("beta", 1)])
    gated = without(GATED)
    gelu = without("gelu")
    calls = [
        lambda: [swish.forward([x, beta])],
        lambda: swish.backward([x, beta], dy, swish.variables),
        lambda: [gated.forward([x, bias])],
        lambda: gated.backward([x, bias], dy, gated.variables),
        lambda: [gelu.forward_with_residual([x])[0]],
        lambda: [gelu.forward_with_partials([x])[1][0]],
    ]
    want = [call() for call in calls]
    without.server.kill()

    found = [call() for call in calls]

    for arrays, wanted in zip(found, want, strict=True):
        for y, w in zip(arrays, wanted, strict=True):
            assert (y.shape, y.dtype) == (w.shape, w.dtype)
            np.testing.assert_allclose(y, w, rtol=2e-6, atol=1e-7)
    assert "by NumPy, until it does" in caplog.text
    assert actserve.fallback_counts()[without.server.address] == len(calls)


def test_rows_are_computed_along_their_axis(without):
    x = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    by_axis = [without(SOFTMAX, axis=axis) for axis in (0, -1)]
    want = [of.forward([x]) for of in by_axis]
    without.server.kill()

    for of, wanted in zip(by_axis, want, strict=True):
        np.testing.assert_allclose(of.forward([x]), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("activation", "options", "call"),
    [
        (SOFTMAX, {"axis": 0}, lambda of, x: of.backward([x], x, ["x"])),
        (STEP, {}, lambda of, x: of.backward([x], x, ["x"])),
        ("sparsemax", {"axis": 0}, lambda of, x: of.forward([x])),
        (SWISH, {}, lambda of, x: of.second_order([x], x, {"x": x}, ["x"])),
    ],
    ids=["gradient of rows", "declared", "sorted rows", "second order"],
)
def test_what_numpy_cannot_do_is_an_error(without, activation, options, call):
    x = np.linspace(-1, 1, 5)
    of = without(activation, **options)
    of.forward([x])
    without.server.kill()

    with pytest.raises(actserve.ActivationError) as caught:
        call(of, x)

    assert caught.value.code.name in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def test_with_the_library_numpy_is_not_asked(server):
    of = evaluator(Spec.make("gelu", server.address, fallback="local"))
    of.forward([X])

    assert of._without_library is None
