"""Descriptions of activations and of a server."""

from __future__ import annotations

from dataclasses import dataclass

from actserve._errors import Diagnostic
from actserve._tensors import dtype_name
from actserve.v1 import activation_pb2, service_pb2


@dataclass(frozen=True)
class GradientDifference:
    """Where the gradient by one variable is farthest from the differences.

    Attributes:
      max_error: Largest |gradient - difference| / max(1, |difference|).
      inputs: The tensor inputs there, by name; empty if none was compared.
      gradient: The gradient there, for the upstream gradient 1; where rows are
        read, that of element e is 1 + e / 8.
      difference: The central difference there.
    """

    max_error: float
    inputs: dict[str, float]
    gradient: float
    difference: float


@dataclass(frozen=True)
class GradientCheck:
    """The comparison of a gradient with central differences, in float64.

    Attributes:
      num_points: Points compared, kinks left out.
      max_error: Largest |gradient - difference| / max(1, |difference|).
      worst_input: The first input at that point.
      num_nan: Points with a NaN gradient although the function is finite.
      variables: By input and parameter, where it is worst for that one.
    """

    num_points: int
    max_error: float
    worst_input: float
    num_nan: int
    variables: dict[str, GradientDifference]


@dataclass(frozen=True)
class ActivationInfo:
    """An activation as the server knows it.

    Attributes:
      id: "sha256:...", its name in requests.
      name: The name of its `def`.
      builtin: True if the server ships it; then requests may use the name.
      inputs: Names of the tensor inputs, in order.
      parameters: Default by name, in order.
      text: The text as registered; "" in Client.list_activations unless asked.
      doc: Its docstring.
      gradients: d(output)/d(input or parameter) as text, in order; filled by
        Client.get_activation. A text of more than 64 KiB is cut.
      declared_gradient: True if its author wrote the gradient.
      rewrites: The rewrites for numerical safety, one line each.
      program: The function as straight-line text; "" in
        Client.list_activations.
      gradient_check: None in Client.list_activations.
      reads_rows: True if a result, or a gradient, depends on the whole row of
        its element: calls then need an axis, and `gradients` are those of
        rowsum(output).
      diagnostics: The server's warnings and notes about the text, in order of
        position, as of its registration; empty in what was not registered by
        this call.
    """

    id: str
    name: str
    builtin: bool
    inputs: tuple[str, ...]
    parameters: dict[str, float]
    text: str
    doc: str
    gradients: tuple[str, ...]
    declared_gradient: bool
    rewrites: tuple[str, ...]
    program: str
    gradient_check: GradientCheck | None
    reads_rows: bool
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class DeviceInfo:
    """A device that the server computes on.

    Attributes:
      name: The same as in responses, for example "cpu".
      description: The hardware, for people.
      reason: Why the server uses it.
      counters: The fields of DeviceCounters in the contract, by name;
        durations in seconds, batch_sizes a tuple.
    """

    name: str
    description: str
    reason: str
    counters: dict[str, float | tuple[int, ...]]


@dataclass(frozen=True)
class ServerInfo:
    """A description of a server.

    Attributes:
      version: The version of the server.
      devices: At least one.
      dtypes: NumPy names.
      limits: The fields of ServerLimits in the contract, by name; durations in
        seconds.
      addresses: The addresses that it listens on.
    """

    version: str
    devices: tuple[DeviceInfo, ...]
    dtypes: tuple[str, ...]
    limits: dict[str, float]
    addresses: tuple[str, ...]


def activation_info(message: activation_pb2.Activation) -> ActivationInfo:
    """Returns `message` as an ActivationInfo."""
    check = None
    if message.HasField("gradient_check"):
        check = GradientCheck(
            message.gradient_check.num_points,
            message.gradient_check.max_error,
            message.gradient_check.worst_input,
            message.gradient_check.num_nan,
            {
                v.name: GradientDifference(
                    v.max_error,
                    dict(zip(message.inputs, v.inputs, strict=False)),
                    v.gradient,
                    v.difference,
                )
                for v in message.gradient_check.variables
            },
        )
    return ActivationInfo(
        id=message.id,
        name=message.name,
        builtin=message.builtin,
        inputs=tuple(message.inputs),
        parameters={p.name: p.default_value for p in message.parameters},
        text=message.text,
        doc=message.doc,
        gradients=tuple(message.gradients),
        declared_gradient=message.declared_gradient,
        rewrites=tuple(message.rewrites),
        program=message.program,
        gradient_check=check,
        reads_rows=message.reads_rows,
    )


def _counters(
    message: service_pb2.DeviceCounters,
) -> dict[str, float | tuple[int, ...]]:
    counters: dict[str, float | tuple[int, ...]] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None:
            value = value.ToTimedelta().total_seconds()
        elif not isinstance(value, int):
            value = tuple(value)
        counters[field.name] = value
    return counters


def server_info(message: service_pb2.ServerInfo) -> ServerInfo:
    """Returns `message` as a ServerInfo."""
    limits: dict[str, float] = {}
    for field in service_pb2.ServerLimits.DESCRIPTOR.fields:
        value = getattr(message.limits, field.name)
        if field.message_type is not None:
            value = value.ToTimedelta().total_seconds()
        limits[field.name] = value
    return ServerInfo(
        version=message.version,
        devices=tuple(
            DeviceInfo(d.name, d.description, d.reason, _counters(d.counters))
            for d in message.devices
        ),
        dtypes=tuple(map(dtype_name, message.dtypes)),
        limits=limits,
        addresses=tuple(message.addresses),
    )
