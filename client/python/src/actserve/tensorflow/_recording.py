"""What TensorFlow is doing around a call: tapes, forward mode, XLA, export.

TensorFlow tells this by modules that are not public. Where one is missing, the
answer is the one that is safe.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

try:
    from tensorflow.python.ops import gradients_util as _tapes
except ImportError:  # pragma: no cover
    _tapes = None
try:
    from tensorflow.python.eager import forwardprop_util as _forward_mode
except ImportError:  # pragma: no cover
    _forward_mode = None
try:
    from tensorflow.python.framework import ops as _graphs
    from tensorflow.python.ops import control_flow_util as _control_flow
except ImportError:  # pragma: no cover
    _control_flow = None
try:
    from tensorflow.python.saved_model import save_context as _saving
except ImportError:  # pragma: no cover
    _saving = None


def is_watched(*tensors: tf.Tensor) -> bool:
    """Returns whether a tape, or forward mode, follows one of `tensors`.

    In a graph others may ask for its gradient nevertheless.
    """
    if _tapes is None:
        return True
    return bool(_tapes.PossibleTapeGradientTypes(tensors))


def may_be_differentiated(*tensors: tf.Tensor) -> bool:
    """Returns whether a gradient by one of `tensors` may be asked for."""
    return not tf.executing_eagerly() or is_watched(*tensors)


def refuse_what_cannot_be(name: str, values: Any) -> None:
    """Refuses graphs that an activation cannot be a part of.

    Raises:
      NotImplementedError: It says what to do instead.
    """
    if tf.executing_eagerly():
        return
    if _control_flow is not None and _control_flow.GraphOrParentsInXlaContext(
        _graphs.get_default_graph()
    ):
        raise NotImplementedError(
            f"actserve: {name} is computed outside of TensorFlow, which XLA "
            f"cannot compile: leave out jit_compile=True for the tf.function "
            f"that calls it, or give model.compile() jit_compile=False or "
            f"'auto'"
        )
    if _saving is not None and _saving.in_save_context():
        raise NotImplementedError(
            f"actserve: {name} is computed outside of TensorFlow, so a "
            f"SavedModel cannot contain it: save weights or a checkpoint, or "
            f"a Keras model with actserve.keras.Activation as a .keras file"
        )
    if _forward_mode is not None and (
        _forward_mode.pack_tangents(list(values)).tangents
    ):
        # TensorFlow would take custom gradients in a graph for constants.
        raise NotImplementedError(
            f"actserve: {name} has no forward mode inside of a tf.function: "
            f"open the tf.autodiff.ForwardAccumulator outside, call the "
            f"tf.function in it, and pass all that moves as arguments"
        )
