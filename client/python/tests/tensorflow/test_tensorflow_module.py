"""actserve.tensorflow.Activation: variables, checkpoints, layers."""

import copy
import pickle

import keras
import numpy as np
import pytest
from bridge_cases import GATED, SPIKY, SWISH
from tensorflow_cases import module, normal, spiky, swish, tf

import actserve


def test_learnable_parameters_are_variables():
    one = module(SWISH, learnable=["beta"])
    assert one.beta.shape == []
    assert float(one.beta) == 1
    many = module(SWISH, learnable={"beta": 0.25}, channels=3)
    np.testing.assert_array_equal(many.beta, [0.25] * 3)
    given = module(SWISH, learnable={"beta": [1, 2, 3]}, dtype=tf.float64)
    assert given.beta.dtype == tf.float64
    assert [v.name for v in given.trainable_variables] == ["beta:0"]
    taken = module("def f(x, name=2.0): return x * name", learnable="name")
    np.testing.assert_array_equal(taken(tf.ones([2])), [2, 2])
    assert float(taken.name_) == 2


def test_a_network_trains_as_with_the_operations_of_tensorflow():
    def train(hidden, beta):
        w1, w2 = tf.Variable(normal(4, 6)), tf.Variable(normal(6, 1, seed=2))
        values = [w1, w2, beta]
        losses = []
        for seed in range(10):
            x = normal(16, 4, seed=seed)
            with tf.GradientTape() as tape:
                y = hidden(x @ w1) @ w2
                loss = tf.reduce_mean((y - x[:, :1]) ** 2)
            for value, slope in zip(
                values, tape.gradient(loss, values), strict=True
            ):
                value.assign_sub(0.05 * slope)
            losses.append(float(loss))
        return losses

    act = module(SWISH, learnable=["beta"], channels=6)
    beta = tf.Variable(tf.ones([6]))
    np.testing.assert_allclose(
        train(act, act.beta),
        train(lambda x: swish(x, beta), beta),
        rtol=1e-5,
    )


def test_a_checkpoint_holds_the_variables(tmp_path):
    act = module(SWISH, learnable={"beta": 3.0})
    path = tf.train.Checkpoint(act=act).write(str(tmp_path / "checkpoint"))
    other = module(SWISH, learnable=["beta"])
    tf.train.Checkpoint(act=other).read(path).assert_consumed()
    assert float(other.beta) == 3


def test_copies_have_variables_of_their_own():
    act = module(SWISH, learnable={"beta": 3.0})
    copies = [copy.deepcopy(act), pickle.loads(pickle.dumps(act))]
    act.beta.assign(1.0)
    for other in copies:
        assert float(other.beta) == 3
        np.testing.assert_allclose(
            other(normal(3)), swish(normal(3), 3.0), rtol=1e-6
        )


def test_an_activation_of_keras_layers():
    def losses(activation):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(8, activation=activation),
                keras.layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse", jit_compile=False)
        x = normal(32, 4)
        history = model.fit(x, x[:, :1], epochs=4, batch_size=8, verbose=0)
        return history.history["loss"]

    np.testing.assert_allclose(losses(module(SPIKY)), losses(spiky), rtol=1e-6)


def test_a_model_compiled_by_xla_says_what_to_do():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(8, activation=module(SWISH))]
    )
    model.compile("sgd", "mse", jit_compile=True)
    with pytest.raises(
        NotImplementedError, match=r"model.compile\(jit_compile=False\)"
    ):
        model.fit(normal(8, 4), normal(8, 8), verbose=0)


def test_several_inputs_and_numbers_of_the_call():
    x, gate = normal(3), normal(3, seed=2)
    np.testing.assert_allclose(
        module(GATED)(x, gate), x * tf.sigmoid(gate), rtol=1e-6
    )
    act = module(SWISH, parameters={"beta": 2.0})
    np.testing.assert_allclose(act(x), swish(x, 2.0), rtol=1e-6)
    np.testing.assert_allclose(
        act(x, parameters={"beta": tf.constant(3.0)}),
        swish(x, 3.0),
        rtol=1e-6,
    )


def test_it_tells_what_it_is():
    act = module(SWISH, learnable=["beta"])
    assert repr(act) == "<actserve.tensorflow.Activation swish, learns beta>"
    assert act.__name__ == "swish"
    assert act.activation == actserve.activation(SWISH)


def test_a_map_of_a_data_set_runs_it():
    act = module("relu")
    data = tf.data.Dataset.from_tensor_slices(normal(6, 2)).batch(2).map(act)
    np.testing.assert_array_equal(
        np.concatenate(list(data)), tf.nn.relu(normal(6, 2))
    )


def test_a_client_serves_a_layer_that_learns():
    with actserve.connect("local") as client:
        act = module(SWISH, learnable=["beta"], channels=3, client=client)

        np.testing.assert_allclose(
            act(normal(2, 3)), swish(normal(2, 3), 1.0), rtol=1e-6
        )
