"""First values of learnable parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from actserve._bridge.evaluator import Evaluator
from actserve._calls import Array


def first_values(
    of: Evaluator,
    learnable: Mapping[str, Any] | Iterable[str] | str,
    channels: int | None,
) -> dict[str, Array]:
    """Returns the first values of learnable parameters, in float64.

    Args:
      of: What has them.
      learnable: Their names; or by name a number, an array, or None: the
        default.
      channels: How many values one gets that is given as a number; None: it is
        one number, of no axes.

    Raises:
      TypeError: There is no parameter of such a name.
      ValueError: An array has another length than `channels`.
    """
    if isinstance(learnable, str):
        learnable = (learnable,)
    if not isinstance(learnable, Mapping):
        learnable = dict.fromkeys(learnable)
    known = of.info.parameters
    defaults = {**known, **dict(of.spec.constants)}
    values = {}
    for name, value in learnable.items():
        if name not in known:
            raise TypeError(
                f"{of.name} has no parameter {name!r}; it has "
                f"{', '.join(known) or 'none'}"
            )
        first = np.asarray(defaults[name] if value is None else value, float)
        if channels is not None:
            if first.ndim and first.shape[0] != channels:
                raise ValueError(
                    f"learnable[{name!r}] has {first.shape[0]} values for "
                    f"{channels} channels"
                )
            if not first.ndim:
                first = np.full(channels, first)
        values[name] = first
    return values
