"""Errors that say what to pass instead."""

import math

import numpy as np
import pytest

import actserve
from actserve._bridge.learnable import first_values
from actserve._bridge.spec import Spec


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.tanh, "numpy.tanh is a function of numpy: pass the name 'tanh'"),
        (math.tanh, "math.tanh is a function of math: pass the name 'tanh'"),
        (np.log1p, "pass its text, 'def f(x): return numpy.log1p(x)'"),
    ],
)
def test_a_framework_s_function_is_named(given, said):
    with pytest.raises(TypeError, match="pass") as raised:
        actserve.activation(given)
    assert said in str(raised.value)
    with (
        actserve.Client("local") as client,
        pytest.raises(TypeError, match="pass") as raised,
    ):
        client.forward(given, np.ones(3, np.float32))
    assert said in str(raised.value)


def test_what_is_said_can_be_passed():
    text = "def f(x): return numpy.log1p(x)"
    x = np.array([0.5, 3], np.float32)
    with actserve.Client("local") as client:
        y = client.forward(actserve.activation(text), x)
        np.testing.assert_allclose(y, np.log1p(x), rtol=1e-6)


def test_other_functions_are_told_as_before():
    with pytest.raises(TypeError, match="len is a builtin_function_or_method;"):
        actserve.activation(len)
    with (
        actserve.Client("local") as client,
        pytest.raises(TypeError, match="decorate it with @actserve"),
    ):
        client.forward(len, np.ones(3, np.float32))


def test_without_the_library_names_and_texts_are_pointed_to(monkeypatch):
    monkeypatch.setenv("ACTSERVE_LIBRARY", "none")
    with pytest.raises(TypeError, match="or the name of a built-in"):
        actserve.activation(np.tanh)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gleu", "did you mean .*'gelu'"),
        ("Sigmoyd", "did you mean 'sigmoid'"),
        ("relu_6", "did you mean 'relu6'"),
        ("qqqqqq", r"list_activations\(\) has the names"),
    ],
)
def test_a_mistyped_name_is_told_its_neighbours(name, said):
    with (
        actserve.Client("local") as client,
        pytest.raises(actserve.ActivationError, match=said) as raised,
    ):
        client.forward(name, np.ones(3, np.float32))
    assert raised.value.reason == "ACTIVATION_UNKNOWN"
    with pytest.raises(actserve.ActivationError, match=said):
        first_values(Spec.make(name, "local"), ["beta"], None)


def test_an_unknown_id_has_no_neighbours():
    with (
        actserve.Client("local") as client,
        pytest.raises(actserve.ActivationError, match=r"known to this server$"),
    ):
        client.forward("sha256:0", np.ones(3, np.float32))


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ("x", TypeError, r"learnable\['beta'\] is .*'x'.*, not a number"),
        ([1.0, "y"], TypeError, r"learnable\['beta'\] is \['1.0', 'y'\]: give"),
        (
            [[1.0]],
            ValueError,
            r"learnable\['beta'\] has the shape \[1, 1\]",
        ),
        (1j, TypeError, r"learnable\['beta'\] is .*1j.*, not a number"),
    ],
)
def test_a_learnable_that_is_no_number_is_shown(value, error, said):
    spec = Spec.make("def f(x, beta=1.0): return x * beta", "local")
    with pytest.raises(error, match=said):
        first_values(spec, {"beta": value}, None)
