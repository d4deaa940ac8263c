"""Arrays in the memory of a GPU, which a server on this host uses there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from actserve._arrays import dlpack

# CUDA's default stream, as both protocols number it.
_DEFAULT_STREAM = 1
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_INTERFACE = "__cuda_array_interface__"


class DeviceArray:
    """A C-contiguous tensor in the memory of a GPU, which others own.

    Attributes:
      dtype: That of NumPy.
      shape: Its dimensions.
      nbytes: Its size.
      pointer: Its address on the GPU.
      stream: The CUDA stream on which it is made, or its place is used; None:
        that is over.
      owner: What it was made of, and keeps alive.
      is_writeable: Whether results may go there.
    """

    __slots__ = (
        "dtype",
        "is_writeable",
        "nbytes",
        "owner",
        "pointer",
        "shape",
        "stream",
    )

    def __init__(
        self,
        pointer: int,
        dtype: np.dtype[Any],
        shape: Sequence[int],
        stream: int | None,
        owner: Any,
        is_writeable: bool = True,
    ):
        self.pointer = pointer
        self.dtype = dtype
        self.shape = tuple(shape)
        self.nbytes = math.prod(self.shape) * dtype.itemsize
        self.stream = stream
        self.owner = owner
        self.is_writeable = is_writeable

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)


def is_there(value: Any) -> bool:
    """Returns whether `value` says that it is in the memory of a GPU.

    By `__cuda_array_interface__` or by DLPack.
    """
    if isinstance(value, np.ndarray | DeviceArray):
        return isinstance(value, DeviceArray)
    try:
        if hasattr(value, _INTERFACE):
            return True
    except Exception:
        return True  # it has it, and view() says what is wrong
    return dlpack.is_on(value, dlpack.CUDA)


def view(value: Any, name: str) -> DeviceArray:
    """Returns what is_there() as an array.

    Its stream is that which `__cuda_array_interface__` names. Where it names
    none, DLPack makes the default stream wait for that of the owner.

    Raises:
      TypeError: It cannot be read, or has no dtype of NumPy; `name` names it.
      ValueError: It is not C-contiguous.
    """
    if isinstance(value, DeviceArray):
        return value
    interface: dict[str, Any] | None = None
    failure: Exception | None = None
    try:
        interface = getattr(value, _INTERFACE, None)
    except Exception as error:
        failure = error
    if interface is None or "stream" not in interface:
        try:
            if dlpack.is_on(value, dlpack.CUDA):
                return _of_dlpack(value, name, interface)
        except BufferError as error:
            # Of another GPU than the current one, for instance.
            failure = failure or error
    if interface is None:
        raise TypeError(f"{name} cannot be read: {failure}") from failure
    return _of_interface(value, name, interface)


def _of_interface(
    value: Any, name: str, interface: dict[str, Any]
) -> DeviceArray:
    try:
        pointer, is_read_only = interface["data"]
        shape = tuple(map(int, interface["shape"]))
        dtype = np.dtype(interface["typestr"])
        strides = interface.get("strides")
        stream = interface.get("stream", _DEFAULT_STREAM)
    except (KeyError, TypeError, ValueError) as error:
        raise TypeError(f"{name}: {_INTERFACE}: {error!r}") from None
    if dtype == np.dtype("V2"):  # as NumPy writes it
        dtype = _BFLOAT16
    if interface.get("mask") is not None:
        raise TypeError(f"{name} has a mask")
    if stream == 0:
        raise ValueError(f"{name}: {_INTERFACE}: stream 0 names no stream")
    _check_strides(name, shape, strides, dtype.itemsize)
    return DeviceArray(
        int(pointer or 0), dtype, shape, stream, value, not is_read_only
    )


def _of_dlpack(
    value: Any, name: str, interface: dict[str, Any] | None
) -> DeviceArray:
    capsule = value.__dlpack__(stream=_DEFAULT_STREAM)
    found = dlpack.tensor_of(capsule)
    dtype = dlpack.dtype_of(found, name)
    shape = tuple(found.shape[i] for i in range(found.ndim))
    strides = None
    if found.strides:
        strides = [found.strides[i] * dtype.itemsize for i in range(found.ndim)]
    _check_strides(name, shape, strides, dtype.itemsize)
    is_read_only = interface is not None and interface["data"][1]
    return DeviceArray(
        (found.data or 0) + found.byte_offset,
        dtype,
        shape,
        _DEFAULT_STREAM,
        (value, capsule),
        not is_read_only,
    )


def _check_strides(
    name: str,
    shape: Sequence[int],
    strides: Sequence[int] | None,
    item_size: int,
) -> None:
    """Raises ValueError unless they are those of a C-contiguous array."""
    if strides is None or 0 in shape:
        return
    expected = item_size
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent > 1 and stride != expected:
            raise ValueError(
                f"{name} has strides {list(strides)} for the shape "
                f"{list(shape)}: in the memory of a GPU tensors must be "
                f"contiguous; copy it there"
            )
        expected *= extent


def are_used(arrays: Sequence[Any]) -> bool:
    """Returns whether one of `arrays` is a DeviceArray."""
    return any(type(array) is DeviceArray for array in arrays)


def check_together(
    arrays: Sequence[Any], names: Sequence[str], shape: Sequence[int] | None
) -> None:
    """Refuses tensors of a call of which only some are on a GPU.

    Args:
      arrays: Some of which are DeviceArrays.
      names: Of each.
      shape: That of the result; None: the server says what is wrong.

    Raises:
      TypeError: One is in the memory of the host, or one that broadcasts is
        not.
    """
    if shape is None:
        return
    there = next(
        (
            name
            for array, name in zip(arrays, names, strict=True)
            if type(array) is DeviceArray
        ),
        None,
    )
    if there is None:
        return
    for array, name in zip(arrays, names, strict=True):
        is_on_gpu = type(array) is DeviceArray
        if array.shape == tuple(shape) and not is_on_gpu:
            raise TypeError(
                f"{name} is in the memory of the host, {there} in that of a "
                f"GPU: copy one of them; all tensors of a call are in one"
            )
        if array.shape != tuple(shape) and is_on_gpu:
            raise TypeError(
                f"{name} of shape {list(array.shape)} broadcasts to "
                f"{list(shape)}: copy it to the memory of the host, where "
                f"such inputs of a call on a GPU are"
            )


def on_gpus(arrays: Sequence[Any]) -> list[DeviceArray]:
    """Returns the DeviceArrays among `arrays` that have elements."""
    return [a for a in arrays if type(a) is DeviceArray and a.nbytes]


def forget_streams(arrays: Sequence[Any]) -> None:
    """Says that the streams of the DeviceArrays were waited for."""
    for array in arrays:
        if type(array) is DeviceArray:
            array.stream = None


def stream_of(arrays: Sequence[DeviceArray]) -> int | None:
    """Returns the stream on which arrays are made; None: that is over.

    Raises:
      ValueError: They name several streams.
    """
    streams = {array.stream for array in arrays if array.stream is not None}
    if len(streams) > 1:
        names = ", ".join(hex(stream) for stream in sorted(streams))
        raise ValueError(
            f"the tensors of the call name the CUDA streams {names}: let one "
            f"wait for the others"
        )
    return streams.pop() if streams else None
