"""Chooses how a call is seen by PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.autograd import forward_ad

from actserve._bridge import evaluator
from actserve.torch import _functions, _kernels
from actserve.torch._memory import NUMPY_DTYPES
from actserve.torch._quick import PLAIN, is_transformed, is_watched, quick

_NOT_IN_GRAPH = (
    "actserve: torch.compile does not trace forward mode through an operator "
    "of a library; leave out fullgraph=True"
)


@torch.compiler.assume_constant_result
def _takes_partials(spec: str, dtype: torch.dtype) -> bool:
    """Returns whether a graph, which keeps no residual, keeps partials."""
    if dtype not in NUMPY_DTYPES:
        return False  # and is refused
    way = evaluator(spec).gradient_way(NUMPY_DTYPES[dtype], keeps=False)
    return way == "partials"


def call(
    spec: str, values: Sequence[torch.Tensor], num_inputs: int
) -> torch.Tensor:
    """Returns y of the Spec of this text; differentiable.

    The first `num_inputs` of `values` are inputs, the others parameters.

    Raises: as _kernels.check(), and ActivationError.
    """
    is_compiling = torch.compiler.is_compiling()
    if len(values) == 1 and not is_compiling:
        y = quick(spec, values[0])
        if y is not None:
            return y
    if not num_inputs:
        raise ValueError("no input was given")
    for value in values:
        if not isinstance(value, torch.Tensor):
            raise TypeError(
                f"an input is of type {type(value).__name__}, not a "
                f"torch.Tensor"
            )
    if num_inputs > 1:
        values = _promoted(values, num_inputs)
    if is_compiling:
        if forward_ad._current_level >= 0:
            # Operators have no forward mode, which the compiler takes for a
            # tangent of 0. Without fullgraph=True this is computed without it.
            raise NotImplementedError(_NOT_IN_GRAPH)
        return _graph(torch.ops.actserve, spec, values)
    of = evaluator(spec)
    _kernels.check(of, values)
    if is_transformed():
        return _graph(_functions.Calls, spec, values)
    if not _is_plain(values):
        return _graph(torch.ops.actserve, spec, values)
    if _wants_gradient(values):
        return _functions.Eager.apply(of, spec, *values)
    return _kernels.forward(of, values)


def _is_plain(values: Sequence[torch.Tensor]) -> bool:
    """Returns whether nobody looks at operators: no mode, tracer, subclass."""
    for value in values:
        if type(value) not in PLAIN or value.is_meta:
            return False
    return not is_watched()


def _graph(
    calls: Any, spec: str, values: Sequence[torch.Tensor]
) -> torch.Tensor:
    if _wants_gradient(values) and _takes_partials(spec, values[0].dtype):
        return calls.forward_with_partials(values, spec)[0]
    return calls.forward(values, spec)


def _wants_gradient(values: Sequence[torch.Tensor]) -> bool:
    if torch.is_grad_enabled():
        for value in values:
            if value.requires_grad:
                return True
    return False


def _promoted(
    values: Sequence[torch.Tensor], num_inputs: int
) -> Sequence[torch.Tensor]:
    """Returns `values`; under autocast, inputs in the widest of their dtypes.

    So does autocast with every function of several inputs that is not on its
    lists.
    """
    inputs = values[:num_inputs]
    dtype = inputs[0].dtype
    if all(value.dtype == dtype for value in inputs):
        return values
    if not torch.is_autocast_enabled(inputs[0].device.type):
        return values  # which is refused
    for value in inputs[1:]:
        dtype = torch.promote_types(dtype, value.dtype)
    return [*(value.to(dtype) for value in inputs), *values[num_inputs:]]
