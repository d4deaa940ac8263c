"""The layer: its parameters, copies and checkpoints."""

import copy
import io
import pickle
import warnings

import pytest
from torch_cases import (
    DROP,
    SPIKY,
    SWISH,
    apply,
    assert_close,
    layer,
    swish,
    torch,
)

import actserve
import actserve.torch
from actserve._bridge import Spec, evaluator
from actserve.torch._memory import NUMPY_DTYPES


def test_a_parameter_is_learned_as_one_number_or_per_channel():
    x = torch.randn(4, 3, 2)
    for act in (
        layer(SWISH, learnable="beta"),
        layer(SWISH, learnable={"beta": 0.5}),
        layer(SWISH, learnable=["beta"], channels=3),
        layer(SWISH, learnable={"beta": 0.5}, channels=2, channel_axis=-1),
        layer(SWISH, learnable={"beta": torch.rand(3)}),
        layer(SWISH, learnable={"beta": torch.rand(1)}),
    ):
        beta = act.beta.detach().clone().requires_grad_()
        spread = beta
        if beta.numel() == 3:
            spread = beta.reshape(3, 1)

        y = act(x)
        y.sin().sum().backward()

        assert isinstance(act.beta, torch.nn.Parameter)
        wanted = swish(x, spread)
        assert_close(y, wanted)
        (d_beta,) = torch.autograd.grad(wanted.sin().sum(), beta)
        assert_close(act.beta.grad, d_beta, rtol=1e-4, atol=1e-5)


def test_defaults_and_numbers_of_parameters():
    x = torch.randn(5)
    assert layer(SWISH, learnable="beta").beta.item() == 1
    act = layer(SWISH, parameters={"beta": 2})
    assert not list(act.parameters())
    assert_close(act(x), swish(x, 2))


def test_a_name_that_a_module_has_gets_an_underscore():
    act = layer("def f(x, half=0.5): return x * half", learnable="half")
    assert [name for name, _ in act.named_parameters()] == ["half_"]
    assert_close(act(torch.ones(2)), torch.full((2,), 0.5))


def test_modules_move_and_print():
    act = layer(SWISH, learnable=["beta"], channels=3).double()
    assert act.beta.dtype == torch.float64
    assert repr(act) == ("Activation(swish, learnable beta[3], client='local')")
    assert layer("gelu").extra_repr() == "gelu, client='local'"
    made = layer(SWISH, learnable="beta", dtype=torch.float64, device="meta")
    assert (made.beta.dtype, made.beta.device.type) == (torch.float64, "meta")


@pytest.mark.parametrize(
    "twin",
    [copy.copy, copy.deepcopy, lambda act: pickle.loads(pickle.dumps(act))],
)
def test_copies_compute_the_same_and_learn_alone(twin):
    with actserve.connect("local", num_threads=1) as client:
        for where in ("local", client):
            act = layer(SWISH, learnable={"beta": 0.7}, client=where)
            other = twin(torch.nn.Sequential(act))[0]
            x = torch.randn(4)

            assert_close(other(x), act(x))
            other(x).sum().backward()

            if twin is not copy.copy:
                assert act.beta.grad is None
            assert other.activation == act.activation


def test_a_checkpoint_has_text_and_id():
    act = layer(SWISH, learnable={"beta": 0.7})
    file = io.BytesIO()
    torch.save(torch.nn.Sequential(act).state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other = torch.nn.Sequential(layer(SWISH, learnable="beta"))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.load_state_dict(state)

    assert_close(other[0].beta, act.beta)
    said = state["0._extra_state"]
    assert said["text"] == SWISH
    assert said["id"].startswith("sha256:")
    assert said["parameters"] == {}
    # Each a call of the client, of the same activation.
    with actserve.Client("local") as client:
        of = evaluator(Spec.make(SWISH, client))
        assert said["program_id"] == of.program_id(NUMPY_DTYPES[torch.float32])


def test_a_checkpoint_of_another_activation_warns():
    state = layer(SWISH, learnable="beta").state_dict()
    other = layer("def other(x, beta=1.0): return x * beta", learnable="beta")

    with pytest.warns(UserWarning, match=r"another activation than other: def"):
        other.load_state_dict(state)
    spelled = layer(SWISH.replace("beta=1.0", "beta = 1.0"), learnable="beta")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spelled.load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"parameters": {"beta": 2.0}},
            r"parameters=.*2.0.* of swish,",
        ),
        (
            {"program_id": "sha256:0"},
            r"version of the math.* sha256:0,",
        ),
        ({"id": "sha256:0"}, r"another activation than swish: def swish"),
    ],
)
def test_a_checkpoint_of_another_program_warns(change, said):
    act = layer(SWISH)
    state = act.state_dict()
    state["_extra_state"] = state["_extra_state"] | change

    with pytest.warns(UserWarning, match=said):
        act.load_state_dict(state)


def test_a_checkpoint_needs_no_server_and_no_library(monkeypatch):
    act = layer(SWISH, client="127.0.0.1:1")
    here = act.state_dict()["_extra_state"]
    monkeypatch.setenv("ACTSERVE_LIBRARY", "none")
    other = layer(SWISH + "\n", client="127.0.0.1:1")

    said = other.state_dict()["_extra_state"]

    assert said["id"] is None is said["program_id"]
    assert here["program_id"] is not None
    with pytest.warns(UserWarning, match="another activation than swish"):
        other.load_state_dict({"_extra_state": here | {"text": "def f(x)"}})


def test_a_checkpoint_of_an_earlier_version_loads():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(SWISH).load_state_dict({"_extra_state": {"text": SWISH}})


def test_a_checkpoint_of_another_layer_loads():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), layer("gelu"))
    native = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.GELU())

    model.load_state_dict(native.state_dict())

    x = torch.randn(4, 2)
    assert_close(model(x), native(x))


def test_numbers_of_a_call():
    act = layer(DROP, parameters={"keep": 0.5})
    x = torch.ones(64)
    assert_close(
        act(x, parameters={"seed": 3}), apply(DROP, x, parameters={"seed": 3})
    )
    with pytest.raises(ValueError, match="not one element"):
        act(x, parameters={"seed": torch.ones(2)})
    with pytest.raises(ValueError, match="beta is learned by the layer"):
        layer(SWISH, learnable="beta")(x, parameters={"beta": 1})


def test_a_training_step_moves_the_function():
    torch.manual_seed(0)
    act = layer(SWISH, learnable={"beta": 0.2})
    native = torch.nn.Parameter(torch.tensor(0.2))
    ours = torch.optim.SGD(act.parameters(), 0.1)
    theirs = torch.optim.SGD([native], 0.1)
    for _ in range(20):
        x = torch.randn(64)
        for optimizer, y in ((ours, act(x)), (theirs, swish(x, native))):
            optimizer.zero_grad()
            (y - x.relu()).square().mean().backward()
            optimizer.step()
    assert act.beta.item() == pytest.approx(native.item(), rel=1e-5)
    assert act.beta.item() > 0.3


def test_the_layer_serves_the_spiky_of_a_notebook():
    @actserve.activation
    def spiky(x):
        r = x % 1
        return r if r <= 0.5 else 0

    x = torch.rand(9) * 4
    assert_close(layer(spiky)(x), apply(SPIKY, x))
    assert layer(spiky).extra_repr() == "spiky, client='local'"
