"""The one primitive of JAX that all operations are.

With rules of its own for jvp, transposition and vmap, JAX composes it in any
order. That needs no more of JAX than its documentation of new primitives.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import mlir

from actserve.jax import _callback, _native
from actserve.jax._operation import (
    GRADIENT,
    GRADIENT_OF_GRADIENT,
    RESULT,
    TANGENT_OF_GRADIENT,
    TANGENT_OF_TANGENT,
    Operation,
)

primitive = Primitive("actserve")
primitive.multiple_results = True


def bind(operation: Operation, *operands: Any) -> list[Any]:
    """Returns the results of an operation; `operands` may be traced."""
    results: list[Any] = primitive.bind(
        *_varying_alike(operands), operation=operation
    )
    return results


def _axes_of(aval: Any) -> frozenset[Any]:
    """Returns the axes of a shard_map along which a value varies.

    Empty in a JAX that does not count them (before 0.7).
    """
    manual = getattr(aval, "manual_axis_type", None)  # from 0.10 on
    axes = getattr(aval, "vma", ()) if manual is None else manual.varying
    return frozenset(axes or ())


def _varies_as(aval: Any) -> dict[str, Any]:
    """Returns the arguments of a ShapedArray that varies as another one."""
    if not _axes_of(aval):
        return {}
    field = "manual_axis_type" if hasattr(aval, "manual_axis_type") else "vma"
    # Which belongs to a mesh; nothing is sharded inside of a shard.
    sharding = jax.sharding.NamedSharding(
        aval.sharding.mesh, jax.sharding.PartitionSpec()
    )
    return {field: getattr(aval, field), "sharding": sharding}


def type_of(x: Any) -> Any:
    """Returns shape and dtype of a value, and the axes that it varies along."""
    if hasattr(jax, "typeof"):
        return jax.typeof(x)
    return jax.ShapeDtypeStruct(jax.numpy.shape(x), jax.numpy.result_type(x))


def _varying_alike(operands: Sequence[Any]) -> Sequence[Any]:
    """Returns operands that vary along the same axes of a shard_map.

    One that all shards share has the sum of their gradients.
    """
    own = [_axes_of(type_of(x)) for x in operands]
    axes = frozenset().union(*own)
    if all(mine == axes for mine in own):
        return operands
    return [
        _vary(x, tuple(axes - mine)) if mine != axes else x
        for x, mine in zip(operands, own, strict=True)
    ]


def _vary(x: Any, axes: tuple[Any, ...]) -> Any:
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, axes, to="varying")
    return jax.lax.pvary(x, axes)


def forward(operation: Operation, *operands: Any) -> Any:
    """Returns the one result of an operation."""
    return bind(operation, *operands)[0]


def refuse_forward_mode(operation: Operation) -> TypeError:
    """Returns the error of a derivative that only reverse mode has."""
    return TypeError(
        f"actserve: {operation} is not computed in forward mode: its second "
        f"derivatives are those of jax.grad of jax.grad, and of functions that "
        f"are differentiated in reverse mode last; functions whose elements "
        f"are independent and that declare no gradient have all derivatives"
    )


def evaluate(*operands: Any, operation: Operation) -> Sequence[Any]:
    """Returns the results of an operation, in terms of JAX's own."""
    if operation.kind == TANGENT_OF_TANGENT:
        raise refuse_forward_mode(operation)
    if operation.kind == TANGENT_OF_GRADIENT:
        return _tangent_of_gradient(operation, operands)
    call = _native.call if _native.serves(operation) else _callback.call
    types = operation.result_types(operands)
    sent = [
        x.astype(_dtype_in_call(operation, name, x.dtype, operands[0].dtype))
        for name, x in zip(operation.operands(), operands, strict=True)
    ]
    made = [
        jax.ShapeDtypeStruct(
            like.shape,
            _dtype_in_call(operation, name, like.dtype, operands[0].dtype),
        )
        for name, like in zip(operation.results(), types, strict=True)
    ]
    return [
        x.astype(like.dtype)
        for x, like in zip(call(operation, made, *sent), types, strict=True)
    ]


def _dtype_in_call(
    operation: Operation, name: str, own: Any, of_inputs: Any
) -> Any:
    """Returns the dtype that what belongs to a variable has in a call.

    Values per channel have that of the inputs. Numbers have 32 bits at least.
    """
    axes = dict(operation.spec.parameters)
    if name not in axes:
        return own
    if axes[name] is not None:
        return of_inputs
    return jax.numpy.promote_types(own, jax.numpy.float32)


def has_symmetric_gradient(operation: Operation) -> bool:
    """Returns whether the derivative of its gradient is a symmetric matrix.

    That of a declared one is if the matrix is diagonal.
    """
    of = operation.evaluator
    if not of.info.declared_gradient:
        return True
    return (
        not of.reads_rows
        and of.inputs == of.info.inputs
        and {*operation.moved, *operation.wanted} <= {*of.inputs[:1], RESULT}
        and len(of.inputs) == 1
    )


def _tangent_of_gradient(
    operation: Operation, operands: Sequence[Any]
) -> Sequence[Any]:
    """Returns how the gradient moves, by the symmetry of its derivative."""
    if not has_symmetric_gradient(operation):
        raise refuse_forward_mode(operation)
    of = operation.evaluator
    count = len(of.variables)
    variables, grad_output = operands[:count], operands[count]
    moved = dict(zip(operation.moved, operands[count + 1 :], strict=True))
    by_result = moved.pop(RESULT, None)
    spec, wanted = operation.spec, operation.wanted
    terms = []
    if by_result is not None and of.info.declared_gradient:
        # Of one input: d(dL/dx)/d(dL/dy), which is diagonal, times its tangent.
        second = Operation(GRADIENT_OF_GRADIENT, spec, (RESULT,), wanted)
        terms.append(bind(second, *variables, grad_output, by_result))
    elif by_result is not None:
        first = Operation(GRADIENT, spec, wanted)
        terms.append(bind(first, *variables, by_result))
    if moved:
        second = Operation(GRADIENT_OF_GRADIENT, spec, wanted, tuple(moved))
        terms.append(bind(second, *variables, grad_output, *moved.values()))
    return [
        functools.reduce(jax.numpy.add, term)
        for term in zip(*terms, strict=True)
    ]


@functools.lru_cache(maxsize=4096)
def _compiled(operation: Operation) -> Callable[..., list[Any]]:
    program: Callable[..., list[Any]] = jax.jit(
        functools.partial(evaluate, operation=operation)
    )
    return program


@primitive.def_impl
def _run(*operands: Any, operation: Operation) -> list[Any]:
    return list(_compiled(operation)(*operands))


@primitive.def_abstract_eval
def _types(*operands: Any, operation: Operation) -> list[Any]:
    varying = _varies_as(operands[0])  # As the others and the results do.
    return [
        jax.core.ShapedArray(x.shape, x.dtype, **varying)
        for x in operation.result_types(operands)
    ]


mlir.register_lowering(
    primitive, mlir.lower_fun(evaluate, multiple_results=True)
)
