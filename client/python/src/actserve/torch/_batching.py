"""A batch of calls as one call: the values with one more axis in front."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Sequence

import torch

from actserve._bridge import Evaluator, Spec
from actserve.torch import _axes

Dims = Sequence[int | None]


class Batch:
    """The values of a call whose samples are computed in one call.

    An input gets its batch as axis 0, a number becomes one value for each
    sample, and the axes of parameters that have a value per sample move to the
    front, as a parameter's axes are neighbors.

    Attributes:
      spec: Of the one call.
      values: Of the one call.
    """

    def __init__(
        self,
        of: Evaluator,
        values: Sequence[torch.Tensor],
        dims: Dims,
        size: int,
        apart: Collection[int] = (),
    ):
        """Puts `values` together.

        Args:
          of: What is evaluated for each sample.
          values: The variables.
          dims: The axis of each that counts the samples; None: it is the same
            for all samples.
          size: The number of samples.
          apart: Places of values of which each sample has its own gradient:
            they are repeated.

        Raises:
          NoBatchError: One call cannot do it.
        """
        spec = of.spec
        if _axes.draws(of):  # each sample draws the numbers of the first
            raise NoBatchError
        num_inputs = len(values) - len(spec.parameters)
        values = list(values)
        dims = list(dims)
        for i in apart:
            values[i], dims[i] = _repeated(values[i], dims[i], size), 0
        if all(dim is None for dim in dims[:num_inputs]):
            values[0], dims[0] = _repeated(values[0], None, size), 0
        self._size = size
        self._dims = dims
        self._num_inputs = num_inputs
        self._shapes = [
            _sample_shape(value, dim)
            for value, dim in zip(values, dims, strict=True)
        ]
        rank = max(len(shape) for shape in self._shapes[:num_inputs])
        self._rank = rank
        ranks = tuple(len(shape) for shape in self._shapes[num_inputs:])
        self._order = _order(spec, dims[num_inputs:], ranks, rank)
        self._back = _axes.inverse(self._order)
        moved = _axes.moved(spec, self._order, ranks, offset=1)
        if moved is None:
            raise NoBatchError
        self.spec = _per_sample(
            moved, tuple(dim is not None for dim in dims[num_inputs:])
        )
        self.values = [
            self.like(i, value, dim)
            for i, (value, dim) in enumerate(zip(values, dims, strict=True))
        ]

    def like(
        self, place: int, tensor: torch.Tensor, dim: int | None
    ) -> torch.Tensor:
        """Returns a tensor like the variable at `place`, for the one call."""
        is_same = self._dims[place] is None
        if not is_same:
            tensor = _repeated(tensor, dim, self._size)
        if place >= self._num_inputs:
            return tensor
        sample = tensor.shape if is_same else tensor.shape[1:]
        padded = (1,) * (self._rank - len(sample)) + tuple(sample)
        if is_same:
            return tensor.reshape(padded).permute(self._order)
        return self._to_front(tensor.reshape(self._size, *padded))

    def result(self, tensor: torch.Tensor, dim: int | None) -> torch.Tensor:
        """Returns a tensor like y, for the one call."""
        return self._to_front(_repeated(tensor, dim, self._size))

    def of_result(self, tensor: torch.Tensor) -> torch.Tensor:
        """Returns y of the one call with the samples as axis 0."""
        return tensor.permute(0, *(axis + 1 for axis in self._back))

    def of_variable(self, place: int, tensor: torch.Tensor) -> torch.Tensor:
        """Returns a gradient of the one call with the samples as axis 0."""
        if place < self._num_inputs:
            tensor = self.of_result(tensor)
            return tensor.reshape(self._size, *self._shapes[place])
        return tensor

    def _to_front(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.permute(0, *(axis + 1 for axis in self._order))


class NoBatchError(Exception):
    """The samples need a call each."""


def _repeated(tensor: torch.Tensor, dim: int | None, size: int) -> torch.Tensor:
    if dim is None:
        return tensor.unsqueeze(0).expand(size, *tensor.shape)
    return tensor.movedim(dim, 0)


def _sample_shape(tensor: torch.Tensor, dim: int | None) -> tuple[int, ...]:
    shape = list(tensor.shape)
    if dim is not None:
        del shape[dim]
    return tuple(shape)


def _order(
    spec: Spec, dims: Dims, ranks: Sequence[int], rank: int
) -> tuple[int, ...]:
    """Returns the axes of a sample, those of a batched parameter in front."""
    front: tuple[int, ...] = ()
    for (_, axis), dim, num_axes in zip(
        spec.parameters, dims, ranks, strict=True
    ):
        if axis is None or dim is None or not -rank <= axis < rank:
            continue
        wanted = tuple(range(axis % rank, axis % rank + num_axes))
        if front and front != wanted:
            raise NoBatchError
        front = wanted
    return front + tuple(axis for axis in range(rank) if axis not in front)


@functools.lru_cache(maxsize=1024)
def _per_sample(spec: Spec, has_samples: tuple[bool, ...]) -> Spec:
    """Returns `spec` with parameters that have a value per sample."""
    return dataclasses.replace(
        spec,
        parameters=tuple(
            (name, 0 if own else axis)
            for (name, axis), own in zip(
                spec.parameters, has_samples, strict=True
            )
        ),
    )


def one_by_one(
    call: Callable[..., Sequence[torch.Tensor]],
    size: int,
    tensors: Sequence[torch.Tensor],
    dims: Dims,
) -> list[torch.Tensor]:
    """Returns what `call` returns of the tensors of each sample, stacked."""
    found = [
        call(
            *(
                tensor if dim is None else tensor.select(dim, i)
                for tensor, dim in zip(tensors, dims, strict=True)
            )
        )
        for i in range(size)
    ]
    return [torch.stack(samples) for samples in zip(*found, strict=True)]
