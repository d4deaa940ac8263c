"""The quick way: one plain tensor, computed in this process.

Between two calls PyTorch's own code fills the caches of the processor, so that
every line here is paid for: it counts up to a megabyte.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.autograd import forward_ad

from actserve._address import LOCAL
from actserve._bridge import evaluator
from actserve._client import Client
from actserve._errors import ActivationError
from actserve.torch import _rules
from actserve.torch._memory import NUMPY_DTYPES, array, tensor
from actserve.torch._threads import following

# The types whose calls nobody else sees.
PLAIN = (torch.Tensor, torch.nn.Parameter)
# For which a Plan keeps its calls.
_MAX_SHAPES = 256
_functorch = torch._C._are_functorch_transforms_active
_num_modes = torch._C._len_torch_dispatch_stack
_tracer = torch._C._get_tracing_state
_is_legacy = torch._C._functorch.is_legacy_batchedtensor


class Plan:
    """How a Spec of one variable is computed here, for tensors of a dtype.

    Calls of a shape that was there before go by the addresses of tensors.
    """

    def __init__(
        self,
        text: str,
        dtype: torch.dtype,
        client: Client,
        activation: Any,
        name: str,
    ):
        self.text = text
        self.dtype = dtype
        self._client = client
        self._activation = activation
        self._name = name
        self._wrt = (name,)
        # By shape.
        self._forwards: dict[torch.Size, Any] = {}
        self._backwards: dict[torch.Size, Any] = {}

    def address(self, x: torch.Tensor) -> int:
        """Returns where the elements of a tensor of a plain type lie.

        0 if they are not here, in order, and as they are.
        """
        try:
            if (
                x.dtype is self.dtype
                and x.is_cpu
                and x.is_contiguous()
                and not x.is_neg()
                and not x.is_nested
            ):
                address: int = x.data_ptr()
                return address
        except RuntimeError:  # It is sparse, or belongs to a transform.
            pass
        return 0

    def forward(self, x: torch.Tensor, address: int) -> torch.Tensor:
        """Returns y of a tensor at an address()."""
        run = self._forwards.get(x.shape)
        if run is not None:
            y = torch.empty_like(x)
            failure = run(address, y.data_ptr())
            if failure is None:
                return y
            self._forget(failure)
        given = array(x)
        y = tensor(self._client.forward(self._activation, given))
        prepared = self._client._prepared(
            False, self._activation, (given,), None, 0
        )
        _keep(self._forwards, x.shape, prepared)
        return y

    def backward(
        self, x: torch.Tensor, grad_output: torch.Tensor
    ) -> torch.Tensor | None:
        """Returns dL/dx; None if a tensor has no address()."""
        address = self.address(x)
        upstream_address = self.address(grad_output)
        if not upstream_address and grad_output.layout is torch.strided:
            grad_output = grad_output.contiguous()
            upstream_address = self.address(grad_output)
        if not (address and upstream_address):
            return None
        run = self._backwards.get(x.shape)
        if run is not None:
            found = torch.empty_like(x)
            failure = run(address, upstream_address, found.data_ptr())
            if failure is None:
                return found
            self._forget(failure)
        given, upstream = array(x), array(grad_output)
        named = self._client.backward(
            self._activation, given, grad_output=upstream, wrt=self._wrt
        )
        prepared = self._client._prepared(
            True, self._activation, (given,), upstream, self._wrt
        )
        _keep(self._backwards, x.shape, prepared)
        return tensor(named[self._name])

    def _forget(self, failure: Any) -> None:
        """Raises the error of a call; or the client is asked anew."""
        self._forwards.clear()
        self._backwards.clear()
        if failure is False:
            return
        try:
            self._client._after_failure(self._activation, failure)
        except ActivationError:
            if self._client._fast is not None:
                raise
            # It is closed, which it says itself.


def _keep(calls: dict[torch.Size, Any], shape: torch.Size, found: Any) -> None:
    if found is None:
        return
    if len(calls) >= _MAX_SHAPES:
        calls.clear()
    calls[shape] = found.run


@functools.lru_cache(maxsize=1024)
def _plan(text: str, dtype: torch.dtype, num_threads: int) -> Plan | None:
    if dtype not in NUMPY_DTYPES:
        return None
    of = evaluator(text)
    if len(of.variables) != 1 or of.spec.split_axis is not None:
        return None
    of = following(of)
    plain = of.plain_call()
    if plain is None or plain[0].address != LOCAL:
        return None
    if of.gradient_way(NUMPY_DTYPES[dtype], keeps=True) != "stateless":
        return None
    return Plan(text, dtype, *plain, of.variables[0])


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
        or forward_ad._current_level >= 0
        or _num_modes()
        or _tracer() is not None
    ):
        return None
    plan = _plan(text, x.dtype, torch.get_num_threads())
    if plan is None:
        return None
    address = plan.address(x)
    if not address:
        return None
    if x.requires_grad and torch.is_grad_enabled():
        y: torch.Tensor = _Quick.apply(plan, x, address)
        return y
    return plan.forward(x, address)


class _Quick(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, plan: Plan, x: torch.Tensor, address: int
    ) -> torch.Tensor:
        ctx.plan = plan
        ctx.save_for_backward(x)
        return plan.forward(x, address)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> Any:
        # What saves tensors elsewhere may give another x than there was.
        (x,) = ctx.saved_tensors
        plan = ctx.plan
        if not (
            torch.is_grad_enabled()
            or type(grad_output) is not torch.Tensor
            or type(x) not in PLAIN
            or forward_ad._current_level >= 0
            or _num_modes()
        ):
            found = plan.backward(x, grad_output)
            if found is not None:
                return None, found, None
        (found,) = gradient(plan.text, (x,), grad_output, (True,))
        return None, found, None


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
