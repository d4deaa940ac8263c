"""An activation as a layer of Keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

import actserve
from actserve._bridge import Spec, evaluator
from actserve._bridge.identity import difference, identity
from actserve._bridge.learnable import first_values
from actserve._bridge.spec import plain_activation
from actserve.keras._backend import apply

_OPTIONS = (
    "axis",
    "split_axis",
    "element_offset",
    "gradient",
    "fallback",
    "wire_dtype",
    "timeout",
)
_PER_CHANNEL = "input"
# What a configuration has beside the arguments.
_IDENTITY = "identity"


@keras.saving.register_keras_serializable("actserve")
class Activation(keras.layers.Layer):
    """A layer that computes an activation, here or at a server.

    >>> swish = "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))"
    >>> layer = actserve.keras.Activation(
    ...     swish, learnable=["beta"], channels="input"
    ... )
    >>> model = keras.Sequential([keras.layers.Dense(3), layer])
    >>> y = model(keras.ops.ones((4, 2)))
    >>> len(layer.beta.shape), layer.beta.shape[0]
    (1, 3)

    Several inputs are a list: layer([x, gate]). A saved model holds the text of
    the activation, its options and the address of the client; a Client is saved
    as its address. With TensorFlow a model that has such a layer is not
    compiled by XLA: compile(jit_compile="auto") sees to that. Under a policy of
    mixed precision the inputs are of the compute dtype, and the learnable
    parameters keep that of variables.

    Attributes:
      activation: What it computes: an actserve.Activation, or a name or id.
    """

    def __init__(
        self,
        activation: actserve.Activation
        | Callable[..., Any]
        | str
        | Mapping[str, Any],
        *,
        learnable: Mapping[str, Any] | Iterable[str] | str = (),
        channels: int | str | None = None,
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
        **options: Any,
    ):
        """Makes the layer. Asks no server if the library is here.

        Args:
          activation: An actserve.Activation, a Python function, a text, the
            name or id of an activation, or what get_config() has of one.
          learnable: Names of parameters to learn; or for each its initial
            value: a number, None for its default, or one value per channel.
          channels: The number of channels: learnable parameters that are not
            given as values per channel have one for each. "input": as many as
            the first input has. None: one value.
          channel_axis: The axis of the inputs that counts channels; negative
            ones count from the last. Images of data_format "channels_first"
            need 1.
          parameters: Numbers of the other parameters that differ from their
            default.
          axis: The axis along which rows run, the batch being axis 0; None:
            that of the activation.
          split_axis: Of a gate: the one input holds all, its equal parts along
            this axis.
          element_offset: The place of the first element in the tensor that the
            inputs are a piece of, for random numbers.
          client: A Client, or an address as of actserve.connect(). None: as
            connect() chooses.
          gradient: "auto", "partials", "residual" or "stateless"; as of apply()
            of the backend.
          fallback: "local": compute in this process while no server answers.
          wire_dtype: "bfloat16": float32 tensors are rounded to bfloat16, and
            travel and are computed so.
          timeout: Seconds for a call; None: the client's.
          **options: Of keras.layers.Layer: name, dtype, trainable.

        Raises:
          ActivationError: The source of the activation cannot be taken, or its
            text has errors, and the library, which finds them, is here.
          NotImplementedError: The backend is another one.
          TypeError: It has no parameter of such a name.
          ValueError: An option has none of its values.
        """
        super().__init__(**options)
        self._apply = apply()
        if isinstance(activation, Mapping):
            activation = actserve.Activation(**activation)
        self._spec = Spec.make(
            activation,
            client,
            (),
            parameters,
            axis=axis,
            split_axis=split_axis,
            element_offset=element_offset,
            gradient=gradient,
            fallback=fallback,
            wire_dtype=wire_dtype,
            timeout=timeout,
        )
        self._client = client
        self._channels = channels
        self._channel_axis = channel_axis
        is_counted = channels == _PER_CHANNEL
        num_channels: int | None = None
        if not isinstance(channels, str):
            num_channels = channels
        elif not is_counted:
            raise ValueError(
                f"channels is {channels!r}, neither a number nor "
                f"{_PER_CHANNEL!r}"
            )
        self._first = first_values(self._spec, learnable, num_channels)
        self._learned: list[tuple[str, str]] = []
        self.supports_masking = True
        # TensorFlow's XLA runs no Python.
        self.supports_jit = keras.backend.backend() != "tensorflow"
        if not is_counted:
            # Another layer that has this one as its activation= builds nothing.
            self._make_weights(None)

    @property
    def activation(self) -> actserve.Activation | str:
        """What it computes: an Activation, or the name or id of one."""
        return self._spec.activation

    def build(self, input_shape: Any) -> None:
        """Makes the weights whose number is that of channels; Keras calls it.

        Raises:
          ValueError: The number of channels is not known.
        """
        if self._channels == _PER_CHANNEL:
            self._make_weights(lambda: self._count_channels(input_shape))

    def _make_weights(self, count_channels: Callable[[], int] | None) -> None:
        for name, value in self._first.items():
            if count_channels is not None and not np.ndim(value):
                value = np.full(count_channels(), value)
            attribute = f"{name}_" if hasattr(self, name) else name
            weight = self.add_weight(
                name=name,
                shape=np.shape(value),
                initializer=_first_value(value),
                autocast=False,
            )
            setattr(self, attribute, weight)
            self._learned.append((name, attribute))

    def call(
        self, inputs: Any, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Returns the activation of a tensor, or of a list of them.

        Args:
          inputs: As of apply() of the backend.
          parameters: Those that change from call to call, such as a seed:
            numbers, or tensors as of apply(). They replace those of the layer,
            but not those that it learns.

        Raises: as apply() of the backend; ValueError: one is learned.
        """
        if not isinstance(inputs, (list, tuple)):
            inputs = [inputs]
        spec = self._spec
        values: dict[str, Any] = dict(spec.constants) | dict(parameters or {})
        for name, attribute in self._learned:
            if name in values:
                raise ValueError(f"parameters: {name} is learned by the layer")
            values[name] = keras.ops.convert_to_tensor(getattr(self, attribute))
        return self._apply(
            spec.activation,
            *inputs,
            parameters=values,
            channel_axis=self._channel_axis,
            client=spec.client if self._client is None else self._client,
            **{name: getattr(spec, name) for name in _OPTIONS},
        )

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Returns the shape of the result; None is a size not known."""
        shapes = _shapes(input_shape)
        of = evaluator(self._spec)
        # A size that fits every other, and splits, stands for an unknown one.
        parts = len(of.info.inputs)
        split_axis = self._spec.split_axis
        if split_axis is not None and len(shapes) == 1:
            known = of.result_shape(
                [[parts if size is None else size for size in shapes[0]]]
            )
            return tuple(
                None if size is None else result
                for size, result in zip(shapes[0], known, strict=True)
            )
        known = of.result_shape(
            [[1 if size is None else size for size in s] for s in shapes]
        )
        return tuple(
            None if size == 1 and _may_be_more(shapes, i - len(known)) else size
            for i, size in enumerate(known)
        )

    def get_config(self) -> dict[str, Any]:
        """Returns all arguments, as JSON has them; and "identity"."""
        client = self._client
        if isinstance(client, actserve.Client):
            client = client.address
        return {
            **super().get_config(),
            "activation": plain_activation(self._spec.activation),
            "learnable": {
                name: np.asarray(value).tolist()
                for name, value in self._first.items()
            },
            "channels": self._channels,
            "channel_axis": self._channel_axis,
            "parameters": dict(self._spec.constants),
            "client": client,
            **{name: getattr(self._spec, name) for name in _OPTIONS},
            _IDENTITY: identity(self._spec),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Activation:
        """Returns the layer of get_config().

        Warns if it is one of another program, such as of an earlier version of
        the mathematics.
        """
        config = dict(config)
        saved = config.pop(_IDENTITY, None)
        layer = cls(**config)
        said = difference(saved, layer._spec)
        if said is not None:
            warnings.warn(said, stacklevel=2)
        return layer

    def _count_channels(self, input_shape: Any) -> int:
        shape = _shapes(input_shape)[0]
        axis = self._channel_axis
        count = shape[axis] if -len(shape) <= axis < len(shape) else None
        if count is None:
            raise ValueError(
                f"channels='input': axis {axis} of the shape {list(shape)} "
                f"has no size; give the number of channels"
            )
        return int(count)

    def _trackable_children(
        self, save_type: str = "checkpoint", **options: Any
    ) -> Any:
        # What tf.saved_model.save() asks.
        if save_type == "savedmodel":
            from actserve.tensorflow._running import NOT_SAVED

            raise NotImplementedError(
                NOT_SAVED.format(name=evaluator(self._spec).name)
            )
        return super()._trackable_children(save_type, **options)


def _shapes(input_shape: Any) -> list[Sequence[int | None]]:
    """Returns the shapes of one input or of a list of them."""
    if input_shape and isinstance(input_shape[0], (list, tuple)):
        return list(input_shape)
    return [input_shape]


def _may_be_more(shapes: Sequence[Sequence[int | None]], axis: int) -> bool:
    return any(len(s) >= -axis and s[axis] is None for s in shapes)


def _first_value(value: Any) -> Callable[..., Any]:
    def initializer(shape: Any, dtype: Any = None) -> Any:
        return keras.ops.convert_to_tensor(
            np.broadcast_to(np.asarray(value), shape), dtype=dtype
        )

    return initializer
