"""The first values of the parameters that a layer learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from actserve import _arguments
from actserve._bridge.evaluator import evaluator
from actserve._bridge.spec import Spec


def by_name(
    learnable: Mapping[str, Any] | Iterable[str] | str, channels: int | None
) -> Mapping[str, Any]:
    """Returns what a layer is told to learn, by name; None: the default.

    Raises:
      TypeError: It is neither names nor values by name.
      ValueError: There are channels, and nothing to learn.
    """
    if isinstance(learnable, str):
        learnable = (learnable,)
    if not isinstance(learnable, Iterable):
        raise TypeError(
            f"learnable is {learnable!r}: give names of parameters, or values "
            f"by name"
        )
    if not isinstance(learnable, Mapping):
        learnable = dict.fromkeys(learnable)
    if channels is not None and not learnable:
        raise ValueError(
            f"channels is {channels}, but no parameter is learnable"
        )
    return learnable


def first_values(
    spec: Spec,
    learnable: Mapping[str, Any] | Iterable[str] | str,
    channels: int | None,
) -> dict[str, Any]:
    """Returns numbers, and arrays of one value for each channel, by name.

    Args:
      spec: Without these parameters.
      learnable: Names; or by name a number, None for the default, or values for
        the channels.
      channels: How many values the numbers become; None: they stay.

    Raises:
      TypeError: The activation has no such parameter, or a value is none.
      ValueError: Values are not as many as the channels, or have several axes.
    """
    if channels is not None:
        channels = _arguments.integer("channels", channels, bits=32)
        if channels < 1:
            raise ValueError(f"channels is {channels}, not at least 1")
    learnable = by_name(learnable, channels)
    of = evaluator(spec)
    known = of.info.parameters
    result = {}
    for name, value in learnable.items():
        if name not in known:
            raise TypeError(
                f"{of.name} has no parameter {name!r}; it has "
                f"{', '.join(known) or 'none'}"
            )
        if name in dict(spec.constants):
            raise ValueError(
                f"the parameter {name} is both learnable and a number"
            )
        value = known[name] if value is None else value
        if np.ndim(value):
            result[name] = _per_channel(name, np.asarray(value), channels)
            continue
        number = _arguments.number(f"learnable[{name!r}]", value)
        result[name] = number if channels is None else np.full(channels, number)
    return result


def _per_channel(name: str, values: Any, channels: int | None) -> Any:
    if values.dtype.kind not in "fiu" and values.dtype.name != "bfloat16":
        raise TypeError(
            f"learnable[{name!r}] is {values.tolist()}: give a number, or one "
            f"number for each channel"
        )
    if values.ndim > 1:
        raise ValueError(
            f"learnable[{name!r}] has the shape {list(values.shape)}; give a "
            f"number, or one value for each channel"
        )
    if channels is not None and len(values) != channels:
        raise ValueError(
            f"learnable[{name!r}] has {len(values)} values for {channels} "
            f"channels"
        )
    return values
