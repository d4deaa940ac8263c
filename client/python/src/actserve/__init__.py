"""Activation functions written as text, differentiated by a server."""

from actserve._activation import Activation, activation
from actserve._errors import ActivationError, Diagnostic

__all__ = ["Activation", "ActivationError", "Diagnostic", "activation"]
__version__ = "0.1.0"
