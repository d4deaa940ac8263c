"""The operators, as PyTorch checks them, and under fake tensors and tracers."""

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.library import opcheck
from torch_cases import (
    GATED,
    SOFTMAX,
    SWISH,
    apply,
    assert_close,
    layer,
    torch,
)

from actserve._bridge import Spec


def random(*shape):
    return torch.randn(*shape, requires_grad=True)


# The Spec's options, and the shapes of the values.
CASES = {
    "one input": (("silu",), {}, (3, 4)),
    "channels": ((SWISH,), {"parameters": [("beta", 1)]}, (2, 3, 2), (3,)),
    "broadcast": ((GATED,), {}, (2, 3), (3,)),
    "rows": ((SOFTMAX,), {"axis": 0}, (3, 2)),
    "gate": ((GATED,), {"split_axis": 1}, (3, 4)),
}


@pytest.fixture(params=CASES)
def case(request):
    args, options, *shapes = CASES[request.param]
    spec = Spec.make(*args, client="local", **options).text()
    return [random(*shape) for shape in shapes], spec


def check(name, *args):
    found = opcheck(getattr(torch.ops.actserve, name).default, args)
    assert set(found.values()) == {"SUCCESS"}


def test_forward_and_backward_pass_opcheck(case):
    values, spec = case
    wrt = list(range(len(values)))
    check("forward", values, spec)
    y = torch.ops.actserve.forward(values, spec).detach().requires_grad_()
    check("backward", values, y, wrt, spec)


def test_second_order_and_jvp_pass_opcheck(case):
    values, spec = case
    plain = [value.detach() for value in values]
    by = list(range(len(values)))
    check("jvp", values, plain, by, spec)
    y = torch.ops.actserve.forward(plain, spec)
    # It has no gradient to check.
    check("second_order", plain, y, plain, by, [*by, len(by)], spec)


def test_partials_pass_opcheck():
    spec = Spec.make("silu", "local").text()
    check("forward_with_partials", [random(3, 4)], spec)


def test_strides_pass_opcheck():
    spec = Spec.make(SWISH, "local", parameters=[("beta", 1)]).text()
    beta = torch.rand(3, requires_grad=True)
    for x in (
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(3, 2).t(),
        torch.randn(2, 6)[:, ::2],
    ):
        check("forward", [x.requires_grad_(), beta], spec)


def test_a_fake_tensor_asks_nobody():
    nowhere = layer("silu", client="127.0.0.1:1", timeout=1)
    with FakeTensorMode():
        x = torch.empty(2, 3, 4, 5, requires_grad=True)
        y = nowhere(x.to(memory_format=torch.channels_last))
        (dx,) = torch.autograd.grad(y.sum(), x)

    assert (y.shape, dx.shape) == (x.shape, x.shape)
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_meta_tensors_have_shapes():
    x = torch.empty(3, 4, device="meta")
    assert apply(GATED, x, split_axis=-1).shape == (3, 2)


def test_tracers_see_operators():
    x = torch.randn(3)
    by_fx = make_fx(lambda x: apply("silu", x))(x)
    by_jit = torch.jit.trace(lambda x: apply("silu", x), x)

    assert "torch.ops.actserve.forward" in by_fx.code
    assert_close(by_fx(2 * x), torch.nn.functional.silu(2 * x))
    assert_close(by_jit(2 * x), torch.nn.functional.silu(2 * x))


def test_modes_see_operators():
    seen = []

    class Mode(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    with Mode():
        apply("silu", random(3)).sum().backward()

    assert {"actserve.forward.default", "actserve.backward.default"} <= set(
        seen
    )
