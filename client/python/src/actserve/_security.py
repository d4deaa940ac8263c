"""How a client proves who it is, and checks who the server is.

The rules are those of client/cpp/connect/security.h.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import grpc

from actserve import _address

# Fields that the environment may give.
_VARIABLES = {
    "tls_ca": "ACTSERVE_TLS_CA",
    "client_cert": "ACTSERVE_CLIENT_CERT",
    "client_key": "ACTSERVE_CLIENT_KEY",
    "tls_server_name": "ACTSERVE_TLS_SERVER_NAME",
    "token_file": "ACTSERVE_TOKEN_FILE",
}


@dataclass(frozen=True)
class Security:
    """TLS and a token; see `actserve.connect`. Its repr has no token."""

    tls_ca: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    tls_server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    insecure: bool = False

    def resolve(self) -> Security:
        """Returns the same with what the environment adds."""
        given: dict[str, Any] = {
            name: os.environ.get(variable) or None
            for name, variable in _VARIABLES.items()
            if not getattr(self, name)
            and not (name == "token_file" and self.token)
        }
        return replace(self, **given)

    def load(self, address: str) -> ChannelSecurity:
        """Returns what channels to `address` need, with all files read.

        Adds what the environment gives. Makes nothing of gRPC, so a process may
        fork afterwards.

        Raises:
          TypeError: A field is no string.
          ValueError: The fields do not fit together, a file cannot be read, or
            a token would go over the network in plain text.
        """
        all_ = self.resolve()
        all_._check(address)
        token = TokenSource(all_)
        if not all_.tls_ca or all(
            map(_address.is_unix_socket, _address.split(address))
        ):
            return ChannelSecurity(token)
        certificate = key = None
        if all_.client_cert and all_.client_key:
            certificate = _read("client_cert", all_.client_cert)
            key = _read("client_key", all_.client_key)
        return ChannelSecurity(
            token,
            _read("tls_ca", all_.tls_ca),
            certificate,
            key,
            all_.tls_server_name,
        )

    def _check(self, address: str) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name != "insecure" and not isinstance(value, str | None):
                raise TypeError(f"{one.name} is not a string")
        if self.token and self.token_file:
            raise ValueError("token and token_file: both are given")
        if bool(self.client_cert) != bool(self.client_key):
            raise ValueError(
                "client_cert and client_key: only one of them is given"
            )
        if self.client_cert and not self.tls_ca:
            raise ValueError("client_cert: given without tls_ca")
        plain = not self.tls_ca and not _address.is_loopback(address)
        if plain and not self.insecure and (self.token or self.token_file):
            raise ValueError(
                f"a token does not go to {address} in plain text: give tls_ca, "
                f"or insecure=True if the network is safe"
            )


class TokenSource:
    """The token of a client. Thread-safe. No error contains it."""

    def __init__(self, security: Security):
        """Reads the token.

        Raises:
          ValueError: The file cannot be read, or holds no token.
        """
        self._file = security.token_file
        self._lock = threading.Lock()
        token = security.token
        if self._file:
            token = _read_token(self._file)
        if token is not None and not _is_token(token):
            raise ValueError(
                "token: it is not one line of ASCII without spaces"
            )
        self._token = token

    def get(self) -> str | None:
        """Returns the token; None: there is none."""
        with self._lock:
            return self._token

    def refresh(self, refused: str | None) -> bool:
        """Reads the file. Returns whether the token is not the `refused` one.

        A file without a token changes nothing.
        """
        if not self._file:
            return False
        try:
            token = _read_token(self._file)
        except ValueError:
            return False
        if not _is_token(token):
            return False
        with self._lock:
            self._token = token
            return token != refused


@dataclass(frozen=True)
class ChannelSecurity:
    """What a channel needs. A unix socket is plain whatever this says.

    Attributes:
      token: The token of the client.
      ca: The authorities that sign the server's certificate; None: no TLS.
      certificate: The client's certificate, or None.
      key: Its key.
      tls_server_name: The name that the server's certificate must have; None:
        the name by which the server is called.
    """

    token: TokenSource
    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    tls_server_name: str | None = None

    def open(
        self,
        target: str,
        options: list[tuple[str, int | str]],
        authority: str | None = None,
    ) -> grpc.Channel:
        """Returns a channel.

        Args:
          target: An address as gRPC takes it.
          options: Of gRPC.
          authority: The name by which the server is called, where `target` was
            made from one.
        """
        if not self.ca or _address.is_unix_socket(target):
            return grpc.insecure_channel(target, options)
        name = self.tls_server_name or (authority or "").rpartition(":")[0]
        if name:
            options = [*options, ("grpc.ssl_target_name_override", name)]
        credentials = grpc.ssl_channel_credentials(
            self.ca, self.key, self.certificate
        )
        return grpc.secure_channel(target, credentials, options)


# No TLS and no token.
PLAIN = ChannelSecurity(TokenSource(Security()))


def _read(what: str, path: str) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{what}: {path}: {error.strerror}") from error
    if not content:
        raise ValueError(f"{what}: {path} is empty")
    return content


def _read_token(path: str) -> str:
    return _read("token_file", path).decode("ascii", "replace").strip()


def _is_token(token: str) -> bool:
    return bool(token) and all("!" <= c <= "~" for c in token)
