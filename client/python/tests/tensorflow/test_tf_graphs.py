"""Functions, sessions, and what of TensorFlow an activation cannot be in."""

import subprocess
import sys

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from bridge_cases import (  # noqa: E402
    GATED,
    QUESTION_DX,
    QUESTION_X,
    QUESTION_Y,
    SPIKY,
)

import actserve  # noqa: E402
import actserve.tensorflow  # noqa: E402

apply = actserve.tensorflow.apply
v1 = tf.compat.v1


def local(*inputs, **options):
    return apply(SPIKY, *inputs, client="local", **options)


@pytest.mark.parametrize(
    "shape", [(4,), (None, 3), (None, None), (2, 0, 3), (), None]
)
def test_what_is_known_of_a_shape_stays_known(shape):
    seen = []

    @tf.function(input_signature=[tf.TensorSpec(shape)])
    def function(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = local(x)
            dx = inner.gradient(y, x)
        ddx = outer.gradient(dx, x)
        seen.extend(tensor.shape for tensor in (y, dx, ddx))
        return dx

    sizes = (2, 2) if shape is None else shape
    x = np.full([5 if n is None else n for n in sizes], 1.2)
    dx = function(tf.constant(x, tf.float32))

    known = tf.TensorShape(shape)
    assert all(str(shape) == str(known) for shape in seen), seen
    np.testing.assert_array_equal(dx, np.ones_like(x))


def test_the_shape_of_a_gate_and_of_several_inputs():
    seen = []

    @tf.function(input_signature=[tf.TensorSpec([None, 8])])
    def function(x):
        seen.append(apply(GATED, x, split_axis=-1, client="local").shape)
        wide = tf.ones([5, 1, 8])
        seen.append(apply(GATED, x, wide, client="local").shape)

    function(tf.ones([3, 8]))

    assert seen[0].as_list() == [None, 4]
    assert seen[1].as_list() == [5, None, 8]


def test_shapes_that_do_not_fit_are_refused_before_anything_runs():
    @tf.function(input_signature=[tf.TensorSpec([None, 7])])
    def odd(x):
        return apply(GATED, x, split_axis=-1, client="local")

    with pytest.raises(ValueError, match="axis -1 .* 2 equal parts"):
        odd(tf.ones([3, 7]))
    with pytest.raises(ValueError, match="axis -1 .* 2 equal parts"):
        apply(GATED, tf.ones([3, 7]), split_axis=-1)
    with pytest.raises(ValueError, match=r"\[3\].* of \[2, 4\] have \[4\]"):
        apply("prelu", tf.ones([2, 4]), parameters={"a": tf.ones(3)})
    with pytest.raises(ValueError, match="axis 5 of a is none"):
        apply(
            "prelu",
            tf.ones([2, 4]),
            parameters={"a": tf.ones(4)},
            channel_axis=5,
        )


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_dtypes_in_graphs(dtype):
    @tf.function
    def function(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = local(x)
        return y, tape.gradient(y, x)

    x = tf.cast([0.25, 0.75, 1.25], dtype)
    for tensor, want in zip(
        function(x), ([0.25, 0, 0.25], [1, 0, 1]), strict=True
    ):
        assert tensor.dtype == dtype
        np.testing.assert_array_equal(tf.cast(tensor, tf.float32), want)


def test_partials_are_computed_only_below_a_tape(service):
    def value(x):
        return apply("silu", x, client=service.address)

    @tf.function
    def with_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = value(x)
        return tape.gradient(y, x)

    x = tf.constant([1.0, 2.0])
    value(x)
    tf.function(value)(x)
    forwards = [c for c in service.calls if hasattr(c, "partials")]
    assert [len(call.partials) for call in forwards] == [0, 0]

    with_gradient(x)
    assert len(service.calls[-1].partials) == 1


def test_an_eager_gradient_sends_x_once(service):
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = apply(
            "silu", x, client=service.address, gradient="residual"
        )
    tape.gradient(y, x)

    assert service.names()[-2:] == ["Forward", "Backward"]
    assert service.calls[-2].keep_residual
    assert not service.calls[-1].inputs


def test_gradients_that_nobody_watches_are_not_computed(service):
    x = tf.constant([1.0, 2.0])
    slope = {"negative_slope": tf.constant(0.5)}
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = apply("leaky_relu", x, parameters=slope, client=service.address)
    assert tape.gradient(y, x) is not None
    assert list(service.calls[-1].wrt) == ["x"]


@pytest.mark.parametrize("nested", [False, True])
def test_xla_is_refused_with_what_to_do(nested):
    inner = tf.function(local) if nested else local
    compiled = tf.function(lambda x: inner(x) + 1, jit_compile=True)

    with pytest.raises(
        NotImplementedError, match=r"XLA cannot compile: leave out jit_compile"
    ):
        compiled(tf.constant([0.2]))


def test_xla_around_a_function_that_was_built_names_the_activation():
    inner = tf.function(local)
    inner(tf.constant([0.2]))
    compiled = tf.function(lambda x: inner(x) + 1, jit_compile=True)

    with pytest.raises(
        tf.errors.InvalidArgumentError, match="XLA.*actserve_spiky"
    ):
        compiled(tf.constant([0.2]))


def test_a_saved_model_is_refused_with_what_to_do(tmp_path):
    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None])])
        def __call__(self, x):
            return local(x)

    model = Model()
    model(tf.constant([0.2]))

    with pytest.raises(NotImplementedError, match=r"save weights .* \.keras"):
        tf.saved_model.save(model, str(tmp_path))


@pytest.mark.parametrize("function", [SPIKY, "silu"])
def test_sessions_and_tf_gradients(function):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None])
        y = apply(function, x, client="local")
        (dx,) = tf.gradients(y, [x])
        (ddx,) = tf.gradients(dx, [x])
        got = session.run([y, dx, ddx], {x: QUESTION_X})

    if function == SPIKY:
        np.testing.assert_array_equal(got[0], QUESTION_Y)
        np.testing.assert_array_equal(got[1], QUESTION_DX)
        np.testing.assert_array_equal(got[2], np.zeros(4))
    else:
        s = 1 / (1 + np.exp(-QUESTION_X.astype(np.float64)))
        second = s * (1 - s) * (2 + QUESTION_X * (1 - 2 * s))
        np.testing.assert_allclose(got[2], second, rtol=1e-5)


def test_a_session_asks_for_no_gradient_that_is_not_run(service):
    with tf.Graph().as_default(), v1.Session() as session:
        x = tf.constant([1.0, 2.0])
        y = apply("silu", x, client=service.address)
        tf.gradients(y, [x])
        session.run(y)

    assert "Backward" not in service.names()


def test_the_program_of_the_question(tmp_path):
    example = (
        __file__.rsplit("/tests/", 1)[0] + "/examples/tensorflow_question.py"
    )
    run = subprocess.run(
        [sys.executable, example], capture_output=True, text=True, timeout=120
    )

    assert run.returncode == 0, run.stderr
    lines = "[0.2 0.7 1.2 1.7] [0.2 0.  0.20000005 0. ] [1. 0. 1. 0.]"
    assert run.stdout.split() == lines.split()


def test_errors_of_a_call_have_their_message_in_graphs():
    def function(x):
        return apply("no_such_function", x, client="local")

    with pytest.raises(actserve.ActivationError, match="no_such_function"):
        function(tf.constant([1.0]))
    with pytest.raises(Exception, match="NOT_FOUND: .*no_such_function"):
        tf.function(function)(tf.constant([1.0]))  # AutoGraph's StagingError

    def refused(x):  # only the server knows
        return apply(SPIKY, x, client="127.0.0.1:1", timeout=0.2)

    with pytest.raises(actserve.ActivationError, match="UNAVAILABLE|DEADLINE"):
        refused(tf.constant([1.0]))
    with pytest.raises(
        tf.errors.UnknownError, match=r"ActivationError: (UNAVAIL|DEADLINE)"
    ):
        tf.function(refused)(tf.constant([1.0]))


def test_a_server_that_is_away_costs_no_step_with_a_fallback():
    x = tf.constant(QUESTION_X)

    @tf.function
    def function(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = apply(
                SPIKY,
                x,
                client="127.0.0.1:1",
                timeout=0.2,
                fallback="local",
            )
        return y, tape.gradient(y, x)

    y, dx = function(x)
    np.testing.assert_array_equal(y, QUESTION_Y)
    np.testing.assert_array_equal(dx, QUESTION_DX)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([np.arange(3)], "inputs.0. is of int64, not one of float16"),
        ([tf.constant([True])], "inputs.0. is of bool"),
        ([tf.complex(1.0, 1.0)], "inputs.0. is of complex64"),
        ([tf.constant(["a"])], "inputs.0. is of string"),
        ([object()], "inputs.0. is of type object"),
        ([tf.sparse.from_dense([1.0])], "type SparseTensor"),
        ([tf.ragged.constant([[1.0], []])], "type RaggedTensor"),
    ],
)
def test_what_is_no_tensor_of_floats_is_refused(inputs, message):
    with pytest.raises(TypeError, match=message):
        local(*inputs)


def test_other_wrong_arguments_are_refused():
    x = tf.ones([2])
    with pytest.raises(ValueError, match=r"takes 1 inputs \(x\), not 2"):
        local(x, x)
    with pytest.raises(TypeError, match="inputs.1. is of float64, but inputs.0."):
        apply(GATED, x, tf.ones([2], tf.float64))
    with pytest.raises(TypeError, match="has no parameter 'slope'; it has none"):
        local(x, parameters={"slope": 1.0})
    with pytest.raises(ValueError, match="gradient is 'fast', not one of"):
        local(x, gradient="fast")
    with pytest.raises(actserve.ActivationError, match="nope"):
        apply("def f(x): return nope(x)", x)
    with pytest.raises(ValueError, match="reads rows: give the axis"):
        apply("def f(x): return x / rowsum(x)", x)


def test_a_fork_and_threads():
    code = """
import os, threading
import tensorflow as tf, actserve, actserve.tensorflow
f = tf.function(lambda x: actserve.tensorflow.apply("silu", x, client="local"))
x = tf.ones([1000])
want = f(x).numpy()
found = []
def work():
    for _ in range(20):
        found.append((f(x).numpy() == want).all())
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(found), all(found))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert run.stdout == "80 True\n", run.stderr


def test_the_library_is_loaded_after_tensorflow():
    # TensorFlow's own OpenSSL took the calls of the library, which died.
    code = """
import tensorflow, actserve
print(actserve.connect("local").forward("relu", [-1.0, 1.0]).tolist())
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert run.stdout == "[0.0, 1.0]\n", run.stderr
