"""Activations as functions of JAX's arrays."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from actserve._activation import Activation
from actserve._bridge import Spec, evaluator
from actserve._client import Client
from actserve._values import PerAxis
from actserve.jax._operation import FORWARD, Operation
from actserve.jax._primitive import forward

_DTYPES = ("float16", "bfloat16", "float32", "float64")


def apply(
    activation: Activation | Callable[..., Any] | str,
    *inputs: Any,
    parameters: Mapping[str, Any] | None = None,
    channel_axis: int = -1,
    axis: int | None = None,
    split_axis: int | None = None,
    element_offset: int = 0,
    client: Client | str | None = None,
    gradient: str = "auto",
    fallback: str | None = None,
    wire_dtype: str | None = None,
    timeout: float | None = None,
) -> jax.Array:
    """Returns the activation of `inputs`, differentiable, in any program.

    jit, grad, jvp, vmap, scan and the rest of JAX compose. A shape costs no
    call; values are computed when the program runs.

    >>> import actserve.jax, jax, jax.numpy as jnp
    >>> x = jnp.array([-1.0, 0.0, 2.0])
    >>> swish = "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))"
    >>> f = lambda x, b: actserve.jax.apply(swish, x, parameters={"beta": b})
    >>> f(x, 1.0)
    Array([-0.26894143,  0.        ,  1.761594  ], dtype=float32)
    >>> print(f"{jax.grad(lambda b: f(x, b).sum())(1.0):.4f}")
    0.6166

    Args:
      activation: What `actserve.activation` makes; or a Python function, its
        text, or the name or id of one.
      *inputs: Arrays of one of the dtypes float16, bfloat16, float32 and
        float64, which broadcast.
      parameters: By name: a Python number, which the program contains as it
        is; an array without axes, or with one value for each channel. Arrays
        have gradients. actserve.PerAxis puts values on other axes. An array of
        integers, such as a seed, is rounded to float32.
      channel_axis: The axis of the inputs on which the first axis of arrays
        among the parameters lies.
      axis: The axis along which rows run; of functions that read them.
      split_axis: One input holds all, as its equal parts along this axis.
      element_offset: As of Client.forward().
      client: "local", the address of a server, or a Client; None: as
        actserve.connect() chooses.
      gradient: "auto": the cheapest way. "partials": the forward brings the
        slope, and the gradient is a product; one input, no arrays among the
        parameters. "stateless": the gradient is asked for with the inputs.
        "residual" is "stateless" here: a program of JAX may run twice or never,
        and keeps nothing at a server.
      fallback: "local": compute in this process while no server answers.
      wire_dtype: "bfloat16": float32 tensors travel and are computed so.
      timeout: Seconds for a call; None: the client's.

    Raises:
      TypeError: An argument is of a type that does not serve.
      ValueError: Shapes do not fit, or a value is none of those named.
      ActivationError: The text has errors; or, if no program runs yet, the call
        failed. In a program that is jax.errors.JaxRuntimeError, whose text has
        the error.
    """
    numbers, names, axes, arrays = _parameters(parameters, channel_axis)
    spec = Spec.make(
        activation,
        client,
        parameters=zip(names, axes, strict=True),
        constants=numbers,
        axis=axis,
        split_axis=split_axis,
        element_offset=element_offset,
        gradient=gradient,
        fallback=fallback,
        wire_dtype=wire_dtype,
        timeout=timeout,
    )
    return run(spec, inputs, arrays)


def run(
    spec: Spec, inputs: Sequence[Any], parameters: Sequence[Any]
) -> jax.Array:
    """Returns the result of a Spec; `parameters` are in its order."""
    tensors = _inputs(spec, inputs)
    of = evaluator(spec)
    shape = of.result_shape([x.shape for x in tensors])
    if all(x.shape != shape for x in tensors) and spec.split_axis is None:
        tensors[0] = jnp.broadcast_to(tensors[0], shape)  # one call needs it
    normal = _from_the_end(spec, len(shape))
    of = evaluator(normal)
    for (name, axis), value in zip(normal.parameters, parameters, strict=True):
        if axis is None:
            continue
        fits = tuple(shape[len(shape) + axis :][: value.ndim])
        if value.shape != fits:
            raise ValueError(
                f"{of.name}: {name} has the shape {list(value.shape)}, but "
                f"axis {axis} and those after it of {list(shape)} have "
                f"{list(fits)}"
            )
    return forward(Operation(FORWARD, normal), *tensors, *parameters)


@functools.lru_cache(maxsize=4096)
def _from_the_end(spec: Spec, rank: int) -> Spec:
    """Returns it with axes that count from the last.

    Raises:
      ValueError: An axis is none of tensors of `rank` axes.
    """

    def negative(what: str, axis: int | None) -> int | None:
        if axis is None:
            return None
        if not -rank <= axis < rank:
            raise ValueError(
                f"{what} {axis} is no axis of a tensor of {rank} axes"
            )
        return axis if axis < 0 else axis - rank

    return dataclasses.replace(
        spec,
        axis=negative("axis", spec.axis),
        split_axis=negative("split_axis", spec.split_axis),
        parameters=tuple(
            (name, negative(f"the axis of {name},", axis))
            for name, axis in spec.parameters
        ),
    )


def _inputs(spec: Spec, inputs: Sequence[Any]) -> list[jax.Array]:
    tensors = [jnp.asarray(x) for x in inputs]
    for i, x in enumerate(tensors):
        if x.dtype.name not in _DTYPES:
            raise TypeError(
                f"{evaluator(spec).name}: inputs[{i}] is of {x.dtype.name}, "
                f"not one of {', '.join(_DTYPES)}"
            )
        if x.dtype != tensors[0].dtype:
            raise TypeError(
                f"{evaluator(spec).name}: inputs[{i}] is of {x.dtype.name}, "
                f"but inputs[0] of {tensors[0].dtype.name}"
            )
    return tensors


def _parameters(
    parameters: Mapping[str, Any] | None, channel_axis: int
) -> tuple[dict[str, float], list[str], list[int | None], list[jax.Array]]:
    """Returns numbers by name; names, axes and values of the others."""
    numbers: dict[str, float] = {}
    names: list[str] = []
    axes: list[int | None] = []
    values: list[jax.Array] = []
    for name, value in (parameters or {}).items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            numbers[name] = value
            continue
        axis = channel_axis
        if isinstance(value, PerAxis):
            value, axis = value.values, value.axis
        array = parameter_array(name, value)
        names.append(name)
        axes.append(axis if array.ndim else None)
        values.append(array)
    return numbers, names, axes, values


def parameter_array(name: str, value: Any) -> jax.Array:
    """Returns the value of a parameter as an array that has gradients."""
    array = jnp.asarray(value)
    if np.issubdtype(array.dtype, np.integer):
        array = array.astype(jnp.float32)
    if array.dtype.name not in _DTYPES:
        raise TypeError(
            f"the parameter {name} is of {array.dtype.name}, not one of "
            f"{', '.join(_DTYPES)}"
        )
    return array
