"""Values and gradients of NumPy arrays, for callbacks and eager tensors alike.

`arrays` are the inputs and then the parameters of a Spec, as everywhere in
this package. `wrt` and `by` are places in them; len(arrays) stands for dL/dy.
Results are lists of arrays that belong to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from actserve._bridge import Evaluator
from actserve._bridge.evaluator import GRAD_OUTPUT
from actserve._residual import Residual
from actserve.tensorflow import _memory
from actserve.tensorflow._memory import Array

Arrays = Sequence[Array]
Places = Sequence[int]


def forward(of: Evaluator, arrays: Arrays) -> list[Array]:
    """Returns y."""
    arrays, shape = _whole(of, arrays)
    return [of.forward(arrays, out=_memory.empty(shape, arrays[0].dtype))]


def forward_with_partials(of: Evaluator, arrays: Arrays) -> list[Array]:
    """Returns y and dy/dx of an activation of one input."""
    y, partials = of.forward_with_partials(arrays)
    return [y, *partials]


def forward_with_residual(
    of: Evaluator, arrays: Arrays
) -> tuple[Array, Residual | None]:
    """Returns y, and what backward() takes for the arrays."""
    arrays, _ = _whole(of, arrays)
    return of.forward_with_residual(arrays)


def backward(
    of: Evaluator,
    arrays: Arrays,
    grad_output: Array,
    wrt: Places,
    residual: Residual | None = None,
) -> list[Array]:
    """Returns dL/d(variable) for each of `wrt`."""
    given = arrays
    arrays, _ = _whole(of, arrays)
    room = {
        of.variables[place]: _memory.empty(
            arrays[place].shape, arrays[place].dtype
        )
        for place in wrt
        if place < len(of.inputs)
    }
    found = of.backward(
        arrays, grad_output, _names(of, wrt), residual=residual, out=room
    )
    return [
        _sum_to(gradient, given[place])
        for place, gradient in zip(wrt, found, strict=True)
    ]


def second_order(
    of: Evaluator,
    arrays: Arrays,
    grad_output: Array,
    cotangents: Arrays,
    by: Places,
    wrt: Places,
) -> list[Array]:
    """Returns the gradients of sum(cotangent * gradient of backward()).

    `by` are the variables of the cotangents.
    """
    given = [*arrays, grad_output]
    arrays, _ = _whole(of, arrays)
    directions = {
        of.variables[place]: np.ascontiguousarray(
            np.broadcast_to(cotangent, arrays[place].shape)
        )
        for place, cotangent in zip(by, cotangents, strict=True)
    }
    found = of.second_order(arrays, grad_output, directions, _names(of, wrt))
    return [
        _sum_to(gradient, given[place])
        for place, gradient in zip(wrt, found, strict=True)
    ]


def _names(of: Evaluator, places: Places) -> list[str]:
    known = (*of.variables, GRAD_OUTPUT)
    return [known[place] for place in places]


def _whole(of: Evaluator, arrays: Arrays) -> tuple[Arrays, tuple[int, ...]]:
    """Returns the arrays, one input of the shape of all, and that of y.

    A call needs such an input.
    """
    inputs = arrays[: len(of.inputs)]
    if len(inputs) == 1:
        if of.spec.split_axis is None:
            return arrays, inputs[0].shape
        return arrays, of.result_shape([inputs[0].shape])
    shape = np.broadcast_shapes(*(array.shape for array in inputs))
    if any(array.shape == shape for array in inputs):
        return arrays, shape
    first = np.ascontiguousarray(np.broadcast_to(inputs[0], shape))
    return [first, *arrays[1:]], shape


def _sum_to(gradient: Array, variable: Array) -> Array:
    """Returns the gradient of a variable that _whole() repeated, or none."""
    shape = variable.shape
    if gradient.shape == shape:
        return gradient
    added = tuple(range(gradient.ndim - len(shape)))
    repeated = tuple(
        axis
        for axis in range(-len(shape), 0)
        if shape[axis] == 1 and gradient.shape[axis] != 1
    )
    total = gradient.sum(added + repeated, np.float64, keepdims=True)
    return total.reshape(shape).astype(gradient.dtype)
