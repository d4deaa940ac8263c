"""An activation as a function of tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

import actserve
from actserve._bridge import Evaluator, Spec, evaluator
from actserve.tensorflow._call import call

Activatable = actserve.Activation | Callable[..., Any] | str


@tf.autograph.experimental.do_not_convert
def apply(
    activation: Activatable,
    *inputs: Any,
    parameters: Mapping[str, Any] | None = None,
    channel_axis: int = -1,
    axis: int | None = None,
    split_axis: int | None = None,
    element_offset: int = 0,
    client: actserve.Client | str | None = None,
    gradient: str = "auto",
    fallback: str | None = None,
    wire_dtype: str | None = None,
    timeout: float | None = None,
) -> tf.Tensor:
    """Returns activation(*inputs), differentiable twice.

    In eager mode, in a tf.function and in a graph of a session. What is known
    of the shape of the result stays known.

    >>> x = tf.constant([-1.0, 0.0, 2.0])
    >>> with tf.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = actserve.tensorflow.apply(
    ...         "leaky_relu", x, parameters={"negative_slope": 0.25}
    ...     )
    >>> print(y.numpy(), tape.gradient(y, x).numpy())
    [-0.25  0.    2.  ] [0.25 1.   1.  ]

    Args:
      activation: An actserve.Activation, a Python function, a text, or the name
        or id of an activation.
      *inputs: Tensors of float16, bfloat16, float32 or float64, all of one
        dtype, which broadcast; or what tf.convert_to_tensor takes.
      parameters: By name. A Python number is a constant. A tensor or variable
        of one element is one number, which can have a gradient; so a number
        that changes from call to call, such as a seed, is best a float64
        tensor. Another tensor has one value for each element of the axis
        `channel_axis` of the inputs, or of that of
        actserve.PerAxis(tensor, axis).
      channel_axis: That of parameters with a value per channel; negative ones
        count from the last.
      axis: The axis along which rows run; None: that of the activation.
      split_axis: Of a gate: one tensor holds all inputs, its equal parts along
        this axis.
      element_offset: The place of the first element in the tensor that the
        inputs are a piece of, for random numbers.
      client: A Client, or an address as of actserve.connect(). None: as
        connect() chooses.
      gradient: "auto", "partials", "residual" or "stateless". A graph keeps
        nothing at a server: there "residual" is "stateless"; and "auto" takes
        partials only below a tape in the same graph, as nobody else may ever
        want them.
      fallback: "local": compute in this process while no server answers.
      wire_dtype: "bfloat16": float32 tensors are rounded to bfloat16, and
        travel and are computed so.
      timeout: Seconds for a call; None: the client's.

    Raises:
      ActivationError: The source of the activation cannot be taken, or its text
        has errors; or the server refuses or does not answer. In a graph the
        latter is a tf.errors.UnknownError with the same message; and AutoGraph
        makes a StagingError of the former.
      TypeError: A tensor has another dtype, or a parameter is unknown.
      ValueError: There are too few or too many inputs, shapes do not fit, or an
        option has none of its values.
      NotImplementedError: A third derivative; jit_compile=True; a SavedModel;
        or a ForwardAccumulator inside of a tf.function. It says what to do.
    """
    numbers, places, tensors = split_parameters(parameters, channel_axis)
    of = evaluator_of(
        activation,
        client,
        places,
        numbers,
        axis,
        split_axis,
        element_offset,
        gradient,
        fallback,
        wire_dtype,
        timeout,
    )
    return call(of, inputs, tensors)


def split_parameters(
    parameters: Mapping[str, Any] | None, channel_axis: int
) -> tuple[
    tuple[tuple[str, float], ...],
    tuple[tuple[str, int | None], ...],
    list[tf.Tensor],
]:
    """Returns numbers by name; names with their axis, and tensors for them."""
    numbers = []
    places: list[tuple[str, int | None]] = []
    tensors = []
    for name, value in (parameters or {}).items():
        if isinstance(value, (int, float, np.number)):
            numbers.append((name, value))
            continue
        axis = channel_axis
        if isinstance(value, actserve.PerAxis):
            value, axis = value.values, value.axis
        tensor = as_value(value)
        tensors.append(tensor)
        places.append((name, axis if tensor.shape.rank != 0 else None))
    return tuple(numbers), tuple(places), tensors


def as_value(value: Any) -> tf.Tensor:
    """Returns a parameter as calls take it: one number has no axes."""
    tensor = tf.convert_to_tensor(value)
    if tensor.dtype.is_integer:
        tensor = tf.cast(tensor, tf.float64)  # a seed
    if tensor.shape.rank == 1 and tensor.shape[0] == 1:
        tensor = tf.reshape(tensor, [])
    return tensor


@functools.lru_cache(maxsize=1024, typed=True)
def evaluator_of(
    activation: Any, client: Any, places: Any, numbers: Any, *options: Any
) -> Evaluator:
    """Returns the evaluator of a Spec of these; refuses what no call could do.

    `options` are those of Spec.make() from `axis` on.
    """
    return evaluator(
        Spec.make(activation, client, places, dict(numbers), *options)
    )
