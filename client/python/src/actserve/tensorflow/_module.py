"""An activation as a tf.Module."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

import actserve
from actserve._bridge import Evaluator, Spec, evaluator
from actserve.tensorflow._call import call
from actserve.tensorflow._function import (
    Activatable,
    as_value,
    split_parameters,
)
from actserve._bridge.learnable import first_values


class Activation(tf.Module):
    """A callable that computes an activation, here or at a server.

    It serves as activation=... of a layer, too. Learnable parameters are
    tf.Variables, in trainable_variables, of the activation's own names (with a
    "_" behind one that a Module has already), and in checkpoints. Layers of
    Keras do not train the variables of a tf.Module: there, use
    actserve.keras.Activation.

    >>> swish = "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))"
    >>> act = actserve.tensorflow.Activation(
    ...     swish, learnable=["beta"], channels=3
    ... )
    >>> with tf.GradientTape() as tape:
    ...     loss = tf.reduce_sum(act(tf.ones([4, 3])))
    >>> print(tape.gradient(loss, act.beta).shape)
    (3,)
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
        element_offset: int = 0,
        client: actserve.Client | str | None = None,
        gradient: str = "auto",
        fallback: str | None = None,
        wire_dtype: str | None = None,
        timeout: float | None = None,
        dtype: Any = tf.float32,
        name: str | None = None,
    ):
        """Makes it. Asks no server if the library is here.

        Args:
          activation: As of actserve.tensorflow.apply().
          learnable: Names of parameters to learn; or for each its initial
            value: a number, None for its default, or an array with a value per
            channel.
          channels: The number of channels: learnable parameters that are not
            given as arrays have a value for each. None: one value.
          channel_axis: The axis of the inputs that counts channels; negative
            ones count from the last.
          parameters: Numbers of the other parameters that differ from their
            default.
          axis: As of actserve.tensorflow.apply().
          split_axis: As of actserve.tensorflow.apply().
          element_offset: As of actserve.tensorflow.apply().
          client: As of actserve.tensorflow.apply().
          gradient: As of actserve.tensorflow.apply().
          fallback: As of actserve.tensorflow.apply().
          wire_dtype: As of actserve.tensorflow.apply().
          timeout: As of actserve.tensorflow.apply().
          dtype: Of the learnable parameters.
          name: Of the module; None: that of the activation.

        Raises:
          ActivationError: The source of the activation cannot be taken, or its
            text has errors, and the library, which finds them, is here.
          TypeError: It has no parameter of such a name.
          ValueError: An option has none of its values.
        """
        spec = Spec.make(
            activation,
            client,
            (),
            parameters,
            axis,
            split_axis,
            element_offset,
            gradient,
            fallback,
            wire_dtype,
            timeout,
        )
        of = evaluator(spec)
        super().__init__(name=name or _identifier(of.name))
        values = first_values(of, learnable, channels)
        self._channel_axis = channel_axis
        self._learnable = tuple(values)
        for parameter, value in values.items():
            setattr(
                self,
                self._attribute(parameter),
                tf.Variable(value, dtype=dtype, name=parameter),
            )
        places = [
            (parameter, channel_axis if value.size != 1 else None)
            for parameter, value in values.items()
        ]
        self._of = _with_parameters(of, tuple(places))

    @property
    def activation(self) -> actserve.Activation | str:
        """What it computes: an Activation, or the name or id of one."""
        return self._of.spec.activation

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self, *inputs: Any, parameters: Mapping[str, Any] | None = None
    ) -> tf.Tensor:
        """Returns activation(*inputs).

        Args:
          *inputs: As of actserve.tensorflow.apply(), which states the errors.
          parameters: Those that change from call to call, such as a seed; as of
            apply().
        """
        values = [as_value(variable) for variable in self._variables()]
        of = self._of
        if parameters:
            numbers, places, tensors = split_parameters(
                parameters, self._channel_axis
            )
            of = _with_parameters(of, places, numbers)
            values += tensors
        return call(of, inputs, values)

    def __repr__(self) -> str:
        return f"<actserve.tensorflow.Activation {self._of.name}>"

    @property
    def __name__(self) -> str:
        """The name of the function; layers ask for it."""
        return self._of.name

    def _attribute(self, parameter: str) -> str:
        taken = parameter in dir(tf.Module) or parameter == "activation"
        return f"{parameter}_" if taken else parameter

    def _variables(self) -> list[tf.Variable]:
        return [
            getattr(self, self._attribute(parameter))
            for parameter in self._learnable
        ]


@functools.lru_cache(maxsize=1024)
def _with_parameters(
    of: Evaluator,
    places: tuple[tuple[str, int | None], ...],
    numbers: tuple[tuple[str, float], ...] = (),
) -> Evaluator:
    """Returns the evaluator of the same with more parameters."""
    spec = of.spec
    new = {name for name, _ in (*places, *numbers)}
    twice = new & {name for name, _ in spec.parameters}
    if twice:
        raise ValueError(f"parameters: {min(twice)} is learned by the layer")
    kept = tuple(pair for pair in spec.constants if pair[0] not in new)
    return evaluator(
        dataclasses.replace(
            spec,
            parameters=(*spec.parameters, *places),
            constants=tuple(sorted((*kept, *numbers))),
        )
    )


def _identifier(name: str) -> str:
    """Returns a name that a tf.Module takes."""
    plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in name)
    return plain if plain[:1].isalpha() else f"activation_{plain}"
