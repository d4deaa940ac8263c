"""The program of the question that actserve began with, as it stood there.

Its author ran it in a session of TensorFlow 1; tf.compat.v1 has those.
"""

import uuid

import numpy as np
from bridge_cases import QUESTION_DX, QUESTION_X, QUESTION_Y, SPIKY
from tensorflow_cases import apply, module, tf

import actserve

v1 = tf.compat.v1


@actserve.activation
def spiky(x):
    r = x % 1
    if r <= 0.5:
        return r
    else:
        return 0


def d_spiky(x):
    r = x % 1
    if r <= 0.5:
        return 1
    else:
        return 0


def np_spiky_32(x):
    return np.vectorize(spiky)(x).astype(np.float32)


def np_d_spiky_32(x):
    return np.vectorize(d_spiky)(x).astype(np.float32)


def py_func(function, inputs, dtypes, gradient, name=None):
    """What the question's answer did: a py_func with a gradient of its own."""
    registered = f"PyFuncGrad{uuid.uuid4().hex}"
    tf.RegisterGradient(registered)(gradient)
    graph = v1.get_default_graph()
    with graph.gradient_override_map({"PyFunc": registered}):
        return v1.py_func(function, inputs, dtypes, name=name)


def tf_spiky_by_hand(x, name=None):
    def gradient(op, dy):
        slope = v1.py_func(
            np_d_spiky_32, [op.inputs[0]], [tf.float32], stateful=False
        )
        return dy * slope[0]

    with v1.name_scope(name, "spiky", [x]) as name:
        return py_func(np_spiky_32, [x], [tf.float32], gradient, name)[0]


def tf_spiky(x, name=None):
    with v1.name_scope(name, "spiky", [x]):
        return apply(spiky, x)


def tf_spiky_of_text(x, name=None):
    return apply(SPIKY, x)


def run(function, values=QUESTION_X):
    """Returns y and tf.gradients(y, [x]), in a session."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = tf.constant(values)
        y = function(x)
        session.run(v1.global_variables_initializer())
        return y.eval(), tf.gradients(y, [x])[0].eval()


def test_the_values_of_the_question():
    for function in (tf_spiky_by_hand, tf_spiky, tf_spiky_of_text):
        y, dx = run(function)
        np.testing.assert_array_equal(y, QUESTION_Y)
        np.testing.assert_array_equal(dx, QUESTION_DX)


def test_the_bits_are_those_of_the_program_by_hand():
    values = np.random.default_rng(1).normal(size=200).astype(np.float32) * 9
    for ours, theirs in zip(
        run(tf_spiky, values), run(tf_spiky_by_hand, values), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_eager_tensors_and_functions():
    for function in (tf_spiky, tf.function(tf_spiky)):
        x = tf.constant(QUESTION_X)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        np.testing.assert_array_equal(y, QUESTION_Y)
        np.testing.assert_array_equal(tape.gradient(y, x), QUESTION_DX)


def test_a_placeholder_of_any_length():
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2])
        y = tf_spiky(x)
        (dx,) = tf.gradients(y, [x])
        assert y.shape.as_list() == dx.shape.as_list() == [None, 2]
        for rows in (1, 3):
            values = np.full((rows, 2), 1.25, np.float32)
            found = session.run([y, dx], {x: values})
            np.testing.assert_array_equal(found[0], values - 1)
            np.testing.assert_array_equal(found[1], np.ones((rows, 2)))


def test_a_session_trains_a_network_with_it():
    """As the question's author wanted to: as a layer, by an optimizer."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(1)
        x = tf.constant(
            np.random.default_rng(1).normal(size=(64, 4)), "float32"
        )
        w = v1.get_variable("w", [4, 8])
        out = v1.get_variable("out", [8, 1])
        loss = tf.reduce_mean((tf_spiky(x @ w) @ out - x[:, :1]) ** 2)
        step = v1.train.GradientDescentOptimizer(0.05).minimize(loss)
        session.run(v1.global_variables_initializer())
        losses = [session.run([loss, step])[0] for _ in range(40)]
    assert losses[-1] < 0.9 * losses[0]


def test_second_gradients_in_a_session():
    with tf.Graph().as_default(), v1.Session():
        x = tf.constant([0.5, -1.0, 2.0])
        found, wanted = (
            tf.gradients(tf.gradients(f(x), [x])[0] ** 2, [x])[0].eval()
            for f in (lambda x: apply("silu", x), tf.nn.silu)
        )
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_variable_of_a_session_is_learned():
    with tf.Graph().as_default(), v1.Session() as session:
        act = module(
            "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))",
            learnable={"beta": 2.0},
        )
        x = tf.constant([1.0, -1.0])
        y = act(x)
        (slope,) = tf.gradients(y, [act.beta])
        session.run(act.beta.initializer)
        s = 1 / (1 + np.exp(-2 * np.array([1.0, -1.0])))
        np.testing.assert_allclose(y.eval(), [1, -1] * s, rtol=1e-6)
        np.testing.assert_allclose(slope.eval(), (s * (1 - s)).sum(), rtol=1e-6)
