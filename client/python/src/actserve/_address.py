"""Finds the server by the rule of proto/default_address.h."""

from __future__ import annotations

import os
import stat

_DEFAULT_TCP = "127.0.0.1:50051"
_VARIABLE = "ACTSERVE_ADDRESS"
_SCHEMES = ("dns:", "ipv4:", "ipv6:")


def resolve(address: str | None) -> str:
    """Returns a gRPC target.

    Without `address`: $ACTSERVE_ADDRESS; else the default socket, if one is
    there that only this user can have made; else 127.0.0.1:50051.

    Raises:
      ValueError: Neither "host:port" nor "unix:PATH" nor a gRPC target of
        scheme dns, ipv4 or ipv6.
    """
    if address is None:
        address = os.environ.get(_VARIABLE)
    if not address:
        path = default_socket()
        return f"unix:{path}" if _is_usable(path) else _DEFAULT_TCP
    if address.startswith("unix:"):
        if not address.removeprefix("unix:"):
            raise ValueError(f'address "{address}" has no path')
        return address
    if address.startswith(_SCHEMES):
        return address
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(
            f'address "{address}" is neither host:port nor unix:PATH'
        )
    return address


def default_socket() -> str:
    """Returns the path where a server of this user listens by default."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        return os.path.join(runtime, "actserve", "actserve.sock")
    return f"/tmp/actserve-{os.getuid()}/actserve.sock"


def is_local(target: str) -> bool:
    """Returns whether `target` can only be this machine."""
    return target.startswith(("unix:", "127.", "localhost:", "[::1]:"))


def _is_usable(path: str) -> bool:
    """Returns whether a socket is there that only this user can have made.

    In /tmp anyone could have made the directory first.
    """
    try:
        directory = os.lstat(os.path.dirname(path))
        return (
            stat.S_ISDIR(directory.st_mode)
            and directory.st_uid == os.getuid()
            and not directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            and stat.S_ISSOCK(os.lstat(path).st_mode)
        )
    except OSError:
        return False
