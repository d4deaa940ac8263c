"""Row functions with zeros, against the algorithms of their papers in NumPy."""

import numpy as np
import pytest

import actserve

pytestmark = pytest.mark.server

INF, NAN = np.inf, np.nan


def sparsemax(z, dy):
    """Martins & Astudillo 2016, algorithm 1 and the Jacobian of section 2.5."""
    z = z - z.max()
    ordered = np.sort(z)[::-1]
    sums = np.cumsum(ordered)
    ks = np.arange(1, len(z) + 1)
    k = ks[1 + ks * ordered > sums][-1]
    y = np.maximum(z - (sums[k - 1] - 1) / k, 0)
    s = (y > 0).astype(np.float64)
    return y, s * (dy - (s @ dy) / s.sum())


def entmax15(z, dy):
    """Peters, Niculae & Martins 2019, algorithm 2 and proposition 1."""
    z = (z - z.max()) / 2
    # -1 is far enough below the threshold.
    ordered = np.maximum(np.sort(z)[::-1], -1)
    ks = np.arange(1, len(z) + 1)
    means = np.cumsum(ordered) / ks
    spread = np.array(
        [((ordered[:k] - m) ** 2).sum() for k, m in zip(ks, means, strict=True)]
    )
    taus = means - np.sqrt(np.maximum(1 - spread, 0) / ks)
    tau = taus[np.flatnonzero(taus <= ordered)[-1]]
    y = np.maximum(z - tau, 0) ** 2
    s = np.sqrt(y)
    return y, s * (dy - (s @ dy) / s.sum())


def hardmax(z, dy):
    y = np.zeros_like(z)
    y[np.argmax(z)] = 1
    return y, np.zeros_like(z)


REFERENCES = {"sparsemax": sparsemax, "entmax15": entmax15, "hardmax": hardmax}

RNG = np.random.default_rng(17)
ROWS = {
    "one element": np.array([3.0]),
    "equal": np.full(7, 2.5),
    "equal in pairs": np.array([0.5, 0.25, 0.5, 0.25, 0.0, 0.0]),
    "a tie for the last place": np.array([1.0, 0.5, 0.25, 0.25, -3.0]),
    "one takes all": np.array([0.0, 9.0, -4.0]),
    "far from 0": 4096 + np.array([0.5, 0.125, 0.25, -2.0, 0.5]),
    "with -inf": np.array([-INF, 0.25, 0.5, -INF, 0.375]),
    "one number among -inf": np.array([-INF, -3.0, -INF]),
    "some": RNG.normal(size=50),
    "near to each other": RNG.normal(size=600) * 0.01,
    "long": RNG.normal(size=20_000),
    "long and near": RNG.normal(size=20_000) * 1e-4,
    "long with ties": np.round(RNG.normal(size=5_000) * 8) / 64,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", REFERENCES)
def test_is_the_published_algorithm(client, name, row, dtype):
    x = ROWS[row].astype(dtype)
    dy = np.linspace(-1, 2, len(x)).astype(dtype)
    want, gradient = REFERENCES[name](
        x.astype(np.float64), dy.astype(np.float64)
    )

    y = client.forward(name, x, axis=0)
    dx = client.backward(name, x, grad_output=dy, axis=0)["x"]

    tolerance = 2e-6 if dtype is np.float32 else 4e-15
    np.testing.assert_allclose(y, want, 0, tolerance)
    np.testing.assert_array_equal(y == 0, want == 0)
    np.testing.assert_allclose(dx, gradient, 0, 4 * tolerance)
    np.testing.assert_allclose(y.sum(dtype=np.float64), 1, 0, 1e-5)


@pytest.mark.parametrize("name", ["sparsemax", "entmax15"])
def test_an_element_at_the_threshold_is_outside(client, name):
    # tau is 0 for sparsemax and -1 for x / 2: the last is just not chosen.
    x = np.array([1.0, 0.0]) if name == "sparsemax" else np.array([0.0, -2.0])
    dy = np.array([3.0, 5.0])

    y = client.forward(name, x, axis=0)
    dx = client.backward(name, x, grad_output=dy, axis=0)["x"]

    np.testing.assert_array_equal(y, [1, 0])
    np.testing.assert_array_equal(dx, [0, 0])


@pytest.mark.parametrize("name", ["sparsemax", "entmax15"])
@pytest.mark.parametrize("size", [2, 3, 8, 1000])
def test_equal_elements_share_equally(client, name, size):
    x = np.full((2, size), 0.7, np.float32)
    x[1, 0] -= 0.25 / size
    dy = np.zeros_like(x)
    dy[:, -1] = 1

    y = client.forward(name, x, axis=1)
    dx = client.backward(name, x, grad_output=dy, axis=1)["x"]

    np.testing.assert_allclose(y[0], 1 / size, 1e-6)
    assert len(set(y[1, 1:])) == 1
    assert len(set(dx[0, :-1])) == 1
    assert len(set(dx[1, 1:-1])) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sparsemax", "entmax15"])
@pytest.mark.parametrize(
    "row", [[-INF, -INF], [INF, 1, 2], [1, NAN, 2], [INF, -INF], [NAN]]
)
def test_rows_without_an_answer_are_nan(client, name, row, dtype):
    x = np.array(row, dtype)

    assert np.isnan(client.forward(name, x, axis=0)).all()
    assert np.isnan(client.forward("softmax", x, axis=0)).all()
    assert np.isnan(client.backward(name, x, axis=0)["x"]).all()


@pytest.mark.parametrize(
    ("row", "want"),
    [
        ([-INF, -INF], [1, 0]),
        ([1, INF, INF], [0, 1, 0]),
        ([1, NAN, NAN], [0, 1, 0]),
        ([2, 2, 1], [1, 0, 0]),
    ],
)
def test_hardmax_takes_the_first(client, row, want):
    np.testing.assert_array_equal(client.forward("hardmax", row, axis=0), want)


def test_an_empty_row_gives_an_empty_row(client):
    x = np.zeros((3, 0), np.float32)
    names = [
        a.name for a in client.list_activations() if a.builtin and a.reads_rows
    ]

    assert set(REFERENCES) < set(names)
    for name in names:
        assert client.forward(name, x, axis=1).shape == (3, 0)
        assert client.backward(name, x, axis=1)["x"].shape == (3, 0)


# What a text of a few lines makes of softmax.
TEXTS = {
    # Miller 2023: it may attend to nothing.
    "softmax_one": (
        "def softmax_one(x):\n"
        "    m = max(rowmax(x), 0.0)\n"
        "    e = exp(x - m)\n"
        "    return e / (exp(-m) + rowsum(e))\n"
    ),
    "softmax_at": (
        "def softmax_at(x, t=0.25):\n"
        "    e = exp((x - rowmax(x)) / t)\n"
        "    return e / rowsum(e)\n"
    ),
    # de Brebisson & Vincent 2016.
    "spherical_softmax": (
        "def spherical_softmax(x, eps=1e-3):\n"
        "    s = x * x + eps\n"
        "    return s / rowsum(s)\n"
    ),
    "kwta": (
        "def kwta(x, k=3.0):\n    return x if x >= rowkth(x, k) else 0.0\n"
    ),
}


def from_jacobian(y, jacobian, dy):
    return y, jacobian.T @ dy


def softmax_one(x, dy):
    y = np.exp(x) / (1 + np.exp(x).sum())
    return from_jacobian(y, np.diag(y) - np.outer(y, y), dy)


def softmax_at(x, dy):
    y = np.exp(x / 0.25) / np.exp(x / 0.25).sum()
    return from_jacobian(y, (np.diag(y) - np.outer(y, y)) / 0.25, dy)


def spherical_softmax(x, dy):
    s = x**2 + 1e-3
    y = s / s.sum()
    jacobian = (np.eye(len(x)) - y[:, None]) * 2 * x / s.sum()
    return from_jacobian(y, jacobian, dy)


def kwta(x, dy):
    inside = x >= np.sort(x)[-3]
    return x * inside, dy * inside


@pytest.mark.parametrize(
    "reference", [softmax_one, softmax_at, spherical_softmax, kwta]
)
def test_texts_are_their_formulas(client, reference):
    f = actserve.activation(TEXTS[reference.__name__])
    x, dy = RNG.normal(size=(2, 40))
    want, gradient = reference(x, dy)

    y = client.forward(f, x, axis=0)
    dx = client.backward(f, x, grad_output=dy, axis=0)["x"]

    np.testing.assert_allclose(y, want, 1e-13, 1e-15)
    np.testing.assert_allclose(dx, gradient, 1e-12, 1e-14)


def test_softmax_one_neither_overflows_nor_divides_by_zero(client):
    f = actserve.activation(TEXTS["softmax_one"])
    x = np.array([[1e4, 1e4], [-1e4, -1e4], [-INF, -INF]], np.float32)

    np.testing.assert_array_equal(
        client.forward(f, x, axis=1), [[0.5, 0.5], [0, 0], [0, 0]]
    )
