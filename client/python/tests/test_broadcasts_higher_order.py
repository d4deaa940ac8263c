"""Order 2 and forward mode where tensors broadcast.

The oracles: the same texts with every small tensor expanded to the shape of the
result, whose gradients NumPy sums; central differences of the gradients of
order 1; and the symmetry of the Hessian.
"""

import dataclasses

import numpy as np
import pytest

import actserve
from actserve import PerAxis

pytestmark = pytest.mark.server

SHAPE = (4, 5, 6)
# The shape of each small tensor, aligned with SHAPE as NumPy does.
ALIGNED = {"g": (5, 1), "a": (4, 5, 1), "b": (6,)}
NAMES = ["x", "g", "a", "b"]


@dataclasses.dataclass
class Case:
    """A text with the parameters a and b, and with inputs of these names."""

    text: str
    axis: int | None = None

    @property
    def broadcasting(self):
        return actserve.activation(
            self.text.format(inputs="x, g", parameters=", a=1.0, b=0.5")
        )

    @property
    def expanded(self):
        return actserve.activation(
            self.text.format(inputs="x, g, a, b", parameters="")
        )


CASES = {
    "elements": Case(
        """
def f({inputs}{parameters}):
    return tanh(a * x) * g * g + b * b * x * a if x > b else sin(x * g) + b
"""
    ),
    "rows": Case(
        """
def f({inputs}{parameters}):
    c = x - rowmean(x * b)
    return c / sqrt(rowmean(c * c) + 0.01) * a * a + g * b
""",
        axis=1,
    ),
    # Neither gradient is a derivative of f.
    "declared": Case(
        """
def f({inputs}{parameters}):
    return round(x * a) * g + b

def f_grad({inputs}, dy{parameters}):
    return a * sin(x) * dy, b * g * x * dy, tanh(a * g) * dy, b * a * a * dy
"""
    ),
}


@pytest.fixture(scope="module")
def random():
    return np.random.default_rng(7)


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def draw(random):
    """Returns numbers for every variable, in the shapes of a call."""
    return {
        "x": random.normal(size=SHAPE),
        "g": random.normal(size=(5, 1)),
        "a": random.normal(size=(4, 5)),
        "b": random.normal(size=6),
    }


def parameters(values):
    return {"a": PerAxis(values["a"], 0), "b": PerAxis(values["b"], -1)}


def expand(values):
    return [
        np.broadcast_to(
            values[name].reshape(ALIGNED.get(name, SHAPE)), SHAPE
        ).copy()
        for name in NAMES
    ]


def sum_like(terms, name, like):
    if name not in ALIGNED:
        return terms
    aligned = (1,) * (len(SHAPE) - len(ALIGNED[name])) + ALIGNED[name]
    axes = tuple(d for d, size in enumerate(aligned) if size != SHAPE[d])
    return terms.sum(axes).reshape(like.shape)


def second(client, case, at, dy, v, **options):
    return client.backward(
        case.broadcasting,
        at["x"],
        at["g"],
        grad_output=dy,
        parameters=parameters(at),
        axis=case.axis,
        order=2,
        cotangents=v,
        **options,
    )


def test_order_2_equals_that_of_expanded_tensors(client, random, case):
    at, v, dy = draw(random), draw(random), random.normal(size=SHAPE)
    wrt = [*NAMES, "dL/dy"]
    got = second(client, case, at, dy, v, wrt=wrt)
    want = client.backward(
        case.expanded,
        *expand(at),
        grad_output=dy,
        axis=case.axis,
        order=2,
        cotangents=dict(zip(NAMES, expand(v), strict=True)),
        wrt=wrt,
    )
    assert list(got) == wrt
    for name in NAMES:
        assert got[name].shape == at[name].shape
        np.testing.assert_allclose(
            got[name],
            sum_like(want[name], name, at[name]),
            rtol=1e-10,
            atol=1e-11,
            err_msg=name,
        )
    np.testing.assert_allclose(got["dL/dy"], want["dL/dy"], rtol=1e-12)


@pytest.mark.parametrize("named", [["a"], ["g"], ["x"], ["b", "a"]])
def test_some_cotangents_in_any_order(client, random, case, named):
    at, v, dy = draw(random), draw(random), random.normal(size=SHAPE)
    some = {name: v[name] for name in named}
    none = {name: np.zeros_like(v[name]) for name in NAMES}
    for name in NAMES:
        np.testing.assert_allclose(
            second(client, case, at, dy, some, wrt=[name])[name],
            second(client, case, at, dy, none | some, wrt=[name])[name],
            rtol=1e-10,
            atol=1e-11,
        )


@pytest.mark.parametrize("name", ["elements", "rows"])
def test_order_2_is_the_slope_of_the_gradient(client, random, name):
    case = CASES[name]
    at, v, dy = draw(random), draw(random), random.normal(size=SHAPE)
    # Nothing changes its branch.
    at["x"] += np.where(at["x"] > at["b"], 0.1, -0.1)

    def gradients(step):
        moved = {name: at[name] + step * v[name] for name in NAMES}
        return client.backward(
            case.broadcasting,
            moved["x"],
            moved["g"],
            grad_output=dy,
            parameters=parameters(moved),
            axis=case.axis,
            wrt=NAMES,
        )

    h = 1e-5
    up, down = gradients(h), gradients(-h)
    got = second(client, case, at, dy, v, wrt=NAMES)
    for variable in NAMES:
        want = (up[variable] - down[variable]) / (2 * h)
        np.testing.assert_allclose(
            got[variable], want, rtol=1e-6, atol=1e-6, err_msg=variable
        )


@pytest.mark.parametrize("name", ["elements", "rows"])
def test_the_hessian_is_symmetric(client, random, name):
    at, dy = draw(random), random.normal(size=SHAPE)
    u, v = draw(random), draw(random)
    hu = second(client, CASES[name], at, dy, u, wrt=NAMES)
    hv = second(client, CASES[name], at, dy, v, wrt=NAMES)
    vhu = sum(np.sum(v[n] * hu[n]) for n in NAMES)
    uhv = sum(np.sum(u[n] * hv[n]) for n in NAMES)
    np.testing.assert_allclose(vhu, uhv, rtol=1e-10)


def test_tangents_equal_those_of_expanded_tensors(client, random, case):
    at, v = draw(random), draw(random)
    for names in [NAMES, ["b"], ["g", "x"], ["b", "a"]]:
        y, tangent = client.jvp(
            case.broadcasting,
            at["x"],
            at["g"],
            tangents={name: v[name] for name in names},
            parameters=parameters(at),
            axis=case.axis,
        )
        expanded = dict(zip(NAMES, expand(v), strict=True))
        want_y, want = client.jvp(
            case.expanded,
            *expand(at),
            tangents={name: expanded[name] for name in names},
            axis=case.axis,
        )
        np.testing.assert_allclose(y, want_y, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(tangent, want, rtol=1e-10, atol=1e-11)


def test_layer_norm_with_weight_and_bias(client, random):
    x, weight, bias = (random.normal(size=s) for s in [(6, 50), 50, 50])
    dx, dw, db = (random.normal(size=s) for s in [(6, 50), 50, 50])
    options = {
        "parameters": {
            "weight": PerAxis(weight, -1),
            "bias": PerAxis(bias, -1),
        },
        "axis": -1,
    }
    c = x - x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-5)
    n = c * scale
    dn = scale * (
        dx - dx.mean(-1, keepdims=True) - n * (n * dx).mean(-1, keepdims=True)
    )

    y, tangent = client.jvp(
        "layer_norm",
        x,
        tangents={"weight": dw, "x": dx, "bias": db},
        **options,
    )
    np.testing.assert_allclose(y, n * weight + bias, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(
        tangent, dn * weight + n * dw + db, rtol=1e-10, atol=1e-11
    )

    dy = random.normal(size=x.shape)
    got = client.backward(
        "layer_norm",
        x,
        grad_output=dy,
        order=2,
        cotangents={"x": dx},
        wrt=["weight", "bias", "dL/dy"],
        **options,
    )
    np.testing.assert_allclose(
        got["weight"], (dy * dn).sum(0), rtol=1e-9, atol=1e-11
    )
    np.testing.assert_array_equal(got["bias"], np.zeros(50))
    np.testing.assert_allclose(
        got["dL/dy"], dn * weight, rtol=1e-10, atol=1e-11
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_results_have_the_dtype_of_what_they_are_for(client, random, dtype):
    f = actserve.activation("def f(x, a=1.0): return x * x * a * a")
    x = (random.integers(-8, 9, size=(3, 4)) / 4).astype(dtype)
    a = (random.integers(-8, 9, size=4) / 4).astype(dtype)
    va = np.array([1, -1, 2, 0.5], dtype)
    got = client.backward(
        f,
        x,
        parameters={"a": PerAxis(a, 1)},
        order=2,
        cotangents={"a": va},
        wrt=["a", "x"],
    )
    assert got["a"].dtype == got["x"].dtype == dtype
    np.testing.assert_array_equal(got["a"], (2 * x * x * va).sum(0))
    np.testing.assert_array_equal(got["x"], 4 * x * a * va)


def test_a_residual_knows_what_broadcasts(client, random):
    f = CASES["elements"].broadcasting
    at, v = draw(random), draw(random)
    _, _, residual = client.forward_with(
        f, at["x"], at["g"], parameters=parameters(at), keep_residual=True
    )
    assert residual.is_held
    wrt = [*NAMES, "dL/dy"]
    kept = client.backward(f, residual=residual, order=2, cotangents=v, wrt=wrt)
    sent = second(client, CASES["elements"], at, None, v, wrt=wrt)
    for name in wrt:
        np.testing.assert_array_equal(kept[name], sent[name])


def test_calls_that_differ_in_their_tensors_alone(client, random):
    """The second call and later ones take the plan of the first."""
    for _ in range(3):
        at, v, dy = draw(random), draw(random), random.normal(size=SHAPE)
        some = {"a": v["a"], "x": v["x"]}
        got = second(
            client, CASES["elements"], at, dy, some, wrt=["b", "x", "g"]
        )
        want = client.backward(
            CASES["elements"].expanded,
            *expand(at),
            grad_output=dy,
            order=2,
            cotangents={"a": expand(v)[2], "x": v["x"]},
            wrt=["b", "x", "g"],
        )
        for name in got:
            np.testing.assert_allclose(
                got[name],
                sum_like(want[name], name, at[name]),
                rtol=1e-10,
                atol=1e-11,
            )


def test_an_input_may_be_called_like_the_upstream_gradient(client):
    f = actserve.activation("def f(x, dy, d_dy=1.0): return x * dy * d_dy")
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    dy = np.array([5.0, 6.0])
    got = client.backward(f, x, dy, grad_output=x, wrt=["dy", "d_dy", "x"])
    np.testing.assert_array_equal(got["dy"], [10, 20])
    assert got["d_dy"] == 5 + 24 + 45 + 96
    np.testing.assert_array_equal(got["x"], x * dy)
    got = client.backward(
        f,
        x,
        dy,
        grad_output=x,
        order=2,
        cotangents={"dy": [1.0, 2.0]},
        wrt=["d_dy", "dL/dy", "x"],
    )
    assert got["d_dy"] == 10 + 40
    np.testing.assert_array_equal(got["dL/dy"], x * [1, 2])
    np.testing.assert_array_equal(got["x"], x * [1, 2])
