"""The built-ins against SciPy, and their gradients against differences.

The server's own tests judge the last bits; these share no code with it.
"""

import ml_dtypes
import numpy as np
import pytest
from scipy import special

import actserve

pytestmark = [
    pytest.mark.server,
    # Results beyond the narrow types are infinite on both sides.
    pytest.mark.filterwarnings("ignore:(overflow|invalid) :RuntimeWarning"),
]

RNG = np.random.default_rng(13)
X = np.concatenate([RNG.uniform(-6, 6, 400), RNG.normal(size=100) * 0.01])


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * special.expm1(np.minimum(x, 0)))


FORMULAS = {
    "absolute": np.abs,
    "arctan": np.arctan,
    "celu": elu,
    "elu": elu,
    "erf": special.erf,
    "exponential": np.exp,
    "gaussian": lambda x: np.exp(-(x**2)),
    "gelu": lambda x: x * special.ndtr(x),
    "gelu_tanh": lambda x: (
        x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    ),
    "hardshrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hardtanh": lambda x: np.clip(x, -1, 1),
    "identity": lambda x: x,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "logsigmoid": special.log_expit,
    "mish": lambda x: x * np.tanh(-special.log_expit(-x)),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "quick_gelu": lambda x: x * special.expit(1.702 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "selu": lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    "sigmoid": special.expit,
    "silu": lambda x: x * special.expit(x),
    "sine": np.sin,
    "snake": lambda x: x + np.sin(x) ** 2,
    "softplus": lambda x: -special.log_expit(-x),
    "softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "spiky": lambda x: np.where(np.mod(x, 1) <= 0.5, np.mod(x, 1), 0),
    "square": np.square,
    "squared_relu": lambda x: np.maximum(x, 0) ** 2,
    "squareplus": lambda x: 2 / (np.hypot(x, 2) - x),
    "swish": lambda x: x * special.expit(x),
    "tanh": np.tanh,
    "tanhshrink": lambda x: x - np.tanh(x),
    "spike_atan": lambda x: np.heaviside(x, 1),
    "spike_fast_sigmoid": lambda x: np.heaviside(x, 1),
    "threshold": lambda x: np.where(x > 1, x, 0),
}

GATES = {
    "geglu": lambda gate: gate * special.ndtr(gate),
    "glu": special.expit,
    "reglu": lambda gate: np.maximum(gate, 0),
    "swiglu": lambda gate: gate * special.expit(gate),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_builtin_is_what_scipy_computes(client, name):
    want = FORMULAS[name](X)
    narrow = X.astype(np.float32)

    np.testing.assert_allclose(
        client.forward(name, X), want, rtol=1e-12, atol=1e-14
    )
    np.testing.assert_allclose(
        client.forward(name, narrow),
        FORMULAS[name](narrow.astype(np.float64)),
        rtol=4e-7,
        atol=1e-9,
    )


@pytest.mark.parametrize("name", GATES)
def test_gate_is_what_scipy_computes(client, name):
    gate = X[::-1].copy()

    np.testing.assert_allclose(
        client.forward(name, X, gate), X * GATES[name](gate), 1e-12, 1e-14
    )


def round_once(x, dtype):
    """Rounds float64 to a 16-bit dtype; ml_dtypes alone rounds twice."""
    if dtype is np.float16:
        return x.astype(dtype)
    # To float32 by rounding to odd, after which the next rounding is right.
    narrow = x.astype(np.float32)
    bits = narrow.view(np.uint32).copy()
    inexact = narrow != x
    bits -= (inexact & (np.abs(narrow) > np.abs(x))).astype(np.uint32)
    bits |= inexact.astype(np.uint32)
    return bits.view(np.float32).astype(dtype)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_16_bit_results_are_rounded_once(client, name, dtype):
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    # Where the formulas above neither cancel nor overflow.
    size = np.abs(x.astype(np.float64))
    x = x[(size >= 1e-2) & (size <= 500)]

    want = round_once(FORMULAS[name](x.astype(np.float64)), dtype)

    np.testing.assert_array_equal(client.forward(name, x), want)


def test_gradients_of_all_builtins_are_differences(client: actserve.Client):
    """Of each input and parameter, at points that no kink is close to."""
    step = 1e-5
    names = {
        info.name
        for info in client.list_activations()
        if info.builtin
        and not info.reads_rows
        and not info.name.startswith("spike_")
    }

    for name in names:
        info = client.get_activation(name)
        inputs = [X, X[::-1].copy()][: len(info.inputs)]
        got = client.backward(
            name, *inputs, wrt=[*info.inputs, *info.parameters]
        )
        for i, variable in enumerate(info.inputs):
            ahead, behind = (
                client.forward(
                    name, *inputs[:i], inputs[i] + d, *inputs[i + 1 :]
                )
                for d in (step, -step)
            )
            difference = (ahead - behind) / (2 * step)
            far = np.abs(got[variable] - difference) > 1e-7
            # A kink of a built-in that lies within a step of one of 500 points.
            assert np.count_nonzero(far) <= 1, (name, X[far])
        for parameter, value in info.parameters.items():
            if parameter == "seed":  # An integer, without neighbours.
                continue
            ahead, behind = (
                client.forward(
                    name, *inputs, parameters={parameter: value + d}
                ).sum()
                for d in (step, -step)
            )
            np.testing.assert_allclose(
                got[parameter],
                (ahead - behind) / (2 * step),
                rtol=1e-6,
                atol=1e-6,
                err_msg=f"d({name})/d({parameter})",
            )
