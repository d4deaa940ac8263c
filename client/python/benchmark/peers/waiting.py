"""Servers that start."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PATIENCE_SECONDS = 40.0


def free_port() -> int:
    """Returns a port of the loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


def until_it_works(connect: Callable[[], T]) -> T:
    """Returns what `connect` does, once it no longer raises."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return connect()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
