"""A server that goes away in the middle of a training costs no bit of it."""

import functools
import importlib
import signal
import threading
import time

import pytest
from history import Server, cubic, faulty_binary
from proxy import Cable
from task import Task
from testbed import FRAMEWORKS

import actserve

NUM_STEPS = 24
FAULT_STEP = 12

pytestmark = [
    pytest.mark.server,
    pytest.mark.parametrize("framework", FRAMEWORKS),
]
# Its gradient is had by partials, and that of one with a parameter to learn by
# what the server keeps, where that is possible.
of_spiky = pytest.mark.parametrize("activation", ["spiky"])
of_swish = pytest.mark.parametrize("activation", ["swish"])
of_both = pytest.mark.parametrize("activation", ["spiky", "swish"])


@functools.cache
def undisturbed(framework, activation):
    """The losses of a training in this process."""
    return train(framework, activation, "local").losses


def train(framework, activation, client, fault=lambda: None, **options):
    """Trains; the fault comes before one of the steps."""

    def on_step(step):
        if step == FAULT_STEP:
            fault()

    loop = importlib.import_module(f"{framework}_loop")
    return loop.train(Task(activation, client, NUM_STEPS, options, on_step))


def soon(function):
    """Calls it in a second."""
    threading.Timer(1.0, function).start()


@of_swish
def test_a_restart_costs_nothing(framework, activation, server):
    def restart():
        server.stop()
        soon(server.start)

    result = train(framework, activation, server.address, restart)

    assert result.losses == undisturbed(framework, activation)


@of_both
def test_kill_9_costs_nothing(framework, activation, server):
    def kill():
        server.kill()
        soon(server.start)

    result = train(framework, activation, server.address, kill)

    assert result.losses == undisturbed(framework, activation)


@of_swish
def test_kill_9_costs_nothing_on_this_host(framework, activation, server):
    def kill():
        server.kill()
        soon(server.start)

    result = train(framework, activation, server.unix_address, kill)

    assert result.losses == undisturbed(framework, activation)


@of_spiky
def test_a_network_cut_of_5_s_costs_nothing(framework, activation, server):
    cable = Cable(server.address)
    began = []

    def cut():
        began.append(time.monotonic())
        cable.cut(5.0, resets=True)

    result = train(framework, activation, cable.address, cut)

    assert time.monotonic() - began[0] >= 5.0
    assert result.losses == undisturbed(framework, activation)


@pytest.mark.full
@of_swish
def test_a_server_that_stands_still_costs_nothing(framework, activation):
    def stand_still():
        server.signal(signal.SIGSTOP)
        threading.Timer(2.0, server.signal, [signal.SIGCONT]).start()

    with Server() as server:
        result = train(framework, activation, server.address, stand_still)

    assert result.losses == undisturbed(framework, activation)


@pytest.mark.full
@of_both
def test_forgotten_texts_and_residuals_cost_nothing(framework, activation):
    with Server("--max_registered=1", "--max_residual_bytes=1") as server:

        def forget():
            """Another client's text is registered, and ours forgotten."""
            with actserve.connect(server.address) as other:
                other.forward(cubic, [1.0])

        result = train(framework, activation, server.address, forget)

    assert result.losses == undisturbed(framework, activation)


@of_both
def test_lost_answers_cost_nothing(framework, activation, monkeypatch):
    monkeypatch.setenv("FAILPOINTS", "dropped_answer:1%20")
    with Server(binary=faulty_binary()) as server:
        result = train(framework, activation, server.address)

    assert result.losses == undisturbed(framework, activation)


@of_swish
def test_with_a_fallback_no_server_is_waited_for(framework, activation, server):
    result = train(
        framework,
        activation,
        server.address,
        server.kill,
        fallback="local",
        timeout=0.5,
    )

    assert result.losses == undisturbed(framework, activation)
