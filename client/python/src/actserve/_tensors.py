"""NumPy arrays as tensors of the contract, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import grpc
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from actserve._arrays import device, dlpack
from actserve._errors import ActivationError
from actserve.v1 import tensor_pb2

# dtype -> its number on the wire; "float16, bfloat16, float32, float64".
_DTYPES: dict[np.dtype[Any], tensor_pb2.DType] = {
    np.dtype(np.float16): tensor_pb2.DTYPE_FLOAT16,
    np.dtype(ml_dtypes.bfloat16): tensor_pb2.DTYPE_BFLOAT16,
    np.dtype(np.float32): tensor_pb2.DTYPE_FLOAT32,
    np.dtype(np.float64): tensor_pb2.DTYPE_FLOAT64,
}
_BY_NUMBER = {number: dtype for dtype, number in _DTYPES.items()}
_NAMES = ", ".join(dtype.name for dtype in _DTYPES)

# From here on, an array in the memory of a payload costs less than a copy; such
# a payload is aligned.
_OWN_BYTES = 64 << 10

# Types whose values take the dtype of the arrays beside them.
_WEAK_TYPES = (bool, int, float, list, tuple)


def to_arrays(
    values: Sequence[Any],
    names: Sequence[str],
    dtype: np.dtype[Any] | None = None,
) -> list[Any]:
    """Returns `values` as C-contiguous little-endian arrays.

    Such an array is returned itself, without a copy. What is in the memory of a
    GPU becomes a DeviceArray. Python numbers and
    (nested) lists take `dtype`, else the dtype of the first array among
    `values`, else float32.

    Args:
      values: Arrays, objects with `__array__`, Python numbers or lists.
      names: The name of each value in error messages.
      dtype: The dtype of Python numbers and lists.

    Raises:
      TypeError: The dtype is not float16, bfloat16, float32 or float64.
      ValueError: It is on a GPU, and not contiguous.
    """
    arrays: list[Any] = [
        None if _is_weak(value) else _checked(_array(value, name), name)
        for value, name in zip(values, names, strict=True)
    ]
    if dtype is None:
        dtype = next(
            (array.dtype for array in arrays if array is not None),
            np.dtype(np.float32),
        )
    return [
        _weak(value, name, dtype) if array is None else array
        for array, value, name in zip(arrays, values, names, strict=True)
    ]


def to_proto(array: Any) -> tensor_pb2.Tensor:
    """Returns dtype and shape of an array of to_arrays()."""
    return tensor_pb2.Tensor(dtype=_DTYPES[array.dtype], shape=array.shape)


def from_proto(tensor: tensor_pb2.Tensor, payload: Any) -> NDArray[Any]:
    """Returns a writable array with the elements of `payload`.

    A large writable payload becomes its memory. One that is an array already
    is returned itself, if dtype and shape are its own: also a DeviceArray.

    Raises:
      ActivationError: INTERNAL, the bytes do not match dtype and shape.
    """
    dtype = _BY_NUMBER.get(tensor.dtype)
    shape = tuple(tensor.shape)
    if isinstance(payload, np.ndarray | device.DeviceArray):
        if payload.dtype == dtype and payload.shape == shape:
            return cast(NDArray[Any], payload)
        if not isinstance(payload, np.ndarray):
            raise ActivationError(
                grpc.StatusCode.INTERNAL,
                f"response holds dtype {tensor.dtype}, shape {list(shape)} in "
                f"the place of {payload.dtype}, {list(payload.shape)}",
            )
        payload = payload.reshape(-1).view("u1").data
    if dtype is None or math.prod(shape) * dtype.itemsize != len(payload):
        raise ActivationError(
            grpc.StatusCode.INTERNAL,
            f"response holds {len(payload)} bytes for dtype {tensor.dtype}, "
            f"shape {list(shape)}",
        )
    if not payload.readonly and len(payload) >= _OWN_BYTES:
        return np.frombuffer(payload, dtype).reshape(shape)
    array: NDArray[Any] = np.empty(shape, dtype)
    array.reshape(-1).view("u1")[:] = np.frombuffer(payload, "u1")
    return array


def dtype_name(number: tensor_pb2.DType) -> str:
    """Returns NumPy's name of a dtype of the contract, or its number."""
    dtype = _BY_NUMBER.get(number)
    return str(number) if dtype is None else dtype.name


def _is_weak(value: Any) -> bool:
    # np.float64 is a float, but has chosen its dtype.
    return isinstance(value, _WEAK_TYPES) and not isinstance(value, np.generic)


def _array(value: Any, name: str) -> Any:
    if device.is_there(value):
        return device.view(value, name)
    if not hasattr(value, "__array_interface__") and dlpack.is_here(value):
        return dlpack.view(value, name)
    array = np.asarray(value)
    if array.dtype.hasobject and not isinstance(value, np.ndarray):
        raise TypeError(
            f"{name} is of type {type(value).__name__}, not a tensor of numbers"
        )
    return array


def _weak(value: Any, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        return np.asarray(value, dtype=dtype, order="C")
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is not a tensor of numbers: {error}") from None


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Raises TypeError unless tensors may have it."""
    if dtype not in _DTYPES:
        raise TypeError(f"dtype {dtype} is none of {_NAMES}")


def _checked(array: Any, name: str) -> Any:
    """Returns `array` C-contiguous and little-endian, or raises TypeError."""
    dtype = array.dtype
    if isinstance(array, device.DeviceArray) and dtype in _DTYPES:
        return array
    if dtype not in _DTYPES:
        dtype = dtype.newbyteorder("=")
    if dtype not in _DTYPES:
        raise TypeError(
            f"{name} has dtype {array.dtype}; convert it to one of {_NAMES}, "
            f"for example {name}.astype(numpy.float32)"
        )
    return np.asarray(array, dtype=dtype, order="C")
