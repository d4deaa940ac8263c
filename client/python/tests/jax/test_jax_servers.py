"""At servers: the same bits by any way, and what happens when they are away."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp
from bridge_cases import GATED, SOFTMAX, SPIKY, SWISH
from jax_cases import RuntimeFailure

import actserve
import actserve.jax

pytestmark = pytest.mark.server

FUNCTIONS = {
    "spiky": (SPIKY, {}),
    "swish": (SWISH, {}),
    "gate": (GATED, {"split_axis": -1}),
    "rows": (SOFTMAX, {"axis": -1}),
}


def step(act):
    """Value, gradient and the gradient of that, as one program."""

    def gradient(x):
        y, pull = jax.vjp(act, x)
        return pull(jnp.ones_like(y))[0]

    return jax.jit(
        lambda x: (
            act(x),
            gradient(x),
            jax.grad(lambda x: jnp.sum(gradient(x) ** 2))(x),
        )
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_distance_gives_the_same(function, shared_server):
    text, options = FUNCTIONS[function]
    x = jnp.asarray(
        np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    )

    def computed(address, gradient):
        act = actserve.jax.Activation(
            text, client=address, gradient=gradient, **options
        )
        return step(act)(x)

    local = computed("local", "stateless")
    for address in (shared_server.unix_address, shared_server.address):
        again = computed(address, "stateless")
        for a, b in zip(local[:2], again[:2], strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
        # XLA's own products between the calls may be contracted.
        np.testing.assert_allclose(local[2], again[2], rtol=1e-5, atol=1e-6)
        for a, b in zip(local, computed(address, "auto"), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_forward_brings_the_slope_from_afar(shared_server):
    def ours(x):
        return actserve.jax.apply(SPIKY, x, client=shared_server.address)

    def backward(x):
        return str(jax.make_jaxpr(jax.vjp(ours, x)[1])(x))

    assert "actserve" not in backward(jnp.ones(3))
    # Of 16 bits it would be rounded twice.
    assert "gradient of spiky" in backward(jnp.ones(3, jnp.bfloat16))


def test_nothing_is_kept_at_a_server(shared_server):
    act = actserve.jax.Activation(
        SOFTMAX, axis=-1, client=shared_server.address, gradient="residual"
    )
    step(act)(jnp.ones((3, 4)))

    with actserve.connect(shared_server.address) as client:
        assert client.get_server_info().limits  # it answers
    assert "residual" not in str(
        jax.make_jaxpr(jax.grad(lambda x: act(x).sum()))(jnp.ones((3, 4)))
    )


def test_a_server_that_is_away_is_an_error_that_names_us():
    act = actserve.jax.Activation("gelu", client="127.0.0.1:1", timeout=0.2)

    with pytest.raises(RuntimeFailure) as caught:
        jax.block_until_ready(jax.jit(act)(jnp.ones(3)))

    assert "actserve" in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


@pytest.mark.parametrize("fallback", [None, "local"])
def test_training_goes_on_when_the_server_restarts(server, fallback):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 8)), jnp.float32)

    def losses(client, on_step=lambda i: None, **options):
        act = actserve.jax.Activation(SWISH, client=client, **options)

        @jax.jit
        def step(weights):
            loss, grad = jax.value_and_grad(
                lambda w: ((act(x @ w) - 1) ** 2).mean()
            )(weights)
            return loss, weights - 0.1 * grad

        weights, result = jnp.eye(8), []
        for i in range(12):
            on_step(i)
            loss, weights = step(weights)
            result.append(np.asarray(loss).tobytes())
        return result

    def disturb(i):
        if i == 4:
            server.kill()
        if i == (8 if fallback else 4):
            server.start()

    want = losses(server.address)
    got = losses(
        server.address,
        disturb,
        fallback=fallback,
        timeout=1.0 if fallback else None,
    )
    assert got == want


def test_bfloat16_on_the_wire(shared_server):
    x = jnp.linspace(-2, 2, 100)

    def on_wire(client):
        return actserve.jax.apply(
            "gelu", x, client=client, wire_dtype="bfloat16"
        )

    want = actserve.jax.apply("gelu", x.astype(jnp.bfloat16), client="local")
    for client in ("local", shared_server.address):
        y = on_wire(client)
        assert y.dtype == jnp.float32
        np.testing.assert_array_equal(y, want.astype(jnp.float32))


def test_large_arrays_do_not_hang():
    """JAX hangs if a callback waits for an array that JAX is making."""
    act = actserve.jax.Activation("gelu", client="local", wire_dtype="bfloat16")

    @jax.jit
    def program(x):
        for _ in range(8):
            x = act(x * 1.01) + act(x - 0.5)
        return x.sum()

    x = jnp.ones((1024, 1024))
    for _ in range(3):
        assert np.isfinite(program(x))
