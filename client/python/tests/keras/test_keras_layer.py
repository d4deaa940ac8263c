"""actserve.keras.Activation, on the backend that Keras runs on.

test_keras_backends.py runs this file on the others.
"""

import subprocess
import sys

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from bridge_cases import (  # noqa: E402
    GATED,
    QUESTION_X,
    QUESTION_Y,
    SOFTMAX,
    SPIKY,
    STEP,
    SWISH,
    sigmoid,
)

import actserve  # noqa: E402

backend = keras.config.backend()
pytest.importorskip(f"actserve.{backend}")

import actserve.keras  # noqa: E402

Activation = actserve.keras.Activation
ops = keras.ops


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(1)


def layer_of(activation, **options):
    return Activation(activation, client="local", **options)


def normal(*shape, seed=1):
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype(np.float32)


def to_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def swish(x, beta=1.0):
    return x * sigmoid(beta * x)


@pytest.mark.parametrize(
    ("activation", "options", "function"),
    [
        (SWISH, {"parameters": {"beta": 2}}, lambda x: swish(x, 2)),
        (
            SOFTMAX,
            {"axis": 1},
            lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
        ),
        (
            GATED,
            {"split_axis": -1},
            lambda x: x[:, :3] * sigmoid(x[:, 3:]),
        ),
        ("softplus", {}, lambda x: np.log1p(np.exp(x))),
        (STEP, {}, lambda x: (x > 0).astype(float)),
    ],
)
def test_values_and_shapes(activation, options, function):
    layer = layer_of(activation, **options)
    x = normal(4, 6)
    want = function(x.astype(np.float64))

    np.testing.assert_allclose(to_numpy(layer(x)), want, rtol=1e-5, atol=1e-6)
    assert layer.compute_output_shape((None, 6)) == (None, want.shape[1])
    assert layer(keras.Input([6])).shape == (None, want.shape[1])


def test_the_numbers_of_the_question():
    y = layer_of(SPIKY)(QUESTION_X)
    np.testing.assert_array_equal(to_numpy(y), QUESTION_Y)


def test_several_inputs():
    layer = layer_of(GATED)
    x, gate = normal(4, 3), normal(1, 3, seed=2)
    want = x * sigmoid(gate)

    np.testing.assert_allclose(to_numpy(layer([x, gate])), want, rtol=1e-5)
    a, b = keras.Input([3]), keras.Input([3], batch_size=1)
    assert layer([a, b]).shape == (None, 3)
    model = keras.Model([a, b], layer([a, b]))
    np.testing.assert_allclose(to_numpy(model([x, gate])), want, rtol=1e-5)
    with pytest.raises(ValueError, match="do not broadcast"):
        layer.compute_output_shape([(None, 3), (None, 4)])


@pytest.mark.parametrize(
    ("options", "shape", "value"),
    [
        ({"learnable": "beta"}, (), 1),
        ({"learnable": {"beta": 0.5}}, (), 0.5),
        ({"learnable": {"beta": None}, "parameters": {"beta": 2}}, (), 2),
        ({"learnable": ["beta"], "channels": 3}, (3,), 1),
        ({"learnable": ["beta"], "channels": "auto"}, (3,), 1),
        ({"learnable": ["beta"], "channels": 1}, (1,), 1),
        (
            {
                "learnable": ["beta"],
                "channels": "auto",
                "channel_axis": 1,
            },
            (2,),
            1,
        ),
        ({"learnable": {"beta": [0.5, 1, 2]}}, (3,), [0.5, 1, 2]),
    ],
)
def test_learnable_parameters_are_weights(options, shape, value):
    layer = layer_of(SWISH, **options)
    x = normal(4, 2, 3)
    y = layer(x)

    assert [weight.path for weight in layer.trainable_weights] == [
        f"{layer.name}/beta"
    ]
    assert layer.beta.shape == shape
    np.testing.assert_array_equal(to_numpy(layer.beta), np.full(shape, value))
    spread = np.reshape(value, (2, 1)) if shape == (2,) and np.ndim(value) else value
    np.testing.assert_allclose(to_numpy(y), swish(x, spread), rtol=1e-5)


def model_of(*activations):
    """Dense layers with activations between them."""
    layers = [keras.Input([6])]
    for activation in activations:
        layers += [keras.layers.Dense(8), activation]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    return model


class OwnSwish(keras.layers.Layer):
    """The swish of Keras' own operations."""

    def build(self, shape):
        self.beta = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * ops.sigmoid(self.beta * x)


def test_training_is_that_of_the_own_operations():
    x, y = normal(64, 6), normal(64, 1, seed=2)
    losses = []
    for activations in (
        [
            layer_of(SWISH, learnable=["beta"], channels="auto"),
            layer_of("gelu"),
        ],
        [OwnSwish(), keras.layers.Activation(lambda x: ops.gelu(x, False))],
    ):
        keras.utils.set_random_seed(1)
        model = model_of(*activations)
        history = model.fit(x, y, batch_size=16, epochs=5, verbose=0, shuffle=False)
        losses.append(history.history["loss"])
        beta = to_numpy(activations[0].beta)
        assert beta.std() > 0

    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("jit_compile", ["auto", False])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_fit_evaluate_and_predict(jit_compile, run_eagerly):
    if run_eagerly and jit_compile != "auto":
        pytest.skip("eager is not compiled")
    model = model_of(layer_of(SPIKY), layer_of(SWISH, learnable="beta"))
    model.compile(
        "adam", "mse", jit_compile=jit_compile, run_eagerly=run_eagerly
    )
    x, y = normal(64, 6), normal(64, 1, seed=2)
    before = model.evaluate(x, y, verbose=0)

    model.fit(x, y, batch_size=16, epochs=8, verbose=0)

    assert model.evaluate(x, y, verbose=0) < before
    np.testing.assert_allclose(
        model.predict(x, verbose=0), to_numpy(model(x)), rtol=1e-4, atol=1e-5
    )


def test_xla_is_left_out_where_it_cannot_compile():
    model = model_of(layer_of(SPIKY))
    if backend == "tensorflow":
        with pytest.warns(UserWarning, match="doesn't support `jit_compile"):
            model.compile("sgd", "mse", jit_compile=True)
    x, y = normal(16, 6), normal(16, 1)
    model.compile("sgd", "mse")

    model.fit(x, y, epochs=1, verbose=0)

    assert model.layers[1].supports_jit == (backend != "tensorflow")


def every_option():
    """A layer of which nothing is as by default."""
    return Activation(
        actserve.Activation(
            "def f(x, a=1.0, b=2.0): return rowmax(x) * a + b * scale",
            constants={"scale": 2.0},
            exact=True,
            axis=-1,
        ),
        learnable={"a": [0.5, 1.5]},
        channels=2,
        channel_axis=1,
        parameters={"b": 3.0},
        element_offset=4,
        client="local",
        gradient="stateless",
        fallback="local",
        wire_dtype="bfloat16",
        timeout=9.0,
        name="mine",
        dtype="float32",
    )


def test_a_config_makes_the_same_layer():
    layer = every_option()
    config = layer.get_config()

    again = Activation.from_config(config)

    assert again.get_config() == config
    assert again.activation == layer.activation
    assert (again.name, again.activation.axis) == ("mine", -1)
    x = normal(3, 2, 4)
    np.testing.assert_array_equal(to_numpy(layer(x)), to_numpy(again(x)))


def test_the_declared_gradient_of_a_config():
    layer = layer_of(actserve.activation(STEP))
    again = Activation.from_config(layer.get_config())
    assert again._of.info.declared_gradient
    derived = actserve.activation(
        "def f(x): return abs(x)", derivative="def df(x): return 1"
    )
    again = Activation.from_config(layer_of(derived).get_config())
    assert again.activation.derivative == "def df(x): return 1"


def test_a_client_object_is_saved_as_its_address():
    client = actserve.connect("local")
    layer = Activation(SPIKY, client=client)
    assert layer.get_config()["client"] == "local"
    np.testing.assert_array_equal(to_numpy(layer(QUESTION_X)), QUESTION_Y)


def test_save_and_load(tmp_path):
    model = model_of(
        layer_of(SPIKY), layer_of(SWISH, learnable=["beta"], channels="auto")
    )
    x = normal(16, 6)
    model.fit(x, normal(16, 1), epochs=2, verbose=0)
    path = str(tmp_path / "model.keras")
    model.save(path)
    np.save(tmp_path / "x.npy", x)

    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    )
    # In a process that knows nothing of the function.
    code = f"""
import keras, numpy as np, actserve.keras
model = keras.models.load_model({path!r})
y = model.predict(np.load({str(tmp_path / "x.npy")!r}), verbose=0)
np.save({str(tmp_path / "y.npy")!r}, y)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), model.predict(x, verbose=0), rtol=1e-6
    )


def test_as_the_activation_of_a_layer(tmp_path):
    act = layer_of(SWISH, learnable=["beta"], channels="auto")
    model = keras.Sequential(
        [keras.Input([6]), keras.layers.Dense(8, activation=act)]
    )
    model.compile("sgd", "mse")
    x = normal(16, 6)
    model.fit(x, normal(16, 8), epochs=2, verbose=0)

    assert any(w is act.beta for w in model.trainable_weights)
    assert to_numpy(act.beta).std() > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    )


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_a_mixed_precision_policy(dtype):
    compute = dtype.removeprefix("mixed_")
    layer = layer_of(SWISH, learnable=["beta"], channels="auto", dtype=dtype)
    x = normal(16, 6)
    y = layer(x)

    assert keras.backend.standardize_dtype(y.dtype) == compute
    assert layer.beta.dtype == "float32"
    np.testing.assert_allclose(
        to_numpy(ops.cast(y, "float32")), swish(x), atol=0.03
    )
    model = keras.Sequential(
        [keras.Input([6]), layer, keras.layers.Dense(1, dtype=dtype)]
    )
    model.compile("sgd", "mse")
    model.fit(x, normal(16, 1), epochs=2, verbose=0)
    assert to_numpy(layer.beta).std() > 0


def test_a_seed_changes_from_call_to_call():
    layer = layer_of("def f(x, seed=0): return x * uniform(seed)")
    x = np.ones((4, 25), np.float32)
    first, again, other = (
        to_numpy(layer(x, parameters={"seed": seed})) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="has no parameter 'b'; it has beta"):
        layer_of(SWISH, learnable=["b"])
    with pytest.raises(ValueError, match="channels is 'all', not a number"):
        layer_of(SWISH, learnable=["beta"], channels="all")
    with pytest.raises(ValueError, match="has 2 values for 3 channels"):
        layer_of(SWISH, learnable={"beta": [1, 2]}, channels=3)
    with pytest.raises(ValueError, match="give a number of channels"):
        layer_of(SWISH, learnable=["beta"], channels="auto").build((4, None))
    with pytest.raises(ValueError, match="channel_axis 3 is no axis"):
        layer_of(
            SWISH, learnable=["beta"], channels="auto", channel_axis=3
        ).build((4, 2))
    with pytest.raises(actserve.ActivationError, match="nope"):
        layer_of("def f(x): return nope(x)")
    with pytest.raises(ValueError, match="beta is learned by the layer"):
        layer_of(SWISH, learnable="beta")(
            normal(2, 2), parameters={"beta": 2.0}
        )
    with pytest.raises(TypeError, match="int32|int64"):
        layer_of(SPIKY)(np.arange(4))
