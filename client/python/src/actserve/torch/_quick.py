"""The quick way: one plain tensor, computed in this process.

Between two calls PyTorch's own code fills the caches of the processor, so that
every line here is paid for: it counts up to a megabyte.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from actserve._address import LOCAL
from actserve._bridge import evaluator
from actserve.torch import _rules
from actserve.torch._memory import NUMPY_DTYPES, Array, array, tensor
from actserve.torch._threads import following

# The types whose calls nobody else sees.
PLAIN = (torch.Tensor, torch.nn.Parameter)
_functorch = torch._C._are_functorch_transforms_active
_num_modes = torch._C._len_torch_dispatch_stack
_tracer = torch._C._get_tracing_state
_is_legacy = torch._C._functorch.is_legacy_batchedtensor


class Plan:
    """How a Spec of one variable is computed here."""

    def __init__(self, text: str, client: Any, activation: Any, name: str):
        self.text = text
        self._client = client
        self._activation = activation
        self._name = name
        self._wrt = (name,)

    def forward(self, x: Array) -> torch.Tensor:
        """Returns y."""
        return tensor(self._client.forward(self._activation, x))

    def backward(self, x: Array, grad_output: Array) -> torch.Tensor:
        """Returns dL/dx."""
        found = self._client.backward(
            self._activation, x, grad_output=grad_output, wrt=self._wrt
        )
        return tensor(found[self._name])


@functools.lru_cache(maxsize=1024)
def _plan(text: str, num_threads: int) -> Plan | None:
    of = evaluator(text)
    if len(of.variables) != 1 or of.spec.split_axis is not None:
        return None
    of = following(of)
    plain = of.plain_call()
    if plain is None or plain[0].address != LOCAL:
        return None
    if of.gradient_way(np.dtype(np.float32), keeps=True) != "stateless":
        return None
    return Plan(text, *plain, of.variables[0])


def is_watched() -> bool:
    """Returns whether a transform, a mode or a tracer looks at operators."""
    return is_transformed() or _num_modes() > 0 or _tracer() is not None


def is_transformed() -> bool:
    """Returns whether a transform of torch.func, or forward mode, is on."""
    return bool(_functorch() or forward_ad._current_level >= 0)


def quick(text: str, x: torch.Tensor) -> torch.Tensor | None:
    """Returns y for a tensor that nobody watches; None: take another way."""
    if (
        type(x) not in PLAIN
        or x.dtype not in NUMPY_DTYPES
        or forward_ad._current_level >= 0
        or _num_modes()
        or _tracer() is not None
    ):
        return None
    try:
        # Raise for what has no plain memory here.
        if not x.is_contiguous():
            return None
        given = array(x)
    except (RuntimeError, TypeError):
        return None
    plan = _plan(text, torch.get_num_threads())
    if plan is None:
        return None
    if x.requires_grad and torch.is_grad_enabled():
        return _Quick.apply(plan, given, x)
    return plan.forward(given)


class _Quick(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, plan: Plan, given: Array, x: torch.Tensor
    ) -> torch.Tensor:
        ctx.plan = plan
        ctx.save_for_backward(x)
        return plan.forward(given)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        if not (
            torch.is_grad_enabled()
            or type(grad_output) is not torch.Tensor
            or forward_ad._current_level >= 0
            or _num_modes()
        ):
            try:
                # As in quick(); it may be negated too.
                upstream = array(grad_output.contiguous())
            except (RuntimeError, TypeError):
                pass
            else:
                return None, None, ctx.plan.backward(array(x), upstream)
        (found,) = gradient(ctx.plan.text, (x,), grad_output, (True,))
        return None, None, found


def gradient(text: str, values: Any, grad_output: Any, needs: Any) -> list[Any]:
    """Returns the gradients that `needs` says, differentiable again.

    Raises:
      NotImplementedError: Of batches that torch.func did not make.
    """
    if _is_legacy(grad_output):
        raise NotImplementedError(
            "actserve: is_grads_batched and vectorize use the batches of old; "
            "use torch.func.vmap, jacrev or jacfwd"
        )
    calls: Any = torch.ops.actserve
    if is_transformed():
        # That module needs this one.
        from actserve.torch._functions import Calls

        calls = Calls
    return _rules.gradient_of_forward(calls, values, grad_output, needs, text)
