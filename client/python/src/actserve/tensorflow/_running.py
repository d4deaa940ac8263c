"""Runs functions of NumPy arrays on TensorFlow's tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# What TensorFlow knows and has no public name for.
from tensorflow.python import pywrap_tfe
from tensorflow.python.eager import forwardprop_util
from tensorflow.python.ops import control_flow_util
from tensorflow.python.saved_model import save_context

NOT_COMPILED = (
    "{name}: XLA, which jit_compile=True asks for, cannot run an activation of "
    "actserve; use tf.function(jit_compile=False) for what calls it, or "
    "model.compile(jit_compile=False); functions beside it may be compiled. "
    "Models with actserve.keras.Activation choose that by themselves"
)
NOT_SAVED = (
    "{name}: a SavedModel cannot hold an activation of actserve, which Python "
    "runs; save the weights (tf.train.Checkpoint), or a Keras model with "
    "actserve.keras.Activation as .keras"
)

NO_FORWARD_MODE = (
    "{name}: TensorFlow has no forward mode of custom gradients inside of a "
    "tf.function, and would take the tangent for 0; open the "
    "tf.autodiff.ForwardAccumulator outside, call the tf.function in it, and "
    "pass all that moves, values of variables too, as arguments"
)

# Smaller results are copied sooner than a tensor is made.
_MIN_BYTES_IN_PLACE = 1 << 16

Kernel = Callable[[Sequence[Any], "Sequence[Any] | None"], Sequence[Any]]


def run(
    name: str,
    kernel: Kernel,
    tensors: Sequence[tf.Tensor],
    results: Sequence[tf.TensorSpec],
) -> list[tf.Tensor]:
    """Returns the tensors of what `kernel` returns for the arrays of `tensors`.

    Eager tensors are read where they lie, and `kernel` runs now. In a graph it
    runs, in this process, when the graph does: never, once, or several times.

    Args:
      name: Of the activation, for messages and the names of operations.
      kernel: From C-contiguous arrays, and None or arrays that it may fill and
        return, to its results.
      tensors: Its arguments.
      results: Dtypes of its results, and as much of their shapes as is known.

    Raises:
      NotImplementedError: The graph is for XLA, or for a SavedModel; or a
        ForwardAccumulator inside of it follows one of `tensors`.
    """
    if tf.executing_eagerly():
        return _run_now(kernel, tensors, results)
    refuse_graphs_without_python(name)
    if forwardprop_util.pack_tangents(list(tensors)).tangents:
        raise NotImplementedError(NO_FORWARD_MODE.format(name=name))

    def call(*arrays: Any) -> list[Any]:
        return list(kernel([_array_of(array) for array in arrays], None))

    found = tf.numpy_function(
        call,
        list(tensors),
        [result.dtype for result in results],
        stateful=False,
        name="actserve_" + re.sub(r"\W", "_", name),
    )
    for tensor, result in zip(found, results, strict=True):
        tensor.set_shape(result.shape)
    return list(found)


def refuse_graphs_without_python(name: str) -> None:
    """Refuses to build what could not run.

    Raises: as run().
    """
    graph = tf.compat.v1.get_default_graph()
    if control_flow_util.GraphOrParentsInXlaContext(graph):
        raise NotImplementedError(NOT_COMPILED.format(name=name))
    if save_context.in_save_context():
        raise NotImplementedError(NOT_SAVED.format(name=name))


def is_followed(tensor: tf.Tensor) -> bool:
    """Whether a GradientTape or a ForwardAccumulator follows `tensor` now.

    False says nothing about a graph, which can be differentiated later.
    """
    return bool(pywrap_tfe.TFE_Py_TapeSetPossibleGradientTypes([tensor]))


def _run_now(
    kernel: Kernel,
    tensors: Sequence[tf.Tensor],
    results: Sequence[tf.TensorSpec],
) -> list[tf.Tensor]:
    arrays = [_array_of(tensor) for tensor in tensors]
    made, out = [], []
    for result in results:
        size_bytes = result.shape.num_elements() * result.dtype.size
        if size_bytes < _MIN_BYTES_IN_PLACE:
            break
        tensor = tf.raw_ops.Empty(shape=result.shape, dtype=result.dtype)
        if not tensor.backing_device.endswith("CPU:0"):
            break
        made.append(tensor)
        out.append(_writable(tensor))
    if len(made) < len(results):
        return [tf.convert_to_tensor(a) for a in kernel(arrays, None)]
    found = []
    for tensor, place, array in zip(
        made, out, kernel(arrays, out), strict=True
    ):
        found.append(tensor if array is place else tf.convert_to_tensor(array))
    return found


class _Memory:
    """That of a new tensor, for its first values."""

    def __init__(self, tensor: tf.Tensor):
        self._tensor = tensor
        array = np.asarray(tensor)
        self.dtype = array.dtype
        self.__array_interface__ = {
            "version": 3,
            "shape": array.shape,
            "typestr": f"|V{array.itemsize}",
            "data": (array.ctypes.data, False),
        }


def _writable(tensor: tf.Tensor) -> Any:
    memory = _Memory(tensor)
    return np.asarray(memory).view(memory.dtype)


def _array_of(tensor: Any) -> Any:
    return np.asarray(tensor, order="C")
