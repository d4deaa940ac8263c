"""Tensors of other frameworks in the memory of the host, by DLPack.

NumPy's own from_dlpack() knows no bfloat16.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

# Plain memory, and pinned memory of CUDA.
_HOST = (1, 3)
# Memory of a GPU.
CUDA = (2,)
_DEVICES = {2: "cuda", 10: "rocm", 14: "oneapi"}
# (type code, bits) of DLPack. bfloat16 is a code of its own.
_DTYPES: dict[tuple[int, int], Any] = {
    (0, 8): np.int8,
    (0, 32): np.int32,
    (0, 64): np.int64,
    (2, 16): np.float16,
    (2, 32): np.float32,
    (2, 64): np.float64,
    (4, 16): ml_dtypes.bfloat16,
}


class _Tensor(ctypes.Structure):
    """DLTensor, the first member of DLManagedTensor."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype = ctypes.c_void_p
_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


def is_on(tensor: Any, devices: Sequence[int]) -> bool:
    """Returns whether `tensor` has `__dlpack__`, on one of these devices."""
    return (
        hasattr(tensor, "__dlpack__")
        and int(tensor.__dlpack_device__()[0]) in devices
    )


def is_here(tensor: Any) -> bool:
    """Returns whether `tensor` has `__dlpack__`, in the memory of the host."""
    return is_on(tensor, _HOST)


def tensor_of(capsule: Any) -> _Tensor:
    """Returns the DLTensor of what `__dlpack__` returned."""
    return _Tensor.from_address(_pointer(capsule, b"dltensor"))


def dtype_of(found: _Tensor, name: str) -> np.dtype[Any]:
    """Returns the dtype of NumPy.

    Raises:
      TypeError: There is none; `name` names the tensor.
    """
    dtype = _DTYPES.get((found.code, found.bits))
    if dtype is None or found.lanes != 1:
        raise TypeError(
            f"{name} has the DLPack type {found.code} of {found.bits} bits, "
            f"none of float16, bfloat16, float32, float64"
        )
    known: np.dtype[Any] = np.dtype(dtype)
    return known


def view(tensor: Any, name: str) -> NDArray[Any]:
    """Returns the memory of `tensor`, which has `__dlpack__`, as an array.

    The array keeps the tensor.

    Raises:
      TypeError: It is on another device, or its dtype is none of ours;
        `name` names it.
    """
    device, index = map(int, tensor.__dlpack_device__())
    if device not in _HOST:
        kind = _DEVICES.get(device, f"device type {device}")
        raise TypeError(
            f"{name} is on {kind}:{index}; copy it to the memory of the host"
        )
    try:
        # Nobody takes the memory over: the capsule frees what it made, and
        # the tensor lives as long as the array.
        capsule = tensor.__dlpack__()
    except Exception as error:
        raise TypeError(f"{name} cannot be read: {error}") from error
    found = tensor_of(capsule)
    dtype = dtype_of(found, name)
    shape = tuple(found.shape[i] for i in range(found.ndim))
    size = dtype.itemsize
    if found.strides:
        strides = tuple(found.strides[i] * size for i in range(found.ndim))
    else:
        strides = tuple(
            size * int(np.prod(shape[i + 1 :])) for i in range(found.ndim)
        )
    num_bytes = size + sum(
        max(extent - 1, 0) * stride
        for extent, stride in zip(shape, strides, strict=True)
    )
    if 0 in shape or not found.data:
        return np.empty(shape, dtype)
    memory = (ctypes.c_ubyte * num_bytes).from_address(
        found.data + found.byte_offset
    )
    memory._owner = (tensor, capsule)  # as long as the memory is viewed
    return np.ndarray(shape, dtype, memory, 0, strides)
