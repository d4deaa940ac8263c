"""Where the results of a call are written, in this process or on a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from actserve._activation import Activation
from actserve._arrays import device
from actserve._arrays import out as out_arrays
from actserve._calls import Calls
from actserve._replicas import Place
from actserve._values import Parameters, PerAxis, input_names

# Results of as many bytes are written into arrays of NumPy, made before the
# call: their memory has huge pages, and what the library would return has not.
_LARGE_BYTES = 1 << 20

# The name of dL/dy among gradients.
GRAD_OUTPUT = "dL/dy"


def result_shape(
    calls: Calls,
    activation: Activation | str,
    arrays: Sequence[Any],
    split_axis: int | None,
    deadline: float,
) -> tuple[int, ...] | None:
    """Returns the shape of y; None: the inputs do not fit together.

    Raises:
      TypeError: Some inputs are in the memory of a GPU, and others are not.
    """
    num_parts = 1
    if split_axis is not None:
        num_parts = len(calls.info(activation, deadline, Place()).inputs)
    device.check_together(
        arrays,
        [f"inputs[{i}]" for i in range(len(arrays))],
        out_arrays.result_shape(arrays, None, 1),
    )
    return out_arrays.result_shape(arrays, split_axis, num_parts)


def of_results(
    calls: Calls,
    activation: Activation | str,
    arrays: Sequence[Any],
    split_axis: int | None,
    deadline: float,
    wanted: Mapping[str, Any],
    directions: Sequence[Any] = (),
) -> tuple[list[Any], list[Any]]:
    """Returns what out_arrays.places_of() does for results like y.

    Args:
      calls: Of the client.
      activation: What is evaluated.
      arrays: The inputs.
      split_axis: That of the call.
      deadline: When to give up.
      wanted: The arrays of the caller by the names of their arguments.
      directions: Tangents.
    """
    is_on_gpu = device.are_used((*arrays, *directions))
    if not is_on_gpu and all(value is None for value in wanted.values()):
        return _large(arrays, split_axis, len(wanted)), []
    shape = result_shape(calls, activation, arrays, split_axis, deadline)
    dtype = arrays[0].dtype if arrays else np.dtype(np.float32)
    return out_arrays.places_of(wanted, dtype, shape, is_on_gpu)


def of_gradients(
    calls: Calls,
    activation: Activation | str,
    arrays: Sequence[Any],
    upstream: Sequence[Any],
    parameters: Parameters | None,
    split_axis: int | None,
    wrt: Sequence[str],
    out: Mapping[str, Any] | None,
    deadline: float,
) -> list[Any]:
    """Returns where the gradients of a call are written; nothing: anywhere.

    Args:
      calls: Of the client.
      activation: What is evaluated.
      arrays: The inputs.
      upstream: grad_output and cotangents.
      parameters: Those of the call.
      split_axis: That of the call.
      wrt: The gradients; none: of all inputs.
      out: By name, where the caller wants them.
      deadline: When to give up.

    Raises:
      TypeError, ValueError: Some tensors are in the memory of a GPU, and others
        are not; or a place there is missing, or cannot be used.
    """
    is_on_gpu = device.are_used((*arrays, *upstream))
    if not is_on_gpu and out is None and not any(map(_is_large, arrays)):
        return []
    info = calls.info(activation, deadline, Place())
    inputs = input_names(info, split_axis)
    likes = dict(zip(inputs, arrays, strict=False))
    if not is_on_gpu:
        return out_arrays.rooms(likes, wrt or inputs, out or {})
    shape = out_arrays.result_shape(arrays, None, 1)
    device.check_together(
        [*arrays, *upstream],
        [f"inputs[{i}]" for i in range(len(arrays))]
        + ["grad_output or a cotangent"] * len(upstream),
        shape,
    )
    for name, value in (parameters or {}).items():
        if isinstance(value, PerAxis):
            likes[name] = np.asarray(value.values)
    for array in arrays:
        if array.shape == shape:
            likes[GRAD_OUTPUT] = array
    return out_arrays.rooms_on_gpu(likes, wrt or inputs, out)


def _large(
    arrays: Sequence[Any], split_axis: int | None, count: int
) -> list[Any]:
    """Returns new arrays for results like y, if those are large."""
    like = out_arrays.like(arrays) if split_axis is None else None
    if like is None or not _is_large(like):
        return []
    return [like, *(np.empty_like(like) for _ in range(count - 1))]


def _is_large(array: Any) -> bool:
    return bool(array.nbytes >= _LARGE_BYTES)
