"""Through a server: the same bits, by the cheapest way to a gradient."""

import pytest
from testbed import server_binary
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
from actserve.testing import ServerProcess

pytestmark = pytest.mark.server

FUNCTIONS = {
    "silu": lambda x, **o: apply("silu", x, **o),
    "learned": lambda x, **o: apply(
        SWISH, x, parameters={"beta": torch.rand(4, generator=seeded())}, **o
    ),
    "rows": lambda x, **o: apply(SOFTMAX, x, axis=-1, **o),
    "gate": lambda x, **o: apply(GATED, x, split_axis=-1, **o),
}


def seeded():
    return torch.Generator().manual_seed(1)


@pytest.fixture(params=["unix", "tcp"])
def address(request, shared_server):
    return {
        "unix": shared_server.unix_address,
        "tcp": shared_server.address,
    }[request.param]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_server_has_the_bits_of_this_process(name, dtype, address):
    x = torch.randn(3, 4, generator=seeded()).to(dtype)
    f = FUNCTIONS[name]
    wanted = gradients(f, x)
    for gradient in ("residual", "stateless"):
        found = gradients(
            lambda x, g=gradient: f(x, client=address, gradient=g), x
        )
        assert all(map(torch.equal, found, wanted))
    # One product is rounded once more.
    y, dx = gradients(lambda x: f(x, client=address), x)
    assert torch.equal(y, wanted[0])
    assert_close(dx, wanted[1], rtol=3e-7, atol=1e-7)


def calls_of(service, act, x, backward=True):
    y = act(x)
    if backward:
        y.sum().backward()
    found = [
        call
        for call in service.calls
        if type(call).__name__ in ("ForwardRequest", "BackwardRequest")
    ]
    service.calls.clear()
    return found


def test_auto_takes_the_fewest_bytes(service):
    x = torch.ones(3, requires_grad=True)

    (forward,) = calls_of(service, layer("silu", client=service.address), x)
    assert list(forward.partials) == ["x"]
    assert not forward.keep_residual

    half = torch.ones(3).bfloat16().requires_grad_()
    forward, backward = calls_of(
        service, layer("silu", client=service.address), half
    )
    assert forward.keep_residual
    assert backward.residual == service.residual
    assert len(backward.payload) == 1


def test_nothing_is_kept_if_no_gradient_is_wanted(service):
    act = layer("silu", client=service.address, gradient="residual")
    x = torch.ones(3, requires_grad=True)
    frozen = layer(
        SWISH, learnable={"beta": 0.5}, client=service.address
    ).requires_grad_(False)

    with torch.no_grad():
        calls = calls_of(service, act, x, backward=False)
    with torch.inference_mode():
        calls += calls_of(service, act, x, backward=False)
    calls += calls_of(service, act, x.detach(), backward=False)
    calls += calls_of(service, frozen, x.detach(), backward=False)

    assert len(calls) == 4
    for call in calls:
        assert not call.keep_residual
        assert not call.partials


def test_who_saves_tensors_elsewhere_keeps_none_at_the_server(service):
    act = layer("silu", client=service.address, gradient="residual")
    x = torch.ones(3, requires_grad=True)
    with torch.autograd.graph.save_on_cpu():
        forward, backward = calls_of(service, act, x)
    assert not forward.keep_residual
    assert not backward.residual


def test_a_graph_keeps_nothing_at_the_server(service):
    torch._dynamo.reset()
    act = layer("silu", client=service.address, gradient="residual")
    step = torch.compile(act, backend="aot_eager", fullgraph=True)
    forward, backward = calls_of(
        service, step, torch.ones(3, requires_grad=True)
    )
    assert not forward.keep_residual
    assert len(backward.payload) == 2


def test_bfloat16_on_the_wire_rounds_as_said(address):
    x = torch.randn(64, generator=seeded())
    (y, dx), (wanted, d_wanted) = (
        gradients(
            lambda x, w=w: apply("gelu", x, client=address, wire_dtype=w), x
        )
        for w in ("bfloat16", None)
    )
    assert y.dtype == dx.dtype == torch.float32
    assert torch.equal(y, y.bfloat16().float())
    assert_close(y, wanted, rtol=2**-6, atol=2**-8)
    assert_close(dx, d_wanted, rtol=2**-5, atol=2**-5)


def test_a_restart_loses_no_step(tmp_path):
    def train(client, between=lambda step: None):
        torch.manual_seed(0)
        act = layer(
            SWISH, learnable={"beta": 1.0}, client=client, gradient="residual"
        )
        model = torch.nn.Sequential(torch.nn.Linear(4, 3), act)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        losses = []
        for step in range(4):
            loss = model(torch.randn(8, 4)).square().mean()
            between(step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    with ServerProcess(server_binary()) as server:
        undisturbed = train(server.address)

        def restart(step):
            if step == 2:
                server.kill()
                server.start()

        assert train(server.address, restart) == undisturbed
    assert train("local") == undisturbed


def test_the_fallback_has_the_same_bits(caplog):
    x = torch.randn(5, generator=seeded())
    counts = sum(actserve.fallback_counts().values())
    act = layer("silu", client="127.0.0.1:9", fallback="local", timeout=0.3)

    found = gradients(act, x)

    wanted = gradients(lambda x: apply("silu", x), x)
    assert torch.equal(found[0], wanted[0])
    assert_close(found[1], wanted[1])
    assert "does not answer" in caplog.text
    assert sum(actserve.fallback_counts().values()) > counts
