"""Activations that do not need one another, computed at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

import actserve
from actserve import _overlap
from actserve._address import LOCAL
from actserve._bridge import Evaluator, clients, evaluator
from actserve.torch import _functions, _kernels
from actserve.torch._call import _is_plain, _promoted, _wants_gradient, call
from actserve.torch._function import spec_of
from actserve.torch._layer import Activation
from actserve.torch._quick import gradient, is_transformed

Tensors = Sequence[torch.Tensor]


def apply_many(
    calls: Iterable[Sequence[Any]],
    *,
    client: actserve.Client | str | None = None,
    gradient: str = "auto",
    fallback: str | None = None,
    wire_dtype: str | None = None,
    timeout: float | None = None,
) -> list[torch.Tensor]:
    """Returns [f(*inputs) for f, *inputs in calls], differentiable.

    At servers all of them are computed at the same time, and so are their
    gradients: it takes the time of the longest, not of all. For activations
    that do not need one another, such as the gates of a cell or several heads.
    In this process, in graphs of a compiler, and under torch.func they are
    computed one after the other. The numbers are those of apply().

    >>> x = torch.tensor([-1.0, 0.0, 2.0])
    >>> gate = actserve.torch.Activation("sigmoid")
    >>> a, b = actserve.torch.apply_many([("relu", x), (gate, x)])
    >>> print(a.tolist(), b[1].item())
    [0.0, 0.0, 2.0] 0.5

    Args:
      calls: For each its inputs behind an activation as of apply(), or behind
        an Activation: a layer, which has options and parameters of its own.
      client: As of apply(); for those that are not layers, as are the others.
      gradient: As of apply().
      fallback: As of apply().
      wire_dtype: As of apply().
      timeout: As of apply(); for each call.

    Raises: as apply() of the first that fails, in order; the others have ended
      then.
    """
    options = (None, None, 0, gradient, fallback, wire_dtype, timeout)
    many = []
    for i, (activation, *inputs) in enumerate(calls):
        if not inputs:
            raise ValueError(f"calls[{i}] has no input")
        if isinstance(activation, Activation):
            text, parameters = activation._call()
        else:
            text = spec_of(activation, client, (), (), *options)
            parameters = []
        many.append((text, [*inputs, *parameters], len(inputs)))
    if not _overlaps(many):
        return [call(*each) for each in many]
    texts = [text for text, _, _ in many]
    ofs = list(map(evaluator, texts))
    values = [_promoted(given, count) for _, given, count in many]
    for of, given in zip(ofs, values, strict=True):
        _kernels.check(of, given)
    flat = [value for given in values for value in given]
    if not _wants_gradient(flat):
        return _overlap.run_all(
            [
                _quietly(_kernels.forward, of, given)
                for of, given in zip(ofs, values, strict=True)
            ]
        )
    return list(_Many.apply(ofs, texts, list(map(len, values)), *flat))


def _overlaps(many: Sequence[tuple[str, Tensors, int]]) -> bool:
    """Returns whether several calls go to servers, and nobody looks on."""
    if torch.compiler.is_compiling() or is_transformed() or len(many) < 2:
        return False
    for _, values, _ in many:
        if not all(isinstance(value, torch.Tensor) for value in values):
            return False  # and is refused
        if not _is_plain(values):
            return False
    return any(
        clients.client_for(evaluator(text).spec.client).address != LOCAL
        for text, _, _ in many
    )


def _quietly(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    """Returns a call for another thread, whose modes are its own."""

    def run() -> Any:
        with torch.no_grad():
            return function(*args)

    return run


class _Many(torch.autograd.Function):
    """All results, each computed as Eager does."""

    @staticmethod
    def forward(
        ctx: Any,
        ofs: Sequence[Evaluator],
        texts: Sequence[str],
        sizes: Sequence[int],
        *flat: torch.Tensor,
    ) -> Any:
        values = _parts(flat, sizes)
        found = _overlap.run_all(
            [
                _quietly(_functions.computed, of, tensors)
                for of, tensors in zip(ofs, values, strict=True)
            ]
        )
        ctx.ofs, ctx.texts, ctx.sizes = ofs, texts, sizes
        ctx.num_kept = [len(kept) for _, kept, _ in found]
        ctx.from_residuals = [each for _, _, each in found]
        ctx.save_for_backward(
            *flat, *(tensor for _, kept, _ in found for tensor in kept)
        )
        # A result that no loss needs has no gradient, and no call.
        ctx.set_materialize_grads(False)
        return tuple(y for y, _, _ in found)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor | None) -> Any:
        num_values = sum(ctx.sizes)
        saved = ctx.saved_tensors
        values = _parts(saved[:num_values], ctx.sizes)
        kept = _parts(saved[num_values:], ctx.num_kept)
        needs = _parts(ctx.needs_input_grad[3:], ctx.sizes)
        found: list[Any] = [[None] * size for size in ctx.sizes]
        places = [
            i
            for i, grad_output in enumerate(grad_outputs)
            if grad_output is not None and any(needs[i])
        ]
        if any(_functions.sees_gradient(grad_outputs[i]) for i in places):
            for i in places:
                found[i] = gradient(
                    ctx.texts[i], values[i], grad_outputs[i], needs[i]
                )
        else:
            at_once = _overlap.run_all(
                [
                    _quietly(
                        _functions.gradients,
                        ctx.ofs[i],
                        (*values[i], *kept[i]),
                        ctx.from_residuals[i],
                        grad_outputs[i],
                        needs[i],
                    )
                    for i in places
                ]
            )
            for i, gradients in zip(places, at_once, strict=True):
                found[i] = gradients
        return (None, None, None, *(g for part in found for g in part))


def _parts(flat: Sequence[Any], sizes: Sequence[int]) -> list[Sequence[Any]]:
    """Returns consecutive parts of these sizes."""
    parts = []
    begin = 0
    for size in sizes:
        parts.append(flat[begin : begin + size])
        begin += size
    return parts
