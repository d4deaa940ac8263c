"""The handler of XLA gives the bits of the way through Python."""

import os
import subprocess
import sys

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp
from bridge_cases import GATED, SOFTMAX, SPIKY, STEP, SWISH
from jax_cases import RuntimeFailure

import actserve
import actserve.jax
from actserve.jax import _native, _primitive


@pytest.fixture(autouse=True)
def _needs_the_handler():
    if not _native.is_here():
        pytest.skip("the handler of client/python/native/jax_ffi.cc is missing")


def array(*shape, dtype="float32", seed=0):
    x = np.random.default_rng(seed).normal(size=shape) * 3
    return jnp.asarray(x, dtype)


def run(activation, arguments, parameters, enabled, monkeypatch, **options):
    """Returns value, tangent, gradients and their tangents and gradients."""
    monkeypatch.setattr(_native, "enabled", enabled)
    jax.clear_caches()
    _primitive._compiled.cache_clear()

    def f(inputs, values):
        return actserve.jax.apply(
            activation,
            *inputs,
            parameters=parameters | values,
            client="local",
            **options,
        )

    inputs = tuple(a for a in arguments if not isinstance(a, dict))
    values = next((a for a in arguments if isinstance(a, dict)), {})

    def gradient(inputs, values):
        y, pull = jax.vjp(f, inputs, values)
        return pull(jnp.cos(y))

    def everything(inputs, values):
        moves = jax.tree.map(jnp.sin, (inputs, values))
        return (
            jax.jvp(f, (inputs, values), moves),
            gradient(inputs, values),
            jax.vjp(gradient, inputs, values)[1](moves),
        )

    return jax.tree.leaves(jax.jit(everything)(inputs, values))


CASES = {
    "spiky": (SPIKY, (array(3, 5),), {}, {}),
    "a constant": (SWISH, (array(50),), {"beta": 0.3}, {}),
    "a number": (SWISH, (array(3, 5), {"beta": jnp.float32(0.7)}), {}, {}),
    "a 16-bit number": (
        SWISH,
        (array(30), {"beta": jnp.bfloat16(0.7)}),
        {},
        {},
    ),
    "channels": (SWISH, (array(3, 5), {"beta": array(5, seed=1)}), {}, {}),
    "channels of another dtype": (
        SWISH,
        (array(3, 5, dtype="bfloat16"), {"beta": array(5, seed=1)}),
        {},
        {},
    ),
    "partials": ("gelu", (array(100),), {}, {"gradient": "partials"}),
    "float16": ("mish", (array(100, dtype="float16"),), {}, {}),
    "bfloat16": ("gelu", (array(100, dtype="bfloat16"),), {}, {}),
    "a gate": (GATED, (array(4, 6), array(6, seed=1)), {}, {}),
    "a split gate": (GATED, (array(4, 6),), {}, {"split_axis": 1}),
    "rows": (SOFTMAX, (array(4, 6),), {}, {"axis": 0}),
    "rows with a number": (
        SOFTMAX,
        (array(4, 6), {"temperature": jnp.float32(2)}),
        {},
        {"axis": 1},
    ),
    "a declared gradient": (STEP, (array(9),), {}, {}),
    "many elements": ("silu", (array(300_001),), {}, {}),
    "none": ("silu", (array(0, 3),), {}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_same_bits_as_through_python(case, monkeypatch):
    activation, arguments, parameters, options = CASES[case]

    ours, callback = (
        run(activation, arguments, parameters, enabled, monkeypatch, **options)
        for enabled in (True, False)
    )

    for a, b in zip(ours, callback, strict=True):
        assert a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_a_client_of_the_users_is_used(monkeypatch):
    jax.clear_caches()
    client = actserve.connect("local", num_threads=1)
    act = actserve.jax.Activation("gelu", client=client)
    x = array(1000)

    y = jax.jit(act)(x)

    np.testing.assert_array_equal(y, client.forward("gelu", np.asarray(x)))
    client.close()
    with pytest.raises(Exception, match="actserve: cancelled"):
        jax.block_until_ready(jax.jit(act)(x))


def test_a_program_of_another_process_is_refused():
    plan = "kind forward\nactivation gelu\nclient object:of-another:0\ninput x"
    like = jax.ShapeDtypeStruct((3,), jnp.float32)
    program = jax.jit(
        lambda x: jax.ffi.ffi_call("actserve", like)(x, plan=plan)
    )

    with pytest.raises(
        RuntimeFailure,
        match='actserve: this process does not know "client object:of-another',
    ):
        jax.block_until_ready(program(jnp.ones(3)))


def test_operands_that_no_plan_has_are_refused():
    _native._named("local", actserve._bridge.clients.client_for("local"))
    plan = "kind gradient\nactivation gelu\nclient local\ninput x\nwanted x"
    like = jax.ShapeDtypeStruct((3,), jnp.float32)
    program = jax.jit(
        lambda x: jax.ffi.ffi_call("actserve", like)(x, plan=plan)
    )

    with pytest.raises(RuntimeFailure, match="1 operands and 1 results"):
        jax.block_until_ready(program(jnp.ones(3)))


def test_a_handler_that_jax_refuses_does_no_harm():
    """Of a newer version it kept JAX itself from starting."""
    program = """
import jax, jax.numpy as jnp, actserve.jax
from actserve.jax import _native

def refuse(*arguments, **options):
    raise RuntimeError("the handler's API version is incompatible")

started = []
real = jax.devices
jax.devices = lambda *arguments: started.append(1) or real(*arguments)
jax.ffi.register_ffi_target = lambda *a, **o: started.append(2) or refuse()
assert not _native.is_here()
assert started == [1, 2]
act = actserve.jax.Activation("relu", client="local")
print(jax.jit(act)(jnp.linspace(-1, 1, 3)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "[0. 0. 1.]\n", done.stderr
