"""The headers that place a call in its caller's trace."""

import sys

import pytest
from opentelemetry import trace as opentelemetry

import actserve
from actserve import _trace

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def received(fake, service, monkeypatch):
    """The trace headers of the calls that the fake server got, in order."""
    seen = []
    begin = service._begin

    def note(request, context):
        seen.append(
            {
                key: value
                for key, value in context.invocation_metadata()
                if key in ("traceparent", "tracestate")
            }
        )
        begin(request, context)

    monkeypatch.setattr(service, "_begin", note)
    return seen


def span_context(state=()):
    return opentelemetry.SpanContext(
        trace_id=0x4BF92F3577B34DA6A3CE929D0E0E4736,
        span_id=0x00F067AA0BA902B7,
        is_remote=False,
        trace_flags=opentelemetry.TraceFlags(1),
        trace_state=opentelemetry.TraceState(state),
    )


def test_nothing_is_sent_without_a_trace(fake, received):
    fake.forward("relu", [1.0])
    assert received == [{}]


def test_a_given_trace_is_sent_with_every_call(fake, received):
    with actserve.trace(PARENT, "vendor=x"):
        fake.forward("relu", [1.0])
        fake.list_activations()
    fake.forward("relu", [1.0])
    want = {"traceparent": PARENT, "tracestate": "vendor=x"}
    assert received == [want, want, want, {}]


def test_the_current_span_of_opentelemetry_is_sent(fake, received):
    span = opentelemetry.NonRecordingSpan(span_context([("vendor", "x")]))
    with opentelemetry.use_span(span):
        fake.forward("relu", [1.0])
        with actserve.trace(PARENT.replace("4b", "aa", 1)):
            fake.forward("relu", [1.0])
    assert received == [
        {"traceparent": PARENT, "tracestate": "vendor=x"},
        {"traceparent": PARENT.replace("4b", "aa", 1)},
    ]


def test_opentelemetry_is_not_imported_for_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert _trace.headers() == ()
    assert "opentelemetry.trace" not in sys.modules


@pytest.mark.parametrize("bad", ["", "a\nb", "\u00fc", "\x00"])
def test_headers_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match=r"empty|ASCII"), actserve.trace(bad):
        pass


def test_a_trace_ends_with_its_block_whatever_happens():
    with pytest.raises(RuntimeError), actserve.trace(PARENT):
        raise RuntimeError
    assert _trace.headers() == ()
