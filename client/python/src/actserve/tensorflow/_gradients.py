"""Differentiable calls: tf.custom_gradient, nested for the second order.

Arguments as in _ops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from actserve._bridge import Evaluator
from actserve.tensorflow import _ops
from actserve.tensorflow._memory import NUMPY_DTYPES
from actserve.tensorflow._recording import is_watched, may_be_differentiated

Tensors = Sequence[tf.Tensor]
Places = Sequence[int]

THIRD = (
    "actserve: a third derivative was asked for; the gradient of a gradient "
    "is the last that there is"
)


def forward(of: Evaluator, values: Tensors) -> tf.Tensor:
    """Returns y, differentiable twice."""
    if not may_be_differentiated(*values):
        return _ops.forward(of, values)
    way = _way(of, values)
    wrt = _wanted(values)

    @tf.custom_gradient
    def differentiable(*values: tf.Tensor) -> Any:
        from_residual = None
        if way == "partials":
            y, partial = _ops.forward_with_partials(of, values)
            return y, lambda dy: _product(of, values[0], partial, dy)
        if way == "residual":
            y, from_residual = _ops.forward_with_residual(of, values)
        else:
            y = _ops.forward(of, values)

        def gradient(dy: tf.Tensor) -> list[tf.Tensor | None]:
            found = _backward(of, values, dy, wrt, from_residual)
            return _placed(found, wrt, len(values))

        return y, gradient

    return differentiable(*values)


def _way(of: Evaluator, values: Tensors) -> str:
    eager = tf.executing_eagerly()
    way = of.gradient_way(NUMPY_DTYPES[values[0].dtype], keeps=eager)
    if way == "partials" and of.spec.gradient == "auto" and not eager:
        # Without a tape here, nobody may ever ask for the gradient.
        return way if is_watched(values[0]) else "stateless"
    return way


def _wanted(tensors: Tensors) -> list[int]:
    """Returns the places of those of which a gradient may be asked for."""
    return [i for i, t in enumerate(tensors) if may_be_differentiated(t)]


def _placed(
    found: Tensors, wrt: Places, size: int
) -> list[tf.Tensor | None]:
    result: list[tf.Tensor | None] = [None] * size
    for place, gradient in zip(wrt, found, strict=True):
        result[place] = gradient
    return result


def _here(tensors: Tensors) -> list[tf.Tensor]:
    """Returns tensors as those of the graph that is being built.

    A gradient is often built in a graph of its own. One that kept tensors of
    the graph below could not be differentiated there.
    """
    if tf.executing_eagerly():
        return list(tensors)
    graph = tf.compat.v1.get_default_graph()
    return [
        tensor
        if getattr(tensor, "graph", None) is graph
        else tf.identity(tensor)
        for tensor in tensors
    ]


def _product(
    of: Evaluator, x: tf.Tensor, partial: tf.Tensor, dy: tf.Tensor
) -> tf.Tensor:
    """Returns dL/dx by dy/dx at x, differentiable in x and dL/dy."""
    x, partial, dy = _here([x, partial, dy])
    if not may_be_differentiated(x, dy):
        return dy * partial

    @tf.custom_gradient
    def differentiable(x: tf.Tensor, dy: tf.Tensor) -> Any:
        wrt = _wanted([x, dy])

        def gradient(cotangent: tf.Tensor) -> list[tf.Tensor | None]:
            found: list[tf.Tensor | None] = [None, None]
            if 0 in wrt:
                found[:1] = _second_order(of, [x], dy, [cotangent], [0], [0])
            if 1 in wrt:
                found[1] = _product(of, x, partial, cotangent)
            return found

        return dy * partial, gradient

    return differentiable(x, dy)


def _backward(
    of: Evaluator,
    values: Tensors,
    dy: tf.Tensor,
    wrt: Places,
    from_residual: Callable[..., list[tf.Tensor]] | None = None,
) -> list[tf.Tensor]:
    """Returns dL/d(variable) for each of `wrt`, differentiable once more."""
    *values, dy = _here([*values, dy])

    def compute(values: Tensors, dy: tf.Tensor) -> list[tf.Tensor]:
        if from_residual is not None:
            return from_residual(dy, wrt)
        return _ops.backward(of, values, dy, wrt)

    if not may_be_differentiated(*values, dy):
        return compute(values, dy)
    wanted = _wanted([*values, dy])

    @tf.custom_gradient
    def differentiable(*tensors: tf.Tensor) -> Any:
        *values, dy = tensors

        def gradient(*cotangents: tf.Tensor) -> list[tf.Tensor | None]:
            found = _second_order(of, values, dy, cotangents, wrt, wanted)
            return _placed(found, wanted, len(tensors))

        return compute(values, dy), gradient

    return list(differentiable(*values, dy))


def _second_order(
    of: Evaluator,
    values: Tensors,
    dy: tf.Tensor,
    cotangents: Tensors,
    by: Places,
    wrt: Places,
) -> list[tf.Tensor]:
    """Returns the gradients of sum(cotangent * gradient of `by`)."""

    *values, dy = _here([*values, dy])
    cotangents = _here(cotangents)

    def compute(cotangents: Tensors) -> list[tf.Tensor]:
        return _ops.second_order(of, values, dy, cotangents, by, wrt)

    if not may_be_differentiated(*cotangents, *values, dy):
        return compute(cotangents)
    is_third = may_be_differentiated(*values, dy)

    @tf.custom_gradient
    def differentiable(*tensors: tf.Tensor) -> Any:
        def gradient(*moved: tf.Tensor) -> list[tf.Tensor | None]:
            found = _along(of, values, dy, wrt, moved, by)
            rest: list[tf.Tensor | None] = [None] * (len(values) + 1)
            if is_third:
                rest = [_ops.refused(THIRD, t) for t in (*values, dy)]
            return [*found, *rest]

        return compute(tensors[: len(cotangents)]), gradient

    return list(differentiable(*cotangents, *values, dy))


def _along(
    of: Evaluator,
    values: Tensors,
    dy: tf.Tensor,
    moving: Places,
    moved: Tensors,
    wrt: Places,
) -> list[tf.Tensor]:
    """Returns how the gradients of `wrt` move: forward over reverse.

    The matrix of second derivatives is symmetric, so second_order() tells it.
    """
    *values, dy = _here([*values, dy])
    if of.info.declared_gradient and len(values) > 1:
        raise NotImplementedError(
            f"actserve: forward mode over the gradient of {of.name}, which its "
            f"author declared: there is none for several variables"
        )
    n = len(values)
    terms = []
    by = [place for place in moving if place < n]
    if by:
        directions = [
            m for place, m in zip(moving, moved, strict=True) if place < n
        ]
        terms.append(_ops.second_order(of, values, dy, directions, by, wrt))
    if n in moving:
        upstream = moved[list(moving).index(n)]
        terms.append(_ops.backward(of, values, upstream, wrt))
    return [sum(found[1:], found[0]) for found in zip(*terms, strict=True)]
