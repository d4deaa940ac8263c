"""Surrogate gradients of spiking neurons, against their published formulas.

The texts are in the language; the formulas are NumPy's, written from the
documentation of snnTorch and SpikingJelly and from the papers. x is the
membrane potential above the threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

import actserve

pytestmark = pytest.mark.server

NEXT = np.finfo(np.float32).smallest_normal
# The threshold, its neighbours, the corners of the families, and tails.
POINTS = [0.0, -0.0, NEXT, -NEXT, 0.25, -0.25, 0.5, -0.5, 1.0, -1.0, 4.0, -4.0]
X = np.concatenate([POINTS, np.random.default_rng(5).normal(size=200)])


@dataclass
class Family:
    """A surrogate: its gradient as text, with parameters, and as formula."""

    gradient: str
    formula: Callable[..., np.ndarray]
    parameters: dict[str, float] = field(default_factory=dict)
    # snnTorch's neurons fire above the threshold, SpikingJelly's at it.
    fires: str = "x >= 0"

    def text(self) -> str:
        defaults = "".join(f", {k}={v}" for k, v in self.parameters.items())
        return (
            f"def spike(x{defaults}):\n"
            f"    return 1.0 if {self.fires} else 0.0\n\n"
            f"def spike_grad(x, dy{defaults}):\n"
            f"    return dy * ({self.gradient})\n"
        )


def normal(x, mean, deviation):
    z = (x - mean) / deviation
    return np.exp(-(z**2) / 2) / (deviation * np.sqrt(2 * np.pi))


def multi_gaussian(x, h, s, sigma, gamma):
    return gamma * (
        (1 + h) * normal(x, 0, sigma)
        - h * normal(x, sigma, s * sigma)
        - h * normal(x, -sigma, s * sigma)
    )


def fake_numerical(x, alpha):
    with np.errstate(divide="ignore"):
        slope = np.where(x >= 0, 1, -1) / np.where(x == 0, 0.0, x)
    return np.minimum(slope, alpha)


def s2nn(x, alpha, beta):
    s = 1 / (1 + np.exp(-alpha * x))
    return np.where(x < 0, alpha * s * (1 - s), beta / (np.abs(x) + 1))


ABOVE = "x > 0"
FAMILIES = {
    # snnTorch
    "straight_through_estimator": Family("1", np.ones_like, {}, ABOVE),
    "snn_triangular": Family(
        "-threshold if x >= 0 else threshold",
        lambda x, threshold: np.where(x >= 0, -threshold, threshold),
        {"threshold": 1.0},
        ABOVE,
    ),
    "snn_fast_sigmoid": Family(
        "1 / (slope * abs(x) + 1) ** 2",
        lambda x, slope: (1 + slope * np.abs(x)) ** -2.0,
        {"slope": 25.0},
        ABOVE,
    ),
    "snn_atan": Family(
        "alpha / 2 / (1 + (pi / 2 * alpha * x) ** 2)",
        lambda x, alpha: alpha / 2 / (1 + (np.pi * alpha * x / 2) ** 2),
        {"alpha": 2.0},
        ABOVE,
    ),
    "snn_heaviside": Family(
        "1 if x > 0 else 0", lambda x: np.heaviside(x, 0), {}, ABOVE
    ),
    "snn_sigmoid": Family(
        "slope * exp(-slope * x) / (exp(-slope * x) + 1) ** 2",
        lambda x, slope: slope / (2 * np.cosh(slope * x / 2)) ** 2,
        {"slope": 25.0},
        ABOVE,
    ),
    "snn_spike_rate_escape": Family(
        "slope * exp(-beta * abs(x - 1))",
        lambda x, beta, slope: slope * np.exp(-beta * np.abs(x - 1)),
        {"beta": 1.0, "slope": 25.0},
        ABOVE,
    ),
    "snn_leaky_spike_operator": Family(
        "1 if x > 0 else slope",
        lambda x, slope: np.where(x > 0, 1, slope),
        {"slope": 0.1},
        ABOVE,
    ),
    "snn_sparse_fast_sigmoid": Family(
        "1 / (slope * abs(x) + 1) ** 2 if x > bound else 0",
        lambda x, slope, bound: (x > bound) * (1 + slope * np.abs(x)) ** -2.0,
        {"slope": 25.0, "bound": 1.0},
        ABOVE,
    ),
    # The example of snnTorch's custom_surrogate: the spike is in the formula.
    "snn_custom": Family(
        "x * (1.0 if x > 0 else 0.0)", lambda x: np.maximum(x, 0), {}, ABOVE
    ),
    # SpikingJelly
    "piecewise_quadratic": Family(
        "0 if abs(x) > 1 / alpha else alpha - alpha ** 2 * abs(x)",
        lambda x, alpha: np.maximum(0, alpha - alpha**2 * np.abs(x)),
        {"alpha": 1.0},
    ),
    "piecewise_exp": Family(
        "alpha / 2 * exp(-alpha * abs(x))",
        lambda x, alpha: alpha / 2 * np.exp(-alpha * np.abs(x)),
        {"alpha": 1.0},
    ),
    "sigmoid": Family(
        "alpha * sigmoid(alpha * x) * (1 - sigmoid(alpha * x))",
        lambda x, alpha: alpha / (2 * np.cosh(alpha * x / 2)) ** 2,
        {"alpha": 4.0},
    ),
    "soft_sign": Family(
        "alpha / 2 / (1 + abs(alpha * x)) ** 2",
        lambda x, alpha: 1 / (2 * alpha * (1 / alpha + np.abs(x)) ** 2),
        {"alpha": 2.0},
    ),
    "atan": Family(
        "alpha / 2 / (1 + (pi / 2 * alpha * x) ** 2)",
        lambda x, alpha: alpha / (2 + (np.pi * alpha * x) ** 2 / 2),
        {"alpha": 2.0},
    ),
    "nonzero_sign_log_abs": Family(
        "alpha / (1 + abs(alpha * x))",
        lambda x, alpha: 1 / (1 / alpha + np.abs(x)),
        {"alpha": 1.0},
    ),
    "erf": Family(
        "alpha / sqrt(pi) * exp(-(alpha * x) ** 2)",
        lambda x, alpha: 2 * alpha * normal(alpha * x * 2**0.5, 0, 1) / 2**0.5,
        {"alpha": 2.0},
    ),
    "piecewise_leaky_relu": Family(
        "1 / w if abs(x) < w else c",
        lambda x, w, c: np.where(np.abs(x) < w, 1 / w, c),
        {"w": 1.0, "c": 0.01},
    ),
    # n = 3: a sum of two cosines. The loop's bound is a constant.
    "squarewave_fourier_series": Family(
        "4 / period * (cos(2 * pi / period * x) + cos(6 * pi / period * x))",
        lambda x, period: (
            8
            / period
            * np.cos(4 * np.pi * x / period)
            * np.cos(2 * np.pi * x / period)
        ),
        {"period": 8.0},
    ),
    "s2nn": Family(
        "alpha * sigmoid(alpha * x) * (1 - sigmoid(alpha * x)) if x < 0"
        " else beta / (x + 1)",
        s2nn,
        {"alpha": 4.0, "beta": 1.0},
    ),
    "q_pseudo_spike": Family(
        "(1 + 2 / (alpha - 1) * abs(x)) ** -alpha",
        lambda x, alpha: np.exp(-alpha * np.log1p(2 * np.abs(x) / (alpha - 1))),
        {"alpha": 2.0},
    ),
    "leaky_k_relu": Family(
        "k if x >= 0 else leak",
        lambda x, leak, k: np.where(x >= 0, k, leak),
        {"leak": 0.0, "k": 1.0},
    ),
    "fake_numerical_gradient": Family(
        "min(1 / abs(x), alpha)", fake_numerical, {"alpha": 0.3}
    ),
    "log_tailed_relu": Family(
        "alpha if x <= 0 else 1 if x <= 1 else 1 / x",
        lambda x, alpha: np.where(x <= 0, alpha, 1 / np.maximum(x, 1)),
        {"alpha": 0.01},
    ),
    "rect": Family(
        "alpha if abs(x) < 0.5 / alpha else 0",
        lambda x, alpha: alpha * (np.abs(x * alpha) < 0.5),
        {"alpha": 1.0},
    ),
    # Yin, Corradi and Bohte 2021.
    "multi_gaussian": Family(
        "gamma * ((1 + h) * normpdf(x / sigma) / sigma"
        " - h * normpdf((x - sigma) / (s * sigma)) / (s * sigma)"
        " - h * normpdf((x + sigma) / (s * sigma)) / (s * sigma))",
        multi_gaussian,
        {"h": 0.15, "s": 6.0, "sigma": 0.5, "gamma": 0.5},
    ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FAMILIES)
def test_surrogate_is_the_published_formula(client, name, dtype):
    family = FAMILIES[name]
    spike = actserve.activation(family.text())
    x = X.astype(dtype)
    dy = np.linspace(-2, 3, len(x)).astype(dtype)
    slope = family.formula(x.astype(np.float64), **family.parameters)

    y = client.forward(spike, x)
    dx = client.backward(spike, x, grad_output=dy)["x"]
    _, partials, _ = client.forward_with(spike, x, partials=["x"])

    fired = x > 0 if family.fires == ABOVE else x >= 0
    np.testing.assert_array_equal(y, fired)
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(dx, slope * dy, tolerance, tolerance)
    np.testing.assert_allclose(partials["x"], slope, tolerance, tolerance)


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_of_a_surrogate_change_its_gradient(client, name):
    family = FAMILIES[name]
    values = {k: 1.5 * v + 0.05 for k, v in family.parameters.items()}

    dx = client.backward(
        actserve.activation(family.text()), X, parameters=values
    )["x"]

    np.testing.assert_allclose(dx, family.formula(X, **values), 1e-12, 1e-12)


def test_a_surrogate_is_no_error_and_told(client):
    text = FAMILIES["snn_atan"].text()

    info = client.register_activation(actserve.activation(text))

    assert info.declared_gradient
    worst = info.gradient_check.variables["x"]
    assert worst.difference == 0
    assert worst.gradient == pytest.approx(
        1 / (1 + (np.pi * worst.inputs["x"]) ** 2)
    )


def test_a_surrogate_inside_another_activation(client):
    text = FAMILIES["erf"].text() + (
        "\ndef adapted(x, theta=0.3):\n"
        "    return (x - theta) * spike(x - theta, 1.0)\n"
    )
    f = actserve.activation(text)
    x = X - 0.1

    dx = client.backward(f, x, wrt=["x", "theta"])

    d = x - 0.3
    slope = (d >= 0) + d * np.exp(-(d**2)) / np.sqrt(np.pi)
    np.testing.assert_allclose(dx["x"], slope, 1e-12, 1e-12)
    np.testing.assert_allclose(dx["theta"], -slope.sum(), 1e-12)
