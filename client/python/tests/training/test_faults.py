"""A server that goes away in the middle of a training costs no bit of it."""

import functools
import importlib
import threading
import time

import pytest
from proxy import Cable
from task import Task
from testbed import FRAMEWORKS

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
