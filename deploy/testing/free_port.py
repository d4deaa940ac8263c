"""A port for a program that cannot choose one itself."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Returns a port of loopback where nobody listens now."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]
