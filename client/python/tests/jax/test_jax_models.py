"""In the models of Flax and Equinox, hashed, copied and sharded."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp
from bridge_cases import SPIKY, SWISH

import actserve.jax


@pytest.fixture
def act():
    return actserve.jax.Activation(
        SWISH, learnable=["beta"], channels=8, client="local"
    )


@pytest.fixture
def plain():
    return actserve.jax.Activation("silu", client="local")


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4)).astype(np.float32)
    return jnp.asarray(x), jnp.asarray(x[:, :1] * x[:, 1:2])


def test_equal_ones_are_one_static_argument(act):
    again = actserve.jax.Activation(
        SWISH, learnable=["beta"], channels=8, client="local"
    )
    traces = []

    @jax.jit
    def step(x):
        traces.append(x)
        return act(x, **act.init())

    assert again == act
    assert hash(again) == hash(act)
    assert act != actserve.jax.Activation(SWISH, client="local")
    f = jax.jit(
        lambda f, x: traces.append(f) or f(x, beta=1.0), static_argnums=0
    )
    f(act, jnp.ones(8))
    f(again, jnp.ones(8))
    assert len(traces) == 1


def test_it_pickles_and_copies(act):
    x, beta = jnp.linspace(-1, 1, 8), act.init()
    for other in (pickle.loads(pickle.dumps(act)), copy.deepcopy(act)):
        assert other == act
        np.testing.assert_array_equal(other(x, **beta), act(x, **beta))


def test_init_has_the_values_that_were_asked_for():
    def first(**options):
        act = actserve.jax.Activation(SWISH, client="local", **options)
        return act.init()["beta"]

    assert first(learnable=["beta"]) == jnp.float32(1)
    assert first(learnable={"beta": 0.5}).shape == ()
    with pytest.raises(ValueError, match="both learnable and a number"):
        first(learnable=["beta"], parameters={"beta": 3.0})
    np.testing.assert_array_equal(
        first(learnable={"beta": [1, 2, 3]}), [1.0, 2.0, 3.0]
    )
    np.testing.assert_array_equal(
        first(learnable={"beta": 0.5}, channels=2), [0.5, 0.5]
    )


def test_an_equinox_model_trains_like_its_own(plain):
    eqx = pytest.importorskip("equinox")
    x, y = data()

    def losses(activation):
        model = eqx.nn.MLP(
            4, 1, 8, 1, activation=activation, key=jax.random.key(0)
        )

        @eqx.filter_jit
        def step(model):
            loss, grads = eqx.filter_value_and_grad(
                lambda model: ((jax.vmap(model)(x) - y) ** 2).mean()
            )(model)
            return loss, eqx.apply_updates(
                model, jax.tree.map(lambda g: -0.1 * g, grads)
            )

        result = []
        for _ in range(5):
            loss, model = step(model)
            result.append(float(loss))
        return result

    np.testing.assert_allclose(losses(plain), losses(jax.nn.silu), rtol=1e-5)


def test_an_equinox_module_owns_the_parameter(act):
    eqx = pytest.importorskip("equinox")
    x, _ = data()

    class Swish(eqx.Module):
        beta: jax.Array
        act: actserve.jax.Activation = eqx.field(static=True)

        def __call__(self, x):
            return self.act(x, beta=self.beta)

    model = Swish(act.init()["beta"], act)
    grads = eqx.filter_jit(
        eqx.filter_grad(lambda m: jax.vmap(m)(jnp.tile(x, 2)).sum())
    )(model)

    assert grads.beta.shape == (8,)
    assert np.all(np.asarray(grads.beta) != 0)


def test_a_flax_nnx_module_owns_the_parameter(act):
    nnx = pytest.importorskip("flax.nnx")
    x, y = data()

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(4, 8, rngs=rngs)
            self.last = nnx.Linear(8, 1, rngs=rngs)
            self.beta = nnx.Param(act.init()["beta"])

        def __call__(self, x):
            return self.last(act(self.first(x), beta=self.beta[...]))

    @nnx.jit
    def step(model):
        loss, grads = nnx.value_and_grad(
            lambda model: ((model(x) - y) ** 2).mean()
        )(model)
        state = jax.tree.map(
            lambda p, g: p - 0.1 * g, nnx.state(model, nnx.Param), grads
        )
        nnx.update(model, state)
        return loss

    model = Model(nnx.Rngs(0))
    losses = [float(step(model)) for _ in range(20)]

    assert losses[-1] < losses[0]
    assert np.all(np.asarray(model.beta[...]) != 1)


def test_a_flax_linen_module_owns_the_parameter(act):
    nn = pytest.importorskip("flax.linen")
    x, y = data()

    class Model(nn.Module):
        act: actserve.jax.Activation

        @nn.compact
        def __call__(self, x):
            beta = self.param("beta", lambda _: self.act.init()["beta"])
            return nn.Dense(1)(self.act(nn.Dense(8)(x), beta=beta))

    model = Model(act)
    weights = model.init(jax.random.key(0), x)
    grads = jax.jit(jax.grad(lambda w: ((model.apply(w, x) - y) ** 2).mean()))(
        weights
    )

    assert grads["params"]["beta"].shape == (8,)
    assert np.all(np.asarray(grads["params"]["beta"]) != 0)


SHARDED = f"""
import functools
import jax, jax.numpy as jnp, numpy as np, actserve.jax
from actserve.jax import _native
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

assert len(jax.devices()) == 2
mesh = Mesh(np.array(jax.devices()), ("batch",))
x = jnp.linspace(-3, 3, 24).reshape(4, 6)
split = jax.device_put(x, NamedSharding(mesh, P("batch")))
spiky = actserve.jax.Activation({SPIKY!r}, client="local")
swish = actserve.jax.Activation({SWISH!r}, client="local")
softmax = actserve.jax.Activation("softmax", axis=-1, client="local")


def same(f, total=lambda y: y, **options):
    # Each shard computes its part; `total` is what they have together.
    shards = jax.shard_map(
        f(total), mesh=mesh, in_specs=P("batch"), out_specs=P("batch"),
        **options
    )
    y = jax.jit(shards)(split)
    assert y.sharding == split.sharding
    np.testing.assert_allclose(y, f(lambda y: y)(x), rtol=1e-5, atol=1e-6)


def slope(act, total, x):
    return jax.grad(lambda x: (act(x) ** 2).sum())(x)


def slope_of_slope(act, total, x):
    return jax.grad(lambda x: slope(act, total, x).sum())(x)


def slope_of_shared(total, x):
    # Of one number that all shards have, and of one for each channel.
    loss = lambda beta: total((swish(x, beta=beta) ** 2).sum())
    number = jax.grad(loss)(jnp.asarray(0.5))
    return x * number * jax.grad(loss)(jnp.linspace(0.5, 2, 6))


sum_of_shards = functools.partial(jax.lax.psum, axis_name="batch")
for enabled in (True, False):
    _native.enabled = enabled
    jax.clear_caches()
    for options in ({{}}, {{"check_vma": False}}):
        same(lambda total: spiky, **options)
        for act in (swish, softmax):
            same(lambda total: jax.vmap(act), **options)
            for f in (slope, slope_of_slope):
                same(lambda total: functools.partial(f, act, total), **options)
    same(
        lambda total: functools.partial(slope_of_shared, total), sum_of_shards
    )
print("done")
"""


def test_sharded_arrays_in_a_shard_map():
    if not hasattr(jax, "shard_map"):
        pytest.skip("this JAX has no jax.shard_map")
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-c", SHARDED],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.endswith("done\n"), done.stderr
