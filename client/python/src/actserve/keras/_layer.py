"""An activation as a layer of Keras."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras

import actserve
from actserve._bridge import Spec, evaluator
from actserve._bridge.learnable import first_values


@keras.saving.register_keras_serializable(package="actserve")
class Activation(keras.layers.Layer):
    """A layer that computes an activation, here or at a server.

    It serves as activation=... of another layer, too. A saved model, a
    ".keras" file, holds the text of the activation, all options and the
    weights: load_model() needs `import actserve.keras` before it, and nothing
    else. It holds the address of a server, and no token or certificate: of a
    Client, its address alone.

    >>> swish = "def swish(x, beta=1.0): return x / (1 + exp(-beta * x))"
    >>> layer = actserve.keras.Activation(
    ...     swish, learnable=["beta"], channels="auto"
    ... )
    >>> layer(keras.ops.ones([4, 3])).shape[1], layer.beta.shape
    (3, (3,))

    Learnable parameters are weights, of the activation's own names (with a "_"
    behind one that a Layer has already). They keep the dtype of the layer's
    variables under mixed precision.

    With TensorFlow, XLA cannot compile the layer: model.compile() leaves it out
    by itself, and says so if jit_compile is True.
    """

    def __init__(
        self,
        activation: actserve.Activation | Callable[..., Any] | str,
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
        **kwargs: Any,
    ):
        """Makes the layer. Asks no server if the library is here.

        Args:
          activation: An actserve.Activation, a Python function, a text, or the
            name or id of an activation.
          learnable: Names of parameters to learn; or for each its initial
            value: a number, None for its default, or a list with a value per
            channel.
          channels: The number of channels, or "auto": that of the first inputs.
            Learnable parameters that are not given as lists have a value for
            each. None: one value.
          channel_axis: The axis of the inputs that counts channels; negative
            ones count from the last.
          parameters: Numbers of the other parameters that differ from their
            default.
          axis: The axis along which rows run; None: that of the activation.
          split_axis: Of a gate: one tensor holds all inputs, its equal parts
            along this axis.
          element_offset: As of Client.forward().
          client: A Client, or an address as of actserve.connect(). None: as
            connect() chooses.
          gradient: "auto", "partials", "residual" or "stateless".
          fallback: "local": compute in this process while no server answers.
          wire_dtype: "bfloat16": float32 tensors are rounded to bfloat16, and
            travel and are computed so.
          timeout: Seconds for a call; None: the client's.
          **kwargs: Those of every layer: name, dtype, trainable.

        Raises:
          ActivationError: The source of the activation cannot be taken, or its
            text has errors, and the library, which finds them, is here.
          TypeError: It has no parameter of such a name.
          ValueError: An option has none of its values.
        """
        options: dict[str, Any] = {
            "axis": axis,
            "split_axis": split_axis,
            "element_offset": element_offset,
            "gradient": gradient,
            "fallback": fallback,
            "wire_dtype": wire_dtype,
            "timeout": timeout,
        }
        spec = Spec.make(
            activation, client, constants=parameters, **options
        )
        of = evaluator(spec)
        if isinstance(channels, str) and channels != "auto":
            raise ValueError(
                f"channels is {channels!r}, not a number, 'auto' or None"
            )
        counted = channels if isinstance(channels, int) else None
        values = first_values(of, learnable, counted)
        super().__init__(**kwargs)
        self.activation = spec.activation
        self.channels = channels
        self.channel_axis = channel_axis
        self.supports_masking = True
        self.supports_jit = keras.config.backend() != "tensorflow"
        self._of = of
        self._options = options
        self._client = client
        self._parameters = dict(spec.constants)
        self._values: dict[str, Any] = {}
        self._learnable = {
            name: value.tolist() for name, value in values.items()
        }

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs of this shape, or of these shapes."""
        if self.built:
            return
        for name, value in self._learnable.items():
            if self.channels == "auto" and not isinstance(value, list):
                value = [value] * self._num_channels(name, input_shape)
            variable = self.add_weight(
                name=name,
                shape=_shape_of(value),
                initializer=functools.partial(_initial, value),
                autocast=False,
            )
            setattr(self, f"{name}_" if hasattr(self, name) else name, variable)
            self._values[name] = variable
        self.built = True

    def call(
        self, inputs: Any, parameters: Mapping[str, Any] | None = None
    ) -> Any:
        """Returns the activation of a tensor, or of a list of tensors.

        Args:
          inputs: Tensors of the layer's compute dtype, which broadcast.
          parameters: Those that change from call to call, such as a seed:
            numbers, or tensors of one element.
        """
        tensors = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        values = {
            name: variable.value for name, variable in self._values.items()
        }
        twice = set(values) & set(parameters or {})
        if twice:
            raise ValueError(
                f"parameters: {min(twice)} is learned by the layer"
            )
        fixed = {
            name: value
            for name, value in self._parameters.items()
            if name not in values
        }
        return _apply()(
            self.activation,
            *tensors,
            parameters={**fixed, **values, **(parameters or {})},
            channel_axis=self.channel_axis,
            client=self._client,
            **self._options,
        )

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Returns the shape of the result; sizes may be None."""
        shapes = _shapes(input_shape)
        shape = list(functools.reduce(_broadcast, shapes))
        split_axis = self._options["split_axis"]
        if split_axis is None:
            return tuple(shape)
        num_parts = len(self._of.info.inputs)
        known = [num_parts if size is None else size for size in shape]
        size = self._of.result_shape([known])[split_axis]
        shape[split_axis] = None if shape[split_axis] is None else size
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """Returns what from_config() makes the layer of again."""
        activation: Any = self.activation
        if isinstance(activation, actserve.Activation):
            activation = {
                "text": activation.text,
                "derivative": activation.derivative,
                "constants": dict(activation.constants),
                "exact": activation.exact,
                "axis": activation.axis,
            }
        client = self._client
        if isinstance(client, actserve.Client):
            client = client.address
        return {
            **super().get_config(),
            **self._options,
            "activation": activation,
            "learnable": dict(self._learnable),
            "channels": self.channels,
            "channel_axis": self.channel_axis,
            "parameters": dict(self._parameters),
            "client": client,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Activation:
        """Returns the layer of a get_config()."""
        config = dict(config)
        if isinstance(config["activation"], dict):
            config["activation"] = actserve.Activation(**config["activation"])
        return cls(**config)

    def _num_channels(self, name: str, input_shape: Any) -> int:
        shape = functools.reduce(_broadcast, _shapes(input_shape))
        axis = self.channel_axis
        if not -len(shape) <= axis < len(shape):
            raise ValueError(
                f"{self._of.name}: channel_axis {axis} is no axis of a tensor "
                f"of {len(shape)} axes"
            )
        size = shape[axis]
        if size is None:
            raise ValueError(
                f"{self._of.name}: the size of axis {axis} of {list(shape)} is "
                f"not known, so how many values {name} has is not either: give "
                f"a number of channels"
            )
        return int(size)


def _apply() -> Callable[..., Any]:
    """Returns apply() of the framework that Keras runs on."""
    name = keras.config.backend()
    if name not in ("tensorflow", "torch", "jax"):
        raise NotImplementedError(
            f"actserve.keras: the backend {name} is none of tensorflow, torch, "
            f"jax"
        )
    apply: Callable[..., Any] = importlib.import_module(f"actserve.{name}").apply
    return apply


def _initial(value: Any, shape: Any, dtype: Any = None) -> Any:
    """An initializer of Keras."""
    return keras.ops.convert_to_tensor(value, dtype=dtype)


def _shape_of(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    return (len(value), *_shape_of(value[0]))


def _shapes(input_shape: Any) -> list[Sequence[int | None]]:
    """Returns the shapes of the inputs, of one shape or a list of them."""
    if input_shape and isinstance(input_shape[0], (list, tuple)):
        return list(input_shape)
    return [input_shape]


def _broadcast(
    a: Sequence[int | None], b: Sequence[int | None]
) -> Sequence[int | None]:
    """Returns the shape that two broadcast to.

    Raises:
      ValueError: They do not.
    """
    rank = max(len(a), len(b))
    result = []
    for one, other in zip(
        (*(1,) * (rank - len(a)), *a),
        (*(1,) * (rank - len(b)), *b),
        strict=True,
    ):
        if one == 1 or one == other:
            result.append(other)
        elif other == 1 or other is None:
            result.append(one)
        elif one is None:
            result.append(other)
        else:
            raise ValueError(
                f"the inputs do not broadcast: {list(a)} and {list(b)}"
            )
    return result
