"""The operators actserve::*, for torch.compile, export, vmap and fake tensors.

Each takes the text of a Spec, so that a graph contains all that a call needs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch

from actserve._bridge import Evaluator, evaluator
from actserve.torch import _axes, _kernels, _rules

_ops = torch.ops.actserve


@torch.library.custom_op(
    "actserve::forward",
    mutates_args=(),
    schema="(Tensor[] values, str spec) -> Tensor",
)
def forward(values: list[torch.Tensor], spec: str) -> torch.Tensor:
    """Returns y."""
    of = evaluator(spec)
    _kernels.check(of, values)
    return _kernels.forward(of, values)


@torch.library.custom_op(
    "actserve::forward_with_partials",
    mutates_args=(),
    schema="(Tensor[] values, str spec) -> (Tensor, Tensor)",
)
def forward_with_partials(
    values: list[torch.Tensor], spec: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns y and dy/dx."""
    of = evaluator(spec)
    _kernels.check(of, values)
    return _kernels.forward_with_partials(of, values)


@torch.library.custom_op(
    "actserve::backward",
    mutates_args=(),
    schema="(Tensor[] values, Tensor grad_output, int[] wrt, str spec)"
    " -> Tensor[]",
)
def backward(
    values: list[torch.Tensor],
    grad_output: torch.Tensor,
    wrt: list[int],
    spec: str,
) -> list[torch.Tensor]:
    """Returns dL/d(variable) for each of `wrt`."""
    return _kernels.backward(evaluator(spec), values, grad_output, wrt)


@torch.library.custom_op(
    "actserve::second_order",
    mutates_args=(),
    schema="(Tensor[] values, Tensor grad_output, Tensor[] cotangents, "
    "int[] by, int[] wrt, str spec) -> Tensor[]",
)
def second_order(
    values: list[torch.Tensor],
    grad_output: torch.Tensor,
    cotangents: list[torch.Tensor],
    by: list[int],
    wrt: list[int],
    spec: str,
) -> list[torch.Tensor]:
    """Returns the gradients of sum(cotangent * gradient of backward())."""
    of = evaluator(spec)
    return _kernels.second_order(of, values, grad_output, cotangents, by, wrt)


@torch.library.custom_op(
    "actserve::jvp",
    mutates_args=(),
    schema="(Tensor[] values, Tensor[] tangents, int[] by, str spec) -> Tensor",
)
def jvp(
    values: list[torch.Tensor],
    tangents: list[torch.Tensor],
    by: list[int],
    spec: str,
) -> torch.Tensor:
    """Returns how y moves, in forward mode."""
    return _kernels.jvp(evaluator(spec), values, tangents, by)


# ---- Shapes, without a call


def _fake_result(of: Evaluator, values: Sequence[torch.Tensor]) -> Any:
    num_inputs = len(values) - len(of.spec.parameters)
    first = values[0]
    together = first.shape
    if num_inputs > 1:
        together = torch.broadcast_shapes(
            *(v.shape for v in values[:num_inputs])
        )
    shape = of.shape_of_part(together)
    order = _axes.order_in_memory(of, values)
    laid = first.new_empty([shape[axis] for axis in order] or shape)
    return laid.permute(_axes.inverse(order)) if order else laid


def _fake_variable(
    of: Evaluator, values: Sequence[torch.Tensor], place: int
) -> Any:
    value = values[place]
    order = _axes.order_in_memory(of, values)
    if not order or place >= len(values) - len(of.spec.parameters):
        return value.new_empty(value.shape)
    laid = value.new_empty([value.shape[axis] for axis in order])
    return laid.permute(_axes.inverse(order))


@forward.register_fake
def _(values: list[torch.Tensor], spec: str) -> Any:
    of = evaluator(spec)
    _kernels.check(of, values)
    return _fake_result(of, values)


@forward_with_partials.register_fake
def _(values: list[torch.Tensor], spec: str) -> Any:
    of = evaluator(spec)
    _kernels.check(of, values)
    return _fake_result(of, values), _fake_variable(of, values, 0)


@backward.register_fake
def _(
    values: list[torch.Tensor],
    grad_output: torch.Tensor,
    wrt: list[int],
    spec: str,
) -> Any:
    of = evaluator(spec)
    return [_fake_variable(of, values, place) for place in wrt]


@second_order.register_fake
def _(
    values: list[torch.Tensor],
    grad_output: torch.Tensor,
    cotangents: list[torch.Tensor],
    by: list[int],
    wrt: list[int],
    spec: str,
) -> Any:
    of = evaluator(spec)
    return [
        _fake_result(of, values)
        if place == len(values)
        else _fake_variable(of, values, place)
        for place in wrt
    ]


@jvp.register_fake
def _(
    values: list[torch.Tensor],
    tangents: list[torch.Tensor],
    by: list[int],
    spec: str,
) -> Any:
    return _fake_result(evaluator(spec), values)


# ---- Gradients


def _setup_forward(ctx: Any, inputs: Any, output: Any) -> None:
    values, ctx.spec = inputs
    ctx.save_for_backward(*values)


def _forward_backward(ctx: Any, grad_output: Any) -> Any:
    found = _rules.gradient_of_forward(
        _ops,
        ctx.saved_tensors,
        grad_output,
        ctx.needs_input_grad[0],
        ctx.spec,
    )
    return found, None


def _setup_partials(ctx: Any, inputs: Any, output: Any) -> None:
    values, ctx.spec = inputs
    ctx.save_for_backward(*values, output[1])
    ctx.set_materialize_grads(False)


def _partials_backward(ctx: Any, of_y: Any, of_partial: Any) -> Any:
    x, partial = ctx.saved_tensors
    found = _rules.gradient_of_partials(
        _ops, x, partial, of_y, of_partial, ctx.spec
    )
    return [found], None


def _setup_backward(ctx: Any, inputs: Any, output: Any) -> None:
    values, grad_output, ctx.wrt, ctx.spec = inputs
    ctx.save_for_backward(*values, grad_output)


def _backward_backward(ctx: Any, cotangents: Any) -> Any:
    *values, grad_output = ctx.saved_tensors
    *found, of_grad_output = _rules.gradient_of_backward(
        _ops,
        values,
        grad_output,
        cotangents,
        ctx.wrt,
        [*ctx.needs_input_grad[0], ctx.needs_input_grad[1]],
        ctx.spec,
    )
    return found, of_grad_output, None, None


def _setup_second_order(ctx: Any, inputs: Any, output: Any) -> None:
    pass


def _refuse(ctx: Any, *gradients: Any) -> Any:
    raise RuntimeError(_rules.THIRD)


def _setup_jvp(ctx: Any, inputs: Any, output: Any) -> None:
    values, tangents, ctx.by, ctx.spec = inputs
    ctx.num_values = len(values)
    ctx.save_for_backward(*values, *tangents)


def _jvp_backward(ctx: Any, cotangent: Any) -> Any:
    saved = ctx.saved_tensors
    by_value, by_tangent = _rules.gradient_of_jvp(
        _ops,
        saved[: ctx.num_values],
        saved[ctx.num_values :],
        ctx.by,
        cotangent,
        ctx.needs_input_grad[0],
        ctx.needs_input_grad[1],
        ctx.spec,
    )
    return by_value, by_tangent, None, None


for _op, _gradient, _setup in (
    (forward, _forward_backward, _setup_forward),
    (forward_with_partials, _partials_backward, _setup_partials),
    (backward, _backward_backward, _setup_backward),
    (second_order, _refuse, _setup_second_order),
    (jvp, _jvp_backward, _setup_jvp),
):
    _op.register_autograd(_gradient, setup_context=_setup)

if hasattr(torch.library, "register_vmap"):  # from PyTorch 2.5 on
    for _op, _rule in (
        (forward, _rules.batched_forward),
        (forward_with_partials, _rules.batched_forward_with_partials),
        (backward, _rules.batched_backward),
        (second_order, _rules.batched_second_order),
        (jvp, _rules.batched_jvp),
    ):
        _op.register_vmap(functools.partial(_rule, _ops))
