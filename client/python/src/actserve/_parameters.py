"""Values of parameters in a call."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class PerAxis:
    """One value of a parameter for each element of some axes of the inputs.

    `PerAxis(weights, axis=1)` is one value per channel of images [N, C, H, W];
    weights of shape [C, H] and axis=1 are one for each channel and row.

    Attributes:
      values: An array of the dtype of the inputs, whose shape is that of the
        inputs along `axis` and the axes that follow it. A list takes the dtype.
      axis: The axis of the inputs on which the first dimension of `values`
        lies; negative ones count from the last.
    """

    values: Any
    axis: int


Parameters = Mapping[str, float | PerAxis]
