"""The values of a call, between Python, messages and arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import numpy as np

from actserve import _arguments, _tensors
from actserve._arrays.device import DeviceArray
from actserve._calls import Array
from actserve._errors import ActivationError
from actserve._info import ActivationInfo
from actserve.v1 import service_pb2, tensor_pb2

# With split_axis, the name of the array that holds all inputs.
ALL_INPUTS = "*"


@dataclasses.dataclass(frozen=True)
class PerAxis:
    """One value of a parameter for each element of some axes of the inputs.

    `PerAxis(weights, axis=1)` is one value per channel of images [N, C, H, W];
    weights of shape [C, H] and axis=1 are one for each channel and row.

    Attributes:
      values: An array of the dtype of the inputs, whose shape is that of the
        inputs along `axis` and the axes that follow it. A list takes the dtype.
      axis: The axis of the inputs on which the first dimension of `values`
        lies; negative ones count from the last.
    """

    values: Any
    axis: int


Parameters = Mapping[str, float | PerAxis]


def input_arrays(inputs: Sequence[Any]) -> list[Array]:
    """Returns the tensor inputs of a call as to_arrays() does."""
    return _tensors.to_arrays(
        inputs, [f"inputs[{i}]" for i in range(len(inputs))]
    )


def parameter_values(
    parameters: Parameters | None, like: Sequence[Array]
) -> tuple[list[service_pb2.ParameterValue], list[Array]]:
    """Returns `parameters` for a request, and the arrays among them.

    Args:
      parameters: By name.
      like: The inputs, whose dtype Python numbers and lists take.
    """
    values = []
    arrays = []
    dtype = like[0].dtype if like else None
    for name, value in _arguments.by_name("parameters", parameters).items():
        what = f"parameters[{name!r}]"
        if isinstance(value, PerAxis):
            array = _tensors.to_arrays([value.values], [what], dtype)[0]
            if isinstance(array, DeviceArray):
                raise TypeError(
                    f"{what} is in the memory of a GPU: copy it to that of the "
                    f"host, where parameters are"
                )
            arrays.append(array)
            tensor = service_pb2.ParameterTensor(
                tensor=_tensors.to_proto(array),
                axis=_arguments.integer(f"{what}: axis", value.axis, bits=32),
            )
            values.append(service_pb2.ParameterValue(name=name, tensor=tensor))
        elif np.ndim(value) > 0:
            raise TypeError(
                f"{what} is an array of shape "
                f"{list(np.shape(value))}: write PerAxis(array, axis), with "
                f"the axis of the inputs on which its first dimension lies"
            )
        else:
            values.append(
                service_pb2.ParameterValue(
                    name=name, scalar=_arguments.number(what, value)
                )
            )
    return values, arrays


def input_names(info: ActivationInfo, split_axis: int | None) -> Sequence[str]:
    """Returns the names that the inputs have in a call with `split_axis`."""
    return info.inputs if split_axis is None else [ALL_INPUTS]


def named_values(
    what: str,
    values: Mapping[str, Any],
    info: ActivationInfo,
    like: Sequence[Array],
    split_axis: int | None,
    parameters: Parameters | None,
) -> tuple[list[service_pb2.NamedValue], list[Array]]:
    """Returns `values` for a request, and the arrays among them.

    Args:
      what: What they are, for error messages.
      values: By name.
      info: The activation, whose inputs take arrays.
      like: The inputs, whose dtype Python numbers and lists take.
      split_axis: That of the call.
      parameters: Those of the call: one that is PerAxis takes an array too.

    Raises:
      TypeError: A name that the activation does not have, or an array for a
        parameter that is a number.
    """
    inputs = input_names(info, split_axis)
    per_axis = {
        name
        for name, value in (parameters or {}).items()
        if isinstance(value, PerAxis)
    }
    named = []
    arrays = []
    dtype = like[0].dtype if like else None
    for name, value in _arguments.by_name(what, values).items():
        if name in inputs or name in per_axis:
            array = _tensors.to_arrays([value], [f"{what}[{name!r}]"], dtype)[0]
            arrays.append(array)
            named.append(
                service_pb2.NamedValue(
                    name=name, tensor=_tensors.to_proto(array)
                )
            )
        elif name not in info.parameters:
            known = ", ".join([*inputs, *info.parameters])
            raise TypeError(f"{what}: {name!r} is not one of {known}")
        elif np.ndim(value) > 0:
            raise TypeError(
                f"{what}[{name!r}] is an array of shape "
                f"{list(np.shape(value))}, but the parameter is a number"
            )
        else:
            named.append(
                service_pb2.NamedValue(
                    name=name,
                    scalar=_arguments.number(f"{what}[{name!r}]", value),
                )
            )
    return named, arrays


def take(
    payloads: Sequence[memoryview | Array], tensors: Sequence[tensor_pb2.Tensor]
) -> list[Array]:
    """Returns the arrays that `tensors` describe."""
    if len(payloads) != len(tensors):
        raise ActivationError(
            grpc.StatusCode.INTERNAL,
            f"response holds {len(payloads)} payloads for {len(tensors)} "
            f"tensors",
        )
    return list(map(_tensors.from_proto, tensors, payloads))
