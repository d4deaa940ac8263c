"""Evaluates operations by calling back into Python.

Code here runs inside of JAX's programs, on their threads, where JAX itself must
not be called: NumPy only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from actserve._bridge import Evaluator
from actserve._calls import Array
from actserve._errors import ActivationError
from actserve.jax._operation import (
    FORWARD,
    GRADIENT,
    GRADIENT_OF_GRADIENT,
    PARTIALS,
    TANGENT,
    Operation,
)


def call(
    operation: Operation,
    types: Sequence[jax.ShapeDtypeStruct],
    *operands: Any,
) -> Sequence[Any]:
    """Returns the results of an operation that the Evaluator has.

    Args:
      operation: It.
      types: Of the results.
      *operands: As the Evaluator takes them.
    """
    # No vmap_method: vmap() ends at the operation.
    results: Sequence[Any] = jax.pure_callback(
        _function(operation), tuple(types), *operands
    )
    return results


@functools.lru_cache(maxsize=4096)
def _function(operation: Operation) -> Callable[..., list[Array]]:
    """Returns the same object for equal operations, as JAX wants."""

    def actserve(*operands: Any) -> list[Array]:
        arrays = [np.asarray(operand, order="C") for operand in operands]
        try:
            return _compute(operation, arrays)
        except ActivationError as error:
            # JAX shows the text alone.
            raise ActivationError(
                error.code,
                f"actserve: {error.message}",
                error.diagnostics,
                error.reason,
            ) from None

    return actserve


def _compute(operation: Operation, arrays: Sequence[Array]) -> list[Array]:
    of = operation.evaluator
    count = len(of.variables)
    variables, rest = arrays[:count], arrays[count:]
    if operation.kind == FORWARD:
        return [of.forward(variables)]
    if operation.kind == PARTIALS:
        y, partials = of.forward_with_partials(variables)
        return [y, *partials]
    if operation.kind == TANGENT:
        moved = dict(zip(operation.moved, rest, strict=True))
        return [of.jvp(variables, moved)[1]]
    return _gradients(operation, of, variables, rest)


def _gradients(
    operation: Operation,
    of: Evaluator,
    variables: Sequence[Array],
    rest: Sequence[Array],
) -> list[Array]:
    grad_output, *cotangents = rest
    if operation.kind == GRADIENT:
        return of.backward(variables, grad_output, operation.wanted)
    assert operation.kind == GRADIENT_OF_GRADIENT, operation.kind
    return of.second_order(
        variables,
        grad_output,
        dict(zip(operation.moved, cotangents, strict=True)),
        operation.wanted,
    )
