"""actserve.tensorflow.Activation."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from bridge_cases import GATED, SPIKY, SWISH  # noqa: E402

import actserve  # noqa: E402
import actserve.tensorflow  # noqa: E402

Activation = actserve.tensorflow.Activation


def swish(x, beta):
    return x * tf.sigmoid(beta * x)


@pytest.mark.parametrize(
    ("options", "shape", "value"),
    [
        ({"learnable": "beta"}, [], 1),
        ({"learnable": {"beta": 0.5}}, [], 0.5),
        ({"learnable": {"beta": None}, "parameters": {"beta": 2}}, [], 2),
        ({"learnable": ["beta"], "channels": 1}, [1], 1),
        ({"learnable": ["beta"], "channels": 3}, [3], 1),
        ({"learnable": {"beta": [0.5, 0.5, 0.5]}}, [3], 0.5),
    ],
)
def test_learnable_parameters_are_trained(options, shape, value):
    act = Activation(SWISH, client="local", **options)
    assert act.trainable_variables == (act.beta,)
    assert act.beta.shape == shape
    np.testing.assert_array_equal(act.beta, np.full(shape, value))

    x = tf.random.stateless_normal([4, 3], (1, 2))
    with tf.GradientTape(persistent=True) as tape:
        got = tf.reduce_sum(act(x) ** 2)
        want = tf.reduce_sum(swish(x, act.beta) ** 2)
    gradients = [tape.gradient(loss, act.beta) for loss in (got, want)]

    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(*gradients, rtol=1e-5)
    assert gradients[0].shape == shape


def test_a_channel_axis():
    act = Activation(
        "prelu", learnable={"a": [0.1, 0.2]}, channel_axis=1, client="local"
    )
    x = -tf.ones([3, 2, 4])
    np.testing.assert_allclose(
        act(x), np.broadcast_to([[[-0.1], [-0.2]]], x.shape)
    )


def test_learning_in_a_function_and_a_checkpoint(tmp_path):
    x = tf.random.stateless_normal([64, 3], (1, 2))
    want = swish(x, [0.5, 1.0, 2.0])
    act = Activation(SWISH, learnable=["beta"], channels=3, client="local")
    optimizer = tf.keras.optimizers.Adam(0.1)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((act(x) - want) ** 2)
        variables = act.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, variables), variables, strict=True)
        )
        return loss

    losses = [float(step()) for _ in range(100)]
    assert losses[-1] < 1e-4 < losses[0]
    np.testing.assert_allclose(act.beta, [0.5, 1, 2], atol=0.05)

    path = tf.train.Checkpoint(act=act).write(str(tmp_path / "c"))
    other = Activation(SWISH, learnable=["beta"], channels=3, client="local")
    tf.train.Checkpoint(act=other).read(path).assert_consumed()
    np.testing.assert_array_equal(other.beta, act.beta)


def test_as_the_activation_of_a_layer():
    act = Activation(SPIKY, client="local")
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input([4]),
            tf.keras.layers.Dense(8, activation=act),
            tf.keras.layers.Dense(1),
        ]
    )
    dense = model.layers[0]
    x = tf.random.stateless_normal([16, 4], (1, 2))
    model.compile("sgd", "mse", jit_compile=False)
    before = model.evaluate(x, x[:, :1], verbose=0)

    model.fit(x, x[:, :1], epochs=3, verbose=0)

    assert model.evaluate(x, x[:, :1], verbose=0) < before
    r = np.mod(x @ dense.kernel + dense.bias, np.float32(1))
    np.testing.assert_allclose(dense(x), np.where(r <= 0.5, r, 0), atol=1e-5)


def test_values_that_change_from_call_to_call():
    act = Activation(
        "def f(x, seed=0): return x * uniform(seed)", client="local"
    )
    x = tf.ones([100])
    first, again, other = (
        act(x, parameters={"seed": seed}).numpy()
        for seed in (1, tf.constant(1), tf.constant(2.0, tf.float64))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    trace = []

    @tf.function
    def function(x, seed):
        trace.append(seed)
        return act(x, parameters={"seed": seed})

    for seed in (1, 2):
        np.testing.assert_array_equal(
            function(x, tf.constant(seed)), [first, other][seed - 1]
        )
    assert len(trace) == 1


def test_several_inputs_and_dtypes():
    act = Activation(GATED, client="local")
    x = tf.ones([2], tf.bfloat16)
    np.testing.assert_allclose(
        tf.cast(act(x, x), tf.float32), np.full(2, 0.731), atol=0.004
    )
    act = Activation(SWISH, learnable="beta", client="local")
    with tf.GradientTape() as tape:
        y = act(x)
    gradient = tape.gradient(y, act.beta)
    assert (y.dtype, gradient.dtype) == (tf.bfloat16, tf.float32)


def test_what_it_tells_of_itself():
    act = Activation(actserve.activation(SPIKY))
    assert act.activation.name == "spiky"
    assert (act.name, act.__name__) == ("spiky", "spiky")
    assert repr(act) == "<actserve.tensorflow.Activation spiky>"
    learned = Activation("def f(x, name=1): return x * name", learnable="name")
    assert learned.trainable_variables == (learned.name_,)


def test_wrong_arguments_are_refused_where_it_is_made():
    with pytest.raises(TypeError, match="has no parameter 'b'; it has beta"):
        Activation(SWISH, learnable=["b"])
    with pytest.raises(ValueError, match="has 2 values for 3 channels"):
        Activation(SWISH, learnable={"beta": [1, 2]}, channels=3)
    with pytest.raises(actserve.ActivationError, match="nope"):
        Activation("def f(x): return nope(x)")
    with pytest.raises(ValueError, match="beta is learned by the layer"):
        Activation(SWISH, learnable="beta")(
            tf.ones(2), parameters={"beta": tf.ones([])}
        )
    with pytest.raises(TypeError, match="client is of type int"):
        Activation(SWISH, client=3)
