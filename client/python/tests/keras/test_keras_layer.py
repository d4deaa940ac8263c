"""actserve.keras.Activation, with TensorFlow."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")

from bridge_cases import SOFTMAX
from keras_cases import GATED, SPIKY, SWISH, data, layer, model

import actserve
import actserve.keras

if keras.backend.backend() != "tensorflow":
    pytest.skip("the backend is another one", allow_module_level=True)


@actserve.activation
def spiky(x):
    r = x % 1
    return r if r <= 0.5 else 0


def again(one):
    """Returns a layer of the configuration of another one."""
    config = keras.saving.serialize_keras_object(one)
    return keras.saving.deserialize_keras_object(config)


def test_auto_does_not_compile_with_xla():
    one = model()
    assert one.jit_compile is False
    assert [each.supports_jit for each in one.layers[:2]] == [True, False]


def test_a_model_asked_to_be_compiled_is_not_and_says_so():
    one = model()
    with pytest.warns(UserWarning, match="doesn't support `jit_compile=True`"):
        one.compile("sgd", "mse", jit_compile=True)
    assert one.jit_compile is False


def test_a_configuration_holds_everything():
    stepped = actserve.activation(
        "def step(x): return limit if x > 0 else 0",
        derivative="def slope(x): return 1 / (1 + abs(x)) ** 2",
        constants={"limit": 2.0},
        exact=True,
    )
    one = layer(stepped, name="stepped", timeout=7, gradient="stateless")
    other = again(one)
    assert other.activation == stepped
    assert other.name == "stepped"
    assert other.get_config() == one.get_config()
    x = np.array([-1.0, 2.0], np.float32)
    np.testing.assert_array_equal(other(x), [0, 2])


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "leaky_relu", "parameters": {"negative_slope": 0.5}},
        {"activation": SOFTMAX, "axis": -1},
        {"activation": GATED, "split_axis": -1},
        {"activation": SWISH, "learnable": {"beta": 2.0}},
        {"activation": SWISH, "learnable": ["beta"], "channels": 4},
        {"activation": SWISH, "learnable": {"beta": [1.0, 2, 3, 4]}},
        {"activation": SWISH, "learnable": "beta", "channels": "input"},
        {
            "activation": SWISH,
            "learnable": "beta",
            "channels": 3,
            "channel_axis": 1,
        },
    ],
)
def test_a_layer_of_a_configuration_is_the_same(options):
    one = layer(**options)
    x = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    y = one(x)
    other = again(one)
    np.testing.assert_array_equal(other(x), y)
    assert other.get_config() == one.get_config()
    assert one.compute_output_shape(x.shape) == tuple(y.shape)
    shape = (None, *x.shape[1:])
    assert one(keras.Input(shape[1:])).shape == (None, *y.shape[1:])


def test_a_configuration_of_another_program_warns():
    config = layer(SWISH, parameters={"beta": 2.0}).get_config()
    assert config["identity"]["program_id"].startswith("sha256:")
    config["identity"] = config["identity"] | {"program_id": "sha256:0"}

    with pytest.warns(UserWarning, match=r"version of the math.* sha256:0"):
        other = actserve.keras.Activation.from_config(config)

    assert other.get_config()["parameters"] == {"beta": 2.0}
    config.pop("identity")  # One of an earlier version.
    actserve.keras.Activation.from_config(config)


DROP = """
def drop(x, keep=0.5, seed=0):
    return x / keep if uniform(seed) < keep else 0
"""


def test_a_piece_draws_the_numbers_of_the_whole():
    x = np.ones((8, 5), np.float32)
    whole = np.asarray(layer(DROP)(x))
    piece = layer(DROP, element_offset=3 * 5)
    np.testing.assert_array_equal(piece(x[3:]), whole[3:])
    np.testing.assert_array_equal(again(piece)(x[3:]), whole[3:])


def test_parameters_of_a_call():
    x = np.ones((64,), np.float32)
    one = layer(DROP, parameters={"keep": 0.25})
    ys = [
        np.asarray(one(x, parameters={"seed": seed}))
        for seed in (1, 2, keras.ops.convert_to_tensor(1))
    ]
    assert set(ys[0]) == {0, 4}
    assert (ys[0] != ys[1]).any()
    np.testing.assert_array_equal(ys[0], ys[2])
    np.testing.assert_array_equal(one(x, parameters={"keep": 1.0}), x)
    with pytest.raises(ValueError, match="beta is learned by the layer"):
        layer(SWISH, learnable="beta")(x, parameters={"beta": 2.0})
    with pytest.raises(TypeError, match="no parameter 'beta'"):
        one(x, parameters={"beta": 2.0})


def test_a_client_is_saved_as_its_address(shared_server):
    with actserve.connect(shared_server.address) as client:
        one = actserve.keras.Activation(spiky, client=client)
        y = one(np.array([1.25], np.float32))
        assert one.get_config()["client"] == shared_server.address
        other = again(one)
        np.testing.assert_array_equal(other(np.array([1.25], np.float32)), y)


def test_weights_are_those_of_keras():
    one = layer(SWISH, learnable={"beta": 2.0}, channels="input")
    one.build((None, 5))
    assert [w.name for w in one.trainable_weights] == ["beta"]
    np.testing.assert_array_equal(one.beta, [2] * 5)
    taken = layer("def f(x, name=2.0): return x * name", learnable="name")
    np.testing.assert_array_equal(taken(np.ones(3, np.float32)), [2] * 3)
    frozen = layer(SWISH, learnable="beta", trainable=False)
    frozen.build((None, 5))
    assert not frozen.trainable_weights


def test_weights_are_saved_and_loaded(tmp_path):
    one, other = model(), model()
    one.fit(*data(), verbose=0)
    one.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(one.layers[3].beta, other.layers[3].beta)
    assert not np.array_equal(one.layers[3].beta, np.ones(12))


def test_it_serves_as_the_activation_of_another_layer(tmp_path):
    hidden = layer(SWISH, learnable={"beta": 2.0})
    one = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, activation=hidden)]
    )
    one.compile("sgd", "mse")
    assert len(one.trainable_weights) == 3
    one.save(tmp_path / "model.keras")
    other = keras.saving.load_model(tmp_path / "model.keras")
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(one(x), other(x))


def test_a_model_with_branches_and_a_gate():
    a, b = keras.Input((3,)), keras.Input((3,))
    one = keras.Model([a, b], layer(GATED)([a, b]))
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(one.predict([x, x * 0], verbose=0), x * 0.5)


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [
        ([(None, 4), (1, 4)], (None, 4)),
        ([(None, 4), (3, 4)], (3, 4)),
        ([(2, 1), (1, None)], (2, None)),
        ([(None, 2, 4), (4,)], (None, 2, 4)),
    ],
)
def test_output_shapes_of_two_inputs(shapes, wanted):
    assert layer(GATED).compute_output_shape(shapes) == wanted


def test_a_half_of_mixed_precision_scales_losses():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        one = model()
    finally:
        keras.config.set_dtype_policy("float32")
    history = one.fit(*data(), epochs=2, batch_size=16, verbose=0)
    assert one.layers[1].compute_dtype == "float16"
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (TypeError, "of int64, not one of", lambda: layer(SPIKY)(np.arange(3))),
        (
            TypeError,
            "swish has no parameter 'slope'; it has beta",
            lambda: layer(SWISH, learnable="slope"),
        ),
        (
            ValueError,
            "channels is 'all', neither a number nor 'input'",
            lambda: layer(SWISH, learnable="beta", channels="all"),
        ),
        (
            ValueError,
            "channels='input': axis -1 of the shape .* has no size",
            lambda: layer(SWISH, learnable="beta", channels="input").build(
                (2, None)
            ),
        ),
        (
            ValueError,
            "gated takes 2 inputs",
            lambda: layer(GATED).compute_output_shape((2, 3)),
        ),
        (
            ValueError,
            "reads rows: give the axis",
            lambda: layer(SOFTMAX),
        ),
        (
            actserve.ActivationError,
            "INVALID_ARGUMENT",
            lambda: layer("def f(x): return x +"),
        ),
    ],
)
def test_an_argument_that_no_layer_can_have(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_an_export_is_refused(tmp_path):
    one = model()
    one(data()[0])
    with pytest.raises(NotImplementedError, match="SavedModel cannot"):
        one.export(str(tmp_path / "model"), verbose=False)
