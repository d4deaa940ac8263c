"""Through a server: the same bits, by the cheapest way to a gradient."""

import threading
import time

import numpy as np
import pytest
from bridge_cases import GATED, SOFTMAX, SWISH
from proxy import Cable
from tensorflow_cases import apply, assert_close, gradients, module, normal, tf
from testbed import server_binary

import actserve
from actserve.testing import ServerProcess

pytestmark = pytest.mark.server

FUNCTIONS = {
    "silu": lambda x, **o: apply("silu", x, **o),
    "learned": lambda x, **o: apply(
        SWISH, x, parameters={"beta": normal(4)}, **o
    ),
    "rows": lambda x, **o: apply(SOFTMAX, x, axis=-1, **o),
    "gate": lambda x, **o: apply(GATED, x, split_axis=-1, **o),
}


@pytest.fixture(params=["unix", "tcp"])
def address(request, shared_server):
    return {
        "unix": shared_server.unix_address,
        "tcp": shared_server.address,
    }[request.param]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("way", [lambda f: f, tf.function], ids=["eager", "fn"])
def test_a_server_has_the_bits_of_this_process(name, dtype, way, address):
    x = normal(3, 4, dtype=dtype)
    f = FUNCTIONS[name]
    for order in (1, 2):
        wanted = gradients(f, x, order=order)
        for gradient in ("residual", "stateless"):
            found = gradients(
                way(lambda x, g=gradient: f(x, client=address, gradient=g)),
                x,
                order=order,
            )
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(one, other)
    # One product is rounded once more.
    found = gradients(way(lambda x: f(x, client=address)), x)
    assert_close(found, gradients(f, x), rtol=3e-7, atol=1e-7)


def calls(service):
    """Returns those that compute."""
    return [
        call
        for call in service.calls
        if type(call).__name__ in ("ForwardRequest", "BackwardRequest")
    ]


def calls_of(service, f, x, backward=True):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    if backward:
        tape.gradient(y, x)
    found = calls(service)
    service.calls.clear()
    return found


def test_auto_takes_the_fewest_bytes(service):
    act = module("silu", client=service.address)

    (forward,) = calls_of(service, act, tf.ones([3]))
    assert list(forward.partials) == ["x"]
    assert not forward.keep_residual

    forward, backward = calls_of(service, act, tf.ones([3], tf.bfloat16))
    assert forward.keep_residual
    assert backward.residual == service.residual
    assert len(backward.payload) == 1


def test_a_graph_with_its_tape_takes_partials_and_keeps_nothing(service):
    act = module("silu", client=service.address)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = act(x)
        return y, tape.gradient(y, x)

    step(tf.ones([3]))
    (forward,) = calls(service)
    assert list(forward.partials) == ["x"]

    service.calls.clear()
    step(tf.ones([3], tf.bfloat16))
    by_type = {type(call).__name__: call for call in calls(service)}
    assert not by_type["ForwardRequest"].partials
    assert not by_type["ForwardRequest"].keep_residual
    assert len(by_type["BackwardRequest"].payload) == 2  # in either order


def test_nothing_is_kept_if_no_gradient_is_wanted(service):
    x = tf.ones([3])
    for gradient in ("auto", "residual"):
        act = module("silu", client=service.address, gradient=gradient)
        act(x)
        with tf.GradientTape() as tape:
            act(x)  # which it does not follow
            with tape.stop_recording():
                tape.watch(x)
                act(x)
    forwards = [
        call
        for call in service.calls
        if type(call).__name__ == "ForwardRequest"
    ]
    assert len(forwards) == 6
    for call in forwards:
        assert not call.keep_residual
        assert not call.partials


def test_only_the_gradients_that_a_tape_follows_are_asked_for(service):
    act = module(
        "def f(x, a=1.0): return x * a",
        learnable=["a"],
        client=service.address,
        gradient="stateless",
    )
    _, backward = calls_of(service, act, tf.ones([3]))
    assert sorted(backward.wrt) == ["a", "x"]
    with tf.GradientTape() as tape:
        y = act(tf.ones([3]))
    assert float(tape.gradient(y, act.a)) == 0.5  # as the fake server says
    assert list(service.calls[-1].wrt) == ["a"]


def test_a_graph_runs_independent_activations_at_the_same_time(slow_server):
    inputs = [normal(4, seed=i) for i in range(4)]

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            ys = [apply("gelu", x, client=slow_server.address) for x in inputs]
            loss = sum(tf.reduce_sum(y) for y in ys)
        return tape.gradient(loss, inputs)

    step(inputs)
    begin = time.monotonic()
    found = step(inputs)
    seconds = time.monotonic() - begin

    for dx, x in zip(found, inputs, strict=True):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.gelu(x)
        assert_close(dx, tape.gradient(y, x))
    assert slow_server.seconds <= seconds < 4 * slow_server.seconds


def test_bfloat16_on_the_wire_rounds_as_said(address):
    x = normal(64)
    (y, dx), (wanted, d_wanted) = (
        gradients(
            lambda x, w=w: apply("gelu", x, client=address, wire_dtype=w), x
        )
        for w in ("bfloat16", None)
    )
    assert y.dtype == dx.dtype == np.float32
    np.testing.assert_array_equal(y, tf.cast(tf.cast(y, "bfloat16"), "float32"))
    np.testing.assert_allclose(y, wanted, rtol=2**-6, atol=2**-8)
    np.testing.assert_allclose(dx, d_wanted, rtol=2**-5, atol=2**-5)


def train(client, between=lambda step: None, in_graph=False, **options):
    """Returns the losses of a training; `between` may disturb it."""
    act = module(SWISH, learnable={"beta": 1.0}, client=client, **options)
    w = tf.Variable(normal(4, 3))
    batches = [normal(8, 4, seed=seed) for seed in range(5)]

    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(act(x @ w) ** 2)
            if not in_graph:
                between(len(losses))
        return loss, tape.gradient(loss, [w, act.beta])

    if in_graph:
        gradient = tf.function(gradient)
    losses = []
    for x in batches:
        if in_graph:
            between(len(losses))
        loss, found = gradient(x)
        for variable, slope in zip([w, act.beta], found, strict=True):
            variable.assign_sub(0.1 * slope)
        losses.append(float(loss))
    return losses


@pytest.mark.parametrize("in_graph", [False, True])
def test_a_killed_server_loses_no_step(in_graph):
    with ServerProcess(server_binary()) as server:
        undisturbed = train(server.address, in_graph=in_graph)

        def restart(step):
            if step == 2:
                server.kill()
                threading.Timer(0.5, server.start).start()
            if step == 4:
                server.stop()
                server.start()

        disturbed = train(
            server.address, restart, in_graph, gradient="residual"
        )
        assert disturbed == undisturbed
    assert train("local", in_graph=in_graph) == undisturbed


@pytest.mark.parametrize("in_graph", [False, True])
def test_a_network_that_is_cut_for_5_seconds_loses_no_step(
    shared_server, in_graph
):
    cable = Cable(shared_server.address)
    began = []

    def cut(step):
        if step == 2:
            began.append(time.monotonic())
            cable.cut(5, resets=False)

    losses = train(cable.address, cut, in_graph, timeout=60)

    assert time.monotonic() - began[0] >= 5
    assert losses == train(shared_server.address, in_graph=in_graph)
    cable.close()


def test_the_fallback_has_the_same_bits(caplog):
    x = normal(5)
    counts = sum(actserve.fallback_counts().values())
    act = module("silu", client="127.0.0.1:1", fallback="local", timeout=0.3)

    found = gradients(act, x)

    wanted = gradients(lambda x: apply("silu", x), x)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_allclose(found[1], wanted[1], rtol=3e-7)
    assert "does not answer" in caplog.text
    assert sum(actserve.fallback_counts().values()) > counts
