"""The caller's place in a distributed trace, as headers of a call."""

from __future__ import annotations

import contextlib
import contextvars
import sys
from collections.abc import Iterator

Headers = tuple[tuple[str, str], ...]

_headers: contextvars.ContextVar[Headers] = contextvars.ContextVar(
    "actserve_trace", default=()
)


@contextlib.contextmanager
def trace(traceparent: str, tracestate: str = "") -> Iterator[None]:
    """Makes the calls inside belong to a trace; for this thread or task.

    The server's spans then have the caller's span as their parent. A program
    that uses OpenTelemetry needs none of this: its current span is taken.

    Args:
      traceparent: The header of W3C Trace Context, "00-<trace>-<span>-01".
      tracestate: The header beside it, if there is one.

    Raises:
      ValueError: A header is not printable ASCII, or there is no traceparent.
    """
    if not traceparent:
        raise ValueError("traceparent is empty")
    headers: Headers = (("traceparent", traceparent),)
    if tracestate:
        headers += (("tracestate", tracestate),)
    for name, value in headers:
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"{name} {value!r} is not printable ASCII")
    token = _headers.set(headers)
    try:
        yield
    finally:
        _headers.reset(token)


def headers() -> Headers:
    """Returns what to send with a call: of trace(), else of OpenTelemetry.

    OpenTelemetry is asked only if the program has imported it.
    """
    given = _headers.get()
    if given:
        return given
    opentelemetry = sys.modules.get("opentelemetry.trace")
    if opentelemetry is None:
        return ()
    span = opentelemetry.get_current_span().get_span_context()
    if not span.is_valid:
        return ()
    found: Headers = (
        (
            "traceparent",
            f"00-{span.trace_id:032x}-{span.span_id:016x}"
            f"-{int(span.trace_flags):02x}",
        ),
    )
    state = span.trace_state.to_header()
    return (*found, ("tracestate", state)) if state else found
