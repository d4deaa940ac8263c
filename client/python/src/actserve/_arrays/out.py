"""Arrays of the caller that results are written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actserve._arrays import dlpack

# Results of as many bytes are written into arrays of NumPy, made before the
# call: their memory has huge pages, and what the library would return has not.
ROOMS_FROM_BYTES = 1 << 20


def place(
    name: str, out: Any, dtype: np.dtype[Any], shape: Sequence[int]
) -> NDArray[Any]:
    """Returns the memory of `out` as an array.

    Args:
      name: That of the argument, for messages.
      out: An array, or what has `__array_interface__` or `__dlpack__`.
      dtype: Of the result.
      shape: Of the result.

    Raises:
      TypeError: It is no array in the memory of the host, or of another dtype.
      ValueError: It has another shape, or cannot be written.
    """
    if isinstance(out, np.ndarray):
        array = out
    elif hasattr(out, "__array_interface__"):
        array = np.asarray(out)
    elif hasattr(out, "__dlpack__"):
        array = dlpack.view(out, name)
    else:
        raise TypeError(
            f"{name} is of type {type(out).__name__}, not an array to write to"
        )
    if array.dtype != dtype:
        raise TypeError(f"{name} has dtype {array.dtype}, the result {dtype}")
    if array.shape != tuple(shape):
        raise ValueError(
            f"{name} has shape {list(array.shape)}, the result {list(shape)}"
        )
    if not array.flags.writeable:
        raise ValueError(f"{name} is read-only")
    return array


def result_shape(
    arrays: Sequence[NDArray[Any]], split_axis: Any, num_parts: int
) -> tuple[int, ...] | None:
    """Returns the shape of y; None if the inputs do not fit together."""
    try:
        shape = list(np.broadcast_shapes(*(array.shape for array in arrays)))
        if split_axis is not None:
            shape[split_axis] //= num_parts
    except (ValueError, IndexError, TypeError):
        return None
    return tuple(shape)


def like(arrays: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    """Returns room for y; None if the inputs do not fit together."""
    shape = result_shape(arrays, None, 1)
    if not arrays or shape is None:
        return None
    return np.empty(shape, arrays[0].dtype)


def rooms(
    inputs: Mapping[str, NDArray[Any]],
    wrt: Sequence[str],
    out: Mapping[str, Any],
) -> list[NDArray[Any]]:
    """Returns where the gradients of `wrt` may be written at once.

    That is where `out` has them, as far as those are plain arrays of the shape
    of their inputs. Nothing: deliver() has to write, or to refuse, one of them.
    """
    places = []
    for name in wrt:
        like_it = inputs.get(name)
        if like_it is None:
            return []
        array = out.get(name)
        if array is None:
            array = np.empty(like_it.shape, like_it.dtype)
        if (
            type(array) is not np.ndarray
            or array.dtype != like_it.dtype
            or array.shape != like_it.shape
            or not array.flags.carray
        ):
            return []
        places.append(array)
    return places


def deliver(found: dict[str, Any], out: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `found` with the arrays that `out` names written there.

    Raises:
      ValueError: `out` names what is no array among them.
    """
    result = dict(found)
    places = {}
    for name, given in out.items():
        value = found.get(name)
        if not isinstance(value, np.ndarray):
            raise ValueError(
                f"out: {name!r} is none of the arrays "
                f"{', '.join(n for n, v in found.items() if np.ndim(v))}"
            )
        places[name] = place(f"out[{name!r}]", given, value.dtype, value.shape)
    for name, array in places.items():
        if array is not found[name]:
            array[...] = found[name]
        result[name] = out[name]
    return result
