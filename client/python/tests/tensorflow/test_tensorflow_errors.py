"""Bad input has an error that names it."""

import inspect

import numpy as np
import pytest
from bridge_cases import GATED, SOFTMAX, SWISH
from tensorflow_cases import apply, module, normal, tf

import actserve


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (
            TypeError,
            r"relu: inputs\[0\] is of int32, not one of float16, bfloat16, fl",
            lambda: apply("relu", tf.constant([1, 2])),
        ),
        (
            TypeError,
            r"inputs\[0\] is of complex64",
            lambda: apply("relu", tf.constant([1j], tf.complex64)),
        ),
        (
            TypeError,
            r"inputs\[0\] is of bool",
            lambda: apply("relu", tf.constant([True])),
        ),
        (
            TypeError,
            r"inputs\[1\] is of float64, but inputs\[0\] of float32",
            lambda: apply(GATED, normal(2), normal(2, dtype="float64")),
        ),
        (
            ValueError,
            r"gated takes 2 inputs \(x, gate\), not 1",
            lambda: apply(GATED, normal(2)),
        ),
        (
            ValueError,
            "relu takes 1 inputs",
            lambda: apply("relu"),
        ),
        (
            ValueError,
            "broadcast",
            lambda: apply(GATED, normal(2), normal(3)),
        ),
        (
            ValueError,
            r"beta has the shape \(4,\), and axis -1 and those after it of "
            r"the result \(3,\)",
            lambda: apply(SWISH, normal(2, 3), parameters={"beta": normal(4)}),
        ),
        (
            ValueError,
            r"axis 2 is none of a result of shape \(2, 3\)",
            lambda: apply(
                SWISH,
                normal(2, 3),
                parameters={"beta": normal(3)},
                channel_axis=2,
            ),
        ),
        (
            ValueError,
            r"softmax: rows run along axis 2, which is none of a result of "
            r"shape \(2, 3\)",
            lambda: apply("softmax", normal(2, 3), axis=2),
        ),
        (
            ValueError,
            r"rows run along axis -3, which is none of a result of shape "
            r"\(None, 3\)",
            lambda: tf.function(
                module("softmax", axis=-3)
            ).get_concrete_function(tf.TensorSpec([None, 3])),
        ),
        (
            TypeError,
            r"parameters\['beta'\] is of string",
            lambda: apply(SWISH, normal(3), parameters={"beta": "two"}),
        ),
        (
            TypeError,
            "swish has no parameter 'slope'; it has beta",
            lambda: apply(SWISH, normal(3), parameters={"slope": 2.0}),
        ),
        (
            TypeError,
            "swish has no parameter 'slope'; it has beta",
            lambda: module(SWISH, learnable=["slope"]),
        ),
        (
            ValueError,
            "both learnable and a number",
            lambda: module(SWISH, learnable=["beta"], parameters={"beta": 2.0}),
        ),
        (
            ValueError,
            r"learnable\['beta'\] has 3 values for 4 channels",
            lambda: module(SWISH, learnable={"beta": [1, 2, 3]}, channels=4),
        ),
        (
            ValueError,
            "channels is 0, not at least 1",
            lambda: module(SWISH, learnable="beta", channels=0),
        ),
        (
            ValueError,
            "beta is learned",
            lambda: module(SWISH, learnable="beta")(
                normal(3), parameters={"beta": 2.0}
            ),
        ),
        (
            ValueError,
            "reads rows: give the axis",
            lambda: apply(SOFTMAX, normal(2, 3)),
        ),
        (
            ValueError,
            "does not split into 2 equal parts",
            lambda: apply(GATED, normal(2, 3), split_axis=1),
        ),
        (
            ValueError,
            "gradient is 'fast', not one of 'auto'",
            lambda: apply("relu", normal(3), gradient="fast"),
        ),
    ],
)
def test_an_argument_that_no_call_can_have(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_a_function_that_cannot_be_taken_names_its_line():
    def noisy(x):
        print(x)
        return x

    with pytest.raises(actserve.ActivationError) as caught:
        module(noisy)
    line = inspect.getsourcelines(noisy)[1] + 1
    assert f"{__file__}:{line}" in str(caught.value) or any(
        f":{line}" in str(d) for d in caught.value.diagnostics
    )


def test_xla_is_refused_with_what_to_do():
    @tf.function(jit_compile=True)
    def compiled(x):
        return apply("silu", x)

    with pytest.raises(NotImplementedError, match=r"silu: XLA.*jit_compile=Fa"):
        compiled(normal(3))

    plain = tf.function(lambda x: apply("silu", x))
    outer = tf.function(lambda x: plain(x) * 2, jit_compile=True)
    with pytest.raises(NotImplementedError, match="silu: XLA"):
        outer(normal(3))


def test_what_xla_runs_after_all_names_actserve():
    """A graph made outside, and compiled later."""
    plain = tf.function(lambda x: apply("silu", x))
    graph = plain.get_concrete_function(tf.TensorSpec([3], tf.float32))
    outer = tf.function(lambda x: graph(x) * 2, jit_compile=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match="actserve_silu"):
        outer(normal(3))


def test_a_saved_model_is_refused(tmp_path):
    signature = [tf.TensorSpec([None], tf.float32)]
    by_function, by_module = tf.Module(), tf.Module()
    by_function.f = tf.function(
        lambda x: apply("silu", x), input_signature=signature
    )
    by_module.act = module("silu")
    for model in (by_function, by_module):
        with pytest.raises(NotImplementedError, match="SavedModel cannot"):
            tf.saved_model.save(model, str(tmp_path / "model"))


def test_a_saved_model_of_a_concrete_function_is_refused(tmp_path):
    model = tf.Module()
    model.f = tf.function(lambda x: apply("silu", x)).get_concrete_function(
        tf.TensorSpec([3], tf.float32)
    )
    with pytest.raises(ValueError, match="tracing gradients for SavedModel"):
        tf.saved_model.save(model, str(tmp_path / "model"))


def test_no_server():
    with pytest.raises(actserve.ActivationError, match="UNAVAILABLE"):
        apply("silu", normal(3), client="127.0.0.1:1", timeout=0.3)
    graph = tf.function(
        lambda x: apply("silu", x, client="127.0.0.1:1", timeout=0.3)
    )
    with pytest.raises(tf.errors.OpError, match="UNAVAILABLE"):
        graph(normal(3))


def test_a_rank_that_is_not_known_of_a_parameter():
    graph = tf.function(
        lambda x, beta: apply(SWISH, x, parameters={"beta": beta})
    )
    with pytest.raises(ValueError, match="a rank that is not known"):
        graph.get_concrete_function(
            tf.TensorSpec([3], tf.float32), tf.TensorSpec(None, tf.float32)
        )
    np.testing.assert_allclose(graph(normal(3), tf.ones([3])).shape, [3])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (tf.nn.relu, "tensorflow.nn.relu .* pass the name 'relu'"),
        (tf.math.tanh, "pass the name 'tanh'"),
        (tf.nn.gelu, "pass the name 'gelu'"),
    ],
)
def test_functions_of_tensorflow_name_the_built_in(given, said):
    with pytest.raises(TypeError, match=said):
        module(given)
