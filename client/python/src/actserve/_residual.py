"""What a server keeps between a Forward and its Backward."""

from __future__ import annotations

import time
from typing import Any

from numpy.typing import NDArray

from actserve._values import Parameters


class Residual:
    """The inputs of a Forward, kept for its Backward. See Client.forward_with.

    The server holds the inputs for `lease` seconds, and may drop them earlier;
    the client then sends them again. This object refers to your input arrays
    and does not copy them: do not write to them before the Backward.
    """

    def __init__(
        self,
        handle: bytes | None,
        lease: float,
        inputs: list[NDArray[Any]],
        parameters: Parameters,
        axis: int | None,
        split_axis: int | None,
        element_offset: int,
        replica: Any = None,
    ):
        self._handle = handle
        self._expires = time.monotonic() + lease
        self._inputs = inputs
        self._parameters = dict(parameters)
        self._axis = axis
        self._split_axis = split_axis
        self._element_offset = element_offset
        # The one that holds it.
        self._replica = replica

    @property
    def is_held(self) -> bool:
        """False once the server is known to have dropped the inputs."""
        return self._handle is not None and time.monotonic() < self._expires

    def _has_axis(self, axis: int) -> bool:
        """Whether `axis` is that of the Forward, counted from either end."""
        return self._is_same(axis, self._axis)

    def _has_split(self, axis: int) -> bool:
        """Whether `axis` is the split_axis of the Forward, from either end."""
        return self._is_same(axis, self._split_axis)

    def _is_same(self, axis: int, other: int | None) -> bool:
        rank = self._inputs[0].ndim
        return (
            other is not None
            and -rank <= axis < rank
            and axis % rank == other % rank
        )
