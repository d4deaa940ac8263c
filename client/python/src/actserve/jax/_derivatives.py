"""How operations are differentiated.

Where an element of the result depends on no other, its derivatives are
activations of their own: forward mode multiplies by them, JAX transposes the
product, and there are derivatives of any order in any mode. All others have the
contract's gradient, gradient of gradient and tangent.
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
    RESULT,
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
)


@functools.lru_cache(maxsize=4096)
def _derivative(spec: Spec, variable: str) -> Spec | None:
    """Returns the Spec of dy/d(variable), element by element, or None."""
    if spec.gradient not in ("auto", "partials"):
        return None
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
    if operation.kind in (FORWARD, PARTIALS) and is_elementwise(operation.spec):
        return _elementwise_jvp(operation, operands, tangents)
    results = bind(operation, *operands)
    moved = [
        (i, name, tangent)
        for i, (name, tangent) in enumerate(
            zip(operation.operands(), tangents, strict=True)
        )
        if not isinstance(tangent, ad.Zero)
    ]
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
            f"of functions that read rows or declare a gradient, and those of "
            f"gradient='stateless', are not computed"
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


def _elementwise_jvp(
    operation: Operation, operands: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    spec = operation.spec
    if spec.split_axis is not None:
        spec, operands, tangents = _split(spec, operands, tangents)
        operation = dataclasses.replace(operation, spec=spec)
    if operation.kind == FORWARD:
        y, slopes = _with_slopes(spec, operands, tangents)
        return [y], [_directional(spec, y, slopes, tangents)]
    y, *partials = bind(operation, *operands)
    inputs = operation.evaluator.inputs
    slopes = dict(zip(inputs, partials, strict=True))
    slopes |= _slopes(spec, operands, tangents, known=slopes)
    moves = [_directional(spec, y, slopes, tangents)]
    for name in inputs:
        derivative = _derivative(spec, name)
        assert derivative is not None
        value, slopes = _with_slopes(derivative, operands, tangents)
        moves.append(_directional(derivative, value, slopes, tangents))
    return [y, *partials], moves


def _split(
    spec: Spec, operands: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Spec, list[Any], list[Any]]:
    """Returns them with the parts of the one input as inputs."""
    axis = spec.split_axis
    num_parts = len(evaluator(spec).info.inputs)
    whole, *rest = operands
    moved, *others = tangents
    parts = jnp.split(whole, num_parts, axis)
    if isinstance(moved, ad.Zero):
        moves = [ad.Zero(jax.core.get_aval(part)) for part in parts]
    else:
        moves = jnp.split(moved, num_parts, axis)
    return _without_split(spec), [*parts, *rest], [*moves, *others]


def _with_slopes(
    spec: Spec, operands: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Any, dict[str, Any]]:
    """Returns y, and dy/d(variable) of every variable that moves."""
    of = evaluator(spec)
    count = len(of.inputs)
    shape = of.result_shape([x.shape for x in operands[:count]])
    slopes = {}
    if all(
        x.shape == shape and not isinstance(tangent, ad.Zero)
        for x, tangent in zip(operands[:count], tangents, strict=False)
    ):
        y, *partials = bind(Operation(PARTIALS, spec), *operands)
        slopes = dict(zip(of.inputs, partials, strict=True))
    else:
        y = forward(Operation(FORWARD, spec), *operands)
    return y, slopes | _slopes(spec, operands, tangents, known=slopes)


def _slopes(
    spec: Spec,
    operands: Sequence[Any],
    tangents: Sequence[Any],
    known: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns dy/d(variable) of those that move and are not known."""
    slopes = {}
    variables = evaluator(spec).variables
    for name, tangent in zip(variables, tangents, strict=True):
        if name not in known and not isinstance(tangent, ad.Zero):
            derivative = _derivative(spec, name)
            assert derivative is not None
            slopes[name] = forward(Operation(FORWARD, derivative), *operands)
    return slopes


def _directional(
    spec: Spec, y: Any, slopes: Mapping[str, Any], tangents: Sequence[Any]
) -> Any:
    """Returns the sum of each slope times the tangent of its variable."""
    of = evaluator(spec)
    axes = dict(spec.parameters)
    terms = []
    for name, tangent in zip(of.variables, tangents, strict=True):
        if isinstance(tangent, ad.Zero):
            continue
        slope = slopes[name]
        if name in of.inputs:
            terms.append(slope * tangent)
            continue
        axis = axes[name]
        if axis is not None:
            trailing = -axis - tangent.ndim
            tangent = tangent.reshape(tangent.shape + (1,) * trailing)
        # Its transpose is a sum over many elements: in 32 bits at least.
        wide = jnp.promote_types(
            jnp.promote_types(slope.dtype, tangent.dtype), jnp.float32
        )
        product = slope.astype(wide) * tangent.astype(wide)
        terms.append(product.astype(y.dtype))
    return functools.reduce(jnp.add, terms)


def _transpose(
    cotangents: Sequence[Any], *operands: Any, operation: Operation
) -> list[Any]:
    """Returns dL/d(operand) of the operands in which it is linear."""
    of = operation.evaluator
    names = operation.operands()
    wanted = [
        i for i, x in enumerate(operands) if ad.is_undefined_primal(x)
    ]
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
        found = bind(Operation(GRADIENT, spec, of_wanted), *fixed, *given_values)
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
