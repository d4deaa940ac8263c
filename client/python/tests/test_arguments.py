"""What is refused before a call, and how the errors name it."""

import re

import numpy as np
import pytest

import actserve

X = np.array([1.0, -2.0], np.float32)
CHANNELS = actserve.PerAxis([1, 2], 0)


@pytest.mark.parametrize("method", ["forward", "backward"])
@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"axis": 1.0}, TypeError, "axis is 1.0, not an integer"),
        ({"axis": True}, TypeError, "axis is True, not an integer"),
        ({"axis": X}, TypeError, "axis is of type ndarray, not an integer"),
        ({"axis": 2**31}, ValueError, "axis is 2147483648, not in [-2^31, "),
        ({"element_offset": 1.5}, TypeError, "element_offset is 1.5, not an"),
        ({"element_offset": True}, TypeError, "element_offset is True, not"),
        (
            {"element_offset": 2**63},
            ValueError,
            "element_offset is 9223372036854775808, not in [-2^63, 2^63 - 1]",
        ),
        ({"parameters": [0.1]}, TypeError, "parameters is of type list, not a"),
        ({"parameters": {1: 2}}, TypeError, "parameters: the key is 1, not a"),
        ({"parameters": {"a": "2"}}, TypeError, "parameters['a'] is '2', not"),
        ({"parameters": {"a": None}}, TypeError, "parameters['a'] is of type"),
        (
            {"parameters": {"seed": 2**53 + 1}},
            ValueError,
            "parameters['seed'] is 9007199254740993, which a float64 does not "
            "hold exactly, as it does every integer up to 2^53",
        ),
        ({"parameters": {"a": 10**400}}, ValueError, "parameters['a'] is 1000"),
        (
            {"parameters": {"a": actserve.PerAxis([1, 2], 1.0)}},
            TypeError,
            "parameters['a']: axis is 1.0, not an integer",
        ),
    ],
)
def test_names_argument_and_value(
    fake, service, method, arguments, kind, message
):
    with pytest.raises(kind, match=re.escape(message)):
        getattr(fake, method)("f", X, **arguments)

    assert service.names() == []


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"order": "2"}, TypeError, "order is '2', not an integer"),
        ({"order": True}, TypeError, "order is True, not an integer"),
        ({"cotangents": X}, TypeError, "cotangents is of type ndarray, not a"),
        (
            {"cotangents": {"x": CHANNELS}},
            TypeError,
            "cotangents['x'] is of type PerAxis, not a tensor of numbers",
        ),
        (
            {"cotangents": {"a": CHANNELS}},
            TypeError,
            "cotangents['a'] is of type PerAxis, not a number",
        ),
        (
            {"grad_output": CHANNELS},
            TypeError,
            "grad_output is of type PerAxis",
        ),
        ({"wrt": []}, ValueError, "wrt is empty"),
        ({"wrt": 1}, TypeError, "wrt is 1, not a list of names"),
        ({"wrt": ["x", 1]}, TypeError, "wrt[1] is 1, not a name"),
    ],
)
def test_backward_names_argument_and_value(fake, arguments, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        fake.backward("f", X, **arguments)


@pytest.mark.parametrize(
    ("tangents", "message"),
    [
        (X, "tangents is of type ndarray, not a dict of values by name"),
        ({"x": CHANNELS}, "tangents['x'] is of type PerAxis, not a tensor"),
        ({"a": CHANNELS}, "tangents['a'] is of type PerAxis, not a number"),
    ],
)
def test_jvp_names_tangent_and_value(fake, tangents, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        fake.jvp("f", X, tangents=tangents)


def test_takes_integers_and_numbers_of_numpy(fake, service):
    fake.forward(
        "f",
        X,
        axis=np.int64(-1),
        element_offset=np.uint8(3),
        parameters={"a": np.float32(0.5), "b": np.array(2), "seed": 2**53},
    )

    (request,) = service.calls
    assert (request.axis, request.element_offset) == (-1, 3)
    assert [p.scalar for p in request.parameters] == [0.5, 2, 2**53]


def test_a_wrt_of_none_stays_unset(fake, service):
    fake.backward("f", X, wrt=None)

    assert not service.calls[0].wrt
