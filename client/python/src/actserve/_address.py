"""Finds the server by the rule of proto/default_address.h.

The rules for addresses are those of client/cpp/connect/address.h;
client/testdata/addresses.json holds both to one table.
"""

from __future__ import annotations

import errno
import os
import socket
import stat

# No server: the client's own process.
LOCAL = "local"
# Before the address of servers: whichever is nearer for a call, they or this
# process.
AUTO = "auto:"
_DEFAULT_TCP = "127.0.0.1:50051"
_DEFAULT_PORT = _DEFAULT_TCP.rpartition(":")[2]
_VARIABLE = "ACTSERVE_ADDRESS"
_HOST_SCHEMES = ("dns:", "ipv4:", "ipv6:")
_MAX_SOCKET_PATH_BYTES = 107


def resolve(address: str | None, can_compute: bool = False) -> str:
    """Returns a gRPC target, or "local".

    Without `address`: $ACTSERVE_ADDRESS; else the default socket, if a server
    listens there; else "local".

    Args:
      address: As connect() takes it.
      can_compute: Whether this process can compute "local".

    Raises:
      ConnectionError: There is neither an address nor a server, and
        `can_compute` is false.
      TypeError: `address` is no string.
      ValueError: Neither "host:port" nor "unix:PATH" nor a gRPC target of
        scheme dns, ipv4, ipv6 or unix-abstract, nor several of them, separated
        by commas. The message says what to write.
    """
    if address is None:
        address = os.environ.get(_VARIABLE)
    if not address:
        path = default_socket()
        if _is_usable(path) and _listens(path):
            return f"unix:{path}"
        if can_compute:
            return LOCAL
        raise ConnectionError(
            f"no server listens at unix:{path}, and the library that computes "
            f"without one is not here; start actserved, or name a server, as "
            f"connect(address) or in ${_VARIABLE}, or install the wheel with "
            f"the library, or name that in $ACTSERVE_LIBRARY"
        )
    if not isinstance(address, str):
        raise TypeError(f"address {address!r} is not a string")
    if address == LOCAL:
        return address
    parts = address.removeprefix(AUTO).split(",")
    for part in parts:
        if not part and len(parts) > 1:
            raise ValueError(
                f"address '{address}': has an empty part; write "
                f"host:port,host:port"
            )
        problem = _problem(part)
        if problem is not None:
            raise ValueError(f"address '{part}': {problem}")
    return address


def split(address: str) -> list[str]:
    """Returns the addresses in `address`, each once: a server each.

    "ipv4:a,b" is two of them too.
    """
    return list(dict.fromkeys(address.split(",")))


def name_to_look_up(address: str) -> tuple[str, str] | None:
    """Returns host and port behind which the client finds servers itself.

    Of "dns:HOST:PORT" and "dns:///HOST:PORT", as one of split(). None for other
    addresses, which gRPC takes as they are.
    """
    if not address.startswith("dns:"):
        return None
    name = address.removeprefix("dns:").removeprefix("///")
    # With an authority, or without a port: gRPC's to look up.
    if name.startswith("/") or _host_port_problem(name) is not None:
        return None
    host, _, port = name.rpartition(":")
    if host.startswith("["):
        host = host[1:].removesuffix("]")
    return host, port


def default_socket() -> str:
    """Returns the path where a server of this user listens by default."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime):
        return os.path.join(runtime, "actserve", "actserve.sock")
    return f"/tmp/actserve-{os.getuid()}/actserve.sock"


def is_loopback(address: str) -> bool:
    """Returns whether `address` can only be this machine.

    Of several, whether all can. A proxy from the environment must not be used
    for it.
    """
    return all(map(_is_loopback_part, address.split(",")))


def is_unix_socket(one: str) -> bool:
    """Returns whether one of split() is a unix socket; a host may begin so."""
    return one.startswith(("unix:", "unix-abstract:"))


def _is_loopback_part(target: str) -> bool:
    if is_unix_socket(target):
        return True
    for scheme in _HOST_SCHEMES:
        if target.startswith(scheme):
            target = target.removeprefix(scheme)
            if target.startswith("//"):
                # dns://AUTHORITY/HOST: the server of names may be anywhere.
                target = target[2:].partition("/")[2]
            break
    return _is_loopback_host(target)


def _is_loopback_host(host_and_port: str) -> bool:
    host = host_and_port.lower().replace("%5b", "[").replace("%5d", "]")
    if host.startswith("["):
        host = host[1:].partition("]")[0]
        return host in ("::1", "0:0:0:0:0:0:0:1") or host.startswith(
            "::ffff:127."
        )
    host = host.rpartition(":")[0].removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    # Digits and dots: 127.example.com is a name.
    return host.startswith("127.") and not host.strip("0123456789.")


def _problem(address: str) -> str | None:
    """Returns what is wrong with `address`, None if nothing is."""
    if any(c.isspace() or ord(c) < 32 or ord(c) == 127 for c in address):
        return "holds a space or a control character"
    if address.startswith("unix:"):
        path = os.fsencode(address.removeprefix("unix:").removeprefix("//"))
        if not path:
            return "has no path; write unix:PATH"
        if len(path) > _MAX_SOCKET_PATH_BYTES:
            return f"path of {len(path)} bytes, limit {_MAX_SOCKET_PATH_BYTES}"
        return None
    if address.startswith("unix-abstract:"):
        return None
    if address == LOCAL:
        return "is this process (Client::Local()), not a server"
    # A host may be called "auto".
    if address.startswith(AUTO) and address.count(":") > 1:
        return (
            "auto: is for Client::Auto(), and stands before the whole address"
        )
    for scheme in _HOST_SCHEMES:
        if address.startswith(scheme):
            if address != scheme:
                return None
            return "has no host; write host:port or unix:PATH"
    scheme, slashes, rest = address.partition("://")
    if slashes:
        host = rest.partition("/")[0]
        return f"{scheme} is no scheme of gRPC; write {host}"
    return _host_port_problem(address)


def _host_port_problem(address: str) -> str | None:
    head, colon, tail = address.rpartition(":")
    bracketed = address.startswith("[")
    if not bracketed and address.count(":") > 1:
        # "::1:50051" ends with a port, "fe80::1" does not.
        if len(tail) != len(_DEFAULT_PORT):
            head, tail = address, _DEFAULT_PORT
        return f"an IPv6 address stands in brackets; write [{head}]:{tail}"
    if not colon or (bracketed and "]:" not in address):
        head, tail = address, ""
    if not head:
        return "has no host; write host:port or unix:PATH"
    if not tail:
        return f"has no port; write {head}:{_DEFAULT_PORT}"
    if not (tail.isascii() and tail.isdecimal() and 0 < int(tail) < 65536):
        return f"port {tail} is not in 1 .. 65535"
    return None


def _listens(path: str) -> bool:
    """Returns whether a server listens; a killed one leaves its socket."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        try:
            # EAGAIN: it has many callers.
            return caller.connect_ex(path) in (0, errno.EAGAIN)
        except OSError:  # longer than a path can be
            return False


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
