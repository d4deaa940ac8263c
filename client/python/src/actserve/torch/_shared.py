"""CUDA tensors that a server on this host uses where they lie, by CUDA IPC.

Where that cannot be, they are copied through pinned memory. Thread-safe.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import weakref
from collections.abc import Sequence

import grpc
import torch

from actserve._arrays.device import DeviceArray
from actserve._bridge import Evaluator, clients, evaluator
from actserve._client import Client
from actserve._errors import ActivationError
from actserve.torch._memory import NUMPY_DTYPES

_log = logging.getLogger("actserve")

SHARED = "CUDA IPC"
_COPIED = "pinned memory"
# What another call cannot change: the next one asks no more.
_FOR_GOOD = (
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
)
# Another way is of no use.
_OVER = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)

_lock = threading.Lock()
# By client, for each device the way, and the reason for pinned memory.
_ways: weakref.WeakKeyDictionary[Client, dict[torch.device, str]] = (
    weakref.WeakKeyDictionary()
)


def cuda_ways() -> dict[tuple[str, str], str]:
    """Returns how CUDA tensors reached what computes, so far in this process.

    By address of the client and device: "CUDA IPC", or "pinned memory: " and
    why they were copied.

    >>> actserve.torch.cuda_ways()
    {}
    """
    with _lock:
        return {
            (client.address, str(device)): way
            for client, ways in _ways.items()
            for device, way in ways.items()
        }


# Tests without a GPU replace the next four.


def is_cuda(tensor: torch.Tensor) -> bool:
    """Returns whether a tensor is in the memory of a GPU of CUDA."""
    return tensor.is_cuda and torch.version.hip is None


def stream_of(device: torch.device) -> int:
    """Returns the number of the current stream."""
    stream: int = torch.cuda.current_stream(device).cuda_stream
    return stream


def empty(
    shape: Sequence[int], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Returns room for a result on a GPU."""
    return torch.empty(tuple(shape), dtype=dtype, device=device)


def contiguous(tensor: torch.Tensor) -> torch.Tensor:
    """Returns a tensor of a GPU contiguous, and itself where it is."""
    return tensor.detach().resolve_neg().contiguous()


def array(tensor: torch.Tensor) -> DeviceArray:
    """Returns the memory of a contiguous tensor, in the current stream."""
    return DeviceArray(
        tensor.data_ptr(),
        NUMPY_DTYPES[tensor.dtype],
        tensor.shape,
        stream_of(tensor.device),
        tensor,
    )


def way(of: Evaluator, values: Sequence[torch.Tensor]) -> Shared | None:
    """Returns how the values of a call are shared; None: they are copied."""
    first = values[0]
    if not is_cuda(first):
        return None
    spec = of.spec
    inputs = values[: len(values) - len(spec.parameters)]
    if (
        spec.wire_dtype is not None
        or spec.split_axis is not None
        or not first.numel()
        or any(value.shape != first.shape for value in inputs)
    ):
        return None
    client = clients.client_for(spec.client)
    return Shared(of, client, first) if _is_shared(client, first) else None


def _is_shared(client: Client, tensor: torch.Tensor) -> bool:
    """Returns whether the tensors of this device are shared; decides once."""
    device = tensor.device
    known = _ways.get(client, {}).get(device)
    if known is not None:
        return known == SHARED
    try:
        client.share_device(array(tensor.detach()))
    except ActivationError as error:
        if error.code in _FOR_GOOD:
            _decide(client, device, f"{_COPIED}: {error}")
        return False
    _decide(client, device, SHARED)
    return True


def _decide(client: Client, device: torch.device, found: str) -> None:
    with _lock:
        _ways.setdefault(client, {})[device] = found
    _log.debug("tensors on %s reach %s by %s", device, client.address, found)


@dataclasses.dataclass(frozen=True)
class Shared:
    """How the tensors of one call are shared.

    Attributes:
      of: What is evaluated.
      client: Its client.
      first: The first input.
    """

    of: Evaluator
    client: Client
    first: torch.Tensor

    def evaluator(self) -> Evaluator:
        """Returns the Evaluator that has no other way than the server."""
        return evaluator(dataclasses.replace(self.of.spec, fallback=None))

    def failed(self, error: ActivationError) -> None:
        """Returns if the call is to be made with copies, else raises `error`.

        Those wait for a server that is away, and find what else is wrong.
        """
        if error.code in _OVER:
            raise error
        _log.warning(
            "a call of %s with tensors on %s, at %s, is made again with "
            "copies: %s",
            self.of.name,
            self.first.device,
            self.client.address,
            error,
        )
