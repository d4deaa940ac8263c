"""PyTorch's own sample inputs of the activations that both have."""

import itertools

import pytest
from torch_cases import apply, assert_close, torch

common = pytest.importorskip(
    "torch.testing._internal.common_methods_invocations",
    exc_type=ImportError,
)


def rows(name):
    return lambda x, dim=-1, dtype=None, **_: apply(name, x, axis=dim)


# PyTorch's name: ours, for its arguments.
OURS = {
    "nn.functional.relu": lambda x, inplace=False: apply("relu", x),
    "nn.functional.relu6": lambda x, inplace=False: apply("relu6", x),
    "nn.functional.silu": lambda x, inplace=False: apply("silu", x),
    "nn.functional.mish": lambda x, inplace=False: apply("mish", x),
    "nn.functional.selu": lambda x, inplace=False: apply("selu", x),
    "nn.functional.softsign": lambda x: apply("softsign", x),
    "nn.functional.tanhshrink": lambda x: apply("tanhshrink", x),
    "nn.functional.logsigmoid": lambda x: apply("logsigmoid", x),
    "nn.functional.hardswish": lambda x, inplace=False: apply("hardswish", x),
    "nn.functional.hardsigmoid": lambda x, inplace=False: apply(
        "hardsigmoid", x
    ),
    "nn.functional.gelu": lambda x, approximate="none": apply(
        "gelu" if approximate == "none" else "gelu_tanh", x
    ),
    "nn.functional.leaky_relu": (
        lambda x, negative_slope=0.01, inplace=False: apply(
            "leaky_relu", x, parameters={"negative_slope": negative_slope}
        )
    ),
    "nn.functional.elu": lambda x, alpha=1.0, inplace=False: apply(
        "elu", x, parameters={"alpha": alpha}
    ),
    "nn.functional.celu": lambda x, alpha=1.0, inplace=False: apply(
        "celu", x, parameters={"alpha": alpha}
    ),
    "nn.functional.softplus": lambda x, beta=1.0, threshold=20.0: (
        apply("softplus", beta * x) / beta
    ),
    "nn.functional.threshold": lambda x, theta, value, inplace=False: apply(
        "threshold", x, parameters={"theta": theta, "value": value}
    ),
    "nn.functional.hardshrink": lambda x, lambd=0.5: apply(
        "hardshrink", x, parameters={"lambd": lambd}
    ),
    "nn.functional.softshrink": lambda x, lambd=0.5: apply(
        "softshrink", x, parameters={"lambd": lambd}
    ),
    "nn.functional.hardtanh": (
        lambda x, min_val=-1.0, max_val=1.0, inplace=False: apply(
            "hardtanh", x, parameters={"min_val": min_val, "max_val": max_val}
        )
    ),
    "nn.functional.prelu": lambda x, weight: apply(
        "prelu", x, parameters={"a": weight}
    ),
    "nn.functional.glu": lambda x, dim=-1: apply("glu", x, split_axis=dim),
    "sigmoid": lambda x: apply("sigmoid", x),
    "tanh": lambda x: apply("tanh", x),
    "softmax": rows("softmax"),
    "log_softmax": rows("log_softmax"),
}
INFOS = {
    info.name: info
    for info in common.op_db
    if info.name in OURS and not info.variant_test_name
}


def test_pytorch_has_samples_for_all():
    assert set(INFOS) == set(OURS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", sorted(INFOS))
def test_samples_agree(name, dtype):
    info, ours = INFOS[name], OURS[name]
    samples = list(itertools.islice(info.sample_inputs("cpu", dtype, True), 16))
    assert samples
    for sample in samples:
        kwargs = {k: v for k, v in sample.kwargs.items() if k != "dtype"}
        if "weight" in kwargs:  # the tensor of slopes of prelu
            sample.args = (*sample.args, kwargs.pop("weight"))
        if sample.input.dim() == 0 and name in ("softmax", "log_softmax"):
            continue  # a number is no row
        if kwargs.get("threshold", 20) < 20:
            continue  # ours is softplus itself
        tensors = [
            t
            for t in (sample.input, *sample.args)
            if isinstance(t, torch.Tensor)
        ]
        numbers = [t for t in sample.args if not isinstance(t, torch.Tensor)]

        found = product(ours, tensors, numbers, kwargs)
        wanted = product(
            info.op, [t.double() for t in tensors], numbers, kwargs
        )

        tolerance = {"rtol": 0.04, "atol": 0.04}
        if dtype is torch.float32:
            tolerance = {"rtol": 2e-5, "atol": 2e-5}
        assert_close([t.double() for t in found], wanted, **tolerance)


def product(f, tensors, numbers, kwargs):
    """Returns y, and the gradients for an upstream gradient of quarters."""
    tensors = [t.detach().clone().requires_grad_() for t in tensors]
    y = f(*tensors, *numbers, **kwargs)
    upstream = torch.arange(y.numel()).remainder(9).reshape(y.shape) / 4
    return [y.detach(), *torch.autograd.grad(y, tensors, upstream.to(y.dtype))]
