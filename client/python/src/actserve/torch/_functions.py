"""What autograd sees where operators do not serve.

Eager is the quick way of plain tensors. The others serve the transforms of
torch.func and forward mode, which operators have not; they have the signatures
of the operators, and compute by them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from actserve._bridge import Evaluator, evaluator
from actserve.torch import _kernels, _rules, _shared
from actserve.torch._memory import NUMPY_DTYPES
from actserve.torch._quick import _is_legacy, gradient, is_watched

_top_hooks = getattr(
    torch._C._autograd, "_top_saved_tensors_default_hooks", None
)


# A backward() of grad_output and wrt alone.
FromResidual = Callable[..., list[torch.Tensor]]


def computed(
    of: Evaluator, values: Sequence[torch.Tensor]
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...], FromResidual | None]:
    """Returns y, computed for a gradient by the cheapest way.

    And what is to be saved beside the values, which the gradient of the
    gradient needs: partials; and how a server has it that keeps them itself.
    """
    way = _way(of, values[0].dtype)
    if (
        of.spec.gradient == "auto"
        and _shared.is_cuda(values[0])
        and _shared.way(of, values) is not None
    ):
        # What stays where it is costs nothing to send again.
        way = "stateless"
    # Who saves tensors elsewhere keeps none at a server.
    if way == "stateless" or (
        way == "residual" and _top_hooks is not None and _top_hooks(True)
    ):
        return _kernels.forward(of, values), (), None
    if way == "partials":
        y, partial = _kernels.forward_with_partials(of, values)
        return y, (partial,), None
    y, from_residual = _kernels.forward_with_residual(of, values)
    return y, (), from_residual


def gradients(
    of: Evaluator,
    saved: Sequence[torch.Tensor],
    from_residual: FromResidual | None,
    grad_output: torch.Tensor,
    needs: Sequence[bool],
) -> list[torch.Tensor | None]:
    """Returns those of the values that `needs` says, and None elsewhere.

    Args:
      of: That of computed().
      saved: The values, and what it says.
      from_residual: That of computed().
      grad_output: dL/dy.
      needs: For each value.
    """
    if len(saved) > len(needs):
        return [grad_output * saved[-1]]
    wrt = _rules.wanted(needs)
    if from_residual is not None:
        found = from_residual(grad_output, wrt)
    else:
        found = _kernels.backward(of, saved, grad_output, wrt)
    return _rules.placed(found, wrt, len(needs))


def sees_gradient(grad_output: torch.Tensor) -> bool:
    """Returns whether somebody looks at how a gradient is computed."""
    return (
        type(grad_output) is not torch.Tensor
        or torch.is_grad_enabled()
        or is_watched()
        or _is_legacy(grad_output)
    )


class Eager(torch.autograd.Function):
    """y, computed for a gradient."""

    @staticmethod
    def forward(
        ctx: Any, of: Evaluator, spec: str, *values: torch.Tensor
    ) -> torch.Tensor:
        y, kept, ctx.from_residual = computed(of, values)
        ctx.save_for_backward(*values, *kept)
        ctx.of, ctx.spec = of, spec
        return y

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> Any:
        saved = ctx.saved_tensors
        needs = ctx.needs_input_grad[2:]
        if sees_gradient(grad_output):
            values = saved[: len(needs)]
            found = gradient(ctx.spec, values, grad_output, needs)
        else:
            found = gradients(
                ctx.of, saved, ctx.from_residual, grad_output, needs
            )
        return (None, None, *found)


@functools.lru_cache(maxsize=1024)
def _way(of: Evaluator, dtype: torch.dtype) -> str:
    return of.gradient_way(NUMPY_DTYPES[dtype], keeps=True)


class Calls:
    """Functions with the signatures of the operators, for torch.func."""

    @staticmethod
    def forward(values: Any, spec: str) -> Any:
        return _Forward.apply(spec, *values)

    @staticmethod
    def forward_with_partials(values: Any, spec: str) -> Any:
        return _ForwardWithPartials.apply(spec, *values)

    @staticmethod
    def backward(values: Any, grad_output: Any, wrt: Any, spec: str) -> Any:
        return _Backward.apply(spec, tuple(wrt), grad_output, *values)

    @staticmethod
    def second_order(
        values: Any,
        grad_output: Any,
        cotangents: Any,
        by: Any,
        wrt: Any,
        spec: str,
    ) -> Any:
        return _SecondOrder.apply(
            spec, tuple(by), tuple(wrt), grad_output, *values, *cotangents
        )

    @staticmethod
    def jvp(values: Any, tangents: Any, by: Any, spec: str) -> Any:
        return _Jvp.apply(spec, tuple(by), *values, *tangents)


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(spec: str, *values: torch.Tensor) -> Any:
        return torch.ops.actserve.forward(values, spec)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.spec, *values = inputs
        ctx.save_for_backward(*values)
        ctx.save_for_forward(*values)

    @staticmethod
    def backward(ctx: Any, grad_output: Any) -> Any:
        found = _rules.gradient_of_forward(
            Calls,
            ctx.saved_tensors,
            grad_output,
            ctx.needs_input_grad[1:],
            ctx.spec,
        )
        return (None, *found)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Any) -> Any:
        values = ctx.saved_tensors
        by, moving = _moving(tangents)
        if _is_diagonal(ctx.spec, values):
            # Then it is what the gradient is, and can be differentiated so.
            terms = [
                Calls.backward(values, tangent, [place], ctx.spec)[0]
                for place, tangent in zip(by, moving, strict=True)
            ]
            return sum(terms[1:], terms[0])
        return Calls.jvp(values, moving, by, ctx.spec)

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: str, *values: Any) -> Any:
        return _rules.batched_forward(
            Calls, info, (in_dims[1:], None), values, spec
        )


class _ForwardWithPartials(torch.autograd.Function):
    @staticmethod
    def forward(spec: str, *values: torch.Tensor) -> Any:
        return torch.ops.actserve.forward_with_partials(values, spec)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.spec, x = inputs
        ctx.save_for_backward(x, output[1])
        ctx.save_for_forward(x, output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, of_y: Any, of_partial: Any) -> Any:
        x, partial = ctx.saved_tensors
        return None, _rules.gradient_of_partials(
            Calls, x, partial, of_y, of_partial, ctx.spec
        )

    @staticmethod
    def jvp(ctx: Any, _: None, tangent: Any) -> Any:
        x, partial = ctx.saved_tensors
        (moved,) = Calls.second_order(
            [x], torch.ones_like(partial), [tangent], [0], [0], ctx.spec
        )
        return partial * tangent, moved

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: str, *values: Any) -> Any:
        return _rules.batched_forward_with_partials(
            Calls, info, (in_dims[1:], None), values, spec
        )


class _Backward(torch.autograd.Function):
    @staticmethod
    def forward(
        spec: str, wrt: tuple[int, ...], grad_output: Any, *values: Any
    ) -> Any:
        return tuple(
            torch.ops.actserve.backward(values, grad_output, wrt, spec)
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.spec, ctx.wrt, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        grad_output, *values = ctx.saved_tensors
        needs = ctx.needs_input_grad
        *found, of_grad_output = _rules.gradient_of_backward(
            Calls,
            values,
            grad_output,
            cotangents,
            ctx.wrt,
            [*needs[3:], needs[2]],
            ctx.spec,
        )
        return (None, None, of_grad_output, *found)

    @staticmethod
    def jvp(ctx: Any, _: None, __: None, moved: Any, *tangents: Any) -> Any:
        # The matrix of second derivatives is symmetric.
        grad_output, *values = ctx.saved_tensors
        of = evaluator(ctx.spec)
        if of.info.declared_gradient and len(values) > 1:
            raise NotImplementedError(
                f"forward mode over the gradient of {of.name}, which its "
                f"author declared: there is none for several variables"
            )
        by, moving = _moving(tangents)
        terms = []
        if by:
            terms.append(
                Calls.second_order(
                    values, grad_output, moving, by, ctx.wrt, ctx.spec
                )
            )
        if moved is not None:
            terms.append(Calls.backward(values, moved, ctx.wrt, ctx.spec))
        if len(terms) == 1:
            return terms[0]
        return tuple(a + b for a, b in zip(*terms, strict=True))

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Any,
        spec: str,
        wrt: Any,
        grad_output: Any,
        *values: Any,
    ) -> Any:
        found, dims = _rules.batched_backward(
            Calls,
            info,
            (in_dims[3:], in_dims[2], None, None),
            values,
            grad_output,
            wrt,
            spec,
        )
        return tuple(found), tuple(dims)


class _SecondOrder(torch.autograd.Function):
    @staticmethod
    def forward(
        spec: str, by: Any, wrt: Any, grad_output: Any, *tensors: Any
    ) -> Any:
        n = len(tensors) - len(by)
        return tuple(
            torch.ops.actserve.second_order(
                tensors[:n], grad_output, tensors[n:], by, wrt, spec
            )
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise RuntimeError(_rules.THIRD)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise RuntimeError(_rules.THIRD)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Any,
        spec: str,
        by: Any,
        wrt: Any,
        grad_output: Any,
        *tensors: Any,
    ) -> Any:
        n = len(tensors) - len(by)
        dims = in_dims[4:]
        found, out_dims = _rules.batched_second_order(
            Calls,
            info,
            (dims[:n], in_dims[3], dims[n:]),
            tensors[:n],
            grad_output,
            tensors[n:],
            by,
            wrt,
            spec,
        )
        return tuple(found), tuple(out_dims)


class _Jvp(torch.autograd.Function):
    @staticmethod
    def forward(spec: str, by: Any, *tensors: Any) -> Any:
        n = len(tensors) - len(by)
        return torch.ops.actserve.jvp(tensors[:n], tensors[n:], by, spec)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.spec, ctx.by, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, cotangent: Any) -> Any:
        tensors = ctx.saved_tensors
        n = len(tensors) - len(ctx.by)
        needs = ctx.needs_input_grad[2:]
        by_value, by_tangent = _rules.gradient_of_jvp(
            Calls,
            tensors[:n],
            tensors[n:],
            ctx.by,
            cotangent,
            needs[:n],
            needs[n:],
            ctx.spec,
        )
        return (None, None, *by_value, *by_tangent)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(
            "actserve: forward mode over forward mode serves element-wise "
            "functions without parameters that are tensors; take jacfwd over "
            "jacrev"
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: str, by: Any, *tensors: Any) -> Any:
        n = len(tensors) - len(by)
        dims = in_dims[2:]
        return _rules.batched_jvp(
            Calls,
            info,
            (dims[:n], dims[n:]),
            tensors[:n],
            tensors[n:],
            by,
            spec,
        )


def _moving(tangents: Sequence[Any]) -> tuple[list[int], list[Any]]:
    """Returns the places of what moves, and how."""
    by = [place for place, t in enumerate(tangents) if t is not None]
    return by, [tangents[place] for place in by]


def _is_diagonal(spec: str, values: Sequence[torch.Tensor]) -> bool:
    """Returns whether each element of y depends on one of each value alone.

    And the gradient is linear in dL/dy.
    """
    of = evaluator(spec)
    return (
        not of.reads_rows
        and not of.info.declared_gradient
        and not of.spec.parameters
        and of.spec.split_axis is None
        and all(value.shape == values[0].shape for value in values)
    )
