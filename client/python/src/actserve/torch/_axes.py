"""The order of the axes in memory, and a Spec whose axes are in that order.

A tensor that is dense but not contiguous, such as a channels-last one, is
computed as it lies: as the contiguous tensor whose axes are in the order of its
strides.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Sequence

import torch

from actserve._bridge import Evaluator, Spec

Order = tuple[int, ...]


def order_in_memory(of: Evaluator, values: Sequence[torch.Tensor]) -> Order:
    """Returns the axes of the inputs as they lie in memory, outermost first.

    () where that is not possible, or needless: the values are then made
    contiguous.
    """
    num_inputs = len(values) - len(of.spec.parameters)
    first = values[0]
    if first.is_contiguous():
        return ()
    for other in values[1:num_inputs]:
        if other.shape != first.shape or other.stride() != first.stride():
            return ()
    order = _dense_order(first)
    if not order or draws(of):  # numbers are drawn by the place of an element
        return ()
    ranks = tuple(value.dim() for value in values[num_inputs:])
    return order if moved(of.spec, order, ranks) is not None else ()


def _dense_order(tensor: torch.Tensor) -> Order:
    strides, shape = tensor.stride(), tensor.shape
    order = sorted(range(tensor.dim()), key=lambda axis: -strides[axis])
    expected = 1
    for axis in reversed(order):
        if shape[axis] == 1:
            continue
        if strides[axis] != expected:
            return ()
        expected = expected * shape[axis]
    return tuple(order)


def inverse(order: Order) -> Order:
    """Returns the order that undoes `order`."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


@functools.lru_cache(maxsize=1024)
def moved(
    spec: Spec, order: Order, ranks: tuple[int, ...], offset: int = 0
) -> Spec | None:
    """Returns `spec` for inputs whose axes are in another order.

    Args:
      spec: Of inputs with as many axes as `order` has.
      order: The axes of the inputs, in their new order.
      ranks: The number of axes of each of its parameters.
      offset: How many axes are put before them.

    Returns:
      None if the axes of a parameter are not neighbors any more, or if an axis
      is none of the inputs.
    """
    rank = len(order)
    place = inverse(order)

    def new(axis: int | None) -> int | None:
        return None if axis is None else place[axis % rank] + offset

    named = (spec.axis, spec.split_axis, *(axis for _, axis in spec.parameters))
    if any(axis is not None and not -rank <= axis < rank for axis in named):
        return None  # refused where it is used
    parameters = []
    for (name, axis), num_axes in zip(spec.parameters, ranks, strict=True):
        if axis is not None and num_axes > 1:
            first = axis % rank
            if first + num_axes > rank or any(
                place[first + i] != place[first] + i for i in range(num_axes)
            ):
                return None
        parameters.append((name, new(axis)))
    return dataclasses.replace(
        spec,
        parameters=tuple(parameters),
        axis=new(spec.axis),
        split_axis=new(spec.split_axis),
    )


@functools.lru_cache(maxsize=1024)
def draws(of: Evaluator) -> bool:
    """Returns whether the activation uses random numbers."""
    return re.search(r"\b(uniform|normal)\b", of.info.program) is not None
