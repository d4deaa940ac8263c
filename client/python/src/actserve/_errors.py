"""The one exception of this package, and its one warning."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import grpc

from actserve.v1 import activation_pb2, status_pb2

_DETAILS_KEY = "grpc-status-details-bin"
_ANSWERED_KEY = "actserve-answered"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"
_DOMAIN = "actserve"

# With it the usual filter shows a warning of a line once, though each client
# registers the text.
_warned: dict[str | tuple[str, type[Warning], int], int] = {}


@dataclass(frozen=True)
class Diagnostic:
    """A message about a text, with its position.

    Attributes:
      severity: "error", "warning" or "note".
      line: The line, from 1.
      column: The byte in the line, from 1.
      message: The message, without the position.
      place: "file:line:column" of the author's file, if it is known.
    """

    severity: str
    line: int
    column: int
    message: str
    place: str = ""

    def __str__(self) -> str:
        at = self.place or f"{self.line}:{self.column}"
        return f"{at}: {self.severity}: {self.message}"


class ActivationError(Exception):
    """A call that failed.

    Attributes:
      code: Says what to do, as in proto/actserve/v1/service.proto:
        INVALID_ARGUMENT: fix the request. NOT_FOUND: no such activation.
        RESOURCE_EXHAUSTED: back off, or send less. UNAVAILABLE: no server
        answered, retries included; INTERNAL, UNKNOWN and CANCELLED may say so
        too, where gRPC or a proxy lost the call. DEADLINE_EXCEEDED: `timeout`
        passed.
        FAILED_PRECONDITION: the client is closed or was made before a fork, or
        the server cannot compile this program for its GPU.
      message: Names what was wrong, the value and the limit.
      diagnostics: All errors of a text, in order of position.
      reason: "ACTIVATION_UNKNOWN", "RESIDUAL_GONE" or None.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        diagnostics: Iterable[Diagnostic] = (),
        reason: str | None = None,
    ):
        self.code = code
        self.message = message
        self.diagnostics = tuple(diagnostics)
        self.reason = reason
        super().__init__(code, message, self.diagnostics, reason)

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class ActivationWarning(UserWarning):
    """A text that compiles and is hardly what its author wants."""


def warn(name: str | None, diagnostics: Iterable[Diagnostic]) -> None:
    """Issues the warnings among `diagnostics`.

    They are those of the author's line, if it is known, else of the caller of
    this package. Notes stay in ActivationInfo.diagnostics.
    """
    level = 1
    while sys._getframe(level).f_globals["__name__"].startswith("actserve."):
        level += 1
    for diagnostic in diagnostics:
        if diagnostic.severity != "warning":
            continue
        if diagnostic.place:
            file, line, _ = diagnostic.place.rsplit(":", 2)
            warnings.warn_explicit(
                f"{name}: {diagnostic.message}",
                ActivationWarning,
                file,
                int(line),
                registry=_warned,
            )
        else:
            warnings.warn(
                f"{name}: {diagnostic}", ActivationWarning, stacklevel=level + 1
            )


def diagnostic_from_proto(message: activation_pb2.Diagnostic) -> Diagnostic:
    """Returns the same message as a Diagnostic."""
    severity = activation_pb2.Diagnostic.Severity.Name(message.severity)
    return Diagnostic(
        severity.lower(), message.line, message.column, message.message
    )


def error_from_rpc(error: Any) -> ActivationError:
    """Returns `error` with the reason and diagnostics of its trailer."""
    reason = None
    diagnostics: list[Diagnostic] = []
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            for detail in status_pb2.Status.FromString(value).details:
                info = status_pb2.ErrorInfo()
                remarks = activation_pb2.Diagnostics()
                # By the name alone: ErrorInfo stands for google.rpc.ErrorInfo.
                if detail.type_url.endswith(".ErrorInfo"):
                    info.ParseFromString(detail.value)
                    if info.domain == _DOMAIN:
                        reason = info.reason
                elif detail.Unpack(remarks):
                    diagnostics += map(
                        diagnostic_from_proto, remarks.diagnostics
                    )
    return ActivationError(
        error.code(), error.details() or "", diagnostics, reason
    )


def answered_by_server(error: Any) -> bool:
    """Returns whether `error` is the server's own, not gRPC's or a proxy's."""
    return any(
        key == _ANSWERED_KEY for key, _ in error.trailing_metadata() or ()
    )


def pushback_of(error: Any) -> float | None:
    """Returns the seconds after which the server wants the call again.

    None if it named no time, or none that is a number of milliseconds.
    """
    for key, value in error.trailing_metadata() or ():
        if key == _PUSHBACK_KEY and value.isdecimal():
            return int(value) / 1000
    return None
