"""Eager tensors as NumPy arrays over their own memory, and arrays as tensors.

TensorFlow takes the memory of an array only where it begins at a multiple of
ALIGNMENT; other arrays are copied once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[Any]

NUMPY_DTYPES = {
    tf.float16: np.dtype(np.float16),
    tf.bfloat16: np.dtype(ml_dtypes.bfloat16),
    tf.float32: np.dtype(np.float32),
    tf.float64: np.dtype(np.float64),
}
ALIGNMENT = 64

_BFLOAT16 = NUMPY_DTYPES[tf.bfloat16]


def array(tensor: tf.Tensor) -> Array:
    """Returns the memory of an eager tensor of the host as an array.

    One of a GPU is copied.
    """
    if tensor.dtype == tf.bfloat16:  # buffers of Python have none
        bits = tf.bitcast(tensor, tf.uint16)
        return np.asarray(memoryview(bits)).view(_BFLOAT16)
    return np.asarray(memoryview(tensor))


def tensor(array: Array) -> tf.Tensor:
    """Returns the memory of an array as an eager tensor of the host.

    Nobody may write to the array any more.
    """
    if array.dtype == _BFLOAT16:
        return tf.bitcast(tensor(array.view(np.int16)), tf.bfloat16)
    if _is_misaligned(array) or not array.flags.writeable:
        copy = empty(array.shape, array.dtype)
        copy[...] = array
        array = copy
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def empty(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Returns room for a result that becomes a tensor without a copy."""
    size_bytes = math.prod(shape) * dtype.itemsize
    room = np.empty(size_bytes + ALIGNMENT, np.uint8)
    begin = -_address(room) % ALIGNMENT
    return room[begin : begin + size_bytes].view(dtype).reshape(shape)


def _is_misaligned(array: Array) -> bool:
    return _address(array) % ALIGNMENT != 0 or not array.flags.c_contiguous


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
