"""The quick way: calls by the addresses of tensors."""

import os

import pytest
from torch_cases import SPIKY, apply, assert_close, layer, softmax, spiky, torch

import actserve
from actserve.torch import _quick


def plan_of(act, dtype=torch.float32):
    """Returns what keeps the calls of a layer; None: it has no quick way."""
    return _quick._plan(act._text, dtype, torch.get_num_threads())


def step(act, x, dy):
    x = x.detach().requires_grad_()
    y = act(x)
    return y.detach(), torch.autograd.grad(y, x, dy)[0]


def noting(calls, client, name):
    """Returns a method that notes its calls."""
    inner = getattr(client, name)

    def called(*args, **more):
        calls.append(name)
        return inner(*args, **more)

    return called


@pytest.fixture
def counted(monkeypatch):
    """A layer of spiky whose calls of the client are counted."""
    with actserve.Client("local") as client:
        act = layer(SPIKY, client=client)
        calls = []
        for name in ("forward", "backward"):
            monkeypatch.setattr(client, name, noting(calls, client, name))
        yield act, calls


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1,), (), (3, 5), (2, 1, 7)])
def test_a_repeated_step_asks_no_client_and_has_the_same_bits(
    counted, shape, dtype
):
    act, calls = counted
    steps = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        x, dy = torch.randn(2, *shape).to(dtype)
        steps.append(step(act, x, dy))
        wanted = spiky(x), torch.where(spiky(x) != 0, dy, 0)
        assert_close(steps[-1], wanted, rtol=1e-2, atol=1e-2)

    assert calls == ["forward", "backward"]
    for first, again in zip(steps[0], steps[1], strict=True):
        assert torch.equal(first, again)


def test_rows_keep_their_shape(counted):
    # Equal sizes, other rows.
    act = layer("softmax", axis=-1)
    for shape in [(6, 4), (4, 6), (6, 4), (4, 6)]:
        x = torch.randn(shape)
        assert_close(act(x), softmax(x))


def test_results_are_the_callers_own(counted):
    act, _ = counted
    x = torch.rand(4)
    act(x)
    first = act(x)
    second = act(x)
    first.zero_()

    assert torch.equal(second, spiky(x))
    assert first.data_ptr() != x.data_ptr()


def test_gradients_that_are_not_contiguous(counted):
    act, calls = counted
    x = torch.rand(3, 4, requires_grad=True)
    for dy in (torch.ones(()).expand(3, 4), torch.rand(4, 3).t()):
        (dx,) = torch.autograd.grad(act(x), x, dy)
        assert_close(dx, torch.where(x <= 0.5, dy, 0).contiguous())
    assert calls == ["forward", "backward"]


@pytest.mark.parametrize(
    "special",
    [
        lambda x: x.to_sparse(),
        lambda x: x.to_sparse_csr(),
        lambda x: x.to_mkldnn(),
        lambda x: torch._neg_view(x),
        lambda x: x.t(),
        lambda x: torch._efficientzerotensor(x.shape),
        lambda x: x[:0],
        lambda x: torch.nested.as_nested_tensor([x, x[:1]]),
        lambda x: x.to("meta"),
        torch._to_functional_tensor,
    ],
    ids=[
        "sparse",
        "csr",
        "mkldnn",
        "neg",
        "strided",
        "zero",
        "empty",
        "nested",
        "meta",
        "functional",
    ],
)
def test_tensors_without_plain_memory_take_another_way(special):
    act = layer(SPIKY)
    act(torch.rand(3, 4))
    x = special(torch.rand(3, 4))

    assert _quick.quick(act._text, x) is None


@pytest.mark.parametrize("transform", [torch.func.vmap, torch.func.grad])
def test_transforms_see_their_own_tensors(transform):
    act = layer(SPIKY)
    x = torch.tensor([0.25, 0.75])
    for _ in range(2):
        act(x), act(x[0])  # so that their calls are kept

    if transform is torch.func.vmap:
        assert torch.equal(torch.func.vmap(act)(x), spiky(x))
    else:
        assert torch.func.grad(act)(x[0]) == 1


def test_what_a_hook_unpacks_is_looked_at_again(counted):
    act, _ = counted
    x = torch.rand(3, 4)
    dy = torch.rand(3, 4)
    wanted = step(act, x, dy)
    step(act, x, dy)
    for unpack in (
        lambda kept: kept.t().contiguous().t(),
        lambda kept: torch._neg_view(-kept),
    ):
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
            found = step(act, x, dy)
        assert torch.equal(found[1], wanted[1])


def test_a_forked_child_asks_its_own_engine(counted):
    act, _ = counted
    x, dy = torch.rand(2, 8)
    wanted = step(act, x, dy)
    step(act, x, dy)

    child = os.fork()
    if child == 0:
        code = 1
        try:
            with torch.no_grad():
                same = [torch.equal(act(x), wanted[0]) for _ in range(3)]
            code = 0 if all(same) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_closed_client_refuses(counted):
    act, _ = counted
    x = torch.rand(8)
    act(x)
    plan_of(act)._client.close()

    for _ in range(2):
        with pytest.raises(actserve.ActivationError, match="the client is"):
            act(x)


def test_many_shapes_keep_few_calls():
    act = layer("def many(x): return x + 1")
    for n in range(1, _quick._MAX_SHAPES + 3):
        act(torch.zeros(n))

    assert 0 < len(plan_of(act)._forwards) <= _quick._MAX_SHAPES
    assert torch.equal(act(torch.zeros(2)), torch.ones(2))


def test_another_number_of_threads_is_followed():
    before = torch.get_num_threads()
    act = layer(SPIKY)
    x = torch.rand(1000)
    try:
        for count in (1, 2, 1):
            torch.set_num_threads(count)
            assert torch.equal(act(x), spiky(x))
    finally:
        torch.set_num_threads(before)


def test_apply_and_layers_share_what_is_kept():
    x = torch.rand(11)
    wanted = apply(SPIKY, x)

    assert torch.equal(apply(SPIKY, x), wanted)
    assert torch.equal(layer(SPIKY)(x), wanted)
