"""An activation as a function of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

import actserve
from actserve._bridge import evaluator
from actserve._bridge.spec import kept
from actserve.torch._call import call

Activatable = actserve.Activation | Callable[..., Any] | str


def apply(
    activation: Activatable,
    *inputs: torch.Tensor,
    parameters: Mapping[str, Any] | None = None,
    axis: int | None = None,
    split_axis: int | None = None,
    channel_axis: int = 1,
    element_offset: int = 0,
    client: actserve.Client | str | None = None,
    gradient: str = "auto",
    fallback: str | None = None,
    wire_dtype: str | None = None,
    timeout: float | None = None,
) -> torch.Tensor:
    """Returns activation(*inputs), differentiable.

    >>> x = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    >>> slope = {"negative_slope": 0.25}
    >>> y = actserve.torch.apply("leaky_relu", x, parameters=slope)
    >>> y.sum().backward()
    >>> print(y.tolist(), x.grad.tolist())
    [-0.25, 0.0, 2.0] [0.25, 0.25, 1.0]

    Args:
      activation: An actserve.Activation, a Python function, a text, or the name
        or id of an activation.
      *inputs: Tensors of float16, bfloat16, float32 or float64, all of one
        dtype and on one device; they broadcast.
      parameters: By name. A number is a constant. A tensor of one element is
        one number, which can have a gradient; so a number that changes from
        call to call, such as a seed, is best a float64 tensor. Another tensor
        has one value for each element of the axis `channel_axis` of the inputs,
        or of that of actserve.PerAxis(tensor, axis).
      axis: The axis along which rows run; None: that of the activation.
      split_axis: Of a gate: one tensor holds all inputs, its equal parts along
        this axis.
      channel_axis: That of parameters with a value per channel; negative ones
        count from the last.
      element_offset: The place of the first element in the tensor that the
        inputs are a piece of, for random numbers.
      client: A Client, or an address as of actserve.connect(). None: as
        connect() chooses. "local" has torch.get_num_threads() threads.
      gradient: "auto", "partials", "residual" or "stateless".
      fallback: "local": compute in this process while no server answers.
      wire_dtype: "bfloat16": float32 tensors are rounded to bfloat16, and
        travel and are computed so.
      timeout: Seconds for a call; None: the client's.

    Raises:
      ActivationError: The source of the activation cannot be taken, or its text
        has errors; or the server refuses or does not answer.
      TypeError: A tensor has another dtype, or is on another device than the
        first; or a parameter is unknown.
      ValueError: There are too few or too many inputs, or an option has none of
        its values.
    """
    numbers = []
    tensors = []
    places = []
    for name, value in (parameters or {}).items():
        axis_of_value = channel_axis
        if isinstance(value, actserve.PerAxis):
            value, axis_of_value = value.values, value.axis
        if isinstance(value, torch.Tensor):
            tensors.append(as_value(value))
            places.append((name, place_of(value, axis_of_value)))
        elif isinstance(value, (list, tuple)):
            raise TypeError(
                f"parameters[{name!r}] is a {type(value).__name__}: give a "
                f"number or a tensor"
            )
        else:
            numbers.append((name, value))
    text = spec_of(
        activation,
        client,
        tuple(places),
        tuple(numbers),
        axis,
        split_axis,
        element_offset,
        gradient,
        fallback,
        wire_dtype,
        timeout,
    )
    return call(text, [*inputs, *tensors], len(inputs))


def as_value(value: torch.Tensor) -> torch.Tensor:
    """Returns a parameter as calls take it."""
    if value.numel() == 1 and value.dim() == 1:
        value = value.reshape(())
    if not value.is_floating_point() and not value.is_complex():
        value = value.to(torch.float64)  # a seed
    return value


def place_of(value: torch.Tensor, axis: int) -> int | None:
    """Returns the axis of a parameter; None if it is one number."""
    return None if value.numel() == 1 and value.dim() <= 1 else axis


@torch.compiler.assume_constant_result
def spec_of(
    activation: Any, client: Any, places: Any, numbers: Any, *options: Any
) -> str:
    """Returns the text of a Spec, which is kept; the same for the same."""
    spec = kept(activation, client, places, numbers, *options)
    evaluator(spec)  # which refuses what no call could do
    return spec.text()
