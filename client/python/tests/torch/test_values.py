"""Values and gradients of plain tensors."""

import pytest
from bridge_cases import QUESTION_DX, QUESTION_X, QUESTION_Y
from torch_cases import (
    DROP,
    GATED,
    SOFTMAX,
    SPIKY,
    SWISH,
    apply,
    assert_close,
    gradients,
    layer,
    softmax,
    swish,
    torch,
)

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
TOLERANCES = {
    torch.float16: {"rtol": 2e-3, "atol": 2e-3},
    torch.bfloat16: {"rtol": 2e-2, "atol": 2e-2},
    torch.float32: {"rtol": 1e-5, "atol": 1e-6},
    torch.float64: {"rtol": 1e-12, "atol": 1e-12},
}


def test_the_question_is_answered():
    x = torch.tensor(QUESTION_X, requires_grad=True)

    y = layer(SPIKY)(x)
    y.sum().backward()

    assert y.tolist() == QUESTION_Y.tolist()
    assert x.grad.tolist() == QUESTION_DX.tolist()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes_are_kept(dtype):
    torch.manual_seed(1)
    x = torch.randn(5, 7).to(dtype)
    beta = torch.linspace(0.5, 2, 7).to(dtype)

    for order in (1, 2):
        found = gradients(
            lambda x, b: apply(SWISH, x, parameters={"beta": b}),
            x,
            beta,
            order=order,
        )
        wanted = gradients(swish, x.double(), beta.double(), order=order)

        assert {t.dtype for t in found} == {dtype}
        assert_close(
            [t.double() for t in found],
            wanted,
            **{k: 10 * v for k, v in TOLERANCES[dtype].items()},
        )


def test_parameters_keep_their_own_dtype():
    x = torch.randn(4, 3).bfloat16()
    act = layer(SWISH, learnable=["beta"], channels=3)

    y = act(x)
    y.float().sum().backward()

    assert y.dtype == torch.bfloat16
    assert act.beta.grad.dtype == torch.float32


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x.permute(1, 3, 0, 2),
        lambda x: x.transpose(0, 1),
        lambda x: x[:, ::2],
        lambda x: x[0, 0, 0].expand(3, 5),
        lambda x: x.contiguous(),
        lambda x: x[:, :1].to(memory_format=torch.channels_last),
        lambda x: x[:0],
        lambda x: x[0, 0, 0, 0],
    ],
)
def test_any_strides_are_read_and_dense_ones_kept(make):
    x = make(torch.randn(2, 4, 3, 5, dtype=torch.float64))
    channels = x.shape[1] if x.dim() > 1 else 0
    parameters = {}
    if channels:
        parameters["beta"] = torch.rand(channels, dtype=torch.float64)
        if channels == 1:
            parameters["beta"] = parameters["beta"][0]
    beta = parameters.get("beta", torch.ones((), dtype=torch.float64))
    if beta.dim():
        beta = beta.reshape(-1, *[1] * (x.dim() - 2))
    leaf = x.detach().requires_grad_()

    y = apply(SWISH, leaf, parameters=parameters)
    (dx,) = torch.autograd.grad(y.sum(), leaf)

    wanted = swish(x, beta)
    assert_close(y.detach(), wanted)
    assert_close(dx, gradients_of_sum(lambda x: swish(x, beta), x))
    is_dense = torch.empty_like(x).stride() == x.stride()
    if is_dense and not {0, 1} & {*x.shape}:  # then others are equal
        assert y.stride() == dx.stride() == x.stride()


def gradients_of_sum(f, x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x)[0]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_rows_run_along_their_axis_in_any_layout(axis):
    for x in (
        torch.randn(3, 4, 2, dtype=torch.float64),
        torch.randn(2, 3, 4, dtype=torch.float64).permute(1, 2, 0),
    ):
        for order in (1, 2):
            assert_close(
                gradients(
                    lambda x: apply(SOFTMAX, x, axis=axis), x, order=order
                ),
                gradients(lambda x: softmax(x, 1, axis), x, order=order),
            )


def test_gates_split_their_tensor():
    x = torch.randn(3, 8, 2, dtype=torch.float64)
    for given in (x, x.permute(2, 1, 0)):
        for order in (1, 2):
            assert_close(
                gradients(
                    lambda x: apply("glu", x, split_axis=1), given, order=order
                ),
                gradients(
                    lambda x: torch.nn.functional.glu(x, 1), given, order=order
                ),
            )


def test_inputs_broadcast():
    x = torch.randn(4, 3, dtype=torch.float64)
    gate = torch.randn(3, dtype=torch.float64)
    for order in (1, 2):
        assert_close(
            gradients(lambda a, b: apply(GATED, a, b), x, gate, order=order),
            gradients(lambda a, b: a * b.sigmoid(), x, gate, order=order),
        )


def test_random_numbers_do_not_depend_on_the_layout():
    x = torch.ones(6, 5)
    act = layer(DROP)

    y = act(x, parameters={"seed": 7})
    other = act(x, parameters={"seed": torch.tensor(8)})
    turned = act(torch.ones(5, 6).t(), parameters={"seed": 7})

    assert set(y.unique().tolist()) == {0, 2}
    assert not torch.equal(y, other)
    assert torch.equal(y, turned)
    assert torch.equal(
        apply(DROP, x[3:], parameters={"seed": 7}, element_offset=15), y[3:]
    )


def test_views_that_negate_are_read():
    x = torch.randn(4, dtype=torch.complex64).conj().imag
    assert x.is_neg()

    assert_close(apply("relu", x), x.relu())
    leaf = torch.randn(4, requires_grad=True)
    apply("relu", leaf).backward(x)
    assert_close(leaf.grad, x.resolve_neg() * (leaf > 0))


def test_a_result_is_new_memory():
    x = torch.randn(4)
    y = apply("def same(x): return x", x)
    y.add_(1)
    assert_close(y, x + 1)


def test_a_change_of_x_before_backward_is_refused():
    x = torch.randn(4, requires_grad=True)
    h = x * 1
    y = apply("silu", h)
    h.add_(1)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_gradients_are_added_and_graphs_used_twice():
    x = torch.randn(4, requires_grad=True)
    y = apply("silu", x)
    y.sum().backward(retain_graph=True)
    once = x.grad.clone()
    y.sum().backward()
    assert_close(x.grad, 2 * once)


def test_checkpoints_compute_the_same():
    x = torch.randn(4, requires_grad=True)
    y = torch.utils.checkpoint.checkpoint(
        lambda x: apply("silu", x), x, use_reentrant=False
    )
    assert_close(
        torch.autograd.grad(y.sum(), x),
        torch.autograd.grad(torch.nn.functional.silu(x).sum(), x),
    )


def test_autocast_leaves_one_input_and_widens_several():
    a, b = torch.randn(3).bfloat16(), torch.randn(3)
    linear = torch.nn.Linear(3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h = linear(b)
        assert apply("silu", h).dtype == h.dtype == torch.bfloat16
        assert apply("silu", b).dtype == torch.float32
        y = apply(GATED, a, b)
    assert y.dtype == torch.float32
    assert_close(y, a.float() * b.sigmoid())


def test_threads_follow_pytorch():
    from actserve._bridge import evaluator
    from actserve.torch._threads import following

    of = evaluator(layer("silu")._spec)
    threads = torch.get_num_threads()
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            client = following(of).spec._kept
            assert client._num_threads == number
    finally:
        torch.set_num_threads(threads)


def test_parameters_that_differ_in_the_sign_of_zero_differ():
    reciprocal = "def reciprocal(x, a=1.0): return x / a"
    x = torch.ones(1)

    for zero in (0.0, -0.0):
        y = apply(reciprocal, x, parameters={"a": zero})
        assert_close(y, x / zero)


SCALE = 2.0


def helped(x):
    return x * SCALE


def calls_helper(x):
    return helped(x)


@pytest.mark.parametrize("function", [helped, calls_helper])
def test_numbers_from_outside_are_those_of_the_call(function, monkeypatch):
    x = torch.ones(1)
    assert apply(function, x) == 2

    monkeypatch.setitem(globals(), "SCALE", 3.0)

    assert apply(function, x) == 3
