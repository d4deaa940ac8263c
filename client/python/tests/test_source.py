"""What the decorator takes from a function, and what it refuses."""

import math
import pickle
import types

import grpc
import numpy
import numpy as np
import pytest
from numpy import maximum

import actserve

SLOPE = 0.25
SCALE = np.float32(0.1)
COUNT = 3
LIMIT = math.inf
WEIGHTS = [1.0, 2.0]
FLAG = True
pi = math.pi
th = math.tanh
settings = types.ModuleType("settings")
settings.alpha = 0.5


def plain(x):
    """x, or its quarter."""
    return x if x > 0 else SLOPE * x


def test_takes_the_source_without_decorator():
    @actserve.activation
    # A comment between.
    def spiky(x):
        """A sawtooth."""
        r = x % 1
        if r <= 0.5:
            return r
        return 0

    assert spiky.text == (
        "def spiky(x):\n"
        '    """A sawtooth."""\n'
        "    r = x % 1\n"
        "    if r <= 0.5:\n"
        "        return r\n"
        "    return 0\n"
    )


def test_keeps_name_doc_and_local_call():
    spiky = actserve.activation(plain)

    assert spiky.name == "plain"
    assert spiky.__doc__ == "x, or its quarter."
    assert spiky(-2.0) == -0.5


# fmt: off
def test_dedents_past_comments_left_of_the_margin():
    @actserve.activation
    def f(x):
# left of the margin
        return max(
    x, 0)

    assert f.text == (
        "def f(x):\n# left of the margin\n    return max(\nx, 0)\n"
    )
# fmt: on


def test_binds_module_and_closure_numbers():
    depth = 7

    @actserve.activation
    def f(x):
        return x * SLOPE + SCALE * depth + COUNT

    assert f.constants == {
        "SLOPE": 0.25,
        "SCALE": float(np.float32(0.1)),
        "depth": 7.0,
        "COUNT": 3.0,
    }
    assert "SLOPE=0.25" in repr(f)


def test_logs_what_it_binds(caplog):
    with caplog.at_level("INFO", logger="actserve"):
        actserve.activation(plain)

    assert "'plain' binds {'SLOPE': 0.25}" in caplog.text


def test_binds_the_value_of_decoration_time():
    slope = 1.0

    @actserve.activation
    def f(x):
        return x * slope

    slope = 2.0
    assert f.constants == {"slope": 1.0}
    assert f(1.0) == slope


def test_leaves_names_of_the_language():
    @actserve.activation
    def f(x):
        y = np.where(x > 0, numpy.tanh(x), math.exp(x))
        return y * normcdf(x) + abs(x) * pi + tf.nn.relu(x) + tau  # noqa: F821

    assert not f.constants


def test_writes_imports_for_modules_and_functions_of_other_names():
    jnp = numpy

    @actserve.activation
    def f(x):
        return jnp.tanh(x) + th(x) + np.exp(x) + maximum(x, 0)

    assert f.text.startswith(
        "import numpy as jnp\n"
        "from math import tanh as th\n"
        "from numpy import maximum\n\n\n"
        "def f(x):"
    )


def test_ignores_annotations_and_locals():
    @actserve.activation
    def f(x: np.ndarray, slope: float = 0.5) -> np.ndarray:
        y: float = x * slope
        for i in range(3):
            y += i
        return y

    assert not f.constants


def test_writes_defaults_as_numbers():
    @actserve.activation
    def f(x, a=SLOPE * 2, b=-1.5, c=2**0.5 * 2**0.5, *, é=COUNT):
        return a * x + b + c + é

    assert f.text.startswith(
        "def f(x, a=0.5, b=-1.5, c=2.0000000000000004, *, é=3.0):"
    )
    assert not f.constants


def half(x):
    return x * 0.5


def quarter(x):
    return half(half(x)) * SLOPE


def test_takes_helpers_along_first():
    @actserve.activation
    def f(x):
        return quarter(x) + half(x)

    assert f.text == (
        "def half(x):\n    return x * 0.5\n\n\n"
        "def quarter(x):\n    return half(half(x)) * SLOPE\n\n\n"
        "def f(x):\n    return quarter(x) + half(x)\n"
    )
    assert f.constants == {"SLOPE": 0.25}


def test_takes_activations_along():
    base = actserve.activation("def base(x): return a * x", constants={"a": 2})

    @actserve.activation
    def f(x):
        return base(x) + 1

    assert f.text.startswith("def base(x): return a * x\n\ndef f(x):")
    assert f.constants == {"a": 2.0}


def test_takes_derivative_and_gradient():
    def d_plain(x):
        return 1 if x > 0 else SLOPE

    def plain_grad(x, dy):
        return dy

    with_derivative = actserve.activation(plain, derivative=d_plain)
    with_gradient = actserve.activation(plain, gradient=plain_grad)

    assert with_derivative.derivative.startswith("def d_plain(x):")
    assert with_gradient.text.endswith(
        "def plain_grad(x, dy):\n    return dy\n"
    )
    assert with_gradient.name == "plain"


def test_decorator_takes_options():
    @actserve.activation(exact=True, derivative="def d(x): return 1")
    def f(x):
        return x

    assert f.exact
    assert f.derivative == "def d(x): return 1"


def test_text_is_never_executed():
    f = actserve.activation("def f(x): return x")

    assert f.name == "f"
    with pytest.raises(TypeError, match="never executed"):
        f(1.0)


def test_pickles_as_text_and_compares_by_it():
    f = actserve.activation(plain)

    assert pickle.loads(pickle.dumps(f)) == f
    assert hash(actserve.activation(plain)) == hash(f)
    assert actserve.activation(plain, exact=True) != f


def uses_infinity(x):
    return min(x, LIMIT)


def uses_list(x):
    return x * WEIGHTS[0]


def uses_flag(x):
    return x if FLAG else 0


def uses_unknown(x):
    return x * unknown  # noqa: F821


def uses_module(x):
    return x * settings.alpha


def uses_other_name(x):
    return double(x)


def uses_huge(x):
    return x * HUGE


double = plain
HUGE = 10**400


@pytest.mark.parametrize(
    ("function", "column", "message"),
    [
        (uses_infinity, 19, "LIMIT is inf; write inf or nan in the text"),
        (uses_list, 16, "WEIGHTS is a list; only finite numbers"),
        (uses_flag, 17, "FLAG is a bool; only finite numbers"),
        (uses_unknown, 16, "unknown is not defined; make it an argument"),
        (uses_module, 16, "settings is the module settings"),
        (uses_other_name, 12, "double is another name for plain"),
        (uses_huge, 16, "HUGE is beyond the largest float64"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_refuses_other_outside_names(function, column, message):
    with pytest.raises(actserve.ActivationError) as caught:
        actserve.activation(function)

    (diagnostic,) = caught.value.diagnostics
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (diagnostic.line, diagnostic.column) == (2, column)
    assert diagnostic.message.startswith(message)
    line = function.__code__.co_firstlineno + 1
    assert f"{__file__}:{line}:{column}: error: {message}" in str(caught.value)


def test_reports_every_refusal():
    def f(x, a=WEIGHTS):
        return x * LIMIT + unknown  # noqa: F821

    with pytest.raises(actserve.ActivationError) as caught:
        actserve.activation(f)

    places = [(d.line, d.column) for d in caught.value.diagnostics]
    assert places == [(1, 12), (2, 16), (2, 24)]


def test_refuses_a_name_with_two_meanings():
    def scoped():
        SLOPE = 0.5  # noqa: N806

        def inner(x):
            return SLOPE * plain(x)

        return inner

    with pytest.raises(actserve.ActivationError, match=r"SLOPE is 0\.5 in one"):
        actserve.activation(scoped())


def test_refuses_two_helpers_of_one_name():
    def scoped():
        def half(x):
            return x / 2

        def inner(x):
            return quarter(x) + half(x)

        return inner

    with pytest.raises(actserve.ActivationError, match="half is a function"):
        actserve.activation(scoped())


def wrapped(function):
    def inner(*args):
        return function(*args)

    inner.__wrapped__ = function
    return inner


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (abs, "abs is a builtin_function_or_method"),
        (np.add, "add is a ufunc"),
        (wrapped(plain), "wrapped by another decorator"),
        (3, "int is a int"),
    ],
    ids=["builtin", "ufunc", "wrapped", "number"],
)
def test_refuses_what_is_no_plain_function(source, message):
    with pytest.raises(TypeError, match=message):
        actserve.activation(source)


def test_says_what_to_do_without_source():
    scope = {}
    exec("def f(x): return x", scope)

    with pytest.raises(actserve.ActivationError, match="give its text"):
        actserve.activation(scope["f"])

    exec("f = lambda x: x", scope)
    with pytest.raises(actserve.ActivationError, match=r"def f\(x\): \.\.\."):
        actserve.activation(scope["f"])


def test_refuses_a_gradient_of_another_name():
    with pytest.raises(TypeError, match="function named half_grad"):
        actserve.activation(half, gradient=quarter)


def test_makes_another_activation_of_one():
    base = actserve.activation(plain)

    other = actserve.activation(base, derivative="def d(x): return 1")

    assert (other.text, other.constants) == (base.text, base.constants)
    assert other.derivative == "def d(x): return 1"
    assert other(-2.0) == -0.5
    assert actserve.activation(other, exact=True).derivative == other.derivative


def test_refuses_constants_that_are_not_finite():
    with pytest.raises(ValueError, match="constant a is nan, not finite"):
        actserve.activation("def f(x): return a", constants={"a": math.nan})


def test_constants_that_differ_in_the_sign_of_zero_differ():
    text = "def f(x): return x / a"
    plus = actserve.activation(text, constants={"a": 0.0})
    minus = actserve.activation(text, constants={"a": -0.0})

    assert plus != minus
    x = np.ones(1, np.float32)
    client = actserve.connect("local")
    assert client.forward(plus, x) == [math.inf]
    assert client.forward(minus, x) == [-math.inf]


def test_refuses_zeros_of_two_signs_for_one_constant():
    base = actserve.activation("def base(x): return x / a", constants={"a": 0})

    with pytest.raises(ValueError, match="in one function and 0"):
        actserve.activation(base, constants={"a": -0.0})
