"""A call with tensors that were not looked at yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from actserve._bridge import Evaluator
from actserve.tensorflow import _gradients, _ops
from actserve.tensorflow._memory import NUMPY_DTYPES
from actserve.tensorflow._recording import refuse_what_cannot_be


def call(of: Evaluator, inputs: Sequence[Any], parameters: Sequence[Any]) -> Any:
    """Returns y; differentiable.

    Raises:
      TypeError: A tensor has a dtype that is not supported; or the inputs have
        several.
      ValueError: There are too few or too many inputs, or shapes do not fit.
      NotImplementedError: TensorFlow is doing what the call cannot be a part
        of.
    """
    values = [
        _tensor(of, place, value)
        for place, value in enumerate((*inputs, *parameters))
    ]
    if len(inputs) != len(of.inputs):
        names = ", ".join(of.inputs)
        if of.spec.split_axis is not None:
            names = "all in one tensor"
        raise ValueError(
            f"{of.name} takes {len(of.inputs)} inputs ({names}), not "
            f"{len(inputs)}"
        )
    for place in range(1, len(inputs)):
        if values[place].dtype != values[0].dtype:
            raise TypeError(
                f"{of.name}: {_called(of, place)} is of "
                f"{values[place].dtype.name}, but {_called(of, 0)} of "
                f"{values[0].dtype.name}"
            )
    shape = _ops.result_shape(of, values)
    _check_parameters(of, values[len(inputs) :], shape)
    refuse_what_cannot_be(of.name, values)
    return _gradients.forward(of, values)


def _tensor(of: Evaluator, place: int, value: Any) -> tf.Tensor:
    if not isinstance(value, tf.Tensor):
        try:
            value = tf.convert_to_tensor(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{of.name}: {_called(of, place)} is of type "
                f"{type(value).__name__}, of which TensorFlow makes no "
                f"tensor: {error}"
            ) from None
    if value.dtype not in NUMPY_DTYPES:
        raise TypeError(
            f"{of.name}: {_called(of, place)} is of {value.dtype.name}, not "
            f"one of {', '.join(dtype.name for dtype in NUMPY_DTYPES)}"
        )
    return value


def _called(of: Evaluator, place: int) -> str:
    num_inputs = len(of.inputs)
    if place >= num_inputs and place < num_inputs + len(of.spec.parameters):
        return f"the parameter {of.spec.parameters[place - num_inputs][0]}"
    return f"inputs[{place}]"


def _check_parameters(
    of: Evaluator, values: Sequence[tf.Tensor], shape: tf.TensorShape
) -> None:
    """Refuses values of which there are not as many as channels."""
    if shape.rank is None:
        return
    for (name, axis), value in zip(of.spec.parameters, values, strict=True):
        if axis is None or value.shape.rank is None:
            continue
        if not -shape.rank <= axis < shape.rank:
            raise ValueError(
                f"{of.name}: the axis {axis} of {name} is none of a tensor of "
                f"{shape.rank} axes"
            )
        begin = axis % shape.rank
        fits = shape[begin : begin + value.shape.rank]
        if not value.shape.is_compatible_with(fits):
            raise ValueError(
                f"{of.name}: {name} has the shape {value.shape.as_list()}, but "
                f"axis {axis} and those after it of {shape.as_list()} have "
                f"{fits.as_list()}"
            )
