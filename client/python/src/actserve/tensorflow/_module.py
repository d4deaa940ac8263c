"""An activation as an object that layers call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

import actserve
from actserve._bridge import evaluator
from actserve._bridge.learnable import first_values
from actserve._bridge.spec import kept
from actserve.tensorflow._function import (
    Activatable,
    call,
    to_tensors,
)
from actserve.tensorflow._running import NOT_SAVED


class Activation(tf.Module):
    """A function of tensors, with the variables that it learns.

    >>> swish = "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))"
    >>> act = actserve.tensorflow.Activation(
    ...     swish, learnable=["beta"], channels=3
    ... )
    >>> with tf.GradientTape() as tape:
    ...     loss = tf.reduce_sum(act(tf.ones([4, 3])))
    >>> tape.gradient(loss, act.trainable_variables)[0].shape
    TensorShape([3])

    It is also an `activation=` of layers. Keras does not find the variables of
    one, and cannot save it: see actserve.keras.Activation. Learnable parameters
    are attributes, and tf.Variables, of the activation's own names (with a "_"
    behind one that a tf.Module has already). Checkpoints hold them.

    Attributes:
      activation: What it computes: an actserve.Activation, or a name or id.
    """

    def __init__(
        self,
        activation: Activatable,
        *,
        learnable: Mapping[str, Any] | Iterable[str] | str = (),
        channels: int | None = None,
        channel_axis: int = -1,
        parameters: Mapping[str, float] | None = None,
        axis: int | None = None,
        split_axis: int | None = None,
        client: actserve.Client | str | None = None,
        gradient: str = "auto",
        fallback: str | None = None,
        wire_dtype: str | None = None,
        timeout: float | None = None,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        """Makes it. Asks no server if the library is here.

        Args:
          activation: As of actserve.tensorflow.apply().
          learnable: Names of parameters to learn; or for each its initial
            value: a number, None for its default, or one value per channel.
          channels: The number of channels: learnable parameters that are not
            given as values per channel have one for each. None: one value.
          channel_axis: The axis of the inputs that counts channels; negative
            ones count from the last.
          parameters: Numbers of the other parameters that differ from their
            default.
          axis: As of actserve.tensorflow.apply().
          split_axis: As of actserve.tensorflow.apply().
          client: As of actserve.tensorflow.apply().
          gradient: As of actserve.tensorflow.apply().
          fallback: As of actserve.tensorflow.apply().
          wire_dtype: As of actserve.tensorflow.apply().
          timeout: As of actserve.tensorflow.apply().
          dtype: Of the variables.
          name: Of the module.

        Raises:
          ActivationError: The source of the activation cannot be taken, or its
            text has errors, and the library, which finds them, is here.
          TypeError: It has no parameter of such a name.
          ValueError: An option has none of its values.
        """
        super().__init__(name=name)
        self._spec = kept(
            activation,
            client,
            (),
            tuple((parameters or {}).items()),
            axis,
            split_axis,
            0,
            gradient,
            fallback,
            wire_dtype,
            timeout,
        )
        self._label = evaluator(self._spec).name
        self._channel_axis = channel_axis
        values = first_values(self._spec, learnable, channels)
        self._learned = []
        for parameter, value in values.items():
            attribute = parameter
            if hasattr(self, attribute):
                attribute += "_"
            variable = tf.Variable(value, dtype=dtype, name=parameter)
            setattr(self, attribute, variable)
            self._learned.append((parameter, attribute))

    @property
    def activation(self) -> actserve.Activation | str:
        """What it computes: an Activation, or the name or id of one."""
        return self._spec.activation

    @property
    def __name__(self) -> str:
        return self._label

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self, *inputs: Any, parameters: Mapping[str, Any] | None = None
    ) -> tf.Tensor:
        """Returns activation(*inputs).

        Args:
          *inputs: As of actserve.tensorflow.apply(), which states the errors.
          parameters: Those that change from call to call, such as a seed: as of
            actserve.tensorflow.apply(), with the channel axis of this object.
        """
        values = {name: getattr(self, at) for name, at in self._learned}
        for name in parameters or ():
            if name in values:
                raise ValueError(f"parameters: {name} is learned")
        values |= parameters or {}
        return call(self._spec, to_tensors(inputs), values, self._channel_axis)

    def __repr__(self) -> str:
        learned = "".join(f", learns {name}" for name, _ in self._learned)
        return f"<actserve.tensorflow.Activation {self._label}{learned}>"

    def _trackable_children(
        self, save_type: str = "checkpoint", **options: Any
    ) -> Any:
        # What tf.saved_model.save() asks.
        if save_type == "savedmodel":
            raise NotImplementedError(NOT_SAVED.format(name=self._label))
        return super()._trackable_children(save_type, **options)
