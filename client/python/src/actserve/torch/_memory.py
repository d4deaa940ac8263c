"""Tensors as NumPy arrays over their own memory, and results as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray

from actserve._arrays.device import DeviceArray

Array = NDArray[Any]

NUMPY_DTYPES = {
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(ml_dtypes.bfloat16),
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
_BFLOAT16 = NUMPY_DTYPES[torch.bfloat16]


def array(tensor: torch.Tensor) -> Array:
    """Returns the memory of a contiguous tensor of the host as an array."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:  # NumPy has none of its own
        tensor = tensor.view(torch.int16)
        found: Array = tensor.numpy().view(_BFLOAT16)
    else:
        found = tensor.numpy()
    return found


def tensor(array: Any) -> torch.Tensor:
    """Returns the memory of an array as a tensor.

    That of a DeviceArray is the tensor that it was made of.
    """
    if isinstance(array, DeviceArray):
        owner: torch.Tensor = array.owner
        return owner
    if array.dtype == _BFLOAT16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_host(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Returns contiguous tensors in the memory of the host.

    Those of the host that are contiguous are returned themselves. Those of a
    GPU are copied to pinned memory in the current stream of their device, and
    this waits for the stream, once.
    """
    result = []
    devices: dict[torch.device, None] = {}
    for given in tensors:
        plain = given.detach().resolve_neg()
        if plain.device.type == "cpu":
            result.append(plain.contiguous())
        elif plain.device.type == "cuda":
            pinned = torch.empty(
                plain.shape, dtype=plain.dtype, pin_memory=True
            )
            result.append(pinned.copy_(plain, non_blocking=True))
            devices[plain.device] = None
        else:
            result.append(plain.cpu().contiguous())
    for device in devices:
        torch.cuda.current_stream(device).synchronize()
    return result


def empty(
    shape: Sequence[int], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Returns room on the host for a result that goes to `device`."""
    return torch.empty(
        tuple(shape), dtype=dtype, pin_memory=device.type == "cuda"
    )


def to_device(result: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Returns `result` on `device`; itself if it is there."""
    if result.device == device:
        return result
    if device.type == "cuda" and not result.is_pinned():
        result = result.pin_memory()
    return result.to(device, non_blocking=device.type == "cuda")
