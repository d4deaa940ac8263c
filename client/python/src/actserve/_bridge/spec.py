"""What a layer evaluates, and how: a value that every framework can carry."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from actserve import _arguments
from actserve._activation import Activation, activation
from actserve._address import resolve
from actserve._bridge import clients
from actserve._client import Client
from actserve._source import outside

GRADIENTS = ("auto", "partials", "residual", "stateless")
FALLBACKS = (None, "local")
WIRE_DTYPES = (None, "bfloat16")


@dataclasses.dataclass(frozen=True, eq=False)
class Spec:
    """An activation with everything that its calls have in common.

    Immutable and hashable. Pickles, a Client with it. Made by make(). Keeps the
    Client that it names, and raises RuntimeError where that is gone.

    Attributes:
      activation: The activation, or the name or id of one.
      client: An address as of connect(); None: as connect() chooses; else the
        key of a Client of this process.
      parameters: The parameters whose values are tensors, in order: the name,
        and the axis of the inputs on which the first dimension of the values
        lies; None: the value is one number.
      constants: The other parameters that differ from their default.
      axis: The axis along which rows run, or None.
      split_axis: As of Client.forward().
      element_offset: As of Client.forward().
      gradient: What the way to a gradient is: see Evaluator.gradient_way().
      fallback: "local": compute in this process while no server answers.
      wire_dtype: "bfloat16": float32 tensors are rounded to it, and travel and
        are computed so.
      timeout: Seconds for a call; None: the client's.
    """

    activation: Activation | str
    client: str | None = None
    parameters: tuple[tuple[str, int | None], ...] = ()
    constants: tuple[tuple[str, float], ...] = ()
    axis: int | None = None
    split_axis: int | None = None
    element_offset: int = 0
    gradient: str = "auto"
    fallback: str | None = None
    wire_dtype: str | None = None
    timeout: float | None = None

    @classmethod
    def make(
        cls,
        activation: Activation | Callable[..., Any] | str,
        client: Client | str | None = None,
        parameters: Iterable[tuple[str, int | None]] = (),
        constants: Mapping[str, float] | None = None,
        axis: int | None = None,
        split_axis: int | None = None,
        element_offset: int = 0,
        gradient: str = "auto",
        fallback: str | None = None,
        wire_dtype: str | None = None,
        timeout: float | None = None,
    ) -> Spec:
        """Returns the Spec of these values, checked.

        Args:
          activation: Also a plain function, or the text of one.
          client: A Client, an address, None as of connect(), or the `client`
            of another Spec.
          parameters: As the attribute.
          constants: By name.
          axis: As the attribute; None: that of the activation.
          split_axis: As the attribute.
          element_offset: As the attribute.
          gradient: "auto", "partials", "residual" or "stateless".
          fallback: None or "local".
          wire_dtype: None or "bfloat16".
          timeout: As the attribute.

        Raises:
          TypeError: A value is of a type that no call can carry.
          ValueError: A value is none of those named; or an address has another
            form.
          ActivationError: The source of a function cannot be taken.
        """
        activation = _activation_of(activation)
        for name, value, known in (
            ("gradient", gradient, GRADIENTS),
            ("fallback", fallback, FALLBACKS),
            ("wire_dtype", wire_dtype, WIRE_DTYPES),
        ):
            if value not in known:
                raise ValueError(
                    f"{name} is {value!r}, not one of "
                    f"{', '.join(map(repr, known))}"
                )
        if isinstance(client, Client):
            client = clients.key_of(client)
        elif client is not None:
            if not isinstance(client, str):
                raise TypeError(
                    f"client is of type {type(client).__name__}: give an "
                    f"address or an actserve.Client"
                )
            if not clients.is_key(client):
                client = resolve(client, can_compute=True)
        tensors = tuple(
            (
                name,
                None
                if place is None
                else _arguments.integer(f"axis of {name}", place, bits=32),
            )
            for name, place in parameters
        )
        numbers = tuple(
            (name, _arguments.number(f"parameters[{name!r}]", value))
            for name, value in sorted(
                _arguments.by_name("parameters", constants).items()
            )
        )
        twice = {name for name, _ in tensors} & {name for name, _ in numbers}
        if twice:
            raise ValueError(
                f"the parameter {min(twice)} is both a tensor and a number"
            )
        return cls(
            activation,
            client,
            tensors,
            numbers,
            _arguments.axis_of(activation, axis),
            _arguments.split_axis_of(split_axis),
            _arguments.integer("element_offset", element_offset, bits=64),
            gradient,
            fallback,
            wire_dtype,
            None if timeout is None else _arguments.timeout_of(timeout),
        )

    def __post_init__(self) -> None:
        # Keeps a Client of the user.
        object.__setattr__(self, "_kept", clients.object_of(self.client))

    def with_parameters(
        self,
        parameters: tuple[tuple[str, int | None], ...],
        constants: tuple[tuple[str, Any], ...] = (),
    ) -> Spec:
        """Returns one with these parameters, and more constants. Quick.

        What is given replaces a constant of its name.

        Args:
          parameters: All of them, as the attribute.
          constants: Pairs of a name and a number.

        Raises: as make().
        """
        # Numbers as texts too, of which those of 0.0 and -0.0 differ.
        return _with_parameters(self, parameters, constants, repr(constants))

    def text(self) -> str:
        """Returns it as text: equal specs of one process have equal texts."""
        return self._text

    @classmethod
    def of_text(cls, text: str) -> Spec:
        """Returns the Spec that a text() of this process stands for.

        One of another process serves too, unless its client is an object.
        """
        fields = json.loads(text)
        if isinstance(fields["activation"], dict):
            fields["activation"] = Activation(**fields["activation"])
        for name in ("parameters", "constants"):
            fields[name] = tuple(map(tuple, fields[name]))
        return cls(**fields)

    @functools.cached_property
    def _text(self) -> str:
        fields = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        fields["activation"] = plain_activation(self.activation)
        return json.dumps(fields)

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spec):
            return NotImplemented
        return self is other or self._text == other._text

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        client = clients.object_of(self.client)
        # The key means nothing in another process.
        plain = (
            self if client is None else dataclasses.replace(self, client=None)
        )
        return _restore, (plain._text, client)


def plain_activation(activation: Activation | str) -> dict[str, Any] | str:
    """Returns the arguments that make an equal one, as JSON has them."""
    if isinstance(activation, str):
        return activation
    return {
        "text": activation.text,
        "derivative": activation.derivative,
        "constants": dict(sorted(activation.constants.items())),
        "exact": activation.exact,
        "axis": activation.axis,
    }


def kept(
    activation: Activation | Callable[..., Any] | str,
    client: Client | str | None,
    parameters: tuple[tuple[str, int | None], ...],
    constants: tuple[tuple[str, Any], ...],
    *options: Any,
) -> Spec:
    """Returns Spec.make() of these values; the same Spec for the same. Quick.

    Args:
      activation: As of make(). A function is taken again when what it reads
        from outside has changed.
      client: As of make().
      parameters: As of make().
      constants: Pairs of a name and a number.
      *options: The other arguments of make(), in order.

    Raises: as make().
    """
    # Numbers as texts too, of which those of 0.0 and -0.0 differ.
    key = (repr(constants) if constants else "", outside(activation))
    return _kept(activation, client, parameters, constants, key, *options)


@functools.lru_cache(maxsize=1024, typed=True)
def _kept(
    activation: Activation | Callable[..., Any] | str,
    client: Client | str | None,
    parameters: tuple[tuple[str, int | None], ...],
    constants: tuple[tuple[str, Any], ...],
    key: tuple[Any, ...],
    *options: Any,
) -> Spec:
    return Spec.make(activation, client, parameters, dict(constants), *options)


@functools.lru_cache(maxsize=4096, typed=True)
def _with_parameters(
    spec: Spec,
    parameters: tuple[tuple[str, int | None], ...],
    constants: tuple[tuple[str, Any], ...],
    key: str,
) -> Spec:
    given = {name for name, _ in (*parameters, *constants)}
    others = {n: value for n, value in spec.constants if n not in given}
    return Spec.make(
        spec.activation,
        spec.client,
        parameters,
        others | dict(constants),
        spec.axis,
        spec.split_axis,
        spec.element_offset,
        spec.gradient,
        spec.fallback,
        spec.wire_dtype,
        spec.timeout,
    )


def _restore(text: str, client: Client | None) -> Spec:
    spec = Spec.of_text(text)
    if client is not None:
        spec = dataclasses.replace(spec, client=clients.key_of(client))
    return spec


def _activation_of(
    given: Activation | Callable[..., Any] | str,
) -> Activation | str:
    if isinstance(given, Activation):
        return given
    if isinstance(given, str) and re.fullmatch(r"[\w:]+", given):
        return given  # a name or an id
    return activation(given)
