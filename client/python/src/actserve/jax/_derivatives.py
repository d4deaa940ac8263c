"""How operations are differentiated.

A tangent or gradient of the first order is an operation, or a product with the
slope that the forward brought. Where an element of the result depends on no
other, those of higher orders are of products: slopes are activations of their
own, so there are derivatives of any order, in any mode. All other functions
have the contract's gradient of the gradient, and nothing beyond.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import ad

from actserve._bridge import Spec, evaluator
from actserve._errors import ActivationWarning
from actserve.jax._operation import (
    FORWARD,
    GRADIENT,
    GRADIENT_OF_GRADIENT,
    PARTIALS,
    TANGENT,
    TANGENT_OF_GRADIENT,
    TANGENT_OF_TANGENT,
    Operation,
)
from actserve.jax._primitive import (
    bind,
    forward,
    has_symmetric_gradient,
    primitive,
    refuse_forward_mode,
    type_of,
)


@functools.lru_cache(maxsize=4096)
def _derivative(spec: Spec, variable: str) -> Spec | None:
    """Returns the Spec of dy/d(variable), element by element, or None."""
    with warnings.catch_warnings():
        # A derivative that is 0 everywhere is no mistake.
        warnings.simplefilter("ignore", ActivationWarning)
        found = evaluator(spec).derivative(variable)
        if found is not None:
            assert evaluator(found).info is not None
    return found


def _without_split(spec: Spec) -> Spec:
    return dataclasses.replace(spec, split_axis=None)


@functools.lru_cache(maxsize=4096)
def is_elementwise(spec: Spec) -> bool:
    """Returns whether every derivative is an activation of its own."""
    spec = _without_split(spec)
    return all(
        _derivative(spec, name) is not None
        for name in evaluator(spec).variables
    )


def _jvp(
    operands: Sequence[Any], tangents: Sequence[Any], *, operation: Operation
) -> tuple[list[Any], list[Any]]:
    moved = [
        (i, name, tangent)
        for i, (name, tangent) in enumerate(
            zip(operation.operands(), tangents, strict=True)
        )
        if not isinstance(tangent, ad.Zero)
    ]
    if operation.kind == PARTIALS:
        return _jvp_of_partials(operation, operands[0], tangents[0])
    if operation.kind == FORWARD and _keeps_slope(operation, operands):
        y, slope = bind(Operation(PARTIALS, operation.spec), *operands)
        return [y], [slope * tangents[0]]
    results = bind(operation, *operands)
    if operation.kind in (TANGENT, GRADIENT) and is_elementwise(operation.spec):
        return results, _tangents_of_products(operation, operands, moved)
    names = tuple(name for _, name, _ in moved)
    dots = [tangent for _, _, tangent in moved]
    spec = operation.spec
    if operation.kind == FORWARD:
        tangent = Operation(TANGENT, spec, moved=names)
        return results, bind(tangent, *operands, *dots)
    if operation.kind == GRADIENT:
        tangent = Operation(TANGENT_OF_GRADIENT, spec, operation.wanted, names)
        return results, bind(tangent, *operands, *dots)
    if operation.kind == TANGENT:
        return results, _tangent_of_tangent(operation, operands, moved)
    first_linear = len(operands) - operation.num_linear()
    if any(i < first_linear for i, _, _ in moved):
        raise TypeError(
            f"actserve: {operation} has no derivative: the third derivatives "
            f"of functions that read rows or declare a gradient are not "
            f"computed"
        )
    linear = dataclasses.replace(operation, moved=names)
    return results, bind(linear, *operands[:first_linear], *dots)


def _tangent_of_tangent(
    operation: Operation,
    operands: Sequence[Any],
    moved: Sequence[tuple[int, str, Any]],
) -> list[Any]:
    count = len(operation.evaluator.variables)
    terms = []
    linear = [(name, dot) for i, name, dot in moved if i >= count]
    if linear:
        names = tuple(name for name, _ in linear)
        terms += bind(
            dataclasses.replace(operation, moved=names),
            *operands[:count],
            *(dot for _, dot in linear),
        )
    bent = [(name, dot) for i, name, dot in moved if i < count]
    if bent:
        names = tuple(name for name, _ in bent)
        terms += bind(
            Operation(
                TANGENT_OF_TANGENT, operation.spec, operation.moved, names
            ),
            *operands,
            *(dot for _, dot in bent),
        )
    return [functools.reduce(jnp.add, terms)]


def _keeps_slope(operation: Operation, operands: Sequence[Any]) -> bool:
    """Returns whether the gradient is the slope times dL/dy."""
    way = operation.evaluator.gradient_way(operands[0].dtype, keeps=False)
    return way == "partials" and is_elementwise(operation.spec)


def _jvp_of_partials(
    operation: Operation, x: Any, tangent: Any
) -> tuple[list[Any], list[Any]]:
    """The slope is the value of the derivative, and moves as that does."""
    y, slope = bind(operation, x)
    derivative = _derivative(operation.spec, operation.evaluator.inputs[0])
    assert derivative is not None
    of_slope = functools.partial(forward, Operation(FORWARD, derivative))
    bend = jax.jvp(of_slope, (x,), (tangent,))[1]
    return [y, slope], [slope * tangent, bend]


def _tangents_of_products(
    operation: Operation,
    operands: Sequence[Any],
    moved: Sequence[tuple[int, str, Any]],
) -> list[Any]:
    """Returns how a tangent or gradient moves: they are sums of products."""

    def products(*changed: Any) -> list[Any]:
        values = list(operands)
        for (i, _, _), value in zip(moved, changed, strict=True):
            values[i] = value
        return _products(operation, values)

    moves: list[Any] = jax.jvp(
        products,
        [operands[i] for i, _, _ in moved],
        [tangent for _, _, tangent in moved],
    )[1]
    return moves


def _products(operation: Operation, operands: Sequence[Any]) -> list[Any]:
    """Returns a tangent or gradient as sums of slopes times what is given."""
    spec = operation.spec
    count = len(evaluator(spec).variables)
    variables, given = operands[:count], operands[count:]
    names = evaluator(spec).variables

    def tangent(directions: Mapping[str, Any]) -> Any:
        return _directional(spec, variables, directions)

    if operation.kind == TANGENT:
        return [tangent(dict(zip(operation.moved, given, strict=True)))]
    like = {
        name: type_of(x)
        for name, x in zip(names, variables, strict=True)
        if name in operation.wanted
    }
    (gradients,) = jax.linear_transpose(tangent, like)(given[0])
    return [gradients[name] for name in operation.wanted]


def _directional(
    spec: Spec, variables: Sequence[Any], directions: Mapping[str, Any]
) -> Any:
    """Returns the sum of each slope times the direction of its variable."""
    if spec.split_axis is not None:
        return _directional_of_parts(spec, variables, directions)
    of = evaluator(spec)
    axes = dict(spec.parameters)
    terms = []
    for name, direction in directions.items():
        derivative = _derivative(spec, name)
        assert derivative is not None
        slope = forward(Operation(FORWARD, derivative), *variables)
        if name in of.inputs:
            terms.append(slope * direction)
            continue
        axis = axes[name]
        if axis is not None:
            trailing = -axis - direction.ndim
            direction = direction.reshape(direction.shape + (1,) * trailing)
        # Its transpose is a sum over many elements: in 32 bits at least.
        wide = jnp.promote_types(
            jnp.promote_types(slope.dtype, direction.dtype), jnp.float32
        )
        product = slope.astype(wide) * direction.astype(wide)
        terms.append(product.astype(slope.dtype))
    return functools.reduce(jnp.add, terms)


def _directional_of_parts(
    spec: Spec, variables: Sequence[Any], directions: Mapping[str, Any]
) -> Any:
    """The same where the one input is split into those of the function."""
    (whole,) = evaluator(spec).inputs
    names = evaluator(spec).info.inputs

    def split(x: Any) -> list[Any]:
        parts: list[Any] = jnp.split(x, len(names), spec.split_axis)
        return parts

    directions = dict(directions)
    if whole in directions:
        parts = split(directions.pop(whole))
        directions |= dict(zip(names, parts, strict=True))
    variables = [*split(variables[0]), *variables[1:]]
    return _directional(_without_split(spec), variables, directions)


def _transpose(
    cotangents: Sequence[Any], *operands: Any, operation: Operation
) -> list[Any]:
    """Returns dL/d(operand) of the operands in which it is linear."""
    of = operation.evaluator
    names = operation.operands()
    wanted = [i for i, x in enumerate(operands) if ad.is_undefined_primal(x)]
    known = [x for x in operands if not ad.is_undefined_primal(x)]
    results: list[Any] = [None] * len(operands)
    if all(isinstance(c, ad.Zero) for c in cotangents):
        for i in wanted:
            results[i] = ad.Zero(operands[i].aval)
        return results
    if min(wanted) < len(operands) - operation.num_linear():
        raise TypeError(
            f"actserve: {operation} is not linear in {names[min(wanted)]}"
        )
    of_wanted = tuple(names[i] for i in wanted)
    given = [
        (name, c)
        for name, c in zip(operation.results(), cotangents, strict=True)
        if not isinstance(c, ad.Zero)
    ]
    given_names = tuple(name for name, _ in given)
    given_values = [c for _, c in given]
    spec = operation.spec
    count = len(of.variables)
    fixed = operands[:count]
    if operation.kind == TANGENT:
        found = bind(
            Operation(GRADIENT, spec, of_wanted), *fixed, *given_values
        )
    elif operation.kind == GRADIENT:
        found = bind(
            Operation(TANGENT, spec, moved=given_names), *fixed, *given_values
        )
    elif operation.kind == TANGENT_OF_GRADIENT:
        second = Operation(GRADIENT_OF_GRADIENT, spec, of_wanted, given_names)
        found = bind(second, *fixed, operands[count], *given_values)
    elif operation.kind == TANGENT_OF_TANGENT:
        if not has_symmetric_gradient(operation):
            raise refuse_forward_mode(operation)
        second = Operation(
            GRADIENT_OF_GRADIENT, spec, of_wanted, operation.wanted
        )
        directions = operands[count : count + len(operation.wanted)]
        found = bind(second, *fixed, *given_values, *directions)
    else:
        first = Operation(TANGENT_OF_GRADIENT, spec, of_wanted, given_names)
        found = bind(first, *known[: count + 1], *given_values)
    for i, value in zip(wanted, found, strict=True):
        results[i] = value
    return results


ad.primitive_jvps[primitive] = _jvp
ad.primitive_transposes[primitive] = _transpose
