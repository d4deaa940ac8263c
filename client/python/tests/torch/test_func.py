"""The transforms of torch.func, against those of PyTorch's own functions."""

import functools

import pytest
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch_cases import (
    DROP,
    GATED,
    SOFTMAX,
    SWISH,
    apply,
    assert_close,
    softmax,
    swish,
    torch,
)

import actserve.torch
from actserve._bridge.evaluator import Evaluator

silu = functools.partial(apply, "silu")
native_silu = torch.nn.functional.silu


def random(*shape):
    return torch.randn(shape, dtype=torch.float64)


def with_beta(x, beta):
    return apply(SWISH, x, parameters={"beta": beta})


def native_with_beta(x, beta):
    """The same for any number of axes; channels are axis 1."""
    if beta.dim():
        beta = beta.reshape(-1, *[1] * (x.dim() - 2))
    return swish(x, beta)


def total(f):
    return lambda *args: f(*args).sin().sum()


@pytest.mark.parametrize("gradient", ["stateless", "partials"])
def test_transforms_nest_in_any_order(gradient):
    f = functools.partial(apply, "silu", gradient=gradient)
    x, v = random(4), random(4)
    for transform in (
        lambda f: grad(total(f))(x),
        lambda f: vjp(f, x)[1](v),
        lambda f: jvp(f, (x,), (v,)),
        lambda f: jacrev(f)(x),
        lambda f: jacfwd(f)(x),
        lambda f: hessian(total(f))(x),
        lambda f: jacrev(jacrev(f))(x),
        lambda f: jacrev(jacfwd(f))(x),
        lambda f: jacfwd(jacfwd(f))(x),
        lambda f: vmap(grad(total(f)))(x.reshape(2, 2)),
        lambda f: grad(lambda x: vmap(f)(x).sin().sum())(x.reshape(2, 2)),
        lambda f: vmap(vmap(f, 1), 0)(x.reshape(1, 2, 2)),
        lambda f: vmap(hessian(total(f)), 1, 1)(x.reshape(2, 2)),
    ):
        assert_close(transform(f), transform(native_silu))


@pytest.mark.parametrize("shape", [(), (3,)])
def test_parameters_are_transformed(shape):
    x, beta = random(2, 3, 2), random(*shape)
    for transform in (
        lambda f: grad(total(f), argnums=(0, 1))(x, beta),
        lambda f: jacfwd(f, argnums=1)(x, beta),
        lambda f: jacrev(f, argnums=1)(x, beta),
        lambda f: hessian(total(f), argnums=(0, 1))(x, beta),
        lambda f: jvp(f, (x, beta), (x, beta)),
    ):
        assert_close(transform(with_beta), transform(native_with_beta))


@pytest.mark.parametrize(
    ("x", "beta", "dims"),
    [
        ((5, 4, 3), (5,), (0, 0)),
        ((4, 3), (5,), (None, 0)),
        ((4, 5, 3), (), (1, None)),
        ((5, 4, 3), (5, 3), (0, 0)),
        ((2, 3, 2, 5), (3, 5), (3, 1)),
        ((2, 3, 2), (5, 3), (None, 0)),
        ((5, 2, 3, 2), (3,), (0, None)),
    ],
)
def test_a_batch_of_parameters_is_one_call(x, beta, dims):
    x, beta = random(*x), random(*beta)
    calls = []
    forward = Evaluator.forward

    def count(self, *args, **kwargs):
        calls.append(self)
        return forward(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluator, "forward", count)
        y = vmap(with_beta, dims)(x, beta)

    assert len(calls) == 1
    assert_close(y, vmap(native_with_beta, dims)(x, beta))
    of_sample = grad(total(with_beta), argnums=(0, 1))
    wanted = grad(total(native_with_beta), argnums=(0, 1))
    assert_close(vmap(of_sample, dims)(x, beta), vmap(wanted, dims)(x, beta))


def test_hessians_of_samples():
    x, beta = random(4, 3), random(3)
    assert_close(
        vmap(hessian(total(with_beta), argnums=1), (0, None))(
            x.unsqueeze(1), beta
        ),
        vmap(hessian(total(native_with_beta), argnums=1), (0, None))(
            x.unsqueeze(1), beta
        ),
    )


def test_rows_gates_and_broadcasts_are_transformed():
    x, other = random(4, 3, 2), random(2)
    for ours, theirs in (
        (lambda x: apply(SOFTMAX, x, axis=0), lambda x: softmax(x, 1, 0)),
        (lambda x: apply(SOFTMAX, x, axis=-1), lambda x: softmax(x, 1, -1)),
        (
            lambda x: apply("glu", x, split_axis=-1),
            lambda x: torch.nn.functional.glu(x, -1),
        ),
        (lambda x: apply(GATED, x, other), lambda x: x * other.sigmoid()),
        (lambda x: apply(GATED, other, x), lambda x: other * x.sigmoid()),
    ):
        for transform in (
            lambda f: vmap(f)(x),
            lambda f: vmap(f, 1, 1)(x),
            lambda f: vmap(grad(total(f)))(x),
            lambda f: jacfwd(f)(x),
            lambda f: hessian(total(f))(x),
        ):
            assert_close(transform(ours), transform(theirs))


def test_samples_draw_the_numbers_of_one():
    x = random(3, 8)
    seed = torch.tensor(5.0, dtype=torch.float64)

    def drop(x):
        return apply(DROP, x, parameters={"seed": seed})

    assert_close(vmap(drop)(x), torch.stack([drop(row) for row in x]))


def test_layers_in_an_ensemble():
    layers = [
        actserve.torch.Activation(
            SWISH, learnable={"beta": value}, client="local"
        )
        for value in (0.5, 1.5)
    ]
    parameters, buffers = torch.func.stack_module_state(layers)
    x = torch.randn(4, 3)

    y = vmap(lambda p, b: torch.func.functional_call(layers[0], (p, b), (x,)))(
        parameters, buffers
    )

    assert_close(y, torch.stack([layer(x) for layer in layers]))


def test_what_has_no_forward_mode_says_so():
    x = random(4)
    rows = functools.partial(apply, SOFTMAX, axis=0)

    with pytest.raises(NotImplementedError, match="take jacfwd over jacrev"):
        jacfwd(jacfwd(rows))(x)
    with pytest.raises(RuntimeError, match="third derivative"):
        jacrev(hessian(total(silu)))(x)
