"""Calls on the way at the same time: Client.submit()."""

import concurrent.futures
import os
import time

import numpy as np
import pytest
from bridge_cases import SPIKY

import actserve
from actserve import _overlap
from actserve._trace import headers

X = np.array([-1.0, 0.25, 2.5], np.float32)


@pytest.mark.server
def test_a_future_brings_what_the_method_returns(client):
    spiky = actserve.activation(SPIKY)
    y = client.submit("forward", spiky, X)
    gradients = client.submit("backward", spiky, X, grad_output=X, wrt=["x"])
    moved = client.submit("jvp", spiky, X, tangents={"x": X})
    kept = client.submit("forward_with", spiky, X, partials=True)

    assert np.array_equal(y.result(), client.forward(spiky, X))
    wanted = client.backward(spiky, X, grad_output=X)["x"]
    assert np.array_equal(gradients.result()["x"], wanted)
    assert np.array_equal(moved.result()[1], wanted)
    assert np.array_equal(kept.result()[1]["x"] * X, wanted)


@pytest.mark.server
def test_calls_overlap(connect, slow_server):
    with connect(slow_server.address) as client:
        client.forward("gelu", X)

        begin = time.monotonic()
        futures = [client.submit("forward", "gelu", X * i) for i in range(6)]
        found = [future.result() for future in futures]
        seconds = time.monotonic() - begin

        for i, y in enumerate(found):
            assert np.array_equal(y, client.forward("gelu", X * i))
    # One after the other takes six times the delay, at least.
    assert slow_server.seconds <= seconds < 5 * slow_server.seconds


def test_errors_are_those_of_the_call(fake, service):
    with pytest.raises(ValueError, match="'get', not one of 'forward', "):
        fake.submit("get", "gelu", X)
    with pytest.raises(TypeError, match="neither an activation nor"):
        fake.submit("forward", 3, X).result()
    assert service.calls == []


def test_a_call_belongs_to_the_trace_of_its_caller():
    parent = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    with actserve.trace(parent):
        future = _overlap.submit(headers)

    assert future.result() == (("traceparent", parent),)
    assert _overlap.submit(headers).result() == ()


def test_all_have_ended_when_the_first_error_is_raised():
    ended = []

    def end(i):
        time.sleep(0.01 * (3 - i))
        ended.append(i)
        if i:
            raise ValueError(f"error {i}")

    for functions, first in (([0, 1, 2], 1), ([2, 1, 0], 2), ([0, 2], 2)):
        ended.clear()
        with pytest.raises(ValueError, match=f"error {first}"):
            _overlap.run_all([lambda i=i: end(i) for i in functions])
        assert sorted(ended) == sorted(functions)
    assert _overlap.run_all([]) == []


def test_a_forked_child_has_threads_of_its_own():
    assert _overlap.submit(int).result() == 0
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _overlap.submit(int, 0).result(timeout=10)
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_future_is_one_of_the_standard_library():
    future = _overlap.submit(int)
    done, _ = concurrent.futures.wait([future])
    assert done == {future}
