"""An activation as a function that models hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import actserve
from actserve._bridge import Spec, evaluator
from actserve._bridge.learnable import first_values
from actserve._client import Client
from actserve._values import PerAxis
from actserve.jax._apply import parameter_array, run


class Activation:
    """A function of JAX's arrays, with everything but the arrays chosen.

    It has no arrays of its own: learnable parameters are arguments of a call,
    and belong to whoever holds them, such as a module of Flax or Equinox.
    Immutable and hashable: equal ones compile once, and it may be a static
    argument or field. Pickles.

    >>> import actserve.jax, jax, jax.numpy as jnp
    >>> swish = "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))"
    >>> act = actserve.jax.Activation(swish, learnable=["beta"], channels=2)
    >>> weights = act.init()
    >>> x = jnp.array([[1.0, -1.0], [2.0, 0.5]])
    >>> loss = lambda weights: (act(x, **weights) ** 2).sum()
    >>> jax.grad(loss)(weights)["beta"].round(4)
    Array([ 1.7671, -0.0692], dtype=float32)

    Args:
      activation: What `actserve.activation` makes; or a Python function, its
        text, or the name or id of one.
      learnable: Parameters that init() makes: names, or their first values by
        name, which are numbers or arrays of one value for each channel. Names
        have the defaults of the function.
      channels: How many values a learnable parameter that is a number gets;
        None: it is one number.
      channel_axis: As in apply().
      parameters: Other parameters that differ from their default, by name:
        Python numbers.
      axis, split_axis, element_offset, client, gradient, fallback, wire_dtype,
        timeout: As in apply().

    Raises:
      As apply(), for what the arrays do not decide.
    """

    def __init__(
        self,
        activation: actserve.Activation | Callable[..., Any] | str,
        *,
        learnable: Iterable[str] | Mapping[str, Any] | str = (),
        channels: int | None = None,
        channel_axis: int = -1,
        parameters: Mapping[str, float] | None = None,
        axis: int | None = None,
        split_axis: int | None = None,
        element_offset: int = 0,
        client: Client | str | None = None,
        gradient: str = "auto",
        fallback: str | None = None,
        wire_dtype: str | None = None,
        timeout: float | None = None,
    ):
        self._spec = Spec.make(
            activation,
            client,
            constants=parameters,
            axis=axis,
            split_axis=split_axis,
            element_offset=element_offset,
            gradient=gradient,
            fallback=fallback,
            wire_dtype=wire_dtype,
            timeout=timeout,
        )
        evaluator(self._spec)  # refuses what no call could do
        self._channel_axis = channel_axis
        # Numbers, and tuples of one for each channel.
        first = first_values(self._spec, learnable, channels)
        self._learnable = tuple(
            (name, tuple(value.tolist()) if np.ndim(value) else float(value))
            for name, value in first.items()
        )

    def init(self, dtype: Any = None) -> dict[str, jax.Array]:
        """Returns the first values of the learnable parameters, by name.

        Args:
          dtype: Theirs; None: the default of JAX.
        """
        return {
            name: jnp.asarray(value, dtype or jnp.result_type(float))
            for name, value in self._learnable
        }

    def __call__(self, *inputs: Any, **parameters: Any) -> jax.Array:
        """Returns the activation of `inputs`.

        Args:
          *inputs: As of apply().
          **parameters: Values of parameters: arrays, traced or not, without
            axes or with one value for each channel, or actserve.PerAxis; or
            numbers. Those of `learnable` must be given.

        Raises:
          As apply(); TypeError: a learnable parameter is missing.
        """
        missing = {name for name, _ in self._learnable} - set(parameters)
        if missing:
            raise TypeError(
                f"{self!r}: the learnable parameter {min(missing)} is missing: "
                f"give the value that belongs to your model, first that of "
                f"init()"
            )
        arrays = []
        axes: list[tuple[str, int | None]] = []
        for name, value in parameters.items():
            axis = self._channel_axis
            if isinstance(value, PerAxis):
                value, axis = value.values, value.axis
            array = parameter_array(name, value)
            arrays.append(array)
            axes.append((name, axis if array.ndim else None))
        return run(self._spec.with_parameters(tuple(axes)), inputs, arrays)

    def _key(self) -> tuple[Any, ...]:
        return self._spec, self._channel_axis, self._learnable

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Activation):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<actserve.jax.Activation {evaluator(self._spec).name}>"

    @property
    def __name__(self) -> str:
        """The name of the function; Flax and others ask for it."""
        return evaluator(self._spec).name
