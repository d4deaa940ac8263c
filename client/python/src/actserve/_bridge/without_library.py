"""Evaluates a Spec by its programs in NumPy, without server and library."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import numpy as np

from actserve._bridge.program import Program, UnsupportedProgramError
from actserve._bridge.spec import Spec
from actserve._calls import Array
from actserve._errors import ActivationError
from actserve._info import ActivationInfo


class WithoutLibrary:
    """The calls of a client that need no more than straight-line programs.

    Results are computed in float64 and rounded once: they differ from those of
    a server by its own rounding. What is not had: gates given as one array,
    gradients of activations that read rows or declare theirs, random draws,
    sorted rows.

    Methods take `inputs` as they would be sent, and `arrays` as those of
    Evaluator. Every method raises ActivationError, UNAVAILABLE, for what is not
    had.
    """

    def __init__(self, spec: Spec, info: ActivationInfo):
        self._spec = spec
        self._info = info
        self._programs: dict[str, Program] = {}

    def forward(
        self, inputs: Sequence[Array], arrays: Sequence[Array]
    ) -> Array:
        """Returns the result."""
        return self._rounded(self._run("", inputs, arrays), inputs)

    def forward_with_partials(
        self, inputs: Sequence[Array], arrays: Sequence[Array]
    ) -> tuple[Array, dict[str, Array], None]:
        """Returns the result, and the partials by name; as forward_with()."""
        self._refuse_gradients()
        partials = {
            name: self._rounded(self._run(name, inputs, arrays), inputs)
            for name in self._info.inputs
        }
        return self.forward(inputs, arrays), partials, None

    def backward(
        self,
        inputs: Sequence[Array],
        arrays: Sequence[Array],
        grad_output: Array,
        wrt: Sequence[str],
    ) -> dict[str, Array]:
        """Returns the gradients by name, in float64; as Client.backward()."""
        self._refuse_gradients()
        values = self._values(inputs, arrays)
        shapes = {name: array.shape for name, array in values.items()}
        first = len(arrays) - len(self._spec.parameters)
        for (name, _), array in zip(
            self._spec.parameters, arrays[first:], strict=True
        ):
            shapes[name] = array.shape
        found = {}
        for name in wrt:
            terms = self._run(name, inputs, arrays) * grad_output
            total = _sum_to(terms, values[name].shape)
            found[name] = total.reshape(shapes[name])
        return found

    def _run(
        self, name: str, inputs: Sequence[Array], arrays: Sequence[Array]
    ) -> Array:
        """Returns the function (""), or its derivative by `name`."""
        try:
            program = self._programs.get(name)
            if program is None:
                program = Program(self._text(name))
                self._programs[name] = program
        except UnsupportedProgramError as error:
            raise self._unavailable(str(error)) from None
        values = self._values(inputs, arrays)
        shape = np.broadcast_shapes(*map(np.shape, inputs))
        y = program(values, self._spec.axis)
        return np.broadcast_to(y, shape)

    def _text(self, name: str) -> str:
        info = self._info
        if not name:
            return info.program
        names = (*info.inputs, *info.parameters)
        return dict(zip(names, info.gradients, strict=False))[name]

    def _values(
        self, inputs: Sequence[Array], arrays: Sequence[Array]
    ) -> dict[str, Array]:
        """Returns the arguments of the program, which broadcast together."""
        if self._spec.split_axis is not None:
            raise self._unavailable("a gate that is one array")
        numbers = self._info.parameters | dict(self._spec.constants)
        values = {n: np.asarray(value) for n, value in numbers.items()}
        for name, array in zip(self._info.inputs, inputs, strict=True):
            values[name] = array.astype(np.float64)
        rank = max(array.ndim for array in inputs)
        first = len(arrays) - len(self._spec.parameters)
        for (name, axis), array in zip(
            self._spec.parameters, arrays[first:], strict=True
        ):
            # Rounded as it would be in the call.
            value = array.astype(inputs[0].dtype).astype(np.float64)
            if axis is None:
                values[name] = array.astype(np.float64).reshape(())
            else:
                after = rank - axis % rank - value.ndim
                values[name] = value.reshape(value.shape + (1,) * after)
        return values

    def _refuse_gradients(self) -> None:
        if self._info.reads_rows or self._info.declared_gradient:
            raise self._unavailable("such a gradient")

    def _rounded(self, y: Array, inputs: Sequence[Array]) -> Array:
        return y.astype(inputs[0].dtype)

    def _unavailable(self, what: str) -> ActivationError:
        return ActivationError(
            grpc.StatusCode.UNAVAILABLE,
            f"the server does not answer, and without the library {what} "
            f"cannot be computed here",
        )


def _sum_to(terms: Array, shape: Sequence[int]) -> Array:
    """Returns the sums over the axes along which `shape` repeats."""
    missing = terms.ndim - len(shape)
    axes = tuple(
        axis
        for axis in range(terms.ndim)
        if axis < missing
        or (shape[axis - missing] == 1 and terms.shape[axis] != 1)
    )
    return np.asarray(terms.sum(axes, keepdims=True)).reshape(shape)
