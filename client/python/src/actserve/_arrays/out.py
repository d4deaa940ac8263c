"""Arrays of the caller that results are written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actserve._arrays import device, dlpack


def place(
    name: str,
    out: Any,
    dtype: np.dtype[Any],
    shape: Sequence[int],
    is_on_gpu: bool = False,
) -> Any:
    """Returns the memory of `out` as an array.

    Args:
      name: That of the argument, for messages.
      out: An array, or what has `__array_interface__` or `__dlpack__`, or is in
        the memory of a GPU.
      dtype: Of the result.
      shape: Of the result.
      is_on_gpu: Whether the result is in the memory of a GPU.

    Raises:
      TypeError: It is in other memory than the result, or no array, or of
        another dtype.
      ValueError: It has another shape, or cannot be written.
    """
    array: Any
    if device.is_there(out):
        array = device.view(out, name)
        is_writeable = array.is_writeable
        if not is_on_gpu:
            raise TypeError(
                f"{name} is in the memory of a GPU, but no input is: all "
                f"tensors of a call are in one memory"
            )
    else:
        array = _on_host(name, out, is_on_gpu)
        is_writeable = array.flags.writeable
    if array.dtype != dtype:
        raise TypeError(f"{name} has dtype {array.dtype}, the result {dtype}")
    if array.shape != tuple(shape):
        raise ValueError(
            f"{name} has shape {list(array.shape)}, the result {list(shape)}"
        )
    if not is_writeable:
        raise ValueError(f"{name} is read-only")
    return array


def _on_host(name: str, out: Any, is_on_gpu: bool) -> NDArray[Any]:
    """Returns what is in the memory of the host as an array; see place()."""
    if is_on_gpu and out is None:
        raise TypeError(
            f"{name} is missing: the inputs are in the memory of a GPU, and so "
            f"must be the array that receives this result"
        )
    if is_on_gpu:
        raise TypeError(
            f"{name} is in the memory of the host, but the inputs are in that "
            f"of a GPU: all tensors of a call are in one memory"
        )
    if isinstance(out, np.ndarray):
        return out
    if hasattr(out, "__array_interface__"):
        return np.asarray(out)
    if hasattr(out, "__dlpack__"):
        return dlpack.view(out, name)
    raise TypeError(
        f"{name} is of type {type(out).__name__}, not an array to write to"
    )


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


def rooms_on_gpu(
    likes: Mapping[str, Any],
    wrt: Sequence[str],
    out: Mapping[str, Any] | None,
) -> list[Any]:
    """Returns where the gradients of `wrt` are written, on a GPU or here.

    Args:
      likes: By name, the tensor that a gradient is like. Other names are those
        of numbers.
      wrt: The gradients, in order.
      out: By name, where those on a GPU are wanted.

    Raises:
      TypeError, ValueError: One of those is missing, or cannot be used.
    """
    places = []
    for name in wrt:
        if name not in likes:
            continue
        like_it = likes[name]
        if isinstance(like_it, device.DeviceArray):
            given = (out or {}).get(name)
            what = f"out[{name!r}]"
            places.append(
                place(what, given, like_it.dtype, like_it.shape, True)
            )
        else:
            places.append(np.empty(like_it.shape, like_it.dtype))
    return places


def places_of(
    wanted: Mapping[str, Any],
    dtype: np.dtype[Any],
    shape: Sequence[int] | None,
    is_on_gpu: bool,
) -> tuple[list[Any], list[Any]]:
    """Returns where results of one shape are written, and where they go then.

    Args:
      wanted: The arrays of the caller by the names of their arguments; None:
        a new one.
      dtype: Of the results.
      shape: Of each; None: the server says what is wrong.
      is_on_gpu: Whether they are in the memory of a GPU.

    Returns:
      Nothing where the caller wants no place. The second are arrays, or None.

    Raises: as place().
    """
    given = any(value is not None for value in wanted.values())
    if shape is None or not (given or is_on_gpu):
        return [], []
    rooms: list[Any] = []
    ends: list[Any] = []
    for name, value in wanted.items():
        end = None
        if value is not None or is_on_gpu:
            end = place(name, value, dtype, shape, is_on_gpu)
        ends.append(end)
        if end is None or not (is_on_gpu or end.flags.carray):
            end = np.empty(shape, dtype)
        rooms.append(end)
    return rooms, ends


def fill(found: Sequence[Any], ends: Sequence[Any]) -> None:
    """Writes results to where places_of() said that they go."""
    for value, end in zip(found, ends, strict=bool(ends)):
        if end is not None and value is not end:
            end[...] = value


def deliver(found: dict[str, Any], out: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `found` with the arrays that `out` names written there.

    Raises:
      ValueError: `out` names what is no array among them.
    """
    result = dict(found)
    places = {}
    for name, given in out.items():
        value = found.get(name)
        if isinstance(value, device.DeviceArray):
            result[name] = given
            continue
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
