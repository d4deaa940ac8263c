"""Results in the caller's arrays, and calls that are repeated the fast way."""

import ml_dtypes
import numpy as np
import pytest
from testbed import build_folder

import actserve
from actserve import _library


@pytest.fixture(params=["local", "library", "pure"])
def client(request, shared_server):
    """One that computes here, and two of a server."""
    address = "local" if request.param == "local" else shared_server.address
    with actserve.connect(address, pure=request.param == "pure") as result:
        yield result


class Exported:
    """A tensor of another framework: nothing but DLPack."""

    def __init__(self, array, device=(1, 0)):
        self.array = array
        self._device = device

    def __dlpack__(self, **_):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self._device


@pytest.mark.parametrize("size", [1, 300, 100_000])
def test_a_result_goes_where_it_is_wanted(client, size):
    x = np.linspace(-3, 3, size, dtype=np.float32)
    want = client.forward("tanh", x)
    for _ in range(3):
        y = np.full_like(x, 7)
        assert client.forward("tanh", x, out=y) is y
        np.testing.assert_array_equal(y, want)
    assert client.forward("tanh", x, out=x) is x
    np.testing.assert_array_equal(x, want)


def test_any_strides_and_dlpack_take_a_result(client):
    x = np.linspace(-3, 3, 12, dtype=np.float64).reshape(3, 4)
    want = client.forward("tanh", x)
    wide = np.zeros((3, 8))
    client.forward("tanh", x, out=wide[:, ::2])
    np.testing.assert_array_equal(wide[:, ::2], want)
    assert not wide[:, 1::2].any()

    foreign = np.zeros((3, 4))
    client.forward("tanh", Exported(x.T.copy().T), out=Exported(foreign))
    np.testing.assert_array_equal(foreign, want)


def test_gradients_go_where_they_are_wanted(client):
    x = np.linspace(-3, 3, 50, dtype=np.float32)
    dx = np.zeros_like(x)
    gradients = client.backward(
        "prelu", x, wrt=["a", "x"], parameters={"a": 0.5}, out={"x": dx}
    )
    assert gradients["x"] is dx
    np.testing.assert_array_equal(dx, np.where(x > 0, 1, 0.5))
    assert gradients["a"] == pytest.approx(x[x < 0].sum())
    with pytest.raises(ValueError, match="'a' is none of the arrays x"):
        client.backward(
            "prelu", x, wrt=["a", "x"], parameters={"a": 0.5}, out={"a": dx}
        )


def test_repeated_gradients_go_where_they_are_wanted(client):
    gate = actserve.activation("def gate(x, g): return x * g\n")
    rng = np.random.default_rng(5)
    dx, dg = np.zeros((2, 30), np.float32)
    for _ in range(3):
        x, g, dy = rng.standard_normal((3, 30)).astype(np.float32)
        both = client.backward(
            gate, x, g, grad_output=dy, out={"g": dg, "x": dx}
        )
        assert list(both) == ["x", "g"]
        assert both["x"] is dx
        assert both["g"] is dg
        np.testing.assert_array_equal(dx, g * dy)
        np.testing.assert_array_equal(dg, x * dy)
        dx[:] = 0
        one = client.backward(gate, x, g, grad_output=dy, out={"x": dx})
        assert one["x"] is dx
        np.testing.assert_array_equal(dx, g * dy)
        np.testing.assert_array_equal(one["g"], dg)
        with pytest.raises(ValueError, match="shape"):
            client.backward(gate, x, g, grad_output=dy, out={"x": dx[1:]})
        with pytest.raises(TypeError, match="dtype float64"):
            client.backward(
                gate, x, g, grad_output=dy, out={"x": dx.astype("f8")}
            )
        want = g * dy
        client.backward(gate, x, g, grad_output=dy, out={"x": x})
        np.testing.assert_array_equal(x, want)


def test_gradients_are_not_copied_to_where_they_are_wanted(client, monkeypatch):
    """A call took a copy, and twenty times as long as without `out`."""
    if client._pure:
        pytest.skip("grpcio has memory of its own")
    monkeypatch.setattr(
        "actserve._client.out_arrays.deliver", lambda found, out: found
    )
    x = np.linspace(-3, 3, 50_000, dtype=np.float32)
    dx = np.zeros_like(x)
    for _ in range(3):
        assert client.backward("tanh", x, out={"x": dx})["x"] is dx


@pytest.mark.parametrize("address", ["local", "server"])
def test_large_results_are_written_into_arrays_of_numpy(address, shared_server):
    # Those have huge pages; the memory of the library, to which it would copy
    # what comes in chunks, has not.
    x = np.linspace(-3, 3, 1 << 18, dtype=np.float32)
    dy = np.ones_like(x)
    where = "local" if address == "local" else shared_server.address
    with actserve.connect(where, pure=False) as client:
        y, partials, _ = client.forward_with("tanh", x, partials=True)
        gradients = client.backward("tanh", x, grad_output=dy)
        alone, _, residual = client.forward_with("tanh", x, keep_residual=True)
        later = client.backward("tanh", residual=residual, grad_output=dy)
    results = [
        y,
        alone,
        *partials.values(),
        *gradients.values(),
        *later.values(),
    ]
    assert len(results) == 5
    assert all(result.flags.owndata for result in results)
    np.testing.assert_array_equal(partials["x"], gradients["x"])


def test_a_gate_writes_the_part(client):
    x = np.linspace(-3, 3, 12, dtype=np.float32).reshape(2, 6)
    y = np.zeros((2, 3), np.float32)
    client.forward("glu", x, split_axis=-1, out=y)
    np.testing.assert_array_equal(y, client.forward("glu", x, split_axis=-1))
    with pytest.raises(ValueError, match=r"\[2, 6\], the result \[2, 3\]"):
        client.forward("glu", x, split_axis=-1, out=np.zeros_like(x))


def test_what_cannot_be_written_is_refused(client):
    x = np.zeros(4, np.float32)
    fixed = np.zeros(4, np.float32)
    fixed.flags.writeable = False
    for _ in range(2):  # also once the call is known
        for out, error, message in [
            (np.zeros(4), TypeError, "dtype float64, the result float32"),
            (np.zeros(5, np.float32), ValueError, r"\[5\], the result \[4\]"),
            (fixed, ValueError, "out is read-only"),
            ([0] * 4, TypeError, "of type list"),
            (Exported(x, (2, 1)), TypeError, "out is in the memory of a GPU"),
        ]:
            with pytest.raises(error, match=message):
                client.forward("relu", x, out=out)
        client.forward("relu", x)


def test_bfloat16_comes_by_dlpack(client):
    # NumPy exports no bfloat16: the type is changed in what it exports.
    x = np.array([-1, 0.5, 3], ml_dtypes.bfloat16)

    class BFloat16(Exported):
        def __dlpack__(self, **_):
            import ctypes

            from actserve._arrays import dlpack

            capsule = self.array.view(np.float16).__dlpack__()
            found = dlpack._Tensor.from_address(
                dlpack._pointer(ctypes.py_object(capsule), b"dltensor")
            )
            found.code = 4
            return capsule

    y = client.forward("relu", BFloat16(x))
    assert y.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(y, [0, 0.5, 3])


def test_integers_by_dlpack_are_no_tensors(client):
    with pytest.raises(TypeError, match="dtype int64"):
        client.forward("relu", Exported(np.arange(3)))
    with pytest.raises(TypeError, match="DLPack type 1 of 8 bits"):
        client.forward("relu", Exported(np.zeros(3, np.uint8)))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ml_dtypes.bfloat16])
def test_repeated_calls_are_the_first_one_again(client, dtype):
    rng = np.random.default_rng(3)
    shapes = [(3,), (2, 5), (), (0,), (3, 1, 700)]
    arrays = [rng.standard_normal(s).astype(dtype) for s in shapes]
    first = [
        (client.forward("gelu", x), client.backward("gelu", x, grad_output=x))
        for x in arrays
    ]
    fast = build_folder() / "lib" / _library._FAST
    assert (client._fast is not None) == (fast.exists() and not client._pure)
    for _ in range(3):
        for x, (y, dx) in zip(arrays, first, strict=True):
            again = client.forward("gelu", x.copy())
            gradient = client.backward("gelu", x, grad_output=x)
            assert again.dtype == y.dtype
            assert again.tobytes() == y.tobytes()
            assert again.shape == y.shape
            assert list(gradient) == ["x"]
            assert gradient["x"].tobytes() == dx["x"].tobytes()
            assert gradient["x"].shape == x.shape


def test_repeated_calls_differ_by_all_that_they_say(client):
    x = np.linspace(-3, 3, 6, dtype=np.float32)
    gate = actserve.activation("def gate(x, g): return x * g\n")
    for _ in range(3):
        for dtype in (np.float32, np.float64):
            y = client.forward("relu", x.astype(dtype))
            np.testing.assert_array_equal(y, np.maximum(x, 0).astype(dtype))
        np.testing.assert_array_equal(client.forward(gate, x, 2 * x), 2 * x * x)
        np.testing.assert_array_equal(
            client.forward(gate, x[::2], x[:3]), x[::2] * x[:3]
        )
        both = client.backward(gate, x, 2 * x)
        np.testing.assert_array_equal(both["x"], 2 * x)
        np.testing.assert_array_equal(both["g"], x)
        one = client.backward(gate, x, 2 * x, wrt=["g"], grad_output=x)
        assert list(one) == ["g"]
        np.testing.assert_array_equal(one["g"], x * x)
        with pytest.raises(actserve.ActivationError, match="axis"):
            client.forward("softmax", x)
        assert client.forward("softmax", x, axis=0).sum() == pytest.approx(1)


def test_a_repeated_call_fails_as_the_first(client):
    x = np.zeros(4, np.float32)
    client.forward("relu", x)
    client.close()
    with pytest.raises(actserve.ActivationError, match="closed"):
        client.forward("relu", x)
