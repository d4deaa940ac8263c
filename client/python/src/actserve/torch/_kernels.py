"""Values and gradients of plain tensors: no autograd, no transforms.

`values` are the inputs and then the parameters of a Spec, as everywhere in
this package. `wrt` and `of` are places in `values`; len(values) stands for
dL/dy. Results are laid out as their variable is if that is dense, else
contiguous, and never share memory with an argument.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from actserve._bridge import Evaluator, evaluator
from actserve._residual import Residual
from actserve._rooms import GRAD_OUTPUT
from actserve.torch import _axes, _memory
from actserve.torch._threads import following

Tensors = Sequence[torch.Tensor]


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
    """The values of a call as they are computed: contiguous, on the host."""

    def __init__(
        self,
        of: Evaluator,
        values: Tensors,
        results: Tensors = (),
        directions: Tensors = (),
        by: Sequence[int] = (),
    ):
        """Takes the values of a call.

        Args:
          of: What is evaluated.
          values: Its variables.
          results: Tensors of the shape of y.
          directions: Tensors of the shapes of the variables `by`.
          by: Places in `values`.
        """
        num_inputs = len(values) - len(of.spec.parameters)
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
        self._tensors = _memory.to_host(laid)
        self.arrays = [
            _memory.array(tensor) for tensor in self._tensors[: len(values)]
        ]
        self.others = [
            _memory.array(tensor) for tensor in self._tensors[len(values) :]
        ]

    def host_result(self, tensor: torch.Tensor) -> _memory.Array:
        """Returns a tensor of the shape of y as it is computed with."""
        return _memory.array(_memory.to_host([self._like_input(tensor)])[0])

    def _like_input(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.permute(self._order) if self._order else tensor

    def result(self, found: Any) -> torch.Tensor:
        """Returns y, or what is laid out so, for the caller."""
        if not isinstance(found, torch.Tensor):
            found = _memory.tensor(found)
        found = _memory.to_device(found, self._device)
        return found.permute(self._back) if self._order else found

    def variable(self, place: int, found: Any) -> torch.Tensor:
        """Returns the gradient of a variable for the caller."""
        if place < self._num_inputs:
            return self.result(found)
        return _memory.to_device(_memory.tensor(found), self._device)

    def empty(self) -> torch.Tensor:
        """Returns room for y."""
        shapes = [array.shape for array in self.arrays[: self._num_inputs]]
        shape = self.of.result_shape(shapes)
        return _memory.empty(shape, self._tensors[0].dtype, self._device)


def _is_simple(of: Evaluator, values: Tensors) -> bool:
    """Returns whether the one value is computed as it lies."""
    x = values[0]
    return (
        len(values) == 1
        and x.is_cpu
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
    laid = _Laid(of, values)
    y = laid.empty()
    laid.of.forward(laid.arrays, out=_memory.array(y))
    return laid.result(y)


def forward_with_partials(
    of: Evaluator, values: Tensors
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns y and dy/dx of an activation of one input."""
    laid = _Laid(of, values)
    y, (partial,) = laid.of.forward_with_partials(laid.arrays)
    return laid.result(y), laid.result(partial)


def forward_with_residual(
    of: Evaluator, values: Tensors
) -> tuple[torch.Tensor, Callable[..., list[torch.Tensor]]]:
    """Returns y, and a backward() of grad_output and wrt alone."""
    laid = _Laid(of, values)
    y, residual = laid.of.forward_with_residual(laid.arrays)
    return laid.result(y), functools.partial(_from_residual, laid, residual)


def _from_residual(
    laid: _Laid,
    residual: Residual | None,
    grad_output: torch.Tensor,
    wrt: Sequence[int],
) -> list[torch.Tensor]:
    found = laid.of.backward(
        laid.arrays,
        laid.host_result(grad_output),
        names(laid.of, wrt),
        residual=residual,
    )
    return [
        laid.variable(i, value) for i, value in zip(wrt, found, strict=True)
    ]


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
    laid = _Laid(of, values, [grad_output])
    found = laid.of.backward(laid.arrays, laid.others[0], names(laid.of, wrt))
    return [
        laid.variable(i, value) for i, value in zip(wrt, found, strict=True)
    ]


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
    laid = _Laid(of, values, [grad_output], cotangents, by)
    upstream, *directions = laid.others
    found = laid.of.second_order(
        laid.arrays,
        upstream,
        dict(zip(names(of, by), directions, strict=True)),
        names(of, wrt),
    )
    return [
        laid.result(value) if i == len(values) else laid.variable(i, value)
        for i, value in zip(wrt, found, strict=True)
    ]


def jvp(
    of: Evaluator, values: Tensors, tangents: Tensors, by: Sequence[int]
) -> torch.Tensor:
    """Returns how y moves; `by` are the variables of the tangents."""
    laid = _Laid(of, values, [], tangents, by)
    _, tangent = laid.of.jvp(
        laid.arrays, dict(zip(names(of, by), laid.others, strict=True))
    )
    return laid.result(tangent)
