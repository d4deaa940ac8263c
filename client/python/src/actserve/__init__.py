"""Activation functions written as text, compiled and differentiated remotely.

import actserve

@actserve.activation
def spiky(x):
    r = x % 1
    return r if r <= 0.5 else 0

with actserve.connect("127.0.0.1:50051") as client:
    y = client.forward(spiky, x)
    dx = client.backward(spiky, x, grad_output=dy)["x"]
"""

from actserve._activation import Activation, activation
from actserve._advice import Advice, Distance
from actserve._bridge.fallback import fallback_counts
from actserve._client import Client
from actserve._connect import connect
from actserve._errors import ActivationError, ActivationWarning, Diagnostic
from actserve._info import (
    ActivationInfo,
    DeviceInfo,
    GradientCheck,
    GradientDifference,
    ServerInfo,
)
from actserve._residual import Residual
from actserve._trace import trace
from actserve._values import PerAxis

__all__ = [
    "Activation",
    "ActivationError",
    "ActivationInfo",
    "ActivationWarning",
    "Advice",
    "Client",
    "DeviceInfo",
    "Diagnostic",
    "Distance",
    "GradientCheck",
    "GradientDifference",
    "PerAxis",
    "Residual",
    "ServerInfo",
    "activation",
    "connect",
    "fallback_counts",
    "trace",
]
__version__ = "0.1.0"
