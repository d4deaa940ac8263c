"""Calls that this process answers: the same results, without a server."""

import gc
import multiprocessing
import os
import pickle
import threading

import numpy as np
import pytest

import actserve


@actserve.activation
def spiky(x, scale=1.0):
    r = x % 1
    return scale * r if r <= 0.5 else 0


@pytest.fixture
def client():
    with actserve.connect("local") as result:
        yield result


@pytest.mark.parametrize("size", [0, 1, 1000, 1 << 20])
def test_values_and_gradients_of_any_size(client, size):
    rng = np.random.default_rng(size)
    x = rng.standard_normal(size).astype(np.float32)
    dy = rng.standard_normal(size).astype(np.float32)

    y = client.forward("tanh", x)
    dx = client.backward("tanh", x, grad_output=dy)["x"]

    want = np.tanh(x.astype(float))
    np.testing.assert_allclose(y, want, rtol=1e-6)
    np.testing.assert_allclose(dx, dy * (1 - want**2), rtol=1e-4, atol=1e-6)
    y[...] = 0  # writable
    assert y.flags.owndata or size >= 1000


def test_a_function_of_the_users_own(client):
    x = np.array([0.2, 1.9, 2.25])
    grads = client.backward(spiky, x, wrt=["x", "scale"])
    np.testing.assert_array_equal(grads["x"], [1, 0, 1])
    assert grads["scale"] == pytest.approx(0.45)


def test_rows_channels_residuals_and_second_order(client):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((5, 40_000))
    np.testing.assert_allclose(
        client.forward("softmax", x, axis=-1).sum(axis=-1), 1
    )
    slope = np.linspace(0, 1, 5)
    y, _, residual = client.forward_with(
        "prelu",
        x,
        parameters={"a": actserve.PerAxis(slope, 0)},
        keep_residual=True,
    )
    np.testing.assert_allclose(y, np.where(x > 0, x, slope[:, None] * x))
    before = x.copy()
    x[...] = 0
    grads = client.backward("prelu", residual=residual, wrt=["x", "a"])
    np.testing.assert_allclose(
        grads["a"], np.where(before > 0, 0, before).sum(axis=1)
    )
    again = client.backward(
        "sine", before, order=2, cotangents={"x": np.ones_like(before)}
    )
    np.testing.assert_allclose(again["x"], -np.sin(before), rtol=1e-9)


def test_a_result_outlives_its_client():
    x = np.linspace(-3, 3, 1 << 18)
    with actserve.connect("local") as client:
        y = client.forward("relu", x)
    del client
    gc.collect()
    np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_a_client_that_is_closed_leaves_no_thread():
    def num_threads():
        return len(os.listdir("/proc/self/task"))

    with actserve.connect("local") as client:
        client.forward("relu", np.ones(1 << 20))
        before = num_threads()
    assert num_threads() < before


def test_many_threads(client):
    wrong = []

    def run(seed):
        x = np.random.default_rng(seed).standard_normal(200_000)
        for _ in range(5):
            if not np.array_equal(client.forward("relu", x), np.maximum(x, 0)):
                wrong.append(seed)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def _child(client, queue):
    queue.put(float(client.forward(spiky, np.full(300_000, 0.25))[-1]))


def test_a_forked_child_has_an_engine_of_its_own(client):
    client.forward(spiky, np.full(300_000, 0.25))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(client, queue))
    child.start()
    assert queue.get(timeout=60) == 0.25
    child.join(60)
    assert child.exitcode == 0


def test_it_pickles(client):
    copy = pickle.loads(pickle.dumps(client))
    assert copy.address == "local"
    assert copy.health()
    assert copy.forward("relu", [-1.0, 2.0]).tolist() == [0, 2]


def test_bad_input(client, monkeypatch):
    with pytest.raises(actserve.ActivationError, match="axis") as caught:
        client.forward("softmax", np.zeros((2, 3)))
    assert caught.value.code.name == "INVALID_ARGUMENT"
    with pytest.raises(actserve.ActivationError) as caught:
        client.register_activation(
            actserve.Activation("def f(x):\n    return nope(x)\n")
        )
    assert [d.line for d in caught.value.diagnostics] == [2]
    with pytest.raises(actserve.ActivationError, match="NOT_FOUND"):
        client.forward("no_such", [1.0])
    with pytest.raises(actserve.ActivationError, match="tpu"):
        actserve.connect("local", device="tpu")
    with pytest.raises(actserve.ActivationError, match="-3"):
        actserve.connect("local", num_threads=-3)
    client.close()
    with pytest.raises(actserve.ActivationError, match="closed"):
        client.forward("relu", [1.0])
    monkeypatch.setenv("ACTSERVE_LIBRARY", "/nowhere/lib.so")
    with pytest.raises(FileNotFoundError, match=r"/nowhere/lib\.so"):
        actserve.connect("local")


def test_it_tells_of_itself(client):
    info = client.get_server_info()
    assert info.devices[0].name == "cpu"
    assert len(client.list_activations()) > 50
