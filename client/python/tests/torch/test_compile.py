"""torch.compile and torch.export."""

import pytest
from torch.func import grad, jvp, vmap
from torch_cases import (
    DROP,
    GATED,
    SOFTMAX,
    SPIKY,
    SWISH,
    apply,
    assert_close,
    layer,
    spiky,
    swish,
    torch,
)

import actserve
import actserve.torch

SWISH_OBJECT = actserve.activation(SWISH)


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()


def compiled(f, backend="aot_eager", **options):
    return torch.compile(f, backend=backend, fullgraph=True, **options)


def check(ours, theirs, *inputs, **options):
    """Compares a compiled function and its gradients with PyTorch's."""
    found, wanted = [], []
    for f, results in ((compiled(ours, **options), found), (theirs, wanted)):
        leaves = [t.detach().clone().requires_grad_() for t in inputs]
        y = f(*leaves)
        y.sin().sum().backward()
        results += [y.detach(), *(leaf.grad for leaf in leaves)]
    assert_close(found, wanted)


def test_a_layer_in_a_model_is_one_graph():
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 3),
        layer(SWISH_OBJECT, learnable={"beta": 1.0}, channels=3),
        torch.nn.Linear(3, 2),
    )
    native = torch.nn.Sequential(model[0], torch.nn.SiLU(), model[2])
    check(model, native, torch.randn(5, 4))
    assert model[1].beta.grad.shape == (3,)


@pytest.mark.parametrize("gradient", ["stateless", "partials", "residual"])
def test_functions_are_one_graph(gradient):
    x = torch.randn(2, 3)
    check(lambda x: apply(SPIKY, x, gradient=gradient), spiky, x, dynamic=True)


def test_parameters_rows_gates_and_seeds():
    x, beta = torch.randn(2, 3, 2), torch.rand(3)
    check(
        lambda x, b: apply(SWISH_OBJECT, x, parameters={"beta": b}),
        lambda x, b: swish(x, b[:, None]),
        x,
        beta,
    )
    check(lambda x: apply(SOFTMAX, x, axis=1), lambda x: x.softmax(1), x)
    check(
        lambda x: apply("glu", x, split_axis=0),
        lambda x: torch.nn.functional.glu(x, 0),
        x,
    )
    check(
        lambda a: apply(GATED, a, beta[0]), lambda a: a * beta[0].sigmoid(), x
    )
    drop = layer(DROP)
    check(
        lambda x: drop(x, parameters={"seed": 3}),
        lambda x: drop(x, parameters={"seed": 3}),
        x,
    )


def test_shapes_may_change():
    f = compiled(lambda x: apply("silu", x), dynamic=True)
    for shape in ((2, 3), (5, 4), (7, 1)):
        x = torch.randn(shape, requires_grad=True)
        assert_close(f(x), torch.nn.functional.silu(x))


def test_channels_last_is_kept():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    beta = torch.rand(3)
    f = compiled(lambda x: apply(SWISH, x, parameters={"beta": beta}))
    y = f(x)
    assert_close(y, swish(x, beta[:, None, None]))
    assert y.stride() == x.stride()


def test_autocast_is_traced():
    linear = torch.nn.Linear(3, 3)

    @compiled
    def f(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return apply(GATED, linear(x), x)

    y = f(torch.randn(2, 3))
    assert y.dtype == torch.float32


def test_clients_and_python_functions():
    def silu(x):
        return x / (1 + exp(-x))  # noqa: F821

    x = torch.randn(4)
    with actserve.connect("local", num_threads=1) as client:
        f = compiled(lambda x: apply(silu, x, client=client))
        assert_close(f(x), torch.nn.functional.silu(x))


def test_inductor_runs_a_model():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 3), layer(SWISH, learnable="beta")
    )
    native = torch.nn.Sequential(model[0], torch.nn.SiLU())
    check(model, native, torch.randn(5, 4), backend="inductor")


def test_transforms_inside_of_a_graph():
    x = torch.randn(4)

    def silu(x):
        return apply("silu", x)

    assert_close(
        compiled(lambda x: vmap(silu)(x))(x), torch.nn.functional.silu(x)
    )
    for says, transform in (
        (
            r"autograd\.Function with functorch transforms",
            lambda f: lambda x: grad(lambda x: f(x).sum())(x),
        ),
        (
            r"leave out fullgraph=True",
            lambda f: lambda x: jvp(f, (x,), (x,))[1],
        ),
    ):
        with pytest.raises(Exception, match=says):
            compiled(transform(silu))(x)
        torch._dynamo.reset()
        # Computed without the compiler.
        found = torch.compile(transform(silu), backend="aot_eager")(x)
        assert_close(found, transform(torch.nn.functional.silu)(x))


def test_an_exported_model_computes_in_a_graph():
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 3), layer(SWISH, learnable="beta")
    )
    x = torch.randn(5, 4)

    exported = torch.export.export(model, (x,))

    assert "torch.ops.actserve.forward" in exported.graph_module.code
    assert_close(exported.module()(x), model(x))


def test_wrong_dtypes_are_named():
    with pytest.raises(Exception, match=r"has dtype torch\.int64"):
        compiled(lambda x: apply("silu", x))(torch.ones(2, dtype=torch.int64))
