"""The gradients and the batches of the operators, each stated once.

`calls` has forward(), forward_with_partials(), backward(), second_order() and
jvp(), with the signatures of _ops: the operators themselves, or the functions
of _functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from actserve._bridge import evaluator
from actserve.torch._batching import Batch, NoBatchError, one_by_one

THIRD = (
    "actserve: a third derivative was asked for; the gradient of a gradient "
    "is the last that there is"
)

Places = Sequence[int]


def wanted(needs: Sequence[bool]) -> list[int]:
    """Returns the places of True."""
    return [place for place, need in enumerate(needs) if need]


def placed(
    found: Sequence[torch.Tensor], wrt: Places, size: int
) -> list[torch.Tensor | None]:
    """Returns `found` at the places `wrt` of a list, None elsewhere."""
    result: list[torch.Tensor | None] = [None] * size
    for place, gradient in zip(wrt, found, strict=True):
        result[place] = gradient
    return result


def gradient_of_forward(
    calls: Any, values: Any, grad_output: Any, needs: Sequence[bool], spec: str
) -> list[Any]:
    """Returns the gradients of the values that `needs` says."""
    wrt = wanted(needs)
    found = calls.backward(values, grad_output, wrt, spec)
    return placed(found, wrt, len(values))


def gradient_of_partials(
    calls: Any, x: Any, partial: Any, of_y: Any, of_partial: Any, spec: str
) -> Any:
    """Returns the gradient of x; those of y and dy/dx may be None."""
    result = None if of_y is None else of_y * partial
    if of_partial is not None:
        ones = torch.ones_like(partial)
        (more,) = calls.second_order([x], ones, [of_partial], [0], [0], spec)
        result = more if result is None else result + more
    return result


def gradient_of_backward(
    calls: Any,
    values: Any,
    grad_output: Any,
    cotangents: Any,
    by: Places,
    needs: Sequence[bool],
    spec: str,
) -> list[Any]:
    """Returns the gradients of the values, and then of grad_output.

    `cotangents` are those of what backward() returned for `by`.
    """
    wrt = wanted(needs)
    found = calls.second_order(values, grad_output, cotangents, by, wrt, spec)
    return placed(found, wrt, len(values) + 1)


def gradient_of_jvp(
    calls: Any,
    values: Any,
    tangents: Any,
    by: Places,
    cotangent: Any,
    needs: Sequence[bool],
    needs_tangents: Sequence[bool],
    spec: str,
) -> tuple[list[Any], list[Any]]:
    """Returns the gradients of the values, and of the tangents."""
    wrt = wanted(needs)
    moving = wanted(needs_tangents)
    by_value: Sequence[torch.Tensor] = ()
    by_tangent: Sequence[torch.Tensor] = ()
    if wrt:
        by_value = calls.second_order(
            values, cotangent, tangents, by, wrt, spec
        )
    if moving:
        by_tangent = calls.backward(
            values, cotangent, [by[i] for i in moving], spec
        )
    return (
        placed(by_value, wrt, len(values)),
        placed(by_tangent, moving, len(tangents)),
    )


# ---- Batches: one call for all samples


def batched_forward(
    calls: Any, info: Any, in_dims: Any, values: Any, spec: str
) -> Any:
    dims, _ = in_dims
    try:
        batch = Batch(evaluator(spec), values, dims, info.batch_size)
    except NoBatchError:
        (y,) = one_by_one(
            lambda *sample: (calls.forward(sample, spec),),
            info.batch_size,
            values,
            dims,
        )
        return y, 0
    return batch.of_result(calls.forward(batch.values, batch.spec.text())), 0


def batched_forward_with_partials(
    calls: Any, info: Any, in_dims: Any, values: Any, spec: str
) -> Any:
    dims, _ = in_dims
    try:
        batch = Batch(evaluator(spec), values, dims, info.batch_size)
    except NoBatchError:
        found = one_by_one(
            lambda *sample: calls.forward_with_partials(sample, spec),
            info.batch_size,
            values,
            dims,
        )
        return tuple(found), (0, 0)
    found = calls.forward_with_partials(batch.values, batch.spec.text())
    return tuple(map(batch.of_result, found)), (0, 0)


def batched_backward(
    calls: Any,
    info: Any,
    in_dims: Any,
    values: Any,
    grad_output: Any,
    wrt: Any,
    spec: str,
) -> Any:
    dims, grad_dim, _, _ = in_dims
    try:
        batch = Batch(evaluator(spec), values, dims, info.batch_size, wrt)
    except NoBatchError:
        found = one_by_one(
            lambda *sample: calls.backward(sample[:-1], sample[-1], wrt, spec),
            info.batch_size,
            [*values, grad_output],
            [*dims, grad_dim],
        )
        return found, [0] * len(wrt)
    found = calls.backward(
        batch.values,
        batch.result(grad_output, grad_dim),
        wrt,
        batch.spec.text(),
    )
    found = [batch.of_variable(i, f) for i, f in zip(wrt, found, strict=True)]
    return found, [0] * len(wrt)


def batched_second_order(
    calls: Any,
    info: Any,
    in_dims: Any,
    values: Any,
    grad_output: Any,
    cotangents: Any,
    by: Any,
    wrt: Any,
    spec: str,
) -> Any:
    dims, grad_dim, cotangent_dims, *_ = in_dims
    n = len(values)
    apart = {*by, *wrt} - {n}
    try:
        batch = Batch(evaluator(spec), values, dims, info.batch_size, apart)
    except NoBatchError:
        found = one_by_one(
            lambda *sample: calls.second_order(
                sample[:n], sample[n], sample[n + 1 :], by, wrt, spec
            ),
            info.batch_size,
            [*values, grad_output, *cotangents],
            [*dims, grad_dim, *cotangent_dims],
        )
        return found, [0] * len(wrt)
    found = calls.second_order(
        batch.values,
        batch.result(grad_output, grad_dim),
        [
            batch.like(i, cotangent, dim)
            for i, cotangent, dim in zip(
                by, cotangents, cotangent_dims, strict=True
            )
        ],
        by,
        wrt,
        batch.spec.text(),
    )
    found = [
        batch.of_result(f) if i == n else batch.of_variable(i, f)
        for i, f in zip(wrt, found, strict=True)
    ]
    return found, [0] * len(wrt)


def batched_jvp(
    calls: Any,
    info: Any,
    in_dims: Any,
    values: Any,
    tangents: Any,
    by: Any,
    spec: str,
) -> Any:
    dims, tangent_dims, *_ = in_dims
    n = len(values)
    try:
        batch = Batch(evaluator(spec), values, dims, info.batch_size, by)
    except NoBatchError:
        (found,) = one_by_one(
            lambda *sample: (calls.jvp(sample[:n], sample[n:], by, spec),),
            info.batch_size,
            [*values, *tangents],
            [*dims, *tangent_dims],
        )
        return found, 0
    moving = [
        batch.like(i, tangent, dim)
        for i, tangent, dim in zip(by, tangents, tangent_dims, strict=True)
    ]
    found = calls.jvp(batch.values, moving, by, batch.spec.text())
    return batch.of_result(found), 0
