"""What a user gets wrong, and what it says."""

import runpy
import subprocess
import sys
import textwrap

import grpc
import pytest
from torch_cases import GATED, SOFTMAX, SWISH, apply, layer, torch

import actserve
import actserve.torch


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: apply("silu"), ValueError, "no input was given"),
        (
            lambda: apply("silu", torch.ones(2), torch.ones(2)),
            ValueError,
            "silu takes 1 (x), not 2",
        ),
        (
            lambda: apply(GATED, torch.ones(2)),
            ValueError,
            "gated takes 2 (x, gate), not 1",
        ),
        (
            lambda: apply("silu", [1.0, 2.0]),
            TypeError,
            "an input is of type list, not a torch.Tensor",
        ),
        (
            lambda: apply("silu", torch.ones(2, dtype=torch.int32)),
            TypeError,
            "input 'x' has dtype torch.int32, none of float16, bfloat16, "
            "float32, float64",
        ),
        (
            lambda: apply("silu", torch.ones(2, dtype=torch.bool)),
            TypeError,
            "has dtype torch.bool",
        ),
        (
            lambda: apply("silu", torch.ones(2, dtype=torch.complex64)),
            TypeError,
            "has dtype torch.complex64",
        ),
        (
            lambda: apply(GATED, torch.ones(2), torch.ones(2).double()),
            TypeError,
            "input 'gate' has dtype torch.float64, input 'x' torch.float32: "
            "give all inputs one dtype",
        ),
        (
            lambda: apply(GATED, torch.ones(2), torch.ones(2, device="meta")),
            TypeError,
            "input 'gate' is on meta, input 'x' on cpu",
        ),
        (
            lambda: apply("silu", torch.eye(2).to_sparse()),
            TypeError,
            "has layout torch.sparse_coo, not strided",
        ),
        (
            lambda: apply(GATED, torch.ones(2, 3), torch.ones(2)),
            ValueError,
            "shape mismatch",
        ),
        (
            lambda: apply(GATED, torch.ones(2, 3), split_axis=1),
            ValueError,
            "axis 1 of the shape [2, 3] does not split into 2 equal parts",
        ),
        (
            lambda: apply(SOFTMAX, torch.ones(2)),
            ValueError,
            "soft reads rows: give the axis along which they run",
        ),
        (
            lambda: apply(SWISH, torch.ones(2), parameters={"gamma": 1.0}),
            TypeError,
            "swish has no parameter 'gamma'; it has beta",
        ),
        (
            lambda: apply(SWISH, torch.ones(2), parameters={"beta": [1, 2]}),
            TypeError,
            "is a list: give a number or a tensor",
        ),
        (
            lambda: layer(SWISH, channels=3),
            ValueError,
            "channels is 3, but no parameter is learnable",
        ),
        (
            lambda: layer(SWISH, learnable=["gamma"]),
            TypeError,
            "swish has no parameter 'gamma'; it has beta",
        ),
        (
            lambda: layer(SWISH, gradient="best"),
            ValueError,
            "gradient is 'best', not one of",
        ),
        (
            lambda: layer(SWISH, client=5),
            TypeError,
            "client is of type int: give an address or an actserve.Client",
        ),
        (
            lambda: layer(SWISH, client="nonsense"),
            ValueError,
            "address 'nonsense'",
        ),
        (
            lambda: layer("siluu"),
            actserve.ActivationError,
            "siluu",
        ),
        (
            lambda: layer("def f(x): return open(x)"),
            actserve.ActivationError,
            "open",
        ),
    ],
)
def test_wrong_input_is_named(make, error, says):
    with pytest.raises(error) as raised:
        make()
    assert says in str(raised.value)


def test_channels_that_do_not_fit_are_named():
    act = layer(SWISH, learnable=["beta"], channels=3)
    with pytest.raises(actserve.ActivationError) as raised:
        act(torch.ones(2, 4))
    assert raised.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "beta" in str(raised.value)
    assert "3" in str(raised.value)
    assert "4" in str(raised.value)


def test_the_error_points_into_the_file_of_the_user(tmp_path):
    file = tmp_path / "model.py"
    file.write_text(
        textwrap.dedent(
            """
            import actserve
            import actserve.torch


            def broken(x):
                total = 0
                while x > 0:
                    total = total + x
                return total


            actserve.torch.Activation(broken, client="local")
            """
        )
    )
    with pytest.raises(actserve.ActivationError) as raised:
        runpy.run_path(str(file))
    assert f"{file}:8" in str(raised.value)


def test_a_server_that_is_away_is_named():
    act = layer("silu", client="127.0.0.1:1", timeout=0.5)
    with pytest.raises(actserve.ActivationError) as raised:
        act(torch.ones(2))
    assert raised.value.code in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    assert "127.0.0.1:1" in str(raised.value)


def test_neither_server_nor_library(monkeypatch, tmp_path):
    monkeypatch.setenv("ACTSERVE_LIBRARY", "none")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("ACTSERVE_ADDRESS", raising=False)
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "import torch, actserve.torch as a; a.apply('silu', torch.ones(2))",
        ],
        capture_output=True,
        text=True,
    )
    assert "no server listens at" in run.stderr
    assert "ACTSERVE_LIBRARY" in run.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.nn.functional.gelu, "torch.nn.functional.gelu .*name 'gelu'$"),
        (torch.nn.functional.silu, "name 'silu'$"),
        (torch.relu, "torch.relu .*name 'relu'$"),
        (torch.nn.GELU(), "name 'gelu'$"),
        (torch.nn.GELU("tanh"), "name 'gelu_tanh'$"),
        (torch.nn.GELU, "name 'gelu'$"),
        (torch.nn.ReLU(inplace=True), "name 'relu'$"),
        (
            torch.nn.LeakyReLU(0.3),
            "'leaky_relu', whose parameters are neg",
        ),
        (torch.nn.Softmax(dim=-1), "name 'softmax'"),
        (torch.nn.functional.glu, "name 'glu'"),
    ],
)
def test_functions_and_layers_of_pytorch_name_the_built_in(given, said):
    for make in (layer, lambda f: apply(f, torch.ones(3))):
        with pytest.raises(TypeError, match=said):
            make(given)


@pytest.mark.parametrize("value", ["x", [1.0, "y"], 1j, torch.ones(3) * 1j])
def test_a_learnable_that_is_no_number_is_shown(value):
    with pytest.raises(TypeError, match=r"learnable\['beta'\]"):
        layer(SWISH, learnable={"beta": value})
