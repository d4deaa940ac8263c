"""Gradients of gradients, and forward mode: gradcheck and errors."""

import pytest
from torch.autograd import gradcheck, gradgradcheck
from torch_cases import (
    GATED,
    SOFTMAX,
    SQUARE,
    STEP,
    SWISH,
    apply,
    assert_close,
    torch,
)

from actserve.torch import _function
from actserve.torch._call import call


def random(*shape):
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def with_beta(x, beta):
    return apply(SWISH, x, parameters={"beta": beta})


# Smooth, or drawn away from kinks; the function and its tensors.
CASES = {
    "silu": (lambda x: apply("silu", x), (3, 2)),
    "partials": (lambda x: apply("silu", x, gradient="partials"), (3, 2)),
    "number": (with_beta, (3, 2), ()),
    "per channel": (with_beta, (2, 3, 2), (3,)),
    "broadcast": (lambda x, g: apply(GATED, x, g), (2, 3), (3,)),
    "two inputs": (lambda x, g: apply(GATED, x, g), (2, 3), (2, 3)),
    "rows": (lambda x: apply(SOFTMAX, x, axis=0), (3, 2)),
    "gate": (lambda x: apply(GATED, x, split_axis=1), (2, 4)),
    "layer norm": (
        lambda x, w, b: apply(
            "layer_norm",
            x,
            axis=-1,
            parameters={"weight": w, "bias": b},
            channel_axis=-1,
        ),
        (2, 4),
        (4,),
        (4,),
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    torch.manual_seed(3)
    f, *shapes = CASES[request.param]
    return f, tuple(random(*shape) for shape in shapes)


def test_gradients_and_forward_mode(case):
    assert gradcheck(*case, check_forward_ad=True)


def test_gradients_of_gradients_by_reverse_and_forward_mode(case):
    assert gradgradcheck(*case, check_fwd_over_rev=True)


def test_a_declared_gradient_is_used_and_differentiated():
    x = random(6)

    (dx,) = torch.autograd.grad(apply(STEP, x).sum(), x, create_graph=True)
    (ddx,) = torch.autograd.grad(dx.sum(), x)

    assert_close(dx, (1 + x.abs()) ** -2)
    assert_close(ddx, -2 * x.sign() * (1 + x.abs()) ** -3)


@pytest.mark.parametrize("gradient", ["stateless", "partials"])
def test_a_third_derivative_is_refused(gradient):
    x = random(3)
    y = apply(SQUARE, x, gradient=gradient) * x
    (dx,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (ddx,) = torch.autograd.grad(dx.sum(), x, create_graph=True)

    assert_close(ddx.detach(), 6 * x.detach())
    with pytest.raises(RuntimeError, match="third derivative was asked for"):
        torch.autograd.grad(ddx.sum(), x)


def test_batches_of_old_are_refused():
    x = random(3)
    y = apply("silu", x)

    with pytest.raises(NotImplementedError, match=r"use torch\.func\.vmap"):
        torch.autograd.grad(
            y, x, torch.eye(3, dtype=x.dtype), is_grads_batched=True
        )


def test_eager_and_operators_have_the_same_bits(case):
    f, tensors = case
    texts = []

    def note(text, values, num_inputs):
        texts.append(text)
        return call(text, values, num_inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_function, "call", note)
        y = f(*tensors)
    of_eager = torch.autograd.grad(y.sin().sum(), tensors)
    by_operator = torch.ops.actserve.forward(tensors, texts[0])
    found = torch.autograd.grad(by_operator.sin().sum(), tensors)

    assert torch.equal(y, by_operator)
    if '"gradient": "partials"' not in texts[0]:
        assert all(map(torch.equal, of_eager, found))
    else:  # rounded once more
        assert_close(of_eager, found)
