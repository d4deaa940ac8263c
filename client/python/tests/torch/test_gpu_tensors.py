"""Tensors in the memory of a GPU, shared with a server: over the fake driver.

There are no CUDA tensors here: those that are "on the GPU" are tensors over
the memory of the fake one, and the functions that ask PyTorch are replaced. It
has not run on a GPU; scripts/gpu_check has what does.
"""

import ctypes
import logging

import fake_gpu
import pytest
from torch_cases import (
    GATED,
    SOFTMAX,
    SWISH,
    apply,
    assert_close,
    gradients,
    layer,
    torch,
)

import actserve
import actserve.torch
from actserve import ActivationError
from actserve.torch import _memory, _shared

pytestmark = pytest.mark.server

to_host = _memory.to_host
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Torch:
    """PyTorch as it would be with that GPU."""

    def __init__(self, gpu):
        self.gpu = gpu
        self.stream = gpu.stream()
        # What was copied to the host, or is there.
        self.copied = []

    def is_cuda(self, tensor):
        return tensor.data_ptr() in self

    def stream_of(self, device):
        return self.stream

    def empty(self, shape, dtype, device=None):
        size = max(torch.Size(shape).numel() * dtype.itemsize, 16)
        memory = (ctypes.c_ubyte * size).from_address(self.gpu.allocate(size))
        found = torch.frombuffer(memory, dtype=dtype)
        return found[: torch.Size(shape).numel()].view(*shape)

    def contiguous(self, tensor):
        if self.is_cuda(tensor) and tensor.is_contiguous():
            return tensor.detach()
        return self.on_gpu(tensor)

    def on_gpu(self, tensor):
        found = self.empty(tensor.shape, tensor.dtype)
        return found.copy_(tensor.detach())

    def to_host(self, tensors):
        self.copied.extend(tensors)
        return to_host(
            [t.detach().clone() if self.is_cuda(t) else t for t in tensors]
        )

    def __contains__(self, address):
        return any(
            begin <= address < begin + size
            for begin, size in self.gpu.sizes.items()
        )


@pytest.fixture
def on_gpu(fake_driver, monkeypatch):
    """Copies a tensor to the GPU."""
    gpu = fake_gpu.Gpu(fake_driver)
    fake = Torch(gpu)
    for name in ("is_cuda", "stream_of", "empty", "contiguous"):
        monkeypatch.setattr(_shared, name, getattr(fake, name))
    monkeypatch.setattr(_memory, "to_host", fake.to_host)
    monkeypatch.setattr(_shared, "_ways", type(_shared._ways)())
    yield fake.on_gpu
    gpu.close()


@pytest.fixture(scope="module")
def here(fake_driver):
    with actserve.connect("local", device="cuda:0") as client:
        yield client


@pytest.fixture
def client(gpu_server):
    with actserve.connect(gpu_server.unix_address) as client:
        yield client
        client.forget_device()


@pytest.fixture
def at_once(caplog):
    """Fails if a call had to be made again with copies."""
    yield
    assert "made again" not in caplog.text


class OnGpu(torch.autograd.Function):
    """x.cuda(), as it would be."""

    @staticmethod
    def forward(ctx, x, on_gpu):
        return on_gpu(x)

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output, None


@pytest.fixture
def copied(on_gpu):
    """The tensors that went to the host."""
    return on_gpu.__self__.copied


FUNCTIONS = {
    "one": lambda x, **o: apply("silu", x, **o),
    "two": lambda x, **o: apply(
        "def f(x, y): return x * tanh(y)", x, x.cos(), **o
    ),
    "learned": lambda x, **o: apply(
        SWISH, x, parameters={"beta": torch.tensor(1.5)}, **o
    ),
    "channels": lambda x, **o: apply(
        SWISH, x, parameters={"beta": torch.tensor([0.5, 1, 2])}, **o
    ),
    "rows": lambda x, **o: apply(SOFTMAX, x, axis=-1, **o),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("order", [1, 2])
def test_the_bits_are_those_of_tensors_of_the_host(
    name, order, client, on_gpu, copied
):
    torch.manual_seed(1)
    x = torch.randn(2, 3, 4, 5)
    f = FUNCTIONS[name]
    wanted = gradients(lambda x: f(x, gradient="stateless"), x, order=order)
    copied.clear()

    found = gradients(
        lambda x: f(OnGpu.apply(x, on_gpu), client=client), x, order=order
    )

    assert all(map(torch.equal, found, wanted))
    assert all(tensor.dim() < 2 for tensor in copied)
    assert list(actserve.torch.cuda_ways().values()) == ["CUDA IPC"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_this_process_computes_in_place_too(name, here, on_gpu, copied):
    torch.manual_seed(1)
    x = torch.randn(2, 3, 4, 5)
    f = FUNCTIONS[name]
    wanted = gradients(f, x)
    copied.clear()

    found = gradients(lambda x: f(OnGpu.apply(x, on_gpu), client=here), x)

    assert all(map(torch.equal, found, wanted))
    assert all(tensor.dim() < 2 for tensor in copied)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("gradient", ["auto", "partials", "residual"])
def test_dtypes_and_ways_to_a_gradient(
    dtype, gradient, client, on_gpu, at_once
):
    x = torch.linspace(-3, 3, 60).to(dtype)
    given = on_gpu(x).requires_grad_()
    like = x.clone().requires_grad_()

    y = apply("gelu", given, client=client, gradient=gradient)
    y.square().sum().backward()
    want = apply("gelu", like, gradient="stateless")
    want.square().sum().backward()

    assert torch.equal(y, want)
    if gradient == "partials":
        assert_close(given.grad, like.grad)
    else:
        assert torch.equal(given.grad, like.grad)


def test_layouts(client, on_gpu, copied):
    x = torch.randn(2, 3, 4, 5)
    whole = on_gpu(x)
    last = on_gpu(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert last.is_contiguous(memory_format=torch.channels_last)
    for given in (whole, whole[:, ::2], whole.mT, last, whole[:0]):
        found = apply("tanh", given, client=client)
        assert not [t for t in copied if t.numel()]
        wanted = apply("tanh", given.clone())
        copied.clear()
        assert torch.equal(found, wanted)
    assert apply("tanh", last, client=client).stride() == last.stride()


def test_learnable_parameters(client, on_gpu, at_once):
    act = layer(SWISH, client=client, learnable={"beta": 1.0}, channels=3)
    here = layer(SWISH, learnable={"beta": 1.0}, channels=3)
    x = torch.randn(4, 3)
    act.beta.data = on_gpu(act.beta.data)

    act(on_gpu(x)).square().sum().backward()
    here(x).square().sum().backward()

    assert torch.equal(act.beta.grad, here.beta.grad)


def test_forward_mode(client, on_gpu, at_once):
    x, v = torch.randn(2, 3, 4)

    def f(x):
        return apply(SOFTMAX, x, axis=-1, client=client)

    _, moved = torch.func.jvp(f, (on_gpu(x),), (on_gpu(v),))
    _, wanted = torch.func.jvp(lambda x: apply(SOFTMAX, x, axis=-1), (x,), (v,))
    assert torch.equal(moved, wanted)


def test_what_is_not_shared_is_copied(client, on_gpu, copied):
    x = torch.randn(4, 6)
    for f in (
        lambda x, **o: apply(GATED, x, split_axis=-1, **o),
        lambda x, **o: apply("silu", x, wire_dtype="bfloat16", **o),
        lambda x, **o: apply("def f(x, y): return x * y", x, x[0], **o),
    ):
        found = f(on_gpu(x), client=client)
        assert copied
        assert torch.equal(found, f(x, client=client))
        copied.clear()


def test_a_server_that_cannot_is_told_and_asked_once(
    fake_driver, on_gpu, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG, "actserve")
    x = on_gpu(torch.randn(8))
    asked = []
    with (
        fake_gpu.start_server("--shared_device_memory=false") as server,
        actserve.connect(server.unix_address) as client,
    ):
        share = client.share_device
        monkeypatch.setattr(
            client, "share_device", lambda a: (asked.append(a), share(a))
        )
        for _ in range(3):
            assert torch.equal(apply("relu", x, client=client), x.relu())
        ways = actserve.torch.cuda_ways()
    assert len(asked) == 1
    ((key, way),) = ways.items()
    assert key == (server.unix_address, "cpu")  # as it says here
    assert way.startswith("pinned memory: FAILED_PRECONDITION")
    assert "--shared_device_memory" in way
    assert "by pinned memory" in caplog.text


def test_a_client_over_the_network_copies(gpu_server, on_gpu):
    x = on_gpu(torch.randn(8))
    y = apply("relu", x, client=gpu_server.address)
    assert torch.equal(y, x.relu())
    (way,) = actserve.torch.cuda_ways().values()
    assert "not with 127.0.0.1" in way


def test_no_step_is_lost_when_the_server_ends(fake_driver, on_gpu, caplog):
    x = torch.randn(8)
    with (
        fake_gpu.start_server() as server,
        actserve.connect(server.unix_address) as client,
    ):
        act = layer("gelu", client=client)
        wanted = gradients(layer("gelu"), x)
        for turn in range(4):
            given = on_gpu(x).requires_grad_()
            if turn == 1:
                server.kill()
                server.start()
            y = act(given)
            if turn == 2:
                server.kill()
                server.start()
            y.sin().sum().backward()
            assert torch.equal(y, wanted[0])
            assert torch.equal(given.grad, wanted[1])
    assert "is made again with copies: UNAVAILABLE" in caplog.text


def test_errors_are_those_of_the_call(client, on_gpu):
    x = on_gpu(torch.randn(8))
    with pytest.raises(ActivationError) as failure:
        apply("no_such_activation", x, client=client)
    assert failure.value.code.name == "NOT_FOUND"
    with pytest.raises(TypeError, match=r"dtype torch\.int32"):
        apply("relu", x.view(torch.int32), client=client)


def test_a_deadline_ends_the_wait_for_the_stream(client, on_gpu):
    x = on_gpu(torch.ones(8))
    fake = on_gpu.__self__
    apply("relu", x, client=client)
    with (
        fake.gpu.hanging(fake.stream),
        pytest.raises(ActivationError, match="did not end"),
    ):
        apply("relu", x, client=client, timeout=0.05)
