"""Several activations of one step at the same time."""

import time

import pytest
from torch_cases import GATED, SOFTMAX, SPIKY, SWISH, assert_close, layer, torch

import actserve
import actserve.torch
from actserve.torch import apply_many

pytestmark = pytest.mark.server


def leaves(*shapes, dtype=torch.float32):
    torch.manual_seed(1)
    return [torch.randn(s, dtype=dtype).requires_grad_() for s in shapes]


def calls_of(inputs, address):
    """Calls of each kind."""
    a, b, gate, c, d, e = inputs
    swish = layer(SWISH, learnable=["beta"], channels=5, client=address)
    soft = layer(SOFTMAX, axis=-1, client=address)
    calls = [(SPIKY, a), (GATED, b, gate), (swish, c), (soft, d), ("gelu", e)]
    return calls, [*inputs, swish.beta]


def one_by_one(calls, address, **options):
    return [
        f(*inputs)
        if isinstance(f, torch.nn.Module)
        else actserve.torch.apply(f, *inputs, client=address, **options)
        for f, *inputs in calls
    ]


def gradients(results, variables, order=1):
    loss = sum((i + 1) * y.sin().sum() for i, y in enumerate(results))
    found = torch.autograd.grad(loss, variables, create_graph=order == 2)
    if order == 2:
        loss = sum(g.cos().sum() for g in found)
        found = torch.autograd.grad(loss, variables)
    return found


@pytest.mark.parametrize("where", ["local", "unix", "tcp"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bits_are_those_of_one_after_the_other(
    where, order, dtype, shared_server
):
    address = {
        "local": "local",
        "unix": shared_server.unix_address,
        "tcp": shared_server.address,
    }[where]
    calls, variables = calls_of(leaves(*[(3, 5)] * 6, dtype=dtype), address)

    found = apply_many(calls, client=address)
    wanted = one_by_one(calls, address)

    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(
        gradients(found, variables, order),
        gradients(wanted, variables, order),
        strict=True,
    ):
        assert torch.equal(ours, theirs)


def test_a_tensor_may_be_in_several_calls(shared_server):
    address = shared_server.address
    x, gate = leaves((3, 5), (3, 5), dtype=torch.float64)
    calls, variables = calls_of([x, x, gate, x, gate, x], address)
    variables = [x, gate, variables[-1]]

    found = gradients(apply_many(calls, client=address), variables)

    wanted = gradients(one_by_one(calls, address), variables)
    assert_close(found, wanted)


@pytest.mark.parametrize("gradient", ["stateless", "partials", "residual"])
def test_every_way_to_a_gradient(gradient, shared_server):
    (x,) = leaves((4,))
    calls = [(SPIKY, x), ("gelu", x)]
    options = {"client": shared_server.address, "gradient": gradient}

    found = gradients(apply_many(calls, **options), [x])

    options.pop("client")
    wanted = gradients(one_by_one(calls, shared_server.address, **options), [x])
    assert_close(found, wanted)


def test_a_result_that_nothing_needs_has_no_gradient(shared_server):
    x, z = leaves((4,), (4,))
    y, _ = apply_many([("gelu", x), ("relu", z)], client=shared_server.address)

    assert_close(
        torch.autograd.grad(y.sum(), [x, z], allow_unused=True),
        (gradient_of_gelu(x), None),
    )


def gradient_of_gelu(x):
    y = torch.nn.functional.gelu(x)
    return torch.autograd.grad(y.sum(), x)[0]


def test_without_a_gradient_nothing_is_kept(shared_server):
    x, z = leaves((4,), (4,))
    calls = [("gelu", x), ("relu", z)]
    with torch.no_grad():
        found = apply_many(calls, client=shared_server.address)

    assert not any(y.requires_grad for y in found)
    assert torch.equal(found[1], torch.relu(z))


def test_transforms_and_compilers_see_single_calls(shared_server):
    x = torch.randn(3, 4)
    address = shared_server.address

    def f(x):
        a, b = apply_many([("gelu", x), (SPIKY, x)], client=address)
        return (a * b).sum()

    wanted = torch.func.grad(
        lambda x: (
            actserve.torch.apply("gelu", x, client=address)
            * actserve.torch.apply(SPIKY, x, client=address)
        ).sum()
    )(x)

    assert_close(torch.func.grad(f)(x), wanted)
    assert_close(torch.func.vmap(torch.func.grad(f))(x), wanted)
    assert_close(torch.compile(f, backend="eager", fullgraph=True)(x), f(x))


def test_errors_are_those_of_the_first_in_order(shared_server):
    (x,) = leaves((3,))
    address = shared_server.address
    with pytest.raises(TypeError, match=r"dtype torch\.int64"):
        apply_many([("relu", x), ("gelu", torch.arange(3))], client=address)
    with pytest.raises(TypeError, match="of type list, not a torch"):
        apply_many([("relu", x), ("gelu", [1.0])], client=address)
    with pytest.raises(ValueError, match=r"calls\[1\] has no input"):
        apply_many([("relu", x), ("gelu",)], client=address)
    with pytest.raises(ValueError, match=r"takes 1 \(x\), not 2"):
        apply_many([("relu", x), ("gelu", x, x)], client=address)
    with pytest.raises(actserve.ActivationError, match="gone"):
        apply_many([("relu", x), ("sha256:gone", x)], client=address)
    assert apply_many([]) == []


def test_calls_and_gradients_overlap(slow_server):
    inputs = leaves(*[(4,)] * 6)
    calls = [("gelu", x) for x in inputs]
    address = slow_server.address
    apply_many(calls, client=address)  # Connects, and asks about gelu.

    begin = time.monotonic()
    results = apply_many(calls, client=address, gradient="stateless")
    forward = time.monotonic() - begin
    begin = time.monotonic()
    found = torch.autograd.grad(sum(y.sum() for y in results), inputs)
    backward = time.monotonic() - begin

    for x, dx in zip(inputs, found, strict=True):
        assert_close(dx, gradient_of_gelu(x))
    # One after the other takes six times the delay, at least.
    assert slow_server.seconds <= forward < 5 * slow_server.seconds
    assert slow_server.seconds <= backward < 5 * slow_server.seconds
