"""Random numbers, from a text to the tensors that a caller gets."""

import grpc
import numpy as np
import pytest

import actserve

DROP = """
def drop(x, keep=0.75, seed=0):
    return x / keep if uniform(seed) < keep else 0
"""
NOISY = """
def noisy(x, sigma=0.5, seed=0):
    return x + sigma * normal(seed, 1)
"""
UNIFORM = """
def draw(x, seed=0):
    return uniform(seed, 2)
"""
SIZE = 100_003
SEED = 2**53 - 1


def philox(counter, key):
    """Philox 4x32-10 of Salmon et al., on arrays of Python-sized integers."""
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = key
    low, shift = np.uint64(2**32 - 1), np.uint64(32)
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            (p1 >> shift) ^ c1 ^ np.uint64(k0),
            p1 & low,
            (p0 >> shift) ^ c3 ^ np.uint64(k1),
            p0 & low,
        )
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def uniform(seed, stream, places, dtype):
    places = np.asarray(places, np.uint64)
    words = philox(
        (
            places & np.uint64(2**32 - 1),
            places >> np.uint64(32),
            np.full_like(places, stream),
            np.zeros_like(places),
        ),
        (seed % 2**32, seed >> 32),
    )
    if dtype == np.float32:
        return ((words[0] >> np.uint64(8)) * 2.0**-24).astype(dtype)
    high, low = words[0] >> np.uint64(5), words[1] >> np.uint64(6)
    return (high * 2.0**26 + low) * 2.0**-53


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", [0, 2**32, SEED])
def test_are_those_of_philox(client, dtype, seed):
    offset = 2**32 - 5

    y = client.forward(
        actserve.activation(UNIFORM),
        np.zeros(SIZE, dtype),
        parameters={"seed": seed},
        element_offset=offset,
    )

    want = uniform(seed, 2, offset + np.arange(SIZE), dtype)
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_are_the_same_in_forward_and_backward(client, dtype):
    drop = actserve.activation(DROP)
    x = np.linspace(1, 2, SIZE).astype(dtype)
    parameters = {"seed": SEED}

    y, partials, residual = client.forward_with(
        drop, x, parameters=parameters, partials=True, keep_residual=True
    )
    again = client.backward(drop, x, parameters=parameters)["x"]
    by_handle = client.backward(drop, residual=residual)["x"]

    kept = y != 0
    assert abs(kept.mean() - 0.75) < 0.01
    for dx in (partials["x"], again, by_handle):
        np.testing.assert_array_equal(dx != 0, kept)


def test_of_pieces_are_those_of_the_whole(client):
    noisy = actserve.activation(NOISY)
    x = np.linspace(-1, 1, SIZE).astype(np.float32)
    dy = np.cos(x)
    parameters = {"seed": 5, "sigma": 2.0}
    whole = client.forward(noisy, x, parameters=parameters)
    drop = actserve.activation(DROP)
    whole_dx = client.backward(drop, x, grad_output=dy)["x"]

    pieces, gradients = [], []
    for begin, end in [(0, 1), (1, 30_000), (30_000, SIZE)]:
        part = slice(begin, end)
        pieces.append(
            client.forward(
                noisy, x[part], parameters=parameters, element_offset=begin
            )
        )
        _, _, residual = client.forward_with(
            drop, x[part], element_offset=begin, keep_residual=True
        )
        gradients.append(
            client.backward(drop, residual=residual, grad_output=dy[part])["x"]
        )

    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal(np.concatenate(gradients), whole_dx)


def test_a_lost_residual_keeps_its_offset(client):
    drop = actserve.activation(DROP)
    x = np.ones(1000, np.float32)
    want = client.backward(drop, x, element_offset=70)["x"]
    _, _, residual = client.forward_with(
        drop, x, element_offset=70, keep_residual=True
    )
    client.release_residuals(residual)

    got = client.backward(drop, residual=residual)["x"]

    np.testing.assert_array_equal(got, want)
    with pytest.raises(actserve.ActivationError, match="offset: 71 is not"):
        client.backward(drop, residual=residual, element_offset=71)


def test_normal_ones_have_their_moments(client):
    z = client.forward(
        actserve.activation(NOISY),
        np.zeros(1_000_000),
        parameters={"sigma": 1.0, "seed": 11},
    )

    assert abs(z.mean()) < 5e-3
    assert abs(z.var() - 1) < 8e-3
    assert abs((z**3).mean()) < 0.02
    assert abs((z**4).mean() - 3) < 0.05


def test_a_seed_has_no_gradient_and_the_default_asks_for_none(client):
    noisy = actserve.activation(NOISY)
    x = np.ones(10, np.float32)

    assert list(client.backward(noisy, x)) == ["x"]
    assert client.backward(noisy, x, wrt=["seed"])["seed"] == 0.0


@pytest.mark.parametrize("seed", [-1, 0.5, 2**53 + 2])
def test_refuses_what_is_no_seed(client, seed):
    with pytest.raises(actserve.ActivationError) as error:
        client.forward(
            actserve.activation(NOISY), [1.0], parameters={"seed": seed}
        )

    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert f"'seed' is {seed}, but a seed is an integer" in error.value.message


def test_refuses_a_negative_offset(client):
    with pytest.raises(actserve.ActivationError) as error:
        client.forward("relu", [1.0], element_offset=-1)

    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert "element_offset: -1" in error.value.message


def test_rrelu_is_random_in_training_and_not_in_evaluation(client):
    x = np.linspace(-4, 4, SIZE).astype(np.float32)
    negative = x < 0

    y = client.forward("rrelu", x, parameters={"seed": 3})
    other = client.forward("rrelu", x, parameters={"seed": 4})
    dx = client.backward("rrelu", x, parameters={"seed": 3})["x"]
    mean = (1 / 8 + 1 / 3) / 2
    evaluated = client.forward(
        "rrelu", x, parameters={"lower": mean, "upper": mean}
    )

    slopes = y[negative] / x[negative]
    assert slopes.min() >= 0.125 * (1 - 1e-6)
    assert slopes.max() <= (1 + 1e-6) / 3
    assert abs(slopes.mean() - mean) < 2e-3
    assert (other[negative] != y[negative]).mean() > 0.99
    np.testing.assert_array_equal(y[~negative], x[~negative])
    np.testing.assert_allclose(dx[negative], slopes, rtol=1e-6)
    np.testing.assert_array_equal(
        evaluated, np.where(negative, np.float32(mean) * x, x)
    )


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((6, 7), 1), ((6, 7), 0), ((3, 300, 5), 1), ((70, 40), 1), ((70000,), 0)],
)
def test_in_rows_depend_on_the_place_in_the_tensor(client, shape, axis):
    offset = 2**32 - 5
    generator = np.random.default_rng(3)
    x, dy = generator.normal(size=(2, *shape))
    places = offset + np.arange(x.size)
    u = uniform(SEED, 4, places, np.float64).reshape(shape)
    options = {
        "parameters": {"seed": SEED},
        "axis": axis,
        "element_offset": offset,
    }

    shuffle = actserve.activation(
        "def shuffle(x, seed=0): return rowsort(uniform(seed, 4), x)"
    )
    order = np.argsort(-u, axis, kind="stable")
    np.testing.assert_array_equal(
        client.forward(shuffle, x, **options),
        np.take_along_axis(x, order, axis),
    )

    softmax = actserve.activation(
        """
def noisy_softmax(x, seed=0):
    e = exp(x) * uniform(seed, 4)
    return e / rowsum(e)
"""
    )
    e = np.exp(x) * u
    y = e / e.sum(axis, keepdims=True)
    np.testing.assert_allclose(
        client.forward(softmax, x, **options), y, rtol=1e-12
    )
    np.testing.assert_allclose(
        client.backward(softmax, x, grad_output=dy, **options)["x"],
        y * (dy - (y * dy).sum(axis, keepdims=True)),
        rtol=1e-9,
        atol=1e-14,
    )
