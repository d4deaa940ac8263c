"""The plain arguments of a call, checked."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
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


def axis_of(activation: Activation | str, axis: Any) -> int | None:
    """Returns `axis` of a call, or that of the activation where it is None."""
    if axis is None and isinstance(activation, Activation):
        axis = activation.axis
    return None if axis is None else integer("axis", axis, bits=32)


def split_axis_of(split_axis: Any) -> int | None:
    """Returns `split_axis` of a call."""
    if split_axis is None:
        return None
    return integer("split_axis", split_axis, bits=32)


def integer(name: str, value: Any, bits: int) -> int:
    """Returns `value` as an int.

    Raises:
      TypeError: No integer; True and 1.0 are none.
      ValueError: Too large for a signed integer of so many bits.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} {_shown(value)}, not an integer")
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(
            f"{name} is {value}, not in [-2^{bits - 1}, 2^{bits - 1} - 1]"
        )
    return int(value)


def number(name: str, value: Any) -> float:
    """Returns `value` as the float64 that goes to the server.

    Raises:
      TypeError: No number.
      ValueError: An integer that a float64 does not hold exactly, as a seed
        beyond 2^53.
    """
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} {_shown(value)}, not a number") from None
    except OverflowError:
        result = math.inf
    if isinstance(value, numbers.Integral) and result != value:
        raise ValueError(
            f"{name} is {value}, which a float64 does not hold exactly, as it "
            f"does every integer up to 2^53"
        )
    return result


def by_name(name: str, values: Any) -> Mapping[str, Any]:
    """Returns `values`, which are given by name; nothing for None.

    Raises:
      TypeError: No mapping, or a key is no name.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise TypeError(
            f"{name} {_shown(values)}, not a dict of values by name"
        )
    for key in values:
        if not isinstance(key, str):
            raise TypeError(f"{name}: the key {_shown(key)}, not a name")
    return values


def names(name: str, values: Any) -> tuple[str, ...]:
    """Returns `values`, of which a single one may come without a list.

    Raises:
      TypeError: Not names.
    """
    if isinstance(values, str):
        return (values,)
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} {_shown(values)}, not a list of names")
    result = tuple(values)
    for i, value in enumerate(result):
        if not isinstance(value, str):
            raise TypeError(f"{name}[{i}] {_shown(value)}, not a name")
    return result


def _shown(value: Any) -> str:
    """Says what `value` is, without the data of a tensor."""
    if isinstance(value, (numbers.Number, str, bytes)):
        return f"is {value!r:.80}"
    return f"is of type {type(value).__name__}"
