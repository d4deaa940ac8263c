"""Values and gradients of tensors, without gradients of their own.

Eager tensors are computed at once. In a graph, each is an operation that calls
back into this process: tf.numpy_function, named after the activation, which
may run twice or never.

`values` are the inputs and then the parameters of a Spec; places as in
_kernels.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from actserve._bridge import Evaluator
from actserve.tensorflow import _kernels, _memory

Tensors = Sequence[tf.Tensor]
Places = Sequence[int]


def forward(of: Evaluator, values: Tensors) -> tf.Tensor:
    """Returns y."""
    like = [(values[0].dtype, result_shape(of, values))]
    (y,) = _run(of, functools.partial(_kernels.forward, of), values, like)
    return y


def forward_with_partials(
    of: Evaluator, values: Tensors
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns y and dy/dx of an activation of one input."""
    like = [(values[0].dtype, values[0].shape)] * 2
    compute = functools.partial(_kernels.forward_with_partials, of)
    y, partial = _run(of, compute, values, like)
    return y, partial


def forward_with_residual(
    of: Evaluator, values: Tensors
) -> tuple[tf.Tensor, Callable[..., list[tf.Tensor]]]:
    """Returns y, and a backward() of grad_output and wrt alone; eager."""
    arrays = list(map(_memory.array, values))
    y, residual = _kernels.forward_with_residual(of, arrays)

    def from_residual(grad_output: tf.Tensor, wrt: Places) -> list[tf.Tensor]:
        found = _kernels.backward(
            of, arrays, _memory.array(grad_output), wrt, residual
        )
        return _delivered(found, values)

    return _delivered([y], values)[0], from_residual


def backward(
    of: Evaluator, values: Tensors, grad_output: tf.Tensor, wrt: Places
) -> list[tf.Tensor]:
    """Returns dL/d(variable) for each of `wrt`."""

    def compute(arrays: _kernels.Arrays) -> list[_kernels.Array]:
        *arrays, upstream = arrays
        return _kernels.backward(of, arrays, upstream, wrt)

    like = [(values[place].dtype, values[place].shape) for place in wrt]
    return _run(of, compute, [*values, grad_output], like)


def second_order(
    of: Evaluator,
    values: Tensors,
    grad_output: tf.Tensor,
    cotangents: Tensors,
    by: Places,
    wrt: Places,
) -> list[tf.Tensor]:
    """Returns the gradients of sum(cotangent * gradient of backward()).

    `by` are the variables of the cotangents.
    """
    n = len(values)

    def compute(arrays: _kernels.Arrays) -> list[_kernels.Array]:
        return _kernels.second_order(
            of, arrays[:n], arrays[n], arrays[n + 1 :], by, wrt
        )

    tensors = [*values, grad_output]
    like = [(tensors[place].dtype, tensors[place].shape) for place in wrt]
    return _run(of, compute, [*tensors, *cotangents], like)


def refused(message: str, like: tf.Tensor) -> tf.Tensor:
    """Returns a tensor like another that cannot be computed.

    In a graph, only whoever needs it fails.

    Raises:
      NotImplementedError: `message`; not in a graph.
    """

    def refuse() -> None:
        raise NotImplementedError(message)

    if tf.executing_eagerly():
        refuse()
    result = tf.numpy_function(
        refuse, [], like.dtype, stateful=False, name="actserve_refused"
    )
    result.set_shape(like.shape)
    return result


def result_shape(of: Evaluator, values: Tensors) -> tf.TensorShape:
    """Returns what is known of the shape of y. Asks no server.

    Raises:
      ValueError: The shapes of the inputs do not fit together.
    """
    shapes = [value.shape for value in values[: len(of.inputs)]]
    if all(shape.is_fully_defined() for shape in shapes):
        return tf.TensorShape(of.result_shape([s.as_list() for s in shapes]))
    shape = functools.reduce(tf.broadcast_static_shape, shapes)
    split_axis = of.spec.split_axis
    if split_axis is None or shape.rank is None:
        return shape
    sizes = shape.as_list()
    # Sizes that are not known split.
    num_parts = len(of.info.inputs)
    of.result_shape([[num_parts if s is None else s for s in sizes]])
    size = sizes[split_axis]
    sizes[split_axis] = None if size is None else size // num_parts
    return tf.TensorShape(sizes)


def _run(
    of: Evaluator,
    compute: Callable[[_kernels.Arrays], list[_kernels.Array]],
    tensors: Tensors,
    like: Sequence[tuple[Any, Any]],
) -> list[tf.Tensor]:
    """Returns what `compute` makes of the arrays of `tensors`.

    `like` are the dtypes and shapes of the results.
    """
    if tf.executing_eagerly():
        found = compute([_memory.array(tensor) for tensor in tensors])
        return _delivered(found, tensors)
    found = tf.numpy_function(
        lambda *arrays: compute(arrays),
        tensors,
        [dtype for dtype, _ in like],
        stateful=False,
        name=f"actserve_{re.sub('[^A-Za-z0-9]', '_', of.name)}",
    )
    for tensor, (_, shape) in zip(found, like, strict=True):
        tensor.set_shape(shape)
    return list(found)


def _delivered(found: _kernels.Arrays, like: Tensors) -> list[tf.Tensor]:
    """Returns arrays as tensors on the device of the first of `like`."""
    result = [_memory.tensor(array) for array in found]
    device = like[0].device
    if ":CPU:" in device:
        return result
    with tf.device(device):
        return [tf.identity(tensor) for tensor in result]
