"""The plain arguments of a call, checked."""

from __future__ import annotations

import math
import numbers
from typing import Any

from actserve._activation import Activation

# gRPC counts nanoseconds since 1970 in 64 bits: about 230 years from now.
_LONGEST_TIMEOUT = 1e9


def timeout_of(timeout: Any) -> float:
    """Returns `timeout` in seconds, cut to what gRPC can express.

    Raises:
      TypeError: Not a number.
      ValueError: NaN.
    """
    if isinstance(timeout, bool) or not isinstance(timeout, numbers.Real):
        raise TypeError(
            f"timeout {timeout!r} is not a number of seconds; math.inf waits "
            f"for ever"
        )
    if math.isnan(timeout):
        raise ValueError("timeout nan is not a number of seconds")
    return min(float(timeout), _LONGEST_TIMEOUT)


def axis_of(activation: Activation | str, axis: int | None) -> int | None:
    if axis is None and isinstance(activation, Activation):
        return activation.axis
    return axis
