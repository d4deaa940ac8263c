"""Tapes, forward mode, graphs and their shapes."""

import numpy as np
import pytest
from bridge_cases import GATED, SWISH
from tensorflow_cases import apply, gradients, normal, tf

WAYS = {"eager": lambda f: f, "graph": tf.function}
OURS = {name: way(lambda x: apply("silu", x)) for name, way in WAYS.items()}
each_way = pytest.mark.parametrize("f", OURS.values(), ids=OURS)


@each_way
@pytest.mark.parametrize("gradient", ["auto", "partials", "residual"])
def test_a_persistent_tape_is_asked_twice(f, gradient):
    x = normal(5, dtype="float64")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = apply("silu", x, gradient=gradient) if gradient != "auto" else f(x)
        loss = tf.reduce_sum(y * y)
    first = tape.gradient(y, x)
    np.testing.assert_array_equal(first, tape.gradient(y, x))
    np.testing.assert_allclose(
        tape.gradient(loss, x), 2 * y * first, rtol=1e-12
    )


@each_way
def test_forward_mode(f):
    x, v = normal(5, dtype="float64"), normal(5, dtype="float64", seed=2)

    def jvp(f):
        with tf.autodiff.ForwardAccumulator(x, v) as accumulator:
            y = f(x)
        return accumulator.jvp(y)

    np.testing.assert_allclose(jvp(f), jvp(tf.nn.silu), rtol=1e-12)


@each_way
def test_hessian_times_vector_by_forward_over_reverse(f):
    x, v = normal(5, dtype="float64"), normal(5, dtype="float64", seed=2)

    def product(f):
        with tf.autodiff.ForwardAccumulator(x, v) as accumulator:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(f(x) ** 2)
            slope = tape.gradient(y, x)
        return accumulator.jvp(slope)

    np.testing.assert_allclose(product(f), product(tf.nn.silu), rtol=1e-11)


def test_forward_over_reverse_of_two_inputs():
    x, gate = normal(2, 3, dtype="float64"), normal(3, dtype="float64")

    def product(f):
        with tf.autodiff.ForwardAccumulator(
            [x, gate], [tf.sin(x), tf.cos(gate)]
        ) as accumulator:
            with tf.GradientTape() as tape:
                tape.watch([x, gate])
                y = tf.reduce_sum(f(x, gate) ** 2)
            slopes = tape.gradient(y, [x, gate])
        return [accumulator.jvp(slope) for slope in slopes]

    ours = product(lambda x, g: apply(GATED, x, g))
    native = product(lambda x, g: x * tf.sigmoid(g))
    for one, other in zip(ours, native, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)


@each_way
def test_a_jacobian(f):
    x = normal(4, dtype="float64")

    def jacobian(f):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return tape.jacobian(y, x)

    np.testing.assert_allclose(jacobian(f), jacobian(tf.nn.silu), atol=1e-13)


@each_way
def test_the_third_order_is_an_error_that_says_so(f):
    x = normal(4)

    def third():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as middle:
                middle.watch(x)
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    y = f(x)
                first = inner.gradient(y, x)
            second = middle.gradient(first, x)
        return outer.gradient(second, x)

    with pytest.raises(
        (NotImplementedError, tf.errors.UnimplementedError),
        match="silu: gradients in TensorFlow have two orders, and this is the",
    ):
        third()


def test_a_tape_in_a_graph_and_another_around_it():
    x, w = normal(4), tf.Variable(2.0)

    @tf.function
    def f(x):
        with tf.GradientTape() as tape:
            y = apply(SWISH, x, parameters={"beta": w})
        return y, tape.gradient(y, w)

    with tf.GradientTape() as tape:
        tape.watch(x)
        y, dw = f(x)
    dx = tape.gradient(y, x)

    def native(x, w):
        return x * tf.sigmoid(w * x)

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = native(x, w)
    wanted = tape.gradient(y, [x, w])
    np.testing.assert_allclose(dx, wanted[0], rtol=1e-5)
    np.testing.assert_allclose(dw, wanted[1], rtol=1e-5)


def test_graphs_know_as_much_of_shapes_as_their_inputs():
    seen = []

    @tf.function
    def f(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = apply("silu", x)
        dx = tape.gradient(y, x)
        seen.append((y.shape, dx.shape))
        return dx

    for shape in ([2, 3], [None, 3], [None, None], None):
        spec = tf.TensorSpec(shape, tf.float32)
        found = f.get_concrete_function(spec)(tf.zeros([2, 3]))
        np.testing.assert_array_equal(found, np.full([2, 3], 0.5))
        for known in seen[-1]:
            if shape is None:
                assert known.rank is None
            else:
                assert known.as_list() == shape


def test_shapes_of_several_inputs():
    def shape_of(f, *shapes):
        specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        graph = tf.function(f).get_concrete_function(*specs)
        return graph.outputs[0].shape, graph

    gated = lambda x, gate: apply(GATED, x, gate)  # noqa: E731
    for shapes, wanted in (
        (([None, 4], [3, 4]), [3, 4]),
        (([None, 4], [None, 4]), [None, 4]),
        (([4], [None, 1]), [None, 4]),
    ):
        shape, graph = shape_of(gated, *shapes)
        assert shape.as_list() == wanted
        a, b = (normal(*(3 if n is None else n for n in s)) for s in shapes)
        np.testing.assert_allclose(graph(a, b), a * tf.sigmoid(b), rtol=1e-6)
    halves = lambda x: apply(GATED, x, split_axis=1)  # noqa: E731
    assert shape_of(halves, [None, 8])[0].as_list() == [None, 4]
    assert shape_of(halves, [2, None])[0].as_list() == [2, None]
    assert shape_of(halves, None)[0].rank is None


def test_a_graph_follows_another_shape_and_is_traced_once():
    count = 0

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
    def step(x):
        nonlocal count
        count += 1
        return apply("relu", x)

    for shape in ([1, 2], [3, 4], [0, 5]):
        x = normal(*shape)
        np.testing.assert_array_equal(step(x), tf.nn.relu(x))
    assert count == 1


def test_no_result_is_a_view_of_its_input():
    x = tf.Variable([1.0, 2.0])
    y = apply("def same(x): return x", x)
    x.assign([3.0, 4.0])
    np.testing.assert_array_equal(y, [1, 2])


def test_a_variable_that_changes_after_forward_keeps_its_gradient():
    x = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        y = apply("def square(x): return x * x", x)
    x.assign([3.0, 4.0])
    np.testing.assert_array_equal(tape.gradient(y, x), [2, 4])


def test_gradients_of_what_is_not_asked_for_cost_nothing():
    x = normal(3)
    y, dx = gradients(lambda x: apply(SWISH, x, parameters={"beta": 2.0}), x)
    assert dx.shape == y.shape


def test_forward_mode_inside_of_a_function_is_refused():
    # It was 0, as TensorFlow takes a custom gradient in a graph for a constant.
    @tf.function
    def tangent(x):
        with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as accumulator:
            y = apply("silu", x)
        return accumulator.jvp(y)

    with pytest.raises(NotImplementedError, match="pass all that moves"):
        tangent(tf.constant([1.0]))
