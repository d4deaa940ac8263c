"""Remarks of the server on a text, as Python warnings."""

import warnings

import grpc
import numpy as np
import pytest

import actserve
from actserve.v1 import activation_pb2

X = np.array([1.0, -2.0], np.float32)
WARNING = activation_pb2.Diagnostic(
    severity=activation_pb2.Diagnostic.WARNING, line=1, column=5, message="flat"
)
NOTE = activation_pb2.Diagnostic(
    severity=activation_pb2.Diagnostic.NOTE, line=1, column=5, message="differs"
)


def test_warns_once_of_an_activation(fake, service):
    service.diagnostics = [WARNING, NOTE]
    f = actserve.activation("def f(x): return floor(x)")

    with pytest.warns(actserve.ActivationWarning) as found:
        fake.forward(f, X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        service.failures = [(grpc.StatusCode.NOT_FOUND, "ACTIVATION_UNKNOWN")]
        fake.forward(f, X)

    (warning,) = found
    assert str(warning.message) == "f: 1:5: warning: flat"
    assert warning.filename == __file__
    assert service.names().count("RegisterActivation") == 2
