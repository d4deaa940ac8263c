"""Values and gradients of plain tensors: no autograd, no transforms.

`values` are the inputs and then the parameters of a Spec, as everywhere in
this package. `wrt` and `of` are places in `values`; len(values) stands for
dL/dy. Results are laid out as their variable is if that is dense, else
contiguous, and never share memory with an argument.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

from actserve._arrays.rooms import GRAD_OUTPUT
from actserve._bridge import Evaluator, evaluator
from actserve._errors import ActivationError
from actserve._residual import Residual
from actserve.torch import _axes, _memory, _shared
from actserve.torch._threads import following

Tensors = Sequence[torch.Tensor]
_T = TypeVar("_T")


def check(of: Evaluator, values: Tensors) -> None:
    """Refuses values that no call can carry.

    Raises:
      TypeError: A dtype or layout is none that is supported; the inputs have
        several dtypes; or tensors are on several devices.
      ValueError: There are too few or too many inputs.
    """
    first = values[0]
    if (
        len(values) == 1 == len(of.variables)
        and first.dtype in _memory.NUMPY_DTYPES
        and first.layout is torch.strided
    ):
        return
    num_parameters = len(of.spec.parameters)
    num_inputs = len(values) - num_parameters
    if num_inputs != len(of.inputs):
        names = "one tensor" if of.spec.split_axis is not None else of.inputs
        if not isinstance(names, str):
            names = f"{len(names)} ({', '.join(names)})"
        raise ValueError(f"{of.name} takes {names}, not {num_inputs}")
    for place, value in enumerate(values):
        if value.dtype not in _memory.NUMPY_DTYPES:
            raise TypeError(
                f"{_called(of, place)} has dtype {value.dtype}, none of "
                f"float16, bfloat16, float32, float64"
            )
        if value.layout is not torch.strided:
            raise TypeError(
                f"{_called(of, place)} has layout {value.layout}, not strided"
            )
        if place < num_inputs and value.dtype is not first.dtype:
            raise TypeError(
                f"{_called(of, place)} has dtype {value.dtype}, "
                f"{_called(of, 0)} {first.dtype}: give all inputs one dtype"
            )
        if value.device != first.device and not (
            place >= num_inputs and value.dim() == 0
        ):
            raise TypeError(
                f"{_called(of, place)} is on {value.device}, "
                f"{_called(of, 0)} on {first.device}"
            )


def _called(of: Evaluator, place: int) -> str:
    num_inputs = len(of.inputs)
    if place < num_inputs:
        name = of.inputs[place]
        return f"the input of {of.name}" if name == "*" else f"input {name!r}"
    return f"parameter {of.spec.parameters[place - num_inputs][0]!r}"


def names(of: Evaluator, places: Sequence[int]) -> list[str]:
    """Returns the names of variables, and of dL/dy."""
    known = (*of.variables, GRAD_OUTPUT)
    return [known[place] for place in places]


class _Laid:
    """The values of a call as they are computed: contiguous.

    On the host; or on their GPU, if they are shared with a server.
    """

    def __init__(
        self,
        of: Evaluator,
        values: Tensors,
        results: Tensors = (),
        directions: Tensors = (),
        by: Sequence[int] = (),
        shared: _shared.Shared | None = None,
    ):
        """Takes the values of a call.

        Args:
          of: What is evaluated.
          values: Its variables.
          results: Tensors of the shape of y.
          directions: Tensors of the shapes of the variables `by`.
          by: Places in `values`.
          shared: How they are shared.
        """
        num_inputs = len(values) - len(of.spec.parameters)
        self._is_shared = shared is not None
        if shared is not None:
            of = shared.evaluator()
        self._device = values[0].device
        self._num_inputs = num_inputs
        self._order = _axes.order_in_memory(of, values)
        self._back = _axes.inverse(self._order)
        if self._order:
            ranks = tuple(value.dim() for value in values[num_inputs:])
            spec = _axes.moved(of.spec, self._order, ranks)
            assert spec is not None
            of = evaluator(spec)
        self.of = following(of)
        laid = [
            *(self._like_input(value) for value in values[:num_inputs]),
            *values[num_inputs:],
            *map(self._like_input, results),
            *(
                self._like_input(tensor) if place < num_inputs else tensor
                for place, tensor in zip(by, directions, strict=True)
            ),
        ]
        # The others are parameters, or belong to them.
        like_inputs = [
            *(place < num_inputs for place in range(len(values))),
            *(True for _ in results),
            *(place < num_inputs for place in by),
        ]
        arrays = self._arrays(laid, like_inputs)
        self._dtype = values[0].dtype
        self.arrays, self.others = arrays[: len(values)], arrays[len(values) :]

    def _arrays(self, tensors: Tensors, like_inputs: Sequence[bool]) -> Any:
        if not self._is_shared:
            return [_memory.array(t) for t in _memory.to_host(tensors)]
        arrays = iter(
            _memory.to_host(
                [
                    tensor
                    for tensor, like in zip(tensors, like_inputs, strict=True)
                    if not like
                ]
            )
        )
        return [
            self.array(_shared.contiguous(tensor))
            if like
            else _memory.array(next(arrays))
            for tensor, like in zip(tensors, like_inputs, strict=True)
        ]

    def of_result(self, tensor: torch.Tensor) -> Any:
        """Returns a tensor of the shape of y as it is computed with."""
        return self._arrays([self._like_input(tensor)], [True])[0]

    def _like_input(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.permute(self._order) if self._order else tensor

    def result(self, found: Any) -> torch.Tensor:
        """Returns y, or what is laid out so, for the caller."""
        if not isinstance(found, torch.Tensor):
            found = _memory.tensor(found)
        found = _memory.to_device(found, self._device)
        return found.permute(self._back) if self._order else found

    def variables(
        self, wrt: Sequence[int], found: Sequence[Any]
    ) -> list[torch.Tensor]:
        """Returns gradients for the caller; len(values) stands for dL/dy."""
        return [
            self.result(value)
            if place < self._num_inputs or place == len(self.arrays)
            else _memory.to_device(_memory.tensor(value), self._device)
            for place, value in zip(wrt, found, strict=True)
        ]

    def empty(self) -> torch.Tensor:
        """Returns room for y."""
        shapes = [array.shape for array in self.arrays[: self._num_inputs]]
        shape = self.of.result_shape(shapes)
        empty = _shared.empty if self._is_shared else _memory.empty
        return empty(shape, self._dtype, self._device)

    def array(self, tensor: torch.Tensor) -> Any:
        """Returns the memory of a tensor that is laid out."""
        return (_shared if self._is_shared else _memory).array(tensor)

    def shared_room(self) -> Any:
        """Returns an array for what is like y; None: it needs none."""
        return self.array(self.empty()) if self._is_shared else None

    def shared_rooms(self, wrt: Sequence[int]) -> dict[str, Any] | None:
        """Returns arrays for gradients by name; None: they need none.

        Those of parameters are computed on the host.
        """
        if not self._is_shared:
            return None
        num_values = len(self.arrays)
        return {
            name: self.array(
                _shared.empty(
                    self.arrays[place % num_values].shape,
                    self._dtype,
                    self._device,
                )
            )
            for place, name in zip(wrt, names(self.of, wrt), strict=True)
            if place < self._num_inputs or place == num_values
        }


def _compute(
    compute: Callable[[_Laid], _T],
    of: Evaluator,
    values: Tensors,
    results: Tensors = (),
    directions: Tensors = (),
    by: Sequence[int] = (),
) -> _T:
    """Returns what `compute` makes of the values of a call, laid out."""
    shared = _shared.way(of, values)
    if shared is not None:
        try:
            return compute(_Laid(of, values, results, directions, by, shared))
        except ActivationError as error:
            shared.failed(error)
    return compute(_Laid(of, values, results, directions, by))


def _is_simple(of: Evaluator, values: Tensors) -> bool:
    """Returns whether the one value is computed as it lies."""
    x = values[0]
    return (
        len(values) == 1
        and x.is_cpu
        and not _shared.is_cuda(x)
        and x.is_contiguous()
        and of.spec.split_axis is None
        and not x.is_neg()
    )


def forward_one(of: Evaluator, x: torch.Tensor) -> torch.Tensor:
    """Returns y of one contiguous tensor of the host, which is no gate's."""
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    following(of).forward((_memory.array(x),), _memory.array(y))
    return y


def backward_one(
    of: Evaluator, x: torch.Tensor, grad_output: torch.Tensor
) -> torch.Tensor:
    """Returns dL/dx of what forward_one() takes; grad_output too."""
    found = following(of).backward(
        (_memory.array(x),), _memory.array(grad_output), of.variables
    )
    return _memory.tensor(found[0])


def forward(of: Evaluator, values: Tensors) -> torch.Tensor:
    """Returns y."""
    if _is_simple(of, values):
        return forward_one(of, values[0])

    def compute(laid: _Laid) -> torch.Tensor:
        y = laid.empty()
        laid.of.forward(laid.arrays, out=laid.array(y))
        return laid.result(y)

    return _compute(compute, of, values)


def forward_with_partials(
    of: Evaluator, values: Tensors
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns y and dy/dx of an activation of one input."""

    def compute(laid: _Laid) -> tuple[torch.Tensor, torch.Tensor]:
        y, (partial,) = laid.of.forward_with_partials(
            laid.arrays, laid.shared_room(), laid.shared_rooms([0])
        )
        return laid.result(y), laid.result(partial)

    return _compute(compute, of, values)


def forward_with_residual(
    of: Evaluator, values: Tensors
) -> tuple[torch.Tensor, Callable[..., list[torch.Tensor]]]:
    """Returns y, and a backward() of grad_output and wrt alone."""

    def compute(laid: _Laid) -> tuple[torch.Tensor, _Laid, Residual | None]:
        y, residual = laid.of.forward_with_residual(
            laid.arrays, laid.shared_room()
        )
        return laid.result(y), laid, residual

    y, laid, residual = _compute(compute, of, values)
    return y, functools.partial(_from_residual, of, values, laid, residual)


def _from_residual(
    of: Evaluator,
    values: Tensors,
    laid: _Laid,
    residual: Residual | None,
    grad_output: torch.Tensor,
    wrt: Sequence[int],
) -> list[torch.Tensor]:
    try:
        found = laid.of.backward(
            laid.arrays,
            laid.of_result(grad_output),
            names(laid.of, wrt),
            residual=residual,
            out=laid.shared_rooms(wrt),
        )
    except ActivationError as error:
        shared = _shared.way(of, values)
        if shared is None:
            raise
        shared.failed(error)
        return backward(of, values, grad_output, wrt)
    return laid.variables(wrt, found)


def backward(
    of: Evaluator,
    values: Tensors,
    grad_output: torch.Tensor,
    wrt: Sequence[int],
) -> list[torch.Tensor]:
    """Returns dL/d(variable) for each of `wrt`."""
    if (
        _is_simple(of, values)
        and grad_output.is_contiguous()
        and not grad_output.is_neg()
    ):
        return [backward_one(of, values[0], grad_output)]

    def compute(laid: _Laid) -> list[torch.Tensor]:
        found = laid.of.backward(
            laid.arrays,
            laid.others[0],
            names(laid.of, wrt),
            out=laid.shared_rooms(wrt),
        )
        return laid.variables(wrt, found)

    return _compute(compute, of, values, [grad_output])


def second_order(
    of: Evaluator,
    values: Tensors,
    grad_output: torch.Tensor,
    cotangents: Tensors,
    by: Sequence[int],
    wrt: Sequence[int],
) -> list[torch.Tensor]:
    """Returns the gradients of sum(cotangent * gradient of backward()).

    `by` are the variables of the cotangents.
    """

    def compute(laid: _Laid) -> list[torch.Tensor]:
        upstream, *directions = laid.others
        found = laid.of.second_order(
            laid.arrays,
            upstream,
            dict(zip(names(of, by), directions, strict=True)),
            names(of, wrt),
            laid.shared_rooms(wrt),
        )
        return laid.variables(wrt, found)

    return _compute(compute, of, values, [grad_output], cotangents, by)


def jvp(
    of: Evaluator, values: Tensors, tangents: Tensors, by: Sequence[int]
) -> torch.Tensor:
    """Returns how y moves; `by` are the variables of the tangents."""

    def compute(laid: _Laid) -> torch.Tensor:
        _, tangent = laid.of.jvp(
            laid.arrays,
            dict(zip(names(of, by), laid.others, strict=True)),
            laid.shared_room(),
            laid.shared_room(),
        )
        return laid.result(tangent)

    return _compute(compute, of, values, [], tangents, by)
