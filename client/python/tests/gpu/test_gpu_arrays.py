"""Arrays in the memory of a GPU: over the fake driver.

A server in another process computes with them, or this one. It has not run on a
GPU.
"""

import time
from concurrent import futures
from pathlib import Path

import fake_gpu
import ml_dtypes
import numpy as np
import pytest

import actserve
from actserve import ActivationError
from actserve._arrays import dlpack

pytestmark = pytest.mark.server

GATE = actserve.activation(
    "def gate(x, y, a=0.5):\n    return x * sigmoid(a * y)\n"
)
DTYPES = ("f2", ml_dtypes.bfloat16, "f4", "f8")


@pytest.fixture
def gpu(fake_driver):
    gpu = fake_gpu.Gpu(fake_driver)
    yield gpu
    gpu.close()


@pytest.fixture
def sharing(gpu_server):
    """A client of the server."""
    with actserve.connect(gpu_server.unix_address) as client:
        yield client
        client.forget_device()


@pytest.fixture(scope="module")
def here(fake_driver):
    """One that computes on the GPU in this process."""
    with actserve.connect("local", device="cuda:0") as client:
        yield client


@pytest.fixture(params=["shared", "local"])
def client(request):
    """Each of the two."""
    names = {"shared": "sharing", "local": "here"}
    return request.getfixturevalue(names[request.param])


def numbers(size, dtype="f4", seed=0):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: np.dtype(d).name)
def test_the_bits_are_those_of_arrays_of_the_host(client, gpu, dtype):
    x, y, dz = (numbers(1001, dtype, seed) for seed in range(3))
    gx, gy, gdz = map(gpu.array, (x, y, dz))
    z, dx, dy = (gpu.empty_like(x) for _ in range(3))

    assert client.forward(GATE, gx, gy, out=z) is z
    found = client.backward(
        GATE,
        gx,
        gy,
        grad_output=gdz,
        wrt=["y", "a", "x"],
        out={"x": dx, "y": dy},
    )

    wanted = client.backward(GATE, x, y, grad_output=dz, wrt=["y", "a", "x"])
    np.testing.assert_array_equal(z.host(), client.forward(GATE, x, y))
    assert found["x"] is dx
    assert found["y"] is dy
    np.testing.assert_array_equal(dx.host(), wanted["x"])
    np.testing.assert_array_equal(dy.host(), wanted["y"])
    assert found["a"] == wanted["a"]
    np.testing.assert_array_equal(gx.host(), x)


def test_nothing_is_copied(here, gpu):
    x = numbers(5000)
    gx, y, dx = gpu.array(x), gpu.empty_like(x), gpu.empty_like(x)
    before = gpu.num_copies()
    here.forward("gelu", gx, out=y)
    here.backward("gelu", gx, grad_output=gx, out={"x": dx})
    assert gpu.num_copies() == before
    here.forward("gelu", x)
    assert gpu.num_copies() > before


def test_partials_residuals_and_orders(client, gpu):
    x, dy, v = (numbers((3, 40), seed=seed) for seed in range(3))
    gx, gdy, gv = map(gpu.array, (x, dy, v))
    y, partial, tangent, dx, ddy, ddx = (gpu.empty_like(x) for _ in range(6))

    kept = client.forward_with(
        "gelu",
        gx,
        partials=["x"],
        keep_residual=True,
        out=y,
        partials_out={"x": partial},
    )
    assert kept[0] is y
    assert kept[1] == {"x": partial}
    client.backward("gelu", residual=kept[2], grad_output=gdy, out={"x": dx})
    moved = client.jvp(
        "gelu", gx, tangents={"x": gv}, out=y, tangent_out=tangent
    )
    assert moved == (y, tangent)
    client.backward(
        "gelu",
        gx,
        grad_output=gdy,
        order=2,
        cotangents={"x": gv},
        wrt=["dL/dy", "x"],
        out={"x": ddx, "dL/dy": ddy},
    )

    want_y, want_partials, _ = client.forward_with("gelu", x, partials=True)
    second = client.backward(
        "gelu",
        x,
        grad_output=dy,
        order=2,
        cotangents={"x": v},
        wrt=["x", "dL/dy"],
    )
    for found, wanted in [
        (y, want_y),
        (partial, want_partials["x"]),
        (dx, client.backward("gelu", x, grad_output=dy)["x"]),
        (tangent, client.jvp("gelu", x, tangents={"x": v})[1]),
        (ddx, second["x"]),
        (ddy, second["dL/dy"]),
    ]:
        np.testing.assert_array_equal(found.host(), wanted)


def test_parameters_per_channel_and_what_broadcasts_are_of_the_host(
    client, gpu
):
    x, dy = numbers((5, 8)), numbers((5, 8), seed=1)
    bias = numbers(8, seed=2)
    slopes = actserve.PerAxis(numbers(8, seed=3), -1)
    gx, gdy, z, dx = gpu.array(x), gpu.array(dy), *map(gpu.empty_like, (x, x))
    d_slopes = np.zeros(8, np.float32)
    options = {"parameters": {"a": slopes}, "grad_output": dy}

    client.forward(GATE, gx, bias, out=z)
    found = client.backward(
        "prelu",
        gx,
        wrt=["x", "a"],
        out={"x": dx, "a": d_slopes},
        **{**options, "grad_output": gdy},
    )

    wanted = client.backward("prelu", x, wrt=["x", "a"], **options)
    np.testing.assert_array_equal(z.host(), client.forward(GATE, x, bias))
    np.testing.assert_array_equal(dx.host(), wanted["x"])
    assert found["a"] is d_slopes
    np.testing.assert_array_equal(d_slopes, wanted["a"])
    with pytest.raises(TypeError, match=r"inputs\[1\].*\[8\] broadcasts"):
        client.forward(GATE, gx, gpu.array(bias), out=z)
    on_gpu = actserve.PerAxis(gpu.array(slopes.values), -1)
    with pytest.raises(TypeError, match=r"parameters\['a'\].*of a GPU"):
        client.forward("prelu", gx, parameters={"a": on_gpu}, out=z)


def test_rows(client, gpu):
    x = numbers((7, 30))
    y = gpu.empty_like(x)
    client.forward("softmax", gpu.array(x), axis=-1, out=y)
    np.testing.assert_array_equal(
        y.host(), client.forward("softmax", x, axis=-1)
    )


def in_thread(call):
    """Returns the future of what a call of another thread returns."""
    pool = futures.ThreadPoolExecutor(1)
    future = pool.submit(call)
    pool.shutdown(wait=False)
    return future


@pytest.mark.parametrize("named", [True, False], ids=["named", "default"])
def test_a_call_waits_for_the_stream_of_its_arrays(client, gpu, named):
    stream = gpu.stream() if named else None
    options = {"stream": stream} if named else {"version": 2}
    last = numbers(100)
    x = gpu.array(np.zeros_like(last), **options)
    y = gpu.empty_like(last, **options)
    with gpu.hanging(stream):
        kept = gpu.write_later(stream, x, last)
        with pytest.raises(ActivationError, match="did not end") as late:
            client.forward("relu", x, out=y, timeout=0.05)
        call = in_thread(lambda: client.forward("relu", x, out=y))
        # Other calls are made meanwhile.
        other = gpu.empty_like(kept, stream=None)
        client.forward("relu", gpu.array(kept, stream=None), out=other)
    call.result(timeout=20)

    assert late.value.code.name == "DEADLINE_EXCEEDED"
    np.testing.assert_array_equal(y.host(), np.maximum(last, 0))


def test_arrays_of_several_streams_are_refused(client, gpu):
    x = gpu.array(numbers(4), stream=gpu.stream())
    y = gpu.empty_like(x.host(), stream=gpu.stream())
    with pytest.raises(ValueError, match="name the CUDA streams 0x"):
        client.forward("relu", x, out=y)


class Exported:
    """A tensor of a framework that has DLPack alone."""

    def __init__(self, array, code=2):
        self.array = array
        self.code = code
        self.streams = []

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, *, stream=None):
        self.streams.append(stream)
        host = self.array.host()
        if host.dtype == ml_dtypes.bfloat16:
            host = host.view(np.float16)
        capsule = host.__dlpack__()
        dlpack.tensor_of(capsule).code = self.code
        return capsule


@pytest.mark.parametrize(
    ("dtype", "code"), [("f4", 2), (ml_dtypes.bfloat16, 4)]
)
def test_dlpack(client, gpu, dtype, code):
    x = numbers(50, dtype)
    given = Exported(gpu.array(x), code)
    y = Exported(gpu.empty_like(x), code)

    assert client.forward("gelu", given, out=y) is y

    # The owner let the default stream wait for its own.
    assert given.streams == y.streams == [1]
    np.testing.assert_array_equal(y.array.host(), client.forward("gelu", x))


def test_what_cannot_be_used_is_a_clear_error(client, gpu):
    x = numbers(8)
    gx, y = gpu.array(x), gpu.empty_like(x)
    wide = fake_gpu.GpuArray(gx.pointer, (4,), "f4", strides=(8,))
    big = fake_gpu.GpuArray(gx.pointer, (1 << 20,), "f4")
    foreign = fake_gpu.GpuArray(x.ctypes.data, (8,), "f4")
    fixed = gpu.array(x, read_only=True)
    integers = fake_gpu.GpuArray(gx.pointer, (8,), "i4")
    half = gpu.array(x.astype("f2"))

    def forward(*inputs, out=y, f="relu"):
        return lambda: client.forward(f, *inputs, out=out)

    for call, error, message in [
        (forward(gx, out=None), TypeError, "out is missing"),
        (forward(gx, out=x), TypeError, "out is in the memory of the host"),
        (forward(x), TypeError, "out is in the memory of a GPU, but no input"),
        (forward(gx, x, f=GATE), TypeError, r"inputs\[1\] is in .* the host"),
        (forward(wide), ValueError, r"strides \[8\] for the shape \[4\]"),
        (forward(gx, out=fixed), ValueError, "out is read-only"),
        (forward(integers), TypeError, "dtype int32; convert it to one of"),
        (forward(gx, out=half), TypeError, "dtype float16, the result float32"),
        (forward(gx, out=y.at(slice(4))), ValueError, r"\[4\], the result"),
        (forward(big, out=big), ActivationError, "begins at byte 0 of 32"),
        (forward(foreign), ActivationError, "not memory of a GPU, or was fre"),
        (forward(gx, out=gx), ActivationError, "apart from all other tensors"),
        (
            lambda: client.backward("relu", gx, grad_output=gx),
            TypeError,
            r"out\['x'\] is missing",
        ),
        (
            lambda: client.backward("relu", gx, grad_output=x, out={"x": y}),
            TypeError,
            "grad_output or a cotangent is in the memory of the host",
        ),
        (
            lambda: client.forward("glu", gx, split_axis=0, out=y.at([0] * 4)),
            ActivationError,
            "not memory of a GPU",
        ),
        (
            lambda: client.forward("glu", gx, split_axis=0, out=y.at(slice(4))),
            ActivationError,
            "in parts",
        ),
    ]:
        with pytest.raises(error, match=message):
            call()
        # Nothing is lost.
        client.forward("relu", gx, out=y)
        np.testing.assert_array_equal(y.host(), np.maximum(x, 0))


def test_memory_that_was_freed(client, gpu):
    x = numbers(1 << 18)
    gx, y = gpu.array(x), gpu.empty_like(x)
    client.forward("relu", gx, out=y)
    for _ in range(3):
        gpu.free(gx.pointer)
        with pytest.raises(ActivationError, match="or was freed"):
            client.forward("relu", gx, out=y)
        # The driver may put another allocation there, or the host its memory.
        again = gpu.array(2 * x)
        client.forward("relu", again, out=y)
        np.testing.assert_array_equal(y.host(), np.maximum(2 * x, 0))
        gx = again
    gpu.free(gx.pointer)
    for _ in range(20):
        host = np.array(x)
        np.testing.assert_array_equal(
            client.forward("relu", host), np.maximum(x, 0)
        )


def test_allocations_that_were_freed_are_given_up(sharing, gpu, gpu_server):
    client = sharing

    def num_open():
        maps = Path(f"/proc/{gpu_server._process.pid}/maps").read_text()
        return maps.count("fake-device-memory")

    def settles(count):
        deadline = time.monotonic() + 10
        while num_open() != count and time.monotonic() < deadline:
            time.sleep(0.01)
        return num_open() == count

    assert settles(0)
    x = numbers(1024)
    for _ in range(5):
        gx, y = gpu.array(x), gpu.empty_like(x)
        client.forward("relu", gx, out=y)
        gpu.free(gx.pointer)
        gpu.free(y.pointer)
    assert settles(2)
    client.forget_device()
    assert settles(0)
    client.share_device(gpu.array(x))
    assert settles(1)


def test_a_restart_of_the_server_needs_nothing(gpu, fake_driver):
    x = numbers(64)
    gx, y = gpu.array(x), gpu.empty_like(x)
    with (
        fake_gpu.start_server() as server,
        actserve.connect(server.unix_address) as client,
    ):
        client.forward(GATE, gx, gpu.array(x), out=y)
        server.kill()
        with pytest.raises(ActivationError) as gone:
            client.forward(GATE, gx, gpu.array(x), out=y, timeout=5)
        assert gone.value.code.name == "UNAVAILABLE"
        server.start()
        deadline = time.monotonic() + 10
        while True:  # the client looks once a second
            try:
                client.forward(GATE, gx, gpu.array(x), out=y)
                break
            except ActivationError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        np.testing.assert_array_equal(y.host(), client.forward(GATE, x, x))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--device=cpu"], "computes in the memory of the host"),
        (["--shared_device_memory=false"], "--shared_device_memory"),
        (["--shared_memory=false"], "No such file"),
    ],
    ids=["cpu", "off", "no_door"],
)
def test_a_server_that_cannot_says_so(gpu, fake_driver, flags, message):
    x = gpu.array(numbers(8))
    with (
        fake_gpu.start_server(*flags) as server,
        actserve.connect(server.unix_address) as client,
    ):
        with pytest.raises(ActivationError, match=message) as failure:
            client.forward("relu", x, out=gpu.empty_like(x.host()))
        assert "copy the tensors to memory of the host" in str(failure.value)
        client.forward("relu", x.host())


def test_a_server_on_another_gpu_says_so(gpu, fake_driver, monkeypatch):
    monkeypatch.setenv("FAKE_CUDA", "devices=2")
    x = gpu.array(numbers(8))
    with (
        fake_gpu.start_server("--device=cuda:1") as server,
        actserve.connect(server.unix_address) as client,
        pytest.raises(ActivationError, match=r"memory of GPU .* cuda:1 is"),
    ):
        client.forward("relu", x, out=gpu.empty_like(x.host()))


def test_another_gpu_is_none_of_this_process(gpu, monkeypatch):
    monkeypatch.setenv("FAKE_CUDA", "devices=2")
    gpu.driver.fake_cuda_reset()
    x = gpu.array(numbers(8))
    with (
        actserve.connect("local", device="cuda:1") as client,
        pytest.raises(ActivationError, match=r"memory of cuda:0, but .*cuda:1"),
    ):
        client.forward("relu", x, out=gpu.empty_like(x.host()))


def test_other_ways_say_so(gpu, gpu_server):
    x = gpu.array(numbers(8))
    for address, options, message in [
        ("local", {}, "computes in the memory of the host"),
        (gpu_server.address, {}, "not with 127.0.0.1"),
        (gpu_server.unix_address, {"pure": True}, "by the library"),
    ]:
        with actserve.connect(address, **options) as client:
            with pytest.raises(ActivationError, match=message) as failure:
                client.forward("relu", x, out=gpu.empty_like(x.host()))
            assert failure.value.code.name == "FAILED_PRECONDITION"
            assert "of the host" in str(failure.value)
            client.forward("relu", x.host())
