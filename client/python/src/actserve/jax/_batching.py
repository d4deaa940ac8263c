"""How operations are vmapped: one operation on tensors of one more axis.

The new axis is the first. Axes of a Spec count from the last, so they stay. A
parameter that is mapped becomes one of values along the new axis and those
between it and its own; what has the gradient of a mapped variable is mapped.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.interpreters import batching

from actserve.jax._operation import RESULT, Operation
from actserve.jax._primitive import bind, primitive


def _vmap(
    operands: Sequence[Any], axes: Sequence[Any], *, operation: Operation
) -> tuple[list[Any], list[int]]:
    of = operation.evaluator
    names = operation.operands()
    size = next(
        x.shape[axis]
        for x, axis in zip(operands, axes, strict=True)
        if axis is not None
    )
    mapped = {
        name for name, axis in zip(names, axes, strict=True) if axis is not None
    }
    # A gradient of each element of the batch.
    mapped |= set(operation.results()) - {RESULT}
    if RESULT in names:
        mapped.add(RESULT)
    plain = [
        x.shape if axis is None else x.shape[:axis] + x.shape[axis + 1 :]
        for x, axis in zip(operands, axes, strict=True)
    ]
    shape = of.result_shape(plain[: len(of.inputs)])
    # One input has the shape of the result, if it is not split.
    whole = [
        name
        for name, small in zip(of.inputs, plain, strict=False)
        if small == shape or operation.spec.split_axis is not None
    ]
    if not mapped & set(whole):
        mapped.add(whole[0])
    parameters = dict(operation.spec.parameters)
    between = {}
    moved_axes = {}
    for name in of.variables:
        if name not in parameters or name not in mapped:
            continue
        axis = parameters[name]
        first = len(shape) if axis is None else len(shape) + axis
        between[name] = () if axis is None else tuple(shape[:first])
        moved_axes[name] = -len(shape) - 1
    batch = []
    for name, x, axis, small in zip(names, operands, axes, plain, strict=True):
        if name not in mapped:
            batch.append(x)
            continue
        if axis is None:
            x = jnp.broadcast_to(x, (size, *small))
        else:
            x = jnp.moveaxis(x, axis, 0)
        if name in between:
            middle = between[name]
            x = x.reshape(size, *(1,) * len(middle), *small)
            x = jnp.broadcast_to(x, (size, *middle, *small))
        else:
            ones = (1,) * (len(shape) - len(small))
            x = x.reshape(size, *ones, *small)
        batch.append(x)
    spec = dataclasses.replace(
        operation.spec,
        parameters=tuple(
            (name, moved_axes.get(name, axis))
            for name, axis in operation.spec.parameters
        ),
    )
    results = bind(dataclasses.replace(operation, spec=spec), *batch)
    small_shapes = dict(zip(of.variables, plain, strict=False))
    return [
        _unmapped(x, between.get(name, ()), size, small_shapes.get(name))
        for name, x in zip(operation.results(), results, strict=True)
    ], [0] * len(results)


def _unmapped(
    x: Any, middle: Sequence[int], size: int, small: Sequence[int] | None
) -> Any:
    """Returns a gradient in the shape of its variable, after the new axis."""
    if small is None:  # like the result
        return x
    if middle:
        x = x.reshape(size, math.prod(middle), *small).sum(1)
    return x.reshape(size, *small)


batching.primitive_batchers[primitive] = _vmap
