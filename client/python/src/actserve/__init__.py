"""Activation functions written as text, differentiated by a server."""

from actserve._errors import ActivationError, Diagnostic

__all__ = ["ActivationError", "Diagnostic"]
__version__ = "0.1.0"
